"""A recorded day as a source: ticks or candles given as an iterator, at any speed.

The reader gets the recording in its own order, in frames; the exchange's time is the recording's, and ticks keep the
volume they were recorded with. What has no end of
its own is played for ever, so a recording ends with `FeedEnded`. The store it is captured into must not be the live
one: whoever makes the source sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from libs.contracts.feed import FeedConnected, FeedEnded, FeedEvent, FeedPong, Frame, FrameKind
from libs.contracts.market import TIMEFRAMES, OHLCVBar, Tick
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND, Clock, trading_date

_FRAME_US = US_PER_SECOND // 2
_TICKS_PER_FRAME_MAX = 500


class ReplayFeed:
    """Plays ticks in order of time. `speed` is market seconds for a real second; 0 plays as fast as it is read.

    One that `is_held` begins when that is taken back: whoever listens has joined by then. At each of `pauses`,
    instants in their order, it shows the time with a frame of its own and is held again, before any later tick.
    """

    symbols_max = 1_000_000

    def __init__(
        self, ticks: Iterable[Tick], clock: Clock, *, speed: float = 0.0, is_held: bool = False,
        pauses: Iterable[int] = (),
    ) -> None:  # fmt: skip
        self._frames = frames_of(ticks, pauses)
        self._clock = clock
        self._speed = speed
        self.is_held = is_held
        self._symbols: set[str] = set()
        self._next: Frame | None = None
        self._connected = self._announced = self._ended = False
        self._began_ns = 0
        self._began_us = 0
        self._told_us = 0

    def connect(self) -> None:
        self._connected, self._announced = True, False

    def subscribe(self, symbols: Sequence[str]) -> None:
        self._symbols.update(symbols)

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        self._symbols.difference_update(symbols)

    def symbols(self) -> frozenset[str]:
        return frozenset(self._symbols)

    def poll(self, limit: int) -> list[FeedEvent]:
        if not self._connected or self._ended:
            return []
        now_us = self._clock.now_us()
        events: list[FeedEvent] = []
        if not self._announced:
            self._announced = True
            events.append(FeedConnected(now_us))
        if self.is_held:
            return events or self._pong(now_us)
        while len(events) < limit:
            if self._next is None:
                self._next = next(self._frames, None)
            if self._next is None:
                self._ended = True
                events.append(FeedEnded(now_us))
                return events
            if not self._is_due(self._next.exchange_us):
                return events or self._pong(now_us)
            events.append(self._stamped(self._next, now_us))
            self.is_held = self._next.kind is FrameKind.STATUS
            self._next = None
            if self.is_held:
                break
        return events

    def _pong(self, now_us: int) -> list[FeedEvent]:
        """Say that a slow recording is not a dead one."""
        if now_us - self._told_us < US_PER_SECOND:
            return []
        self._told_us = now_us
        return [FeedPong(now_us)]

    def waiting(self) -> int:
        return 0

    def on_event(self, wake: Callable[[], None]) -> None:
        """Nothing: a recording is polled, it has no thread to call from."""

    def disconnect(self) -> None:
        self._connected = False

    def close(self) -> None:
        self._connected, self._ended = False, True

    def _is_due(self, exchange_us: int) -> bool:
        if not self._speed:
            return True
        if not self._began_ns:
            self._began_ns, self._began_us = self._clock.monotonic_ns(), exchange_us
        played_us = (self._clock.monotonic_ns() - self._began_ns) / 1000 * self._speed
        return exchange_us - self._began_us <= played_us

    def _stamped(self, frame: Frame, now_us: int) -> Frame:
        ticks = [tick for tick in frame.ticks if tick.symbol in self._symbols] if self._symbols else frame.ticks
        ticks = [msgspec.structs.replace(tick, received_us=now_us, seq=0) for tick in ticks]
        return Frame(frame.exchange_us, now_us, ticks, frame.kind)


def frames_of(ticks: Iterable[Tick], pauses: Iterable[int] = ()) -> Iterator[Frame]:
    """Put ticks that traded within half a second into one frame; its time is the last one's.

    Of each pause the first tick behind it is passed, there is a frame of status without ticks; none is across it.
    """
    group: list[Tick] = []
    waiting = iter(pauses)
    pause_us = next(waiting, None)
    for tick in ticks:
        while pause_us is not None and tick.timestamp_us >= pause_us:
            if group:
                yield _frame(group)
                group = []
            yield Frame(pause_us, 0, [], FrameKind.STATUS)
            pause_us = next(waiting, None)
        if group and (tick.timestamp_us - group[0].timestamp_us > _FRAME_US or len(group) >= _TICKS_PER_FRAME_MAX):
            yield _frame(group)
            group = []
        group.append(tick)
    if group:
        yield _frame(group)


def _frame(group: list[Tick]) -> Frame:
    return Frame(max(tick.timestamp_us for tick in group), 0, list(group), FrameKind.LIVE)


def ticks_of(bars: Iterable[OHLCVBar]) -> Iterator[Tick]:
    """Make of each bar four ticks that build it again: open, the nearer extreme, the other, close.

    Bars come in order of time, whatever the symbol; volume is counted up through each date.
    """
    volume: dict[tuple[str, object], int] = {}
    for bar in bars:
        length_us = TIMEFRAMES[bar.timeframe] * US_PER_MINUTE
        extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        key = bar.symbol, trading_date(bar.timestamp_us)
        before = volume.get(key, 0)
        volume[key] = before + bar.volume
        for number, price in enumerate((bar.open, *extremes, bar.close)):
            at_us = bar.timestamp_us + number * (length_us // 4)
            # All of it with the first tick would do as well; spread, it looks like a day.
            volume_day = before + bar.volume * (number + 1) // 4
            part = bar.volume * (number + 1) // 4 - bar.volume * number // 4
            yield Tick(bar.symbol, at_us, price, part, volume_day=volume_day, exchange=bar.exchange)


def in_order(ticks: Iterable[Tick]) -> list[Tick]:
    """Sort a recording by trade time and, within an instant, by its own numbering."""
    return sorted(ticks, key=lambda tick: (tick.timestamp_us, tick.seq))
