"""What a run's figures must not be read without: holes in its data, fills that are doubtful, what is still held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np

from libs.contracts.orders import Side
from libs.core.clock import day_start_us, trading_date
from libs.orders.direct import KeptTrade
from libs.trading.columns import Columns
from libs.trading.desk import Desk
from services.backtest.data import RunData, SymbolData
from services.backtest.recorder import LogRow


def doubts_of_data(data: RunData, warmup_bars: int = 0) -> Iterator[LogRow]:
    """Tell of days that are missing, symbols that are not there all the time, too few bars before, likely splits."""
    for day in data.days_missing:
        yield _doubt("data.day_missing", day=day.isoformat())
    first = min(trading_date(int(each.timestamps[0])) for each in data.columns)
    last = max(trading_date(int(each.timestamps[-1])) for each in data.columns)
    for each in data.columns:
        begins, ends = (trading_date(int(each.timestamps[row])) for row in (0, -1))
        if begins > first:
            yield _doubt("data.begins_late", symbol=each.symbol, day=begins.isoformat())
        if ends < last:
            yield _doubt("data.ends_early", symbol=each.symbol, day=ends.isoformat())
        before = sum(len(part) for part in data.warm_up if part.symbol == each.symbol)
        if before < warmup_bars:
            level = "info" if before + len(each) > warmup_bars else "warning"  # never warm: it cannot say anything
            detail = {"symbol": each.symbol, "bars": before, "wanted": warmup_bars}
            yield LogRow(None, level, "data.warmup_short", detail)
    for symbol in data.symbols:
        for day_text, ratio in symbol.gaps:
            yield _doubt("data.corporate_gap", symbol=symbol.symbol, day=day_text, ratio=ratio)


def doubts_of_fills(columns: Sequence[Columns], fills: Sequence[KeptTrade], desk: Desk) -> Iterator[LogRow]:
    """Tell of fills in minutes nothing traded in, and of positions that were never closed."""
    for each in columns:
        if each.volume.all():
            continue
        stamps = np.array([fill.timestamp_us for fill in fills if fill.symbol == each.symbol], dtype=np.int64)
        rows = np.searchsorted(each.timestamps, stamps, side="right") - 1
        if count := int(np.count_nonzero(each.volume[rows] == 0)):
            yield _doubt("fills.without_volume", symbol=each.symbol, fills=count, of=len(stamps))
    for position in desk.positions.open():
        key = position.key
        price = desk.gate.state.symbol(key.exchange, key.symbol).price
        yield LogRow(
            None, "info", "position.open",
            {"symbol": key.symbol, "strategy_id": key.strategy_id, "quantity": position.quantity,
             "profit_unrealised_paise": position.unrealised_paise(price)},
        )  # fmt: skip


def doubts_of_gaps(symbols: Sequence[SymbolData], fills: Sequence[KeptTrade]) -> Iterator[LogRow]:
    """Tell of positions held into a day that opens as after a split: their profit is the new count of shares' price."""
    for each in symbols:
        for day_text, ratio in each.gaps:
            until_us = day_start_us(date.fromisoformat(day_text))
            held: Counter[str] = Counter()
            for fill in fills:
                if fill.symbol == each.symbol and fill.timestamp_us < until_us:
                    held[fill.strategy_id] += fill.quantity if fill.side is Side.BUY else -fill.quantity
            for strategy_id, quantity in held.items():
                if quantity:
                    yield _doubt(
                        "position.over_gap", symbol=each.symbol, strategy_id=strategy_id, day=day_text, ratio=ratio,
                        quantity=quantity,
                    )  # fmt: skip


def _doubt(event: str, **detail: Any) -> LogRow:
    return LogRow(None, "warning", event, detail)
