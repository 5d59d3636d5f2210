"""Faults in prices: what reaches the client differs from the market. The market itself stays true."""

from __future__ import annotations

from dataclasses import replace

from services.exchange_sim.faults.plan import FaultPlan
from services.exchange_sim.feed.market_stream import Tick
from services.exchange_sim.market.market import Market


class TickBender:
    """Applies the price faults to the ticks of one window; keeps what is to come out of order."""

    def __init__(self, market: Market, faults: FaultPlan) -> None:
        self._market = market
        self._faults = faults
        self._kept_back: dict[str, Tick] = {}

    def bend(self, ticks: list[Tick]) -> list[Tick]:
        """Give the ticks as they are to be sent."""
        if not self._faults.active() and not self._kept_back:
            return ticks
        bent: list[Tick] = []
        for tick in ticks:
            bent.extend(self._bend_one(tick))
        return bent

    def _bend_one(self, tick: Tick) -> list[Tick]:
        key, quote, _ = tick
        strike = self._faults.strike
        if spike := strike("price_spike", instrument_key=key):
            tick = (key, replace(quote, price=round(quote.price * spike.parameters["factor"], 2)), {})
        if strike("missing_depth", instrument_key=key):
            tick = (key, replace(tick[1], depth=None), {})
        kept = self._kept_back.pop(key, None)
        if kept is not None:
            return [tick, kept]
        if strike("out_of_order", instrument_key=key):
            self._kept_back[key] = tick
            return []
        if stale := strike("stale_tick", instrument_key=key):
            then_ms = quote.trade_time_ms - int(stale.parameters["age_s"] * 1000)
            return [tick, (key, self._market.quote(quote.instrument, then_ms), {})]
        if strike("repeat_tick", instrument_key=key):
            return [tick, tick]
        return [tick]
