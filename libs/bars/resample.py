"""Short bars to longer ones, bar by bar: what a backtest and a chart use. `vectorised.resample` is its equal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from libs.bars.openbar import OpenBar, begin
from libs.bars.plan import closings
from libs.contracts.market import OHLCVBar
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.core.errors import Refused


class Resampler:
    """One symbol's 1m bars to one longer timeframe.

    A bar comes out with the last minute of its interval, or, when that minute had no trade, with the next bar.
    """

    def __init__(self, timeframe: str, session_of: Callable[[date], Session | None]) -> None:
        self.timeframe = timeframe
        self._session_of = session_of
        self._session: Session | None = None
        self._last_minutes: set[int] = set()
        self._open: OpenBar | None = None
        self._first: OHLCVBar | None = None
        self._start_us = 0

    def add(self, bar: OHLCVBar) -> list[OHLCVBar]:
        """Take the next 1m bar; give the longer bars that are complete now, two at the most."""
        session = self._session_at(bar.timestamp_us)
        start = session.bar_start(bar.timestamp_us, self.timeframe)
        out = self.flush() if start != self._start_us else []
        if self._open is None:
            self._open, self._first, self._start_us = begin(bar), bar, start
        else:
            self._open.append(bar)
        if bar.timestamp_us in self._last_minutes:
            out += self.flush()
        return out

    def flush(self) -> list[OHLCVBar]:
        """Give the bar that is still open, as it stands."""
        if self._open is None or self._first is None:
            return []
        first, open_bar, self._open = self._first, self._open, None
        return [open_bar.closed(first.symbol, self.timeframe, self._start_us, first.exchange, first.origin)]

    def _session_at(self, instant_us: int) -> Session:
        session = self._session
        day = trading_date(instant_us)
        if session is None or session.date != day:
            session = self._session = self._session_of(day)
            if session is None:
                raise Refused(f"a bar on {day}, when the exchange was closed; correct the calendar or the bar")
            self._last_minutes = set(closings(session, (self.timeframe,)))
        return session
