"""What is asked for: a series, its symbols, an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from libs.core.clock import day_start_us, trading_date
from libs.dbaccess.layout import exchange_name, symbol_name, timeframe_name
from libs.dbaccess.queries.bounds import EARLIEST_US, Moment, to_interval

#: Timeframes that are stored only where somebody imported them, maybe for some symbols only.
SELDOM_STORED = ("1h", "4h")


@dataclass(frozen=True)
class Request:
    """Rows of one series for some symbols over [start, end). Names are checked, symbols stand once each."""

    exchange: str
    data_type: str
    timeframe: str | None
    symbols: tuple[str, ...]
    start_us: int
    end_us: int

    @classmethod
    def candles(
        cls, symbols: str | Sequence[str], exchange: str, timeframe: str, start: Moment | None, end: Moment | None
    ) -> Request:
        """Ask for candles of one timeframe."""
        interval = to_interval(start, end)
        return cls(exchange_name(exchange), "candles", timeframe_name(timeframe), _names(symbols), *interval)

    @classmethod
    def ticks(cls, symbols: str | Sequence[str], exchange: str, start: Moment | None, end: Moment | None) -> Request:
        """Ask for ticks."""
        return cls(exchange_name(exchange), "ticks", None, _names(symbols), *to_interval(start, end))

    @property
    def first_day(self) -> date:
        """The first date (IST) the interval touches."""
        return trading_date(self.start_us)

    @property
    def last_day(self) -> date:
        """The last date (IST) the interval touches; before the first when the interval is empty."""
        return trading_date(self.end_us - 1)

    @property
    def start_is_open(self) -> bool:
        """Whether everything from the beginning was asked for."""
        return self.start_us == EARLIEST_US

    @property
    def is_empty(self) -> bool:
        """Whether the interval holds no instant."""
        return self.start_us >= self.end_us

    def covers(self, day: date) -> bool:
        """Whether the whole of a date lies inside the interval."""
        return self.start_us <= day_start_us(day) and day_start_us(date.fromordinal(day.toordinal() + 1)) <= self.end_us


def _names(symbols: str | Sequence[str]) -> tuple[str, ...]:
    listed = [symbols] if isinstance(symbols, str) else symbols
    return tuple(dict.fromkeys(symbol_name(symbol) for symbol in listed))
