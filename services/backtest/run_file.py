"""A run's file: its row first, so that a killed run is still known by name, then everything it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.core.version import CODE_VERSION
from libs.dbaccess.columns import Column, floats, insert, integers, stamps, texts
from libs.dbaccess.runs import RunConnection, commit_so_far
from libs.dbaccess.schema.backtest_run import VERSION
from libs.indicators.columns import day_ends
from libs.orders.direct import PlainOrder, trade_id
from libs.orders.model import Order, Purpose
from libs.orders.positions import Position, Step
from libs.trading.desk import Desk
from services.backtest.equity import EquityCurve
from services.backtest.metrics import Metrics
from services.backtest.recorder import UNDECIDED, LogRow, RunRecorder
from services.backtest.request import RunRequest
from services.backtest.traded import Traded
from services.backtest.turns import short_turns

#: Of a row of many; asking an enum for its `value` goes through a property, which costs as much as half the row.
_MARKET, _FILLED, _ACKNOWLEDGED = OrderType.MARKET.value, OrderStatus.FILLED.value, OrderStatus.ACKNOWLEDGED.value
#: Longer curves are stored day by day; figures are worked out on every bar all the same.
CURVE_ROWS_MAX = 100_000
#: A table of so many rows is committed by itself, to be packed while the next is made; the file has no name yet.
ROWS_ALONE = 5_000


def begin(
    connection: RunConnection, run_id: str, request: RunRequest, *, strategy_version: str,
    settings: dict[str, Any], created_us: int,
) -> dict[str, Any]:  # fmt: skip
    """Write what was asked, commit it, and give the row that has it."""
    row = {
        "run_id": run_id,
        "schema_version": VERSION,
        "strategy": request.strategy,
        "strategy_version": strategy_version,
        "parameters_json": _json(request.parameters),
        "exchange": request.exchange,
        "symbols_json": _json(request.symbols),
        "timeframe": request.timeframe,
        "date_from": request.start,
        "date_to": request.end,
        "fill_model": request.fill,
        "settings_json": _json(settings),
        "cash_paise": request.cash_paise,
        "seed": request.seed,
        "data_fingerprint": "",
        "data_json": "{}",
        "code_version": CODE_VERSION,
        "state": "running",
        "error": "",
        "bars": 0,
        "created_at_us": created_us,
        "finished_at_us": None,
    }
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608 - ours
    commit_so_far(connection)
    return row


def end(
    connection: RunConnection, *, state: str, error: str, bars: int, finished_us: int,
    fingerprint: str, data: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write how it ended, and give what is new in the row."""
    new = {
        "state": state, "error": error, "bars": bars, "finished_at_us": finished_us,
        "data_fingerprint": fingerprint, "data_json": _json(data),
    }  # fmt: skip
    connection.execute(f"UPDATE run SET {', '.join(f'{name} = ?' for name in new)}", list(new.values()))  # noqa: S608 - ours
    return new


def write_results(
    connection: RunConnection, recorder: RunRecorder, desk: Desk, traded: Traded,
    worked_out: Callable[[], tuple[EquityCurve, Metrics]],
) -> tuple[Metrics, dict[str, int]]:  # fmt: skip
    """Write signals, orders, trades, the equity curve, positions, metrics and the log; give figures and counts of rows.

    A table is written, and a long one packed and put on disk, while the next is made and curve and figures are worked
    out: DuckDB needs the interpreter for little of it, but often.
    """
    with short_turns(), ThreadPoolExecutor(1, thread_name_prefix="run-file") as writer:
        written = {
            "signals": writer.submit(_put, connection, "signals", _signals(recorder)),
            "orders": writer.submit(_put, connection, "orders", _orders(desk, recorder)),
            "trades": writer.submit(_put, connection, "trades", _trades(traded.steps, recorder, desk)),
            "positions": writer.submit(_put, connection, "positions", _positions(desk)),
        }
        curve, metrics = worked_out()
        written["equity_curve"] = writer.submit(_put, connection, "equity_curve", _curve(curve))
        written["metrics"] = writer.submit(_put, connection, "metrics", _metrics(metrics))
    counts = {table: rows.result() for table, rows in written.items()}
    write_log(connection, recorder.log)
    return metrics, counts | {"log": len(recorder.log)}


def _put(connection: RunConnection, table: str, columns: Mapping[str, Column]) -> int:
    insert(connection, table, columns)
    rows = len(next(iter(columns.values())).values)
    if rows >= ROWS_ALONE:
        commit_so_far(connection)
    return rows


def write_log(connection: RunConnection, log: Sequence[LogRow]) -> None:
    """Write the log alone: what a failed run has."""
    rows = list(enumerate(log))
    insert(
        connection,
        "log",
        {
            "number": integers([number for number, _ in rows]),
            "timestamp": stamps([row.at_us for _, row in rows]),
            "level": texts([row.level for _, row in rows]),
            "event": texts([row.event for _, row in rows]),
            "detail_json": texts([row.detail_json for _, row in rows]),
        },
    )


def _signals(recorder: RunRecorder) -> dict[str, Column]:
    signals, decisions = recorder.signals, recorder.decisions
    decided = [decisions.get(signal.signal_id, UNDECIDED) for signal in signals]
    return {
        "signal_id": texts([s.signal_id for s in signals]),
        "strategy_id": texts([s.strategy_id for s in signals]),
        "symbol": texts([s.symbol for s in signals]),
        "timestamp": stamps([s.timestamp_us for s in signals]),
        "signal_type": texts([s.signal_type._value_ for s in signals]),
        "leg": integers([s.leg for s in signals]),
        "confidence": floats([s.confidence for s in signals]),
        "stop": floats([s.stop for s in signals]),
        "target": floats([s.target for s in signals]),
        "decision": texts([decision for decision, _ in decided]),
        "reason": texts([reason for _, reason in decided]),
        "metadata_json": texts([_json(s.metadata) if s.metadata else "{}" for s in signals]),
    }


def _orders(desk: Desk, recorder: RunRecorder) -> dict[str, Column]:
    reasons, finished_us = recorder.reasons, recorder.finished_us
    rows = [
        _plain_row(order) if isinstance(order, PlainOrder) else _order_row(order, reasons, finished_us)
        for order in desk.orders.listed()
    ]
    kinds = {"quantity": integers, "quantity_filled": integers, "price": floats, "price_trigger": floats,
             "created": stamps, "finished": stamps}  # fmt: skip
    columns = zip(*rows, strict=True) if rows else [[]] * len(_ORDER)
    return {name: kinds.get(name, texts)(list(values)) for name, values in zip(_ORDER, columns, strict=True)}


_ORDER = (
    "order_id", "signal_id_reference", "strategy_id", "symbol", "side", "order_type", "purpose", "quantity",
    "quantity_filled", "price", "price_trigger", "status", "reason", "created", "finished",
)  # fmt: skip


def _order_row(o: Order, reasons: Mapping[str, str], finished_us: Mapping[str, int]) -> tuple[Any, ...]:
    return (
        o.order_id, o.signal_id, o.strategy_id, o.symbol, o.side.value, o.order_type.value, o.purpose.value,
        o.quantity, o.quantity_traded, o.price, o.price_trigger, o.status.value,
        o.reason or reasons.get(o.order_id, ""), o.created_us, finished_us.get(o.order_id),
    )  # fmt: skip


def _plain_row(o: PlainOrder) -> tuple[Any, ...]:
    """Give the row its order would have, were it spelled out."""
    quantity, is_filled = o.quantity, bool(o.trade_number)
    return (
        o.order_id, o.signal_id, o.strategy_id, o.symbol, o.side._value_, _MARKET, o.purpose._value_,
        quantity, quantity if is_filled else 0, None, None, _FILLED if is_filled else _ACKNOWLEDGED,
        o.reason, o.created_us, o.timestamp_us if is_filled else None,
    )  # fmt: skip


def _trades(steps: Sequence[Step], recorder: RunRecorder, desk: Desk) -> dict[str, Column]:
    """Give every trade with the side of its position, what it realised before fees, and why its order was placed."""
    trades, reasons = [step.fill for step in steps], recorder.reasons
    orders = [t if isinstance(t, PlainOrder) else desk.orders.get(t.order_id) for t in trades]
    is_buy = [t.side is Side.BUY for t in trades]
    is_long = [(o.purpose is Purpose.ENTRY) == buys for o, buys in zip(orders, is_buy, strict=True)]
    profits = [
        step.after.realised_paise - step.before.realised_paise if held and (held > 0) != buys else None
        for step, held, buys in zip(steps, [step.before.quantity for step in steps], is_buy, strict=True)
    ]
    return {
        "trade_id": texts([trade_id(t.trade_number) if isinstance(t, PlainOrder) else t.trade_id for t in trades]),
        "order_id": texts([t.order_id for t in trades]),
        "signal_id_reference": texts([o.signal_id for o in orders]),
        "strategy_id": texts([t.strategy_id for t in trades]),
        "symbol": texts([t.symbol for t in trades]),
        "timestamp": stamps([t.timestamp_us for t in trades]),
        "side": texts([t.side._value_ for t in trades]),
        "direction": texts(["long" if long else "short" for long in is_long]),
        "quantity": integers([t.quantity for t in trades]),
        "price": floats([t.price for t in trades]),
        "fees_paise": integers([t.fees_paise for t in trades]),
        "profit_paise": integers(profits),
        "reason": texts([reasons.get(t.order_id, "") for t in trades]),
    }


def _curve(curve: EquityCurve) -> dict[str, Column]:
    drawdown = curve.drawdown
    if len(curve.timestamps) > CURVE_ROWS_MAX:
        picked = day_ends(curve.timestamps)
        curve, drawdown = curve.rows(picked), drawdown[picked]
    return {
        "timestamp": stamps(curve.timestamps),
        "cash_paise": Column(curve.cash),
        "equity_paise": Column(curve.equity),
        "exposure_paise": Column(curve.exposure),
        "drawdown_paise": Column(drawdown),
    }


def _positions(desk: Desk) -> dict[str, Column]:
    positions: list[Position] = sorted(desk.positions, key=lambda position: position.key)
    prices = [desk.gate.state.symbol(p.key.exchange, p.key.symbol).price for p in positions]
    return {
        "strategy_id": texts([p.key.strategy_id for p in positions]),
        "symbol": texts([p.key.symbol for p in positions]),
        "quantity": integers([p.quantity for p in positions]),
        "price_average": floats([p.price_average if p.quantity else None for p in positions]),
        "profit_realised_paise": integers([p.realised_paise for p in positions]),
        "profit_unrealised_paise": integers(
            [p.unrealised_paise(price) for p, price in zip(positions, prices, strict=True)]
        ),
        "fees_paise": integers([p.fees_paise for p in positions]),
    }


def _metrics(metrics: Metrics) -> dict[str, Column]:
    keys = sorted(metrics)
    return {
        "metric": texts([name for name, _ in keys]),
        "scope": texts([scope for _, scope in keys]),
        "value": floats([metrics[key] for key in keys]),
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
