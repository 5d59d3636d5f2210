"""Ticks to 1m bars and on to longer ones, closed by the session's clock. Owns no clock, does no I/O.

`on_tick` decides where a tick belongs, `advance` closes what is due. After a crash `restore` and the `replay_…`
methods rebuild the state from what was journalled; a bar that was published is never made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec

from libs.bars.openbar import OpenBar, begin
from libs.bars.plan import closings
from libs.bars.state import AggregatorState, LongBar, MinuteBar
from libs.bars.volume import NO_CONNECTION, Slot, VolumeBook
from libs.contracts.market import MinuteClosed, OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.core.errors import Refused

LONG_TIMEFRAMES = ("5m", "15m", "1d")


class Outcome(IntEnum):
    """Where a tick belongs. The first three are ticks of the day, the last two go to the late ticks."""

    BOOKED = 0  # in the bar of its minute
    REPEAT = 1  # the trade is in its bar already; only the quote is new
    OUTSIDE = 2  # its trade time is outside the session's hours; it makes no bar
    LATE = 3  # its bar was closed when it came
    STALE = 4  # its minute was over before this connection, or it repeats a tick that is in no bar

    @property
    def is_late(self) -> bool:
        """Whether the tick goes to the late ticks."""
        return self >= Outcome.LATE


_BOOKED, _REPEAT, _OUTSIDE = Outcome.BOOKED, Outcome.REPEAT, Outcome.OUTSIDE
_LATE, _STALE = Outcome.LATE, Outcome.STALE


class BarAggregator:
    """The bars of one exchange, all symbols. Symbols come out in byte order."""

    def __init__(self, session: Session, *, grace_us: int, timeframes: Sequence[str] = LONG_TIMEFRAMES) -> None:
        self.grace_us = grace_us
        self.timeframes = tuple(timeframes)
        self.volumes = VolumeBook()
        self._slots: dict[str, Slot] = {}
        self.start_session(session)

    def start_session(self, session: Session, from_us: int = 0) -> None:
        """Begin a day. `from_us` is where the session's clock stands when the day is joined in its middle."""
        self.session = session
        self._day_start_us = day_start_us(session.date)
        self._closings = closings(session, self.timeframes)
        self._open: dict[int, dict[str, OpenBar]] = {}
        self._long: dict[str, dict[str, OpenBar]] = {timeframe: {} for timeframe in self.timeframes}
        self._published: set[tuple[str, str, int]] = set()
        minutes = session.minutes
        self._next = next((n for n, minute in enumerate(minutes) if minute + US_PER_MINUTE > from_us), len(minutes))
        # The day's figures begin at nothing; a connection that lasted through the night need not be baselined.
        self._slots = {symbol: Slot(connection=slot.connection) for symbol, slot in self._slots.items()}
        self._set_due()

    @property
    def closed_through_us(self) -> int:
        """The last minute that is closed; 0 before the first."""
        return self._closed_through

    @property
    def due_us(self) -> int:
        """When `advance` has something to do next, by the session's clock."""
        return self._due_us

    @property
    def is_over(self) -> bool:
        """Whether the session's last bars are out."""
        return self._next >= len(self.session.minutes)

    def on_connect(self, session_now_us: int) -> None:
        """Say that the feed is connected anew: what traded in between was not seen."""
        self.volumes.on_connect(session_now_us)

    def on_tick(self, tick: Tick) -> tuple[Outcome, int]:
        """Book a tick; give where it belongs and the volume it adds. The tick's own `volume` is not read."""
        slot = self._slots.get(tick.symbol)
        if slot is None:
            slot = self._slots[tick.symbol] = Slot()
        at_us = tick.timestamp_us
        if not slot.start_us <= at_us < slot.end_us or slot.connection != self.volumes.connection:
            return self._elsewhere(tick, slot)
        volume = tick.volume_day - slot.volume_day
        if volume < 0 or slot.lower >= 0:
            return self._elsewhere(tick, slot)
        # From here it is OpenBar.trade written out: a call costs a fifth of the whole.
        price = tick.price
        bar: Any = slot.bar  # a slot with bounds has a bar
        if price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        if at_us >= bar.last_us:
            bar.close = price
            bar.last_us = at_us
        elif at_us < bar.first_us:
            bar.open = price
            bar.first_us = at_us
        if volume:
            bar.volume += volume
            slot.volume_day = tick.volume_day
        return _BOOKED, volume

    def advance(self, session_now_us: int) -> list[OHLCVBar | MinuteClosed]:
        """Close every minute whose end plus grace has passed: its bars, then its `MinuteClosed`, minute by minute."""
        out: list[OHLCVBar | MinuteClosed] = []
        while session_now_us >= self._due_us:
            out += self._close(self.session.minutes[self._next])
            self._next += 1
            self._set_due()
        return out

    def fill(self, bar: OHLCVBar) -> None:
        """Take a 1m bar of a closed minute, got elsewhere, into the day's bar if that is still open.

        Shorter bars stay made of ticks alone, so that the ticks give them again whenever the fill came.
        """
        bars = self._long.get("1d")
        if bars is None or self.is_over:
            return
        if bar.symbol in bars:
            bars[bar.symbol].append(bar)
        else:
            bars[bar.symbol] = begin(bar)

    def state(self) -> bytes:
        """Give all that must survive for the bars to go on exactly."""
        state = AggregatorState(
            date=self.session.date,
            minutes_closed=self._next,
            slots=self._slots,
            open=[MinuteBar(minute, *item) for minute, bars in self._open.items() for item in bars.items()],
            long=[LongBar(timeframe, *item) for timeframe, bars in self._long.items() for item in bars.items()],
        )
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Take up a state of the same date; the feed has to be connected anew."""
        state = msgspec.msgpack.decode(data, type=AggregatorState)
        if state.date != self.session.date:
            raise Refused(f"a state of {state.date} does not fit the session of {self.session.date}")
        self._next = state.minutes_closed
        self._slots = state.slots
        for slot in self._slots.values():
            slot.connection, slot.start_us, slot.end_us = NO_CONNECTION, 0, 0
        self._open = {}
        for minute_bar in state.open:
            self._open.setdefault(minute_bar.minute_us, {})[minute_bar.symbol] = minute_bar.bar
        self._long = {timeframe: {} for timeframe in self.timeframes}
        for long_bar in state.long:
            self._long[long_bar.timeframe][long_bar.symbol] = long_bar.bar
        self._published.clear()
        self._set_due()

    def replay_tick(self, tick: Tick) -> None:
        """Book a journalled tick of the day with the volume it was journalled with."""
        slot = self._slots.setdefault(tick.symbol, Slot())
        slot.volume_day = max(slot.volume_day, tick.volume_day)
        slot.last_us = max(slot.last_us, tick.timestamp_us)
        minute = tick.timestamp_us // US_PER_MINUTE * US_PER_MINUTE
        over = minute <= self._closed_through or ("1m", tick.symbol, minute) in self._published
        if not over and self.session.trades_at(tick.timestamp_us):
            slot.bar = self._book(tick, minute, tick.volume)

    def on_recorded(self, tick: Tick) -> Outcome:
        """Book a tick of a recording with the volume it was recorded with; say where it belongs.

        It was no late tick then, so it is none now: of a minute that is closed it repeats the trade, as a quote does
        that moves long after it.
        """
        minute = tick.timestamp_us // US_PER_MINUTE * US_PER_MINUTE
        if not self.session.trades_at(tick.timestamp_us):
            return _OUTSIDE
        if minute <= self._closed_through:
            return _REPEAT
        self.replay_tick(tick)
        return _BOOKED

    def replay_bar(self, bar: OHLCVBar) -> None:
        """Take note that a bar was published; it is not made again."""
        self._published.add((bar.timeframe, bar.symbol, bar.timestamp_us))
        if bar.timeframe == "1m":
            self._open.get(bar.timestamp_us, {}).pop(bar.symbol, None)
            self._lengthen(bar)
        elif bar.timeframe in self._long:
            self._long[bar.timeframe].pop(bar.symbol, None)

    def replay_closed(self, closed: MinuteClosed) -> None:
        """Take note that a minute was closed."""
        minutes = self.session.minutes
        while self._next < len(minutes) and minutes[self._next] <= closed.timestamp_us:
            self._open.pop(minutes[self._next], None)
            self._next += 1
        self._published.clear()
        self._set_due()

    def _elsewhere(self, tick: Tick, slot: Slot) -> tuple[Outcome, int]:
        """Place a tick that does not simply continue its symbol's newest bar."""
        at_us = tick.timestamp_us
        key = (at_us, tick.price, tick.volume_day or slot.volume_day)
        bar = slot.bar
        if bar and key == (bar.last_us, bar.close, slot.volume_day):
            slot.connection = self.volumes.connection  # nothing traded while we were away
            return _REPEAT, 0
        if key == slot.unbooked and slot.connection == self.volumes.connection:
            return _STALE, 0
        first = slot.connection != self.volumes.connection
        volume = self.volumes.settle(slot, at_us, tick.volume_day, self.session, self._day_start_us)
        if not self.session.trades_at(at_us):
            return _OUTSIDE, volume
        minute = at_us // US_PER_MINUTE * US_PER_MINUTE
        if minute <= self._closed_through or ("1m", tick.symbol, minute) in self._published:
            slot.unbooked = key
            return (_STALE if first else _LATE), volume
        bar = self._book(tick, minute, volume)
        if minute >= slot.start_us:
            slot.start_us, slot.end_us, slot.bar = minute, minute + US_PER_MINUTE, bar
        return _BOOKED, volume

    def _book(self, tick: Tick, minute: int, volume: int) -> OpenBar:
        bars = self._open.setdefault(minute, {})
        bar = bars.get(tick.symbol)
        if bar is None:
            price, at_us = tick.price, tick.timestamp_us
            bar = bars[tick.symbol] = OpenBar(price, price, price, price, volume, at_us, at_us)
        else:
            bar.trade(tick.timestamp_us, tick.price, volume)
        return bar

    def _close(self, minute: int) -> list[OHLCVBar | MinuteClosed]:
        out: list[OHLCVBar | MinuteClosed] = []
        for symbol, open_bar in sorted(self._open.pop(minute, {}).items()):
            slot = self._slots[symbol]
            if slot.bar is open_bar:
                slot.start_us = slot.end_us = 0
            bar = open_bar.closed(symbol, "1m", minute, self.session.exchange)
            self._lengthen(bar)
            out.append(bar)
        for timeframe, start in self._closings.get(minute, ()):
            bars, self._long[timeframe] = self._long[timeframe], {}
            out += [
                bar.closed(symbol, timeframe, start, self.session.exchange)
                for symbol, bar in sorted(bars.items())
                if (timeframe, symbol, start) not in self._published
            ]
        out.append(MinuteClosed(self.session.exchange, minute, len(out) + len(self._published)))
        self._published.clear()
        return out

    def _lengthen(self, bar: OHLCVBar) -> None:
        for bars in self._long.values():
            longer = bars.get(bar.symbol)
            if longer is None:
                bars[bar.symbol] = begin(bar)
            else:
                longer.append(bar)

    def _set_due(self) -> None:
        minutes = self.session.minutes
        self._closed_through = minutes[self._next - 1] if self._next else 0
        over = self._next >= len(minutes)
        self._due_us = 2**63 - 1 if over else minutes[self._next] + US_PER_MINUTE + self.grace_us
