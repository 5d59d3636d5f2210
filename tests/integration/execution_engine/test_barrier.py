"""Bars, exits and signals in the order of a backtest, whichever message arrives first."""

from __future__ import annotations

from libs.contracts.market import MinuteClosed, OHLCVBar
from libs.contracts.signals import Decided
from services.execution_engine.barrier import Barrier
from services.execution_engine.deciding import SignalPlace
from tests.kit.engine import START_US, engine_rig, make_signal
from tests.kit.orders import MINUTE_US


class Store:
    """A scanner's store with what was found on a bar."""

    def __init__(self, rig):
        self.rig = rig
        self.signals = []
        self.decided = None

    @property
    def cursor(self):
        return self.rig.engine.cursor

    def catch_up(self, upto):
        while self.signals and self.cursor.outbox_seq < upto:
            self.rig.engine.on_signal(self.signals.pop(0), SignalPlace("store", self.cursor.outbox_seq + 1))

    def last_decided(self, _minute_us):
        return self.decided


def bar(number: int, open_: float) -> OHLCVBar:
    at_us = START_US + (number - 1) * MINUTE_US
    return OHLCVBar("ACME", "1m", at_us, open_, volume=1_000, high=open_ + 1, low=open_ - 1, close=open_)


def closed(number: int) -> MinuteClosed:
    return MinuteClosed("nse", START_US + (number - 1) * MINUTE_US, 1)


def decided(number: int, last: int) -> Decided:
    return Decided("nse", START_US + (number - 1) * MINUTE_US, last, last, "store")


def barrier_of(rig, store, **options):
    def take(each: OHLCVBar) -> None:
        rig.wire.on_bar(each)
        rig.engine.on_bar(each)

    def close(each: MinuteClosed) -> None:
        rig.engine.on_minute(each.timestamp_us)

    return Barrier(store, rig.engine.store, rig.clock, options.get("take", take), close, timeout_ms=2000)


def fills_of(rig):
    rows = rig.rows("SELECT timestamp_us, price FROM trades ORDER BY timestamp_us")
    return [((at_us - START_US) / MINUTE_US + 1, round(price, 2)) for at_us, price in rows]


def test_a_bar_waits_for_the_minute_before_it(tmp_path):
    """The signal of bar 0 comes after bar 1 did, and still fills at the open of bar 1, as in a backtest."""
    with engine_rig(tmp_path / "data", paper_fill="next_bar_open", signal_age_max_s=0, price_age_max_s=0) as rig:
        store = Store(rig)
        barrier = barrier_of(rig, store)
        barrier.on_market(bar(0, 100.0))
        rig.clock.advance(1)
        store.signals = [make_signal(rig.clock, "enter_long")]
        rig.clock.advance(60)
        barrier.on_market(bar(1, 101.0))
        assert (barrier.waiting, rig.positions()) == (1, {})

        barrier.on_decided(decided(0, 1))
        assert barrier.waiting == 0
        assert rig.positions() == {("trend", "ACME"): 10}
        assert fills_of(rig) == [(1.0, 101.0)], "at the open of the bar, in time and price"
        assert barrier.misses == 0


def test_signals_wait_for_the_bars_of_their_minute(tmp_path):
    """The scanner is quicker than the market socket: its word on minute 1 is taken behind minute 1, not before."""
    with engine_rig(tmp_path / "data", paper_fill="next_bar_open", signal_age_max_s=0, price_age_max_s=0) as rig:
        store = Store(rig)
        barrier = barrier_of(rig, store)
        barrier.on_market(bar(0, 100.0))
        rig.clock.advance(61)
        store.signals = [make_signal(rig.clock, "enter_long")]  # of minute 1
        barrier.on_decided(decided(0, 0))
        barrier.on_decided(decided(1, 1))
        assert rig.rows("SELECT count(*) FROM processed_signals") == [(0,)]

        barrier.on_market(closed(0))
        barrier.on_market(bar(1, 101.0))
        assert rig.rows("SELECT count(*) FROM processed_signals") == [(0,)]
        barrier.on_market(closed(1))
        assert rig.rows("SELECT count(*) FROM processed_signals") == [(1,)]
        barrier.on_market(bar(2, 102.0))
        assert fills_of(rig) == [(2.0, 102.0)]


def test_what_the_bus_lost_is_read_from_the_store(tmp_path):
    with engine_rig(tmp_path / "data", paper_fill="next_bar_open", signal_age_max_s=0, price_age_max_s=0) as rig:
        store = Store(rig)
        barrier = barrier_of(rig, store)
        barrier.on_market(bar(0, 100.0))
        barrier.on_market(closed(0))
        rig.clock.advance(1)
        store.signals, store.decided = [make_signal(rig.clock, "enter_long")], decided(0, 1)
        barrier.on_market(bar(1, 101.0))
        assert barrier.waiting == 1

        barrier.look()
        assert barrier.waiting == 0
        assert rig.positions() == {("trend", "ACME"): 10}


def test_an_exit_on_a_bar_fills_where_the_bar_reached_it(tmp_path):
    """A stop of 1 % below 101 is reached inside the bar of the entry: out there and then, not at the next open."""
    with engine_rig(
        tmp_path / "data", paper_fill="next_bar_open", exit_source="bar", stop_percent=1.0, signal_age_max_s=0,
        price_age_max_s=0,
    ) as rig:  # fmt: skip
        store = Store(rig)
        barrier = barrier_of(rig, store)
        barrier.on_market(bar(0, 100.0))
        barrier.on_market(closed(0))
        rig.clock.advance(1)
        store.signals = [make_signal(rig.clock, "enter_long")]
        barrier.on_decided(decided(0, 1))
        for number, open_ in ((1, 101.0), (2, 100.5)):
            barrier.on_market(bar(number, open_))
            barrier.on_market(closed(number))
            barrier.on_decided(decided(number, 1))

        # 1 % below 101.00 is 99.99; on the grid of 0.05 and on the earlier side, 100.00: the low of bar 1 itself.
        assert fills_of(rig) == [(1.0, 101.0), (2.0 - 1 / MINUTE_US, 100.0)]
        assert rig.positions() == {}
        assert rig.rows("SELECT reason FROM orders WHERE purpose = 'exit'") != []


def test_a_silent_scanner_is_waited_for_and_then_gone_past(tmp_path):
    with engine_rig(tmp_path / "data", paper_fill="next_bar_open") as rig:
        taken = []
        barrier = barrier_of(rig, Store(rig), take=taken.append)
        for number in range(3):
            barrier.on_market(bar(number, 100.0))
        rig.clock.advance(1.9)
        barrier.on_time()
        assert len(taken) == 1

        rig.clock.advance(0.2)
        barrier.on_time()
        assert len(taken) == 3
        rows = rig.rows("SELECT exchange, timeframe, bar_us, waited_us FROM barrier_misses ORDER BY bar_us")
        assert [row[:3] for row in rows] == [("nse", "1m", START_US), ("nse", "1m", START_US + MINUTE_US)]
        assert all(row[3] >= 2_000_000 for row in rows)
        assert barrier.misses == 2
