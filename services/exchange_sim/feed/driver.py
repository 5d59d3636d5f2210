"""Plays the market's day in windows of market time: fills orders, sends ticks, opens and closes the session.

What a window holds depends on its market time only. When the machine is too slow for the asked speed, the clock is
held back; no window is left out, so the day is the same at any speed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.exchange_sim.exchange.matching import MatchingEngine
from services.exchange_sim.faults.plan import FaultPlan
from services.exchange_sim.feed.bends import TickBender
from services.exchange_sim.feed.market_stream import MarketStream, Tick
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.quotes import InstrumentDay
from services.exchange_sim.market.sessions import Phase, date_of, midnight_ms

#: Real time the clock may be ahead of what was played before it is held back.
_BEHIND_MAX_S = 1.0
_WINDOWS_A_TURN = 20
_PAUSED_WAIT_S = 0.02


class Driver:
    """Moves the simulation on. One task runs it; the control API may play ahead through it."""

    def __init__(
        self, market: Market, engine: MatchingEngine, stream: MarketStream, faults: FaultPlan, *, conflation_ms: int,
        depth_only_share: float, missing_depth_share: float, skip_closed: bool, new_day: Callable[[], None],
        before_window: Callable[[int], None], after_window: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._market = market
        self._engine = engine
        self._stream = stream
        self._faults = faults
        self._bender = TickBender(market, faults)
        self._conflation_ms = conflation_ms
        self._depth_only = int(depth_only_share * 1000)
        self._missing_depth = int(missing_depth_share * 1000)
        self._skip_closed = skip_closed
        self._new_day = new_day
        self._before_window = before_window
        self._after_window = after_window
        self._lock = asyncio.Lock()
        #: Everything up to this market instant has been played.
        self.played_ms = market.now_ms() // conflation_ms * conflation_ms
        self._phase = market.phase(self.played_ms)
        self._last: dict[str, tuple[InstrumentDay, int]] = {}
        #: While a flood runs, natural ticks are not sent.
        self.feed_paused = False
        self.windows_played = 0

    async def run(self) -> None:
        """Play as the clock goes, for ever."""
        clock = self._market.clock
        while True:
            wait_s = min(clock.real_seconds_until(self.played_ms + self._conflation_ms), _PAUSED_WAIT_S)
            await asyncio.sleep(wait_s)
            async with self._lock:
                behind_max_ms = max(self._conflation_ms, _BEHIND_MAX_S * 1000 * clock.speed)
                if clock.now_ms() - self.played_ms > behind_max_ms:
                    clock.hold_back_to(self.played_ms + int(behind_max_ms))
                turns = 0
                while self.played_ms + self._conflation_ms <= clock.now_ms() and turns < _WINDOWS_A_TURN:
                    self._play_window()
                    turns += 1
                self._skip_night()

    async def play_to(self, instant_ms: int) -> None:
        """Play every window up to an instant as fast as possible, then go on from there."""
        async with self._lock:
            while self.played_ms + self._conflation_ms <= instant_ms:
                self._play_window()
                if self.windows_played % _WINDOWS_A_TURN == 0:
                    self._market.clock.set_to(self.played_ms)
                    await asyncio.sleep(0)  # senders and requests get their turn
            self._market.clock.set_to(max(instant_ms, self.played_ms))

    async def jump_to(self, instant_ms: int) -> None:
        """Go to an instant and leave out what lies between: nobody sees those ticks."""
        async with self._lock:
            before, self.played_ms = self.played_ms, instant_ms // self._conflation_ms * self._conflation_ms
            self._market.clock.set_to(instant_ms)
            self._engine.skip_to(self.played_ms)
            if date_of(before) != date_of(instant_ms):
                self._new_day()
            self._last.clear()
            self._follow_phase(self.played_ms)

    def _play_window(self) -> None:
        from_ms, to_ms = self.played_ms, self.played_ms + self._conflation_ms
        self._before_window(to_ms)
        self.played_ms = to_ms
        if date_of(from_ms) != date_of(to_ms):
            self._new_day()
            self._last.clear()
        self._engine.play(from_ms, to_ms)
        self.windows_played += 1
        if self._stream.connections and not self.feed_paused and self._phase is Phase.OPEN:
            self._send(self._ticks(from_ms, to_ms), to_ms)
        self._follow_phase(to_ms)
        self._after_window(to_ms)

    def _follow_phase(self, now_ms: int) -> None:
        phase = self._market.phase(now_ms)
        if phase is self._phase:
            return
        self._phase = phase
        if phase is Phase.OPEN:
            self._engine.release_after_market_orders(now_ms)
        elif phase is Phase.CLOSING:
            self._engine.end_session(now_ms)
        self._stream.send_phase(phase, now_ms)
        if phase is not Phase.OPEN and not self.feed_paused:
            # The auction's price, and after the close the last minute's candle: nothing traded, so times stay.
            quotes = (self._tick(key, levels, now_ms) for key, levels in self._stream.watched().items())
            self._send(list(quotes), now_ms)

    def _skip_night(self) -> None:
        if not self._skip_closed or self._phase is not Phase.CLOSED:
            return
        today = date_of(self.played_ms)
        session = self._market.days.session(today)
        if session and self.played_ms < session.pre_open_ms:
            return
        opening = midnight_ms(self._market.days.next(today)) + (8 * 60 + 59) * 60_000
        self.played_ms = opening // self._conflation_ms * self._conflation_ms
        self._market.clock.set_to(opening)
        self._engine.skip_to(self.played_ms)
        self._new_day()
        self._last.clear()

    def _send(self, ticks: list[Tick], now_ms: int) -> None:
        if ticks := self._bender.bend(ticks):
            self._stream.send_ticks(ticks, now_ms)

    def _ticks(self, from_ms: int, to_ms: int) -> list[Tick]:
        """Make the window's ticks: one for each instrument that traded, and a few with only the book changed."""
        window = to_ms // self._conflation_ms
        ticks: list[Tick] = []
        for key, levels in self._stream.watched().items():
            instrument = self._market.listing.by_key[key]
            if self.is_halted(instrument):
                continue
            today, index = self._position(instrument, from_ms)
            times = today.times_ms
            draw = (instrument.rank * 7919 + window * 104_729) * 2_654_435_761 >> 7 & 0x3FF
            if index + 1 < len(times) and times[index + 1] <= to_ms:
                index = today.last_index(to_ms)
                self._last[key] = (today, index)
            elif index < 0 or instrument.is_index or draw * 1000 >= self._depth_only * 1024:
                continue
            quote = today.quote(to_ms, index=index, levels=levels)
            if (draw * 31 & 0x3FF) * 1000 < self._missing_depth * 1024:
                quote.depth = None
            ticks.append((key, quote, {}))
        return ticks

    def _tick(self, key: str, levels: int, now_ms: int) -> Tick:
        return key, self._market.quote(self._market.listing.by_key[key], now_ms, levels), {}

    def _position(self, instrument: Instrument, now_ms: int) -> tuple[InstrumentDay, int]:
        known = self._last.get(instrument.key)
        if known is None:
            today = self._market.instrument_day(instrument, now_ms)
            known = self._last[instrument.key] = (today, today.last_index(now_ms))
        return known

    def is_halted(self, instrument: Instrument) -> bool:
        """Say whether a fault stops an instrument's trading."""
        return self._faults.in_force("halt", instrument_key=instrument.key) is not None
