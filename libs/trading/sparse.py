"""The replay that visits only the bars on which something can happen. Same events as `replay`, bar by bar.

Something can happen on a bar when the strategy's vectorised form wishes something there, when an order rests, when an
exit can be reached, and on the first bar of a day. In between, prices move an open position's worth: where a limit or
a size looks at the account, the stretch is valued at once, and step by step if a limit might be crossed on the way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from libs.contracts.market import TIMEFRAMES, OHLCVBar
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE
from libs.core.money import value_paise
from libs.orders.model import Product
from libs.trading.columns import Columns
from libs.trading.exits import NEVER_US, Protection
from libs.trading.loop import TradingLoop, signal_order
from libs.trading.marking import mark_stretch
from libs.trading.plain import PlainOrders
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
    key = loop.desk.positions.key
    orders = {
        each.symbol: PlainOrders(loop, recorder, key(strategy_id, each.symbol, exchange, product), each)
        for each in columns
    }
    bar_us = TIMEFRAMES[timeframe] * US_PER_MINUTE
    for day in days_of(sorted(columns, key=lambda each: each.symbol)):
        if not keep_going():
            break
        lanes = [host.lane(part, rows[part.symbol]) for part in day]
        _Day(lanes, host, loop, recorder, orders, timeframe).run()
        for part in day:
            rows[part.symbol] += len(part)
            done += len(part)
        recorder.on_day(done, max(part.timestamps.item(-1) for part in day) + bar_us)
    return done


class _Day:
    """One day of all symbols."""

    def __init__(
        self, lanes: list[Lane], host: VectorHost, loop: TradingLoop, recorder: Recorder,
        orders: dict[str, PlainOrders], timeframe: str,
    ) -> None:  # fmt: skip
        self._lanes = lanes
        self._host, self._loop, self._recorder = host, loop, recorder
        self._desk = loop.desk
        self._orders_of = orders
        self._orders = [orders[lane.bars.symbol] for lane in lanes]
        self._timeframe, self._exchange = timeframe, self._orders[0].key.exchange
        self._bar_us = TIMEFRAMES[timeframe] * US_PER_MINUTE
        self._watches = loop.desk.watches_account
        self._numbers = {each.key: number for number, each in enumerate(self._orders)}
        self._rows = [-1] * len(lanes)  # the last bar each lane was visited on
        self._next_rows = [NEVER] * len(lanes)
        self._guards: list[Protection | None] = [None] * len(lanes)
        self._guard_rows = [NEVER] * len(lanes)
        self._heads: list[tuple[int, int]] = []  # the next visits: when, and which lane
        self._series: list[tuple[list[int], list[float]] | None] = [None] * len(lanes)

    def run(self) -> None:
        """Visit what there is to visit."""
        first_us = min(lane.bars.timestamps.item(0) for lane in self._lanes)
        events = self._loop.on_bars(first_us, ())  # the day begins
        if events:
            self._recorder.on_events(events)
        for number in range(len(self._lanes)):
            self._look_ahead(number)
        now_us, heads = first_us - 1, self._heads
        while heads:
            at_us, number = heappop(heads)
            due = [number]
            while heads and heads[0][0] == at_us:  # by their numbers, which is by symbol
                due.append(heappop(heads)[1])
            if self._watches:
                self._pass_over(now_us, at_us)
            self._visit(at_us, due)
            for number in due:
                self._look_ahead(number)
            now_us = at_us
        if self._watches:
            self._pass_over(now_us, NEVER_US)
        for orders in self._orders:
            if orders.waiting:
                orders.hand_over()
        if self._price_last() and self._watches:
            self._desk.mark()

    def _visit(self, at_us: int, due: list[int]) -> None:
        for number in due:
            self._rows[number] = self._next_rows[number]
        if not self._watches:
            self._trade(at_us, due)
        else:
            is_moved = self._price_held(at_us + 1, due)
            touched = [number for number in due if self._is_touched(number)]
            self._trade(at_us, due)
            for number in touched:
                close = self._lanes[number].bars.close.item(self._rows[number])
                self._orders[number].price(close, at_us + self._bar_us)
            if touched or is_moved:
                self._desk.mark()
        self._decide(at_us + self._bar_us, due)

    def _is_touched(self, number: int) -> bool:
        """Whether the account has anything in a symbol that a bar of it can move."""
        orders = self._orders[number]
        key = orders.key
        return bool(orders.waiting) or key.symbol in self._loop.resting or key in self._desk.guards

    def _trade(self, at_us: int, due: list[int]) -> None:
        """Fill what rests, then judge what is held."""
        loop, recorder, guards = self._loop, self._recorder, self._desk.guards
        for number in due:
            orders = self._orders[number]
            if (orders.waiting or orders.key.symbol in loop.resting) and not orders.fill(
                self._lanes[number].bars.open.item(self._rows[number]), at_us
            ):
                recorder.on_events(loop.fill(self._bar(number)))
        if not guards:
            return
        for number in due:
            guard = guards.get(self._orders[number].key)
            if guard is not None and guard.may_act(at_us):
                recorder.on_events(loop.exits(self._bar(number)))

    def _decide(self, now_us: int, due: list[int]) -> None:
        signals: list[SignalEvent] = []
        bars: dict[str, OHLCVBar] = {}
        for number in due:
            lane, row = self._lanes[number], self._rows[number]
            if row in lane.sides or lane.may_say(row):
                bar = bars[lane.bars.symbol] = self._bar(number)
                self._host.decide(lane, row, bar, signals)
        if not signals:
            return
        self._recorder.on_signals(signals)
        for signal in sorted(signals, key=signal_order) if len(signals) > 1 else signals:
            bar = bars[signal.symbol]
            orders = self._orders_of[signal.symbol]
            if not orders.ask(signal, bar.close, now_us):
                orders.hand_over()
                self._recorder.on_events(self._loop.on_signal(signal, bar, now_us))

    def _bar(self, number: int) -> OHLCVBar:
        return self._lanes[number].bars.bar(self._rows[number], self._timeframe, self._exchange)

    def _look_ahead(self, number: int) -> None:
        """Find the next bar of a symbol on which something can happen."""
        lane, row, key = self._lanes[number], self._rows[number], self._orders[number].key
        if self._orders[number].waiting or key.symbol in self._loop.resting:
            found = row + 1
        else:
            found = lane.next_row(row)
            guard = self._desk.guards.get(key)
            if guard is not None and not guard.is_idle:
                found = min(found, self._guard_row(number, guard))
        stamps = lane.bars.timestamps
        if found < len(stamps):
            self._next_rows[number] = found
            heappush(self._heads, (stamps.item(found), number))

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
        positions, numbers = self._desk.positions, self._numbers
        return [(numbers[key], positions.get(key).quantity) for key in self._desk.guards if key in numbers]

    def _price_held(self, before_us: int, due: Sequence[int] = ()) -> bool:
        """Tell the desk the last prices, up to an instant, of what is held and not due; say whether any was new."""
        is_new = False
        if not self._desk.guards:
            return False
        for number, _ in self._held():
            if number not in due:
                stamps, closes = self._series_of(number)
                row = bisect_left(stamps, before_us) - 1
                is_new |= row >= 0 and self._orders[number].price(closes[row], stamps[row] + self._bar_us)
        return is_new

    def _price_last(self) -> bool:
        """Tell the desk the day's last prices of what is held; say whether any was new."""
        is_new = False
        for number, _ in self._held():
            bars = self._lanes[number].bars
            is_new |= self._orders[number].price(bars.close.item(-1), bars.timestamps.item(-1) + self._bar_us)
        return is_new

    def _pass_over(self, after_us: int, before_us: int) -> None:
        """Mark the account over the bars between two visits: at once where no limit can be crossed on the way."""
        if not self._desk.guards:
            return
        low = high = self._desk.equity_paise
        stretches = []
        for number, quantity in self._held():
            stamps, closes = self._series_of(number)
            start = bisect_right(stamps, after_us)
            end = bisect_left(stamps, before_us, start)
            if start == end:
                continue
            passed = closes[start:end]
            worth = value_paise(self._orders[number].last_price, quantity)
            one, other = value_paise(min(passed), quantity) - worth, value_paise(max(passed), quantity) - worth
            low += min(0, one, other)
            high += max(0, one, other)
            stretches.append((number, start, end))
        if not stretches:
            return
        is_exact = len(stretches) == 1 or high <= self._desk.gate.state.equity.peak_paise
        if not (is_exact and mark_stretch(self._desk.gate, low, high)):
            self._step_through(stretches)

    def _step_through(self, stretches: list[tuple[int, int, int]]) -> None:
        """Mark minute by minute, as the bar-by-bar replay does."""
        minutes: dict[int, list[tuple[int, float]]] = {}
        for number, start, end in stretches:
            stamps, closes = self._series_of(number)
            for at_us, close in zip(stamps[start:end], closes[start:end], strict=True):
                minutes.setdefault(at_us, []).append((number, close))
        for at_us, prices in sorted(minutes.items()):
            for number, close in prices:
                self._orders[number].price(close, at_us + self._bar_us)
            self._desk.mark()

    def _series_of(self, number: int) -> tuple[list[int], list[float]]:
        """Give a lane's times and closes as lists: single numbers of an array cost three times as much."""
        series = self._series[number]
        if series is None:
            bars = self._lanes[number].bars
            series = self._series[number] = (bars.timestamps.tolist(), bars.close.tolist())
        return series
