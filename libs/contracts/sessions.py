"""One trading day of an exchange: when it trades, and where its bars begin."""

from __future__ import annotations

from datetime import date
from functools import cached_property

import msgspec

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import US_PER_MINUTE, day_start_us


class Session(msgspec.Struct, frozen=True, dict=True):
    """One day's trading hours, in instants.

    `spans` are the stretches of continuous trading, half open; more than one when the day has a break.
    `assumed` says that no calendar data covers the date, so that regular hours were taken for granted.
    `auction_*` is the closing auction. Only some shares take part: for them continuous trading ends when it begins,
    the others trade on beside it. Where it matters, `closing_auction=True` asks about a share that takes part.
    """

    exchange: str
    date: date
    spans: tuple[tuple[int, int], ...]
    pre_open_us: int
    auction_open_us: int = 0
    auction_close_us: int = 0
    name: str = ""
    assumed: bool = False

    @property
    def open_us(self) -> int:
        """The instant continuous trading begins."""
        return self.spans[0][0]

    @property
    def close_us(self) -> int:
        """The instant continuous trading ends for the day."""
        return self.spans[-1][1]

    @property
    def last_us(self) -> int:
        """The instant after which nothing trades: the end of the closing auction where there is one."""
        return max(self.close_us, self.auction_close_us)

    @cached_property
    def trading_spans(self) -> tuple[tuple[int, int], ...]:
        """The stretches in which a trade may print: `spans`, the last one stretched over the closing auction."""
        return (*self.spans[:-1], (self.spans[-1][0], self.last_us))

    def spans_of(self, *, closing_auction: bool) -> tuple[tuple[int, int], ...]:
        """The stretches in which a share trades continuously."""
        if not (closing_auction and self.auction_open_us):
            return self.spans
        end = self.auction_open_us
        return tuple((start, min(stop, end)) for start, stop in self.spans if start < end)

    def is_open(self, instant_us: int, *, closing_auction: bool = False) -> bool:
        """Whether a share trades continuously at that instant."""
        spans = self.spans_of(closing_auction=closing_auction)
        return any(start <= instant_us < end for start, end in spans)

    def trades_at(self, instant_us: int) -> bool:
        """Whether a trade may print at that instant, closing auction included."""
        return any(start <= instant_us < end for start, end in self.trading_spans)

    @cached_property
    def minutes(self) -> tuple[int, ...]:
        """The start of every minute in which a trade may print."""
        return _minutes(self.trading_spans)

    def bar_start(self, instant_us: int, timeframe: str) -> int:
        """The start of the bar an instant falls in. Bars are anchored at the day's open; a day bar at IST midnight."""
        if timeframe == "1d":
            return day_start_us(self.date)
        length = TIMEFRAMES[timeframe] * US_PER_MINUTE
        return self.open_us + (instant_us - self.open_us) // length * length

    def bar_starts(self, timeframe: str, *, closing_auction: bool = False) -> tuple[int, ...]:
        """The start of every bar a share that always trades must have: those with a minute of continuous trading."""
        minutes = _minutes(self.spans_of(closing_auction=closing_auction))
        return tuple(dict.fromkeys(self.bar_start(minute, timeframe) for minute in minutes))


def _minutes(spans: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    return tuple(minute for start, end in spans for minute in range(start, end, US_PER_MINUTE))
