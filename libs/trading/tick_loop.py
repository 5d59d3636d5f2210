"""The loop on ticks: orders fill on the first tick that can fill them, exits are judged on every tick, as live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from heapq import merge
from typing import Protocol

from msgspec.structs import replace

from libs.contracts.market import TIMEFRAMES, OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE
from libs.orders.fills import FillSettings, match_tick
from libs.orders.model import Order
from libs.trading.decisions import Placed
from libs.trading.desk import Desk
from libs.trading.exits import on_tick
from libs.trading.loop import LoopEvent, TradingLoop


class Ticks(Protocol):
    """Where the loop gets ticks from."""

    @property
    def grace_us(self) -> int:
        """How long after its end a bar is known: the fleet waits so long for ticks that are late."""
        ...

    def between(self, symbol: str, start_us: int, end_us: int) -> Iterable[Tick]:
        """Give a symbol's ticks from start up to end, in their order."""
        ...


class TickLoop(TradingLoop):
    """Signals come when their bar is known, a grace after its end; what happens between bars happens on ticks.

    Until then ticks go on: what came in the grace has come and gone before anybody could decide on the bar, and is what
    an entry is sized by.
    Per tick, as in the engine: what rests fills, and the account is valued where it did; then exits are judged. One
    that is due goes out as a market order and fills on a tick behind the one that made it due. An order reaches the
    exchange `latency_ms` after its decision. All symbols go through their ticks together, in the order of the market.
    Only ticks of symbols with an order or a guarded position are read.
    """

    def __init__(
        self, desk: Desk, settings: FillSettings, session_of: Callable[[date], Session | None], ticks: Ticks
    ) -> None:
        super().__init__(desk, settings, session_of)
        self._ticks = ticks
        self._walked_us = 0

    def on_bars(self, minute_us: int, bars: Sequence[OHLCVBar]) -> list[LoopEvent]:
        """Go through the ticks until the bars are known, then take the bars' closes."""
        events: list[LoopEvent] = []
        if minute_us >= self._day_ends_us:
            events += self._begin_day(minute_us)
            self._walked_us = minute_us
        for bar in bars:
            self._bars[bar.symbol] = bar
        known_us = minute_us + TIMEFRAMES[bars[0].timeframe] * US_PER_MINUTE + self._ticks.grace_us
        symbols = self._at_stake()
        events += self._walk(symbols, self._walked_us, known_us)
        self._walked_us = known_us
        if self.watches and symbols:
            touched = set(symbols)
            self._price([bar for bar in bars if bar.symbol in touched])
            self.desk.mark()
        return events

    def on_signals(self, now_us: int, signals: Sequence[SignalEvent]) -> list[LoopEvent]:
        """Decide on the signals of the minute that ended at `now_us`, once it is known."""
        return super().on_signals(now_us + self._ticks.grace_us, signals)

    def on_signal(self, signal: SignalEvent, bar: OHLCVBar | None, now_us: int) -> list[LoopEvent]:
        """Decide on one signal, at the last price there was."""
        if bar is not None:
            self._price((bar,))
            for tick in self._ticks.between(signal.symbol, self._end_us(bar), now_us):
                self.desk.on_price(tick.exchange, tick.symbol, tick.price, tick.timestamp_us)
        return super().on_signal(signal, bar, now_us)

    def end(self, now_us: int) -> list[LoopEvent]:
        """Go through what was captured behind the last bar, as of a session that was cut off; then end the day."""
        session = self._session_of(self._day) if self._day else None
        close_us = session.close_us if session else 0
        events = self._walk(self._at_stake(), self._walked_us, close_us) if self._walked_us < close_us else []
        return events + super().end(now_us)

    def _at_stake(self) -> list[str]:
        return sorted({*self.resting, *(key.symbol for key in self.desk.guards)})

    def _price(self, bars: Iterable[OHLCVBar]) -> None:
        for bar in bars:  # as the engine does: a tick behind the bar's end is the better price
            if self.desk.gate.state.symbol(bar.exchange, bar.symbol).price_at_us < self._end_us(bar):
                super()._price((bar,))

    def _walk(self, symbols: Sequence[str], start_us: int, end_us: int) -> list[LoopEvent]:
        """Go through the ticks of all symbols as the market had them: they trade on one account."""
        events: list[LoopEvent] = []
        guards = self.desk.guards
        for tick in merge(*(self._ticks.between(each, start_us, end_us) for each in symbols), key=_moment):
            symbol = tick.symbol
            if symbol in self.resting:
                events += self._match(tick)
            held = sorted(key for key in guards if key.symbol == symbol)
            if not held and symbol not in self.resting:
                continue
            self.desk.on_price(tick.exchange, symbol, tick.price, tick.timestamp_us)
            for key in held:
                if guards[key].is_idle:
                    continue
                guards[key], found = on_tick(guards[key], tick.price, tick.timestamp_us)
                if found is not None:
                    decision = self.desk.leave(key, found.reason, tick.timestamp_us)
                    events.append(decision)
                    if isinstance(decision, Placed):
                        events += self._send(decision.order, tick.timestamp_us)
        return events

    def _match(self, tick: Tick) -> list[LoopEvent]:
        events: list[LoopEvent] = []
        kept = []
        for order in self.resting[tick.symbol]:
            left, trade = match_tick(order, tick, self.settings)
            if trade is not None:
                events += self._traded(order.order_id, trade, tick.timestamp_us)
                if self.watches:
                    self.desk.mark()
            if left.quantity:
                kept.append(left)
        self._keep(tick.symbol, kept)
        return events

    def _send(self, order: Order, now_us: int) -> list[LoopEvent]:
        events = super()._send(order, now_us)
        waiting = self.resting[order.symbol]
        # One tick cannot make an exit due and fill it: what is sent on a tick meets those behind it.
        waiting[-1] = replace(waiting[-1], since_us=now_us + self.settings.latency_ms * 1000)
        return events


def _moment(tick: Tick) -> int:
    return tick.timestamp_us
