"""`fleet orders | trades | positions | risk`: what the trading store holds, beside its writer; `orders` also acts."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from typing import Any

from cli.engine_door import read_trading
from cli.exits import OK
from cli.order_terms import add_actions
from cli.output import add_json, print_json, print_table
from cli.words import at_least
from libs.core.clock import IST, to_datetime

#: Command: what it is for, its query, the columns of the table. `{where}` takes the symbol.
_VIEWS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "orders": (
        "orders and where they are",
        ("SELECT order_id, created_at_us, strategy_id, exchange, symbol, side, order_type, quantity, price, status, "
        "quantity_traded, purpose, reason, signal_id_reference, fees_paise FROM orders {where} "
        "ORDER BY created_at_us DESC LIMIT ?"),
        ("created_at_us", "strategy_id", "symbol", "side", "quantity", "status", "quantity_traded", "purpose",
         "order_id", "reason"),
    ),
    "trades": (
        "fills",
        ("SELECT trade_id, timestamp_us, strategy_id, exchange, symbol, side, direction, quantity, price, fees_paise, "
        "profit_paise, status, order_id, signal_id_reference FROM trades {where} ORDER BY timestamp_us DESC LIMIT ?"),
        ("timestamp_us", "strategy_id", "symbol", "side", "quantity", "price", "fees_paise", "profit_paise",
         "order_id"),
    ),
    "positions": (
        "what is held, by strategy",
        ("SELECT strategy_id, exchange, symbol, product, quantity, price_average, price_mark, profit_realised_paise, "
        "profit_unrealised_paise, fees_paise, trades, updated_at_us FROM positions {where} "
        "ORDER BY quantity = 0, strategy_id, symbol LIMIT ?"),
        ("strategy_id", "symbol", "quantity", "price_average", "price_mark", "profit_realised_paise",
         "profit_unrealised_paise", "fees_paise"),
    ),
    "risk": (
        "what risk refused, locked or halted",
        ("SELECT event_id, timestamp_us, kind, severity, check_name, strategy_id, symbol, reason, figures_json, "
        "signal_id_reference, order_id FROM risk_events {where} ORDER BY event_id DESC LIMIT ?"),
        ("timestamp_us", "kind", "severity", "check_name", "strategy_id", "symbol", "reason"),
    ),
}  # fmt: skip


def _add(subparsers: Any, *, command: str) -> None:
    purpose = _VIEWS[command][0]
    parser: ArgumentParser = subparsers.add_parser(command, help=purpose, description=f"Print {purpose}, newest first.")
    parser.add_argument("--symbol", default="", help="only this symbol")
    parser.add_argument("-n", "--limit", type=at_least(1), default=100, metavar="N", help="at most so many rows (100)")
    add_json(parser)
    parser.set_defaults(run=_run, command=command)
    if command == "orders":
        add_actions(parser)


add_orders, add_trades, add_positions, add_risk = (partial(_add, command=command) for command in _VIEWS)


def _run(options: Namespace) -> int:
    _, sql, columns = _VIEWS[options.command]
    where = "WHERE symbol = ?" if options.symbol else ""
    parameters = (options.symbol, options.limit) if options.symbol else (options.limit,)
    rows = read_trading(sql.format(where=where), *parameters)
    if options.json:
        print_json(rows)
        return OK
    headings = [name.removesuffix("_us").removesuffix("_paise").replace("_", " ") for name in columns]
    print_table(headings, [[_cell(name, row[name]) for name in columns] for row in rows])
    return OK


def _cell(name: str, value: Any) -> object:
    if value is None:
        return ""
    if name.endswith("_us"):
        return f"{to_datetime(value).astimezone(IST):%Y-%m-%d %H:%M:%S}"
    if name.endswith("_paise"):
        return f"{value / 100:.2f}"
    return f"{value:.2f}" if isinstance(value, float) else value
