"""Both sides of a day as rows: out of the fleet's own stores, and out of a run's file."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.trading.parity import Kind, Row
from libs.trading.parity_causes import Mishap
from libs.trading.strategy_host import Withheld

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager

_SIGNALS = (
    "SELECT signal_id, strategy_id, symbol, timestamp_us, signal_type, leg, confidence, stop, target FROM signals "
    "WHERE timestamp_us >= ? AND timestamp_us < ? ORDER BY outbox_seq"
)
_DECISIONS = "SELECT signal_id, decision, reason FROM processed_signals WHERE bar_us >= ? AND bar_us < ?"
_ORDERS = (
    "SELECT o.order_id, o.signal_id_reference, o.strategy_id, o.symbol, o.side, o.purpose, o.order_type, o.quantity, "
    "o.quantity_traded, o.price, o.price_trigger, o.created_at_us, (SELECT cause FROM order_events e WHERE "
    "e.order_id = o.order_id AND kind = 'intent') FROM orders o WHERE o.created_at_us >= ? AND o.created_at_us < ? "
    "ORDER BY o.created_at_us, o.order_id"
)
_TRADES = (
    "SELECT t.order_id, t.strategy_id, t.symbol, t.side, o.purpose, t.timestamp_us, t.quantity, t.price, t.fees_paise, "
    "t.profit_paise FROM trades t JOIN orders o USING (order_id) WHERE t.status = 'filled' AND t.timestamp_us >= ? "
    "AND t.timestamp_us < ? ORDER BY t.timestamp_us, t.order_id"
)
_RUN_SIGNALS = (
    "SELECT signal_id, strategy_id, symbol, epoch_us(timestamp), signal_type, leg, confidence, stop, target, decision, "
    "reason FROM signals WHERE epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ? ORDER BY timestamp, signal_id"
)
_RUN_ORDERS = (
    "SELECT o.order_id, o.signal_id_reference, o.strategy_id, o.symbol, o.side, o.purpose, o.order_type, o.quantity, "
    "o.quantity_filled, o.price, o.price_trigger, epoch_us(o.created), "
    "coalesce((SELECT any_value(reason) FROM trades t WHERE t.order_id = o.order_id), '') FROM orders o "
    "WHERE epoch_us(o.created) >= ? AND epoch_us(o.created) < ? ORDER BY o.created, o.order_id"
)
_RUN_TRADES = (
    "SELECT t.order_id, t.strategy_id, t.symbol, t.side, o.purpose, epoch_us(t.timestamp), t.quantity, t.price, "
    "t.fees_paise, t.profit_paise FROM trades t JOIN orders o USING (order_id) WHERE epoch_us(t.timestamp) >= ? "
    "AND epoch_us(t.timestamp) < ? ORDER BY t.timestamp, t.order_id"
)
_CANDLES = (
    "SELECT symbol, epoch_us(timestamp), open, high, low, close, volume, origin FROM candles WHERE timeframe = '1m' "
    "AND epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ? ORDER BY symbol, timestamp"
)
_SUSPENDED = "SELECT runner, symbol, state, detail FROM runner_state WHERE state IS NOT NULL"
_HELD = (
    "SELECT strategy_id, symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held FROM trades "
    "WHERE status = 'filled' AND timestamp_us < ? GROUP BY 1, 2 HAVING held <> 0"
)
_LAST_SAID = (
    "SELECT strategy_id, symbol, signal_type FROM signals WHERE outbox_seq IN "
    "(SELECT max(outbox_seq) FROM signals WHERE timestamp_us < ? GROUP BY strategy_id, symbol)"
)
_MISSES = "SELECT bar_us FROM barrier_misses WHERE bar_us >= ? AND bar_us < ?"
#: From one instant up to another.
Span = tuple[int, int]
_PRICES = ("open", "high", "low", "close", "volume")


def fleet_rows(db: DatabaseManager, span: Span, instances: Collection[str], *, to_the_minute: bool) -> list[Row]:
    """Read what the scanner said and the engine did. `to_the_minute`: what happened on ticks has seconds of its own."""
    with db.trading_reader() as trading:
        decided = {row[0]: _decision(row[1], row[2]) for row in trading.execute(_DECISIONS, span)}
        orders = [_order(row, to_the_minute=to_the_minute) for row in trading.execute(_ORDERS, span)]
        trades = [_trade(row, to_the_minute=to_the_minute) for row in trading.execute(_TRADES, span)]
    with db.signals_reader() as signals:
        said = [_signal(row[:9], decided.get(row[0], "not decided")) for row in signals.execute(_SIGNALS, span)]
    return [row for row in (*said, *orders, *trades) if row.strategy_id in instances]


def run_rows(db: DatabaseManager, run_id: str, span: Span, *, to_the_minute: bool) -> list[Row]:
    """Read the same out of a run's file."""
    with db.backtest_reader(run_id) as run:
        said = [_signal(row[:9], _decision(row[9], row[10])) for row in run.execute(_RUN_SIGNALS, span).fetchall()]
        orders = [_order(row, to_the_minute=to_the_minute) for row in run.execute(_RUN_ORDERS, span).fetchall()]
        trades = [_trade(row, to_the_minute=to_the_minute) for row in run.execute(_RUN_TRADES, span).fetchall()]
    return [*said, *orders, *trades]


def candle_rows(
    db: DatabaseManager, exchange: str, day: date, symbols: Collection[str]
) -> tuple[list[Row], frozenset[tuple[str, int]]]:
    """Read the minutes of a day, closed or still in the live buffer; and which were filled in after a gap."""
    if db.layout.day(exchange, "candles", "1m", day).exists():
        with db.historical_reader(exchange, "candles", "1m", day) as connection:
            found = connection.execute(_CANDLES, span_of(day, day)).fetchall()
    else:
        with db.live_buffer_reader() as connections:
            found = connections["candles"].execute(_CANDLES, list(span_of(day, day))).fetchall()
    rows = [
        Row(
            kind=Kind.CANDLE, strategy_id="", symbol=row[0], at_us=row[1], name="",
            values=dict(zip(_PRICES, row[2:7], strict=True)),
        )
        for row in found if row[0] in symbols
    ]  # fmt: skip
    return rows, frozenset((row[0], row[1]) for row in found if row[7] == "backfill")


def mishaps(db: DatabaseManager, span: Span) -> tuple[list[Mishap], frozenset[int]]:
    """Read what the fleet's stores say went wrong: strategies suspended, minutes gone past undecided."""
    suspended = []
    with db.signals_reader() as signals:
        for instance, symbol, state, detail in signals.execute(_SUSPENDED):
            suspended += [
                Mishap(strategy_id=instance, symbol=symbol, from_us=each.from_us, until_us=each.until_us, why=detail)
                for each in msgspec.msgpack.decode(state, type=tuple[Withheld, ...])
            ]
    with db.trading_reader() as trading:
        misses = frozenset(int(row[0]) for row in trading.execute(_MISSES, span))
    return suspended, misses


def carried(db: DatabaseManager, from_us: int) -> dict[tuple[str, str], str]:
    """Say what the fleet had from before an instant, by strategy and symbol: shares, or a strategy's own idea of it."""
    with db.signals_reader() as signals:
        found = {
            (row[0], row[1]): f"had said {row[2]}"
            for row in signals.execute(_LAST_SAID, (from_us,)) if str(row[2]).startswith("enter")
        }  # fmt: skip
    with db.trading_reader() as trading:
        found |= {(row[0], row[1]): f"held {row[2]}" for row in trading.execute(_HELD, (from_us,))}
    return found


def span_of(start: date, end: date) -> Span:
    """Give the instants of some days, both included."""
    return day_start_us(start), day_start_us(end) + US_PER_DAY


def _decision(decision: str, reason: str) -> str:
    """Spell a decision alike on both sides: what became of it, and the check that refused it."""
    if decision in {"rejected", "stale"}:
        return f"rejected: {reason.partition(':')[0]}"
    return decision


def _signal(row: Any, decision: str) -> Row:
    signal_id, strategy_id, symbol, at_us, kind, leg, confidence, stop, target = row
    values = {
        "signal_id": signal_id, "confidence": confidence, "stop": stop, "target": target, "decision": decision
    }  # fmt: skip
    name = kind if not leg else f"{kind} leg {leg}"
    return Row(kind=Kind.SIGNAL, strategy_id=strategy_id, symbol=symbol, at_us=at_us, name=name, values=values)


def _order(row: Any, *, to_the_minute: bool) -> Row:
    order_id, signal_id, strategy_id, symbol, side, purpose, kind, quantity, filled, price, trigger, at_us, why = row
    values = {
        "order_id": order_id, "signal_id": signal_id, "order_type": kind, "quantity": quantity, "filled": filled,
        "price": price, "price_trigger": trigger, "why": why if filled else "",
    }  # fmt: skip
    if to_the_minute and not signal_id:
        values["order_id"] = ""  # an exit of the engine's own is named by its instant
    return Row(
        kind=Kind.ORDER, strategy_id=strategy_id, symbol=symbol, at_us=_when(at_us, to_the_minute=to_the_minute),
        name=f"{purpose} {side}", values=values,
    )  # fmt: skip


def _trade(row: Any, *, to_the_minute: bool) -> Row:
    order_id, strategy_id, symbol, side, purpose, at_us, quantity, price, fees_paise, profit_paise = row
    values = {
        "order_id": "" if to_the_minute else order_id, "quantity": quantity, "price": price, "fees_paise": fees_paise,
        "profit_paise": profit_paise,
    }  # fmt: skip
    return Row(
        kind=Kind.TRADE, strategy_id=strategy_id, symbol=symbol, at_us=_when(at_us, to_the_minute=to_the_minute),
        name=f"{purpose} {side}", values=values,
    )  # fmt: skip


def _when(at_us: int, *, to_the_minute: bool) -> int:
    return at_us // US_PER_MINUTE * US_PER_MINUTE if to_the_minute else at_us
