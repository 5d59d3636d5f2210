"""Which bars a backtest asks for: known from its first words, before a strategy or numpy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

from libs.core.errors import Refused


class Asking(Protocol):
    """Whatever names bars: a request, or only these."""

    @property
    def symbols_all(self) -> tuple[str, ...]:
        """Give every symbol, in order."""

    @property
    def exchange(self) -> str:
        """Give where they are traded."""

    @property
    def timeframe(self) -> str:
        """Give the length of a bar."""

    @property
    def start(self) -> date:
        """Give the first day."""

    @property
    def end(self) -> date:
        """Give the last day, included."""


class Wanted(NamedTuple):
    """Every candle of these symbols from the first day to the last, both included."""

    symbols_all: tuple[str, ...]
    exchange: str
    timeframe: str
    start: date
    end: date

    @classmethod
    def by(cls, asking: Asking) -> Wanted:
        """Give what is asked for, to be compared."""
        return cls(asking.symbols_all, asking.exchange, asking.timeframe, asking.start, asking.end)


def names_of(symbols: str | Sequence[str]) -> list[str]:
    """Give symbols, each once, as they were named: one by one, or in one text with commas."""
    names = symbols.split(",") if isinstance(symbols, str) else symbols
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def day_of(moment: Any) -> date:
    """Give a day out of what a person or program gives."""
    if isinstance(moment, datetime):
        return moment.date()
    if isinstance(moment, date):
        return moment
    try:
        return datetime.fromisoformat(str(moment).strip()).date()
    except ValueError as e:
        raise Refused(f"{moment!r} is no date; expected one such as 2026-02-02") from e
