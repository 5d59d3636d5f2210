"""The aggregator's state as data, so that it can be stored and taken up again."""

from __future__ import annotations

from datetime import date

import msgspec

from libs.bars.openbar import OpenBar
from libs.bars.volume import Slot


class MinuteBar(msgspec.Struct, frozen=True):
    """An open 1m bar."""

    minute_us: int
    symbol: str
    bar: OpenBar


class LongBar(msgspec.Struct, frozen=True):
    """An open bar of a longer timeframe."""

    timeframe: str
    symbol: str
    bar: OpenBar


class AggregatorState(msgspec.Struct, frozen=True):
    """Open bars, and what is remembered of each symbol."""

    date: date
    minutes_closed: int
    slots: dict[str, Slot]
    open: list[MinuteBar]
    long: list[LongBar]
