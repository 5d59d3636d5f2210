"""The loop on day bars: decided at the close, filled at the next session's open, held through the nights.

A day bar carries the day's date as its time, when nothing trades; here it opens and closes with its session. An order
is for the next session it is sent for: what that does not fill expires at its close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from msgspec.structs import replace

from libs.contracts.market import OHLCVBar
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE, trading_date
from libs.orders.fills import FillSettings
from libs.trading.desk import Desk
from libs.trading.loop import LoopEvent, TradingLoop


class DayLoop(TradingLoop):
    """`hours_of` gives the hours a day bar stands for, also on a date the calendar has no session for."""

    def __init__(
        self, desk: Desk, settings: FillSettings, session_of: Callable[[date], Session | None],
        hours_of: Callable[[date], Session],
    ) -> None:  # fmt: skip
        super().__init__(desk, settings, lambda day: _with_orders_after_close(session_of(day)))
        self._session_or_none, self._usual_hours = session_of, hours_of
        self._close_us = 0

    def on_bars(self, minute_us: int, bars: Iterable[OHLCVBar]) -> list[LoopEvent]:
        """Take the bars of one day: fills at the open, exits, marks; then what rests expires."""
        hours = self._hours_of(trading_date(minute_us))
        self._close_us = hours.close_us
        events = super().on_bars(hours.open_us, [replace(bar, timestamp_us=hours.open_us) for bar in bars])
        return events + self.end(hours.close_us)

    def on_signals(self, now_us: int, signals: Iterable[SignalEvent]) -> list[LoopEvent]:
        """Decide at the close of the day the signals are of, not at the midnight behind it."""
        del now_us
        return super().on_signals(self._close_us, list(signals))

    def _hours_of(self, day: date) -> Session:
        return self._session_or_none(day) or self._usual_hours(day)

    def _begin_day(self, minute_us: int) -> list[LoopEvent]:
        # Last evening's orders are for this session.
        resting, self.resting = self.resting, {}
        events = super()._begin_day(minute_us)
        self.resting = resting
        return events

    def _end_us(self, bar: OHLCVBar) -> int:
        return self._hours_of(trading_date(bar.timestamp_us)).close_us

    def _known_us(self, signal: SignalEvent) -> int:
        return self._hours_of(trading_date(signal.timestamp_us)).close_us


def _with_orders_after_close(session: Session | None) -> Session | None:
    """Let the gate take orders for the next session at the close of this one."""
    if session is None:
        return None
    *spans, (start_us, end_us) = session.spans
    return replace(session, spans=(*spans, (start_us, end_us + US_PER_MINUTE)))
