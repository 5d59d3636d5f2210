"""The loop on ticks: orders fill on the first tick that can fill them, exits are judged on every tick, as live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Protocol

from msgspec.structs import replace

from libs.contracts.market import TIMEFRAMES, OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE
from libs.orders.fills import FillSettings, match_tick
from libs.orders.model import Order
from libs.trading.decisions import Placed
from libs.trading.desk import Desk
from libs.trading.exits import on_tick
from libs.trading.loop import LoopEvent, TradingLoop


class Ticks(Protocol):
    """Where the loop gets ticks from."""

    def between(self, symbol: str, start_us: int, end_us: int) -> Iterable[Tick]:
        """Give a symbol's ticks from start up to end, in their order."""
        ...


class TickLoop(TradingLoop):
    """Signals come at the end of their bar, as on bars; what happens between bars happens on ticks.

    Per tick, as in the engine: what rests fills, then exits are judged; an exit that is due goes out as a market order
    and fills on a tick behind the one that made it due. An order reaches the exchange `latency_ms` after its decision.
    Only ticks of symbols with an order or a guarded position are read.
    """

    def __init__(
        self, desk: Desk, settings: FillSettings, session_of: Callable[[date], Session | None], ticks: Ticks
    ) -> None:
        super().__init__(desk, settings, session_of)
        self._ticks = ticks

    def on_bars(self, minute_us: int, bars: Sequence[OHLCVBar]) -> list[LoopEvent]:
        """Go through the ticks of the bars' time, then take the bars' closes."""
        events: list[LoopEvent] = []
        if minute_us >= self._day_ends_us:
            events += self._begin_day(minute_us)
        for bar in bars:
            self._bars[bar.symbol] = bar
        end_us = minute_us + TIMEFRAMES[bars[0].timeframe] * US_PER_MINUTE
        symbols = sorted({*self.resting, *(key.symbol for key in self.desk.guards)})
        for symbol in symbols:
            events += self._walk(symbol, minute_us, end_us)
        if self._watches and symbols:
            touched = set(symbols)
            self._price([bar for bar in bars if bar.symbol in touched])
            self.desk.mark()
        return events

    def _walk(self, symbol: str, start_us: int, end_us: int) -> list[LoopEvent]:
        events: list[LoopEvent] = []
        for tick in self._ticks.between(symbol, start_us, end_us):
            if symbol in self.resting:
                events += self._match(tick)
            guards = self.desk.guards
            held = sorted(key for key, guard in guards.items() if key.symbol == symbol and not guard.is_idle)
            if not held and symbol not in self.resting:
                break
            self.desk.on_price(tick.exchange, symbol, tick.price, tick.timestamp_us)
            for key in held:
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
