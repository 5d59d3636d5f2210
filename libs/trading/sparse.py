"""The replay that visits only the bars on which something can happen. Same events as `replay`, bar by bar.

Something can happen on a bar when the strategy's vectorised form wishes something there, when an order rests, when an
exit can be reached, and on the first bar of a day. In between, prices move an open position's worth: where a limit or
a size looks at the account, the stretch is valued at once, and step by step if a limit might be crossed on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from libs.contracts.market import TIMEFRAMES, OHLCVBar
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE
from libs.core.money import value_paise
from libs.orders.model import Product
from libs.orders.positions import PositionKey
from libs.trading.columns import Columns
from libs.trading.exits import NEVER_US, Protection
from libs.trading.loop import TradingLoop
from libs.trading.marking import mark_stretch
from libs.trading.replay import Recorder, days_of
from libs.trading.vector_host import NEVER, Lane, VectorHost, first_reached


def replay_sparse(
    columns: Sequence[Columns],
    host: VectorHost,
    loop: TradingLoop,
    recorder: Recorder,
    *,
    strategy_id: str,
    product: Product,
    timeframe: str,
    exchange: str,
    keep_going: Callable[[], bool] = lambda: True,
) -> int:
    """Run every day in order; give how many bars were run, those passed over included."""
    done = 0
    rows = {each.symbol: 0 for each in columns}
    bar_us = TIMEFRAMES[timeframe] * US_PER_MINUTE
    for day in days_of(columns):
        if not keep_going():
            break
        lanes = [host.lane(part, rows[part.symbol]) for part in day]
        _Day(lanes, host, loop, recorder, strategy_id, product, timeframe, exchange).run()
        for part in day:
            rows[part.symbol] += len(part)
            done += len(part)
        recorder.on_day(done, max(part.timestamps.item(-1) for part in day) + bar_us)
    return done


class _Day:
    """One day of all symbols."""

    def __init__(
        self, lanes: list[Lane], host: VectorHost, loop: TradingLoop, recorder: Recorder, strategy_id: str,
        product: Product, timeframe: str, exchange: str,
    ) -> None:  # fmt: skip
        self._lanes = lanes
        self._host, self._loop, self._recorder = host, loop, recorder
        self._desk = loop.desk
        self._timeframe, self._exchange = timeframe, exchange
        self._bar_us = TIMEFRAMES[timeframe] * US_PER_MINUTE
        self._watches = loop.desk.watches_account
        self._keys = [PositionKey(strategy_id, lane.bars.symbol, exchange, product) for lane in lanes]
        self._rows = [-1] * len(lanes)  # the last bar each lane was visited on
        self._next_us = [NEVER_US] * len(lanes)
        self._next_rows = [NEVER] * len(lanes)
        self._guards: list[Protection | None] = [None] * len(lanes)
        self._guard_rows = [NEVER] * len(lanes)

    def run(self) -> None:
        """Visit what there is to visit."""
        first_us = min(lane.bars.timestamps.item(0) for lane in self._lanes)
        recorder, loop = self._recorder, self._loop
        events = loop.on_bars(first_us, ())  # the day begins
        if events:
            recorder.on_events(events)
        for number in range(len(self._lanes)):
            self._look_ahead(number)
        now_us = first_us - 1
        next_us = self._next_us
        while (at_us := min(next_us)) < NEVER_US:
            if self._watches:
                self._pass_over(now_us, at_us)
            self._visit(at_us, [number for number, each in enumerate(next_us) if each == at_us])
            now_us = at_us
        if self._watches:
            self._pass_over(now_us, NEVER_US)
        loop.settle_prices()
        if self._price_held(NEVER_US) and self._watches:
            self._desk.mark()

    def _visit(self, at_us: int, due: list[int]) -> None:
        bars: list[OHLCVBar] = []
        for number in due:
            lane = self._lanes[number]
            row = self._rows[number] = self._next_rows[number]
            bars.append(lane.bars.bar(row, self._timeframe, self._exchange))
        priced = self._watches and self._price_held(at_us + 1)
        events = self._loop.on_bars(at_us, bars)
        if priced:
            self._desk.mark()
        if events:
            self._recorder.on_events(events)
        signals: list[SignalEvent] = []
        for number, bar in zip(due, bars, strict=True):
            self._host.decide(self._lanes[number], self._rows[number], bar, signals)
        if signals:
            self._recorder.on_signals(signals)
            self._recorder.on_events(self._loop.on_signals(at_us + self._bar_us, signals))
        for number in due:
            self._look_ahead(number)

    def _look_ahead(self, number: int) -> None:
        """Find the next bar of a symbol on which something can happen."""
        lane, row = self._lanes[number], self._rows[number]
        stamps = lane.bars.timestamps
        if self._loop.rests(lane.bars.symbol):
            found = row + 1
        else:
            found = lane.next_row(row)
            guard = self._desk.guards.get(self._keys[number])
            if guard is not None and not guard.is_idle:
                found = min(found, self._guard_row(number, guard))
        self._next_rows[number] = found
        self._next_us[number] = stamps.item(found) if found < len(stamps) else NEVER_US

    def _guard_row(self, number: int, guard: Protection) -> int:
        """Find the next bar on which the account's own exits can act."""
        row = self._rows[number]
        if guard.trail:
            return row + 1  # it moves on every bar
        if guard is not self._guards[number] or self._guard_rows[number] <= row:
            bars = self._lanes[number].bars
            due_us = min(guard.time_us, guard.square_off_us)
            found = first_reached(bars, row + 1, guard.is_long, guard.stop, guard.target)
            if due_us < NEVER_US:
                found = min(found, max(row + 1, int(bars.timestamps.searchsorted(due_us))))
            self._guards[number], self._guard_rows[number] = guard, found
        return self._guard_rows[number]

    def _held(self) -> list[tuple[int, int]]:
        """List the lanes with a position, and how much it is."""
        guards = self._desk.guards
        if not guards:
            return []
        positions = self._desk.positions
        return [(number, positions.get(key).quantity) for number, key in enumerate(self._keys) if key in guards]

    def _price_held(self, before_us: int) -> bool:
        """Tell the desk the last prices, up to an instant, of what is held; say whether there were any."""
        prices = []
        for number, _ in self._held():
            bars = self._lanes[number].bars
            row = int(bars.timestamps.searchsorted(before_us)) - 1
            if row > self._rows[number]:
                prices.append(
                    (self._exchange, bars.symbol, bars.close.item(row), bars.timestamps.item(row) + self._bar_us)
                )
        self._loop.on_prices(prices)
        return bool(prices)

    def _pass_over(self, after_us: int, before_us: int) -> None:
        """Mark the account over the bars between two visits: at once where no limit can be crossed on the way."""
        held = self._held()
        low = high = self._desk.equity_paise
        stretches = []
        for number, quantity in held:
            bars = self._lanes[number].bars
            start, end = bars.timestamps.searchsorted((after_us + 1, before_us)).tolist()
            if start >= end:
                continue
            closes = bars.close[start:end]
            price = self._desk.gate.state.symbol(self._exchange, bars.symbol).price
            worth = value_paise(price, quantity)
            ends = sorted(value_paise(float(each), quantity) - worth for each in (closes.min(), closes.max()))
            low += min(0, ends[0])
            high += max(0, ends[1])
            stretches.append((number, start, end))
        if not stretches:
            return
        is_exact = len(stretches) == 1 or high <= self._desk.gate.state.equity.peak_paise
        if not (is_exact and mark_stretch(self._desk.gate, low, high)):
            self._step_through(stretches)

    def _step_through(self, stretches: list[tuple[int, int, int]]) -> None:
        """Mark minute by minute, as the bar-by-bar replay does."""
        stamps = np.unique(
            np.concatenate([self._lanes[number].bars.timestamps[start:end] for number, start, end in stretches])
        )
        for at_us in stamps.tolist():
            prices = []
            for number, start, end in stretches:
                bars = self._lanes[number].bars
                row = int(bars.timestamps.searchsorted(at_us))
                if start <= row < end and bars.timestamps.item(row) == at_us:
                    prices.append((self._exchange, bars.symbol, bars.close.item(row), at_us + self._bar_us))
            self._loop.on_prices(prices)
            self._desk.mark()
