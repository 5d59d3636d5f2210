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
        _Day(lanes, host, loop, recorder, orders, bar_us).run()
        for part in day:
            rows[part.symbol] += len(part)
            done += len(part)
        recorder.on_day(done, max(part.timestamps.item(-1) for part in day) + bar_us)
    return done


class _Track:
    """One symbol's day: how far it is visited, and what its next visit is for."""

    __slots__ = (
        "bar", "bars", "count", "guard", "guard_row", "key", "lane", "number", "orders", "row", "say_row", "series",
        "stamps", "symbol",
    )  # fmt: skip

    def __init__(self, number: int, lane: Lane, orders: PlainOrders) -> None:
        self.number = number
        self.lane, self.orders = lane, orders
        self.bars, self.stamps, self.count = lane.bars, lane.bars.timestamps, len(lane.bars)
        self.key, self.symbol = orders.key, orders.key.symbol
        #: The bar its visit is at, or the next one will be.
        self.row = -1
        #: The last bar that was made for its strategy.
        self.bar: OHLCVBar | None = None
        #: The next bar on which its strategy may say something; it moves with what the strategy says only.
        self.say_row = lane.next_row(-1)
        self.guard: Protection | None = None
        self.guard_row = NEVER
        self.series: tuple[list[int], list[float]] | None = None


class _Day:
    """One day of all symbols."""

    def __init__(
        self, lanes: list[Lane], host: VectorHost, loop: TradingLoop, recorder: Recorder,
        orders: dict[str, PlainOrders], bar_us: int,
    ) -> None:  # fmt: skip
        self._host, self._loop, self._recorder = host, loop, recorder
        self._desk = loop.desk
        self._tracks = [_Track(number, lane, orders[lane.bars.symbol]) for number, lane in enumerate(lanes)]
        self._by_key = {each.key: each for each in self._tracks}
        self._by_symbol = {each.symbol: each for each in self._tracks}
        self._bar_us = bar_us
        self._heads: list[tuple[int, int]] = []  # the next visits: when, and which track

    def run(self) -> None:
        """Visit what there is to visit."""
        tracks = self._tracks
        first_us = min(each.stamps.item(0) for each in tracks)
        events = self._loop.on_bars(first_us, ())  # the day begins
        if events:
            self._recorder.on_events(events)
        self._look_ahead(tracks)
        now_us, heads, watches = first_us - 1, self._heads, self._loop.watches
        while heads:
            at_us, number = heappop(heads)
            due = [tracks[number]]
            while heads and heads[0][0] == at_us:  # by their numbers, which is by symbol
                due.append(tracks[heappop(heads)[1]])
            if watches:
                self._pass_over(now_us, at_us)
                self._trade_and_mark(at_us, due)
            else:
                self._trade(at_us, due)
            self._decide(at_us + self._bar_us, due)
            self._look_ahead(due)
            now_us = at_us
        if watches:
            self._pass_over(now_us, NEVER_US)
        for each in tracks:
            each.orders.hand_over()
        if self._price_last() and watches:
            self._desk.mark()

    def _trade_and_mark(self, at_us: int, due: list[_Track]) -> None:
        is_moved = self._price_held(at_us + 1, due)
        touched = [each for each in due if self._is_touched(each)]
        self._trade(at_us, due)
        for each in touched:
            each.orders.price(each.bars.close.item(each.row), at_us + self._bar_us)
        if touched or is_moved:
            self._desk.mark()

    def _is_touched(self, each: _Track) -> bool:
        """Whether the account has anything in a symbol that a bar of it can move."""
        return bool(each.orders.waiting) or each.symbol in self._loop.resting or each.key in self._desk.guards

    def _trade(self, at_us: int, due: list[_Track]) -> None:
        """Fill what rests, then judge what is held."""
        loop, guards = self._loop, self._desk.guards
        resting = loop.resting
        for each in due:
            orders = each.orders
            if (orders.waiting or each.symbol in resting) and not orders.fill(each.bars.open.item(each.row), at_us):
                self._recorder.on_events(loop.fill(self._bar(each)))
        if not guards:
            return
        for each in due:
            guard = guards.get(each.key)
            if guard is not None and guard.may_act(at_us):
                self._recorder.on_events(loop.exits(self._bar(each)))

    def _decide(self, now_us: int, due: list[_Track]) -> None:
        signals: list[SignalEvent] = []
        for each in due:
            row = each.row
            if row >= each.say_row:
                lane = each.lane
                bar = each.bar = self._bar(each)
                self._host.decide(lane, row, bar, signals)
                each.say_row = lane.next_row(row)
        if not signals:
            return
        self._recorder.on_signals(signals)
        for signal in sorted(signals, key=signal_order) if len(signals) > 1 else signals:
            each = self._by_symbol[signal.symbol]
            assert each.bar is not None  # the signal is of it
            if not each.orders.ask(signal, each.bar.close, now_us):
                each.orders.hand_over()
                self._recorder.on_events(self._loop.on_signal(signal, each.bar, now_us))

    def _bar(self, each: _Track) -> OHLCVBar:
        slot = each.lane.slot
        return each.bars.bar(each.row, slot.timeframe, slot.exchange)

    def _look_ahead(self, due: list[_Track]) -> None:
        """Find the next bars of symbols on which something can happen."""
        resting, guards = self._loop.resting, self._desk.guards
        for each in due:
            if each.orders.waiting or each.symbol in resting:
                found = each.row + 1
            else:
                found = each.say_row
                guard = guards.get(each.key)
                if guard is not None and not guard.is_idle:
                    found = min(found, self._guard_row(each, guard))
            if found < each.count:
                each.row = found
                heappush(self._heads, (each.stamps.item(found), each.number))

    def _guard_row(self, each: _Track, guard: Protection) -> int:
        """Find the next bar on which the account's own exits can act."""
        row = each.row
        if guard.trail:
            return row + 1  # it moves on every bar
        if guard is not each.guard or each.guard_row <= row:
            bars = each.bars
            due_us = min(guard.time_us, guard.square_off_us)
            found = first_reached(bars, row + 1, guard.is_long, guard.stop, guard.target)
            if due_us < NEVER_US:
                found = min(found, max(row + 1, int(bars.timestamps.searchsorted(due_us))))
            each.guard, each.guard_row = guard, found
        return each.guard_row

    def _held(self) -> list[tuple[_Track, int]]:
        """List the tracks with a position, and how much it is."""
        positions, tracks = self._desk.positions, self._by_key
        return [(tracks[key], positions.get(key).quantity) for key in self._desk.guards if key in tracks]

    def _price_held(self, before_us: int, due: Sequence[_Track] = ()) -> bool:
        """Tell the desk the last prices, up to an instant, of what is held and not due; say whether any was new."""
        is_new = False
        for key in self._desk.guards:
            each = self._by_key.get(key)
            if each is not None and each not in due:
                stamps, closes = self._series_of(each)
                row = bisect_left(stamps, before_us) - 1
                is_new |= row >= 0 and each.orders.price(closes[row], stamps[row] + self._bar_us)
        return is_new

    def _price_last(self) -> bool:
        """Tell the desk the day's last prices of what is held; say whether any was new."""
        is_new = False
        for each, _ in self._held():
            is_new |= each.orders.price(each.bars.close.item(-1), each.stamps.item(-1) + self._bar_us)
        return is_new

    def _pass_over(self, after_us: int, before_us: int) -> None:
        """Mark the account over the bars between two visits: at once where no limit can be crossed on the way."""
        if not self._desk.guards:
            return
        low = high = 0
        stretches = []
        for each, quantity in self._held():
            stamps, closes = self._series_of(each)
            start = bisect_right(stamps, after_us)
            end = bisect_left(stamps, before_us, start)
            if start == end:
                continue
            passed = closes[start:end]
            worth = value_paise(each.orders.last_price, quantity)
            one, other = value_paise(min(passed), quantity) - worth, value_paise(max(passed), quantity) - worth
            low += min(0, one, other)
            high += max(0, one, other)
            stretches.append((each, start, end))
        if not stretches:
            return
        equity_paise = self._desk.equity_paise
        low, high = equity_paise + low, equity_paise + high
        is_exact = len(stretches) == 1 or high <= self._desk.gate.state.equity.peak_paise
        if not (is_exact and mark_stretch(self._desk.gate, low, high)):
            self._step_through(stretches)

    def _step_through(self, stretches: list[tuple[_Track, int, int]]) -> None:
        """Mark minute by minute, as the bar-by-bar replay does."""
        minutes: dict[int, list[tuple[_Track, float]]] = {}
        for each, start, end in stretches:
            stamps, closes = self._series_of(each)
            for at_us, close in zip(stamps[start:end], closes[start:end], strict=True):
                minutes.setdefault(at_us, []).append((each, close))
        for at_us, prices in sorted(minutes.items()):
            for each, close in prices:
                each.orders.price(close, at_us + self._bar_us)
            self._desk.mark()

    def _series_of(self, each: _Track) -> tuple[list[int], list[float]]:
        """Give a track's times and closes as lists: single numbers of an array cost three times as much."""
        if each.series is None:
            each.series = (each.stamps.tolist(), each.bars.close.tolist())
        return each.series
