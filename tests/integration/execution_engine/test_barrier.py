"""A minute's signals are decided before the next bar fills, whichever arrives first."""

from __future__ import annotations

from libs.contracts.market import OHLCVBar
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

    @property
    def cursor(self):
        return self.rig.engine.cursor

    def catch_up(self):
        for number, signal in enumerate(self.signals, self.cursor.outbox_seq + 1):
            self.rig.engine.on_signal(signal, SignalPlace("store", number))
        self.signals = []
        return 0


def bar(number: int, open_: float) -> OHLCVBar:
    at_us = START_US + (number - 1) * MINUTE_US
    return OHLCVBar("ACME", "1m", at_us, open_, volume=1_000, high=open_ + 1, low=open_ - 1, close=open_)


def test_a_bar_waits_for_the_minute_before_it(tmp_path):
    """The signal of bar 0 comes after bar 1 did, and still fills at the open of bar 1, as in a backtest."""
    with engine_rig(
        tmp_path / "data", paper_fill="next_bar_open", signal_age_max_s=0, price_age_max_s=0, paper_slippage_ticks=0
    ) as rig:
        store = Store(rig)

        def take(each: OHLCVBar) -> None:
            rig.wire.on_bar(each)
            rig.engine.on_bar(each)

        barrier = Barrier(store, rig.engine.store, rig.clock, take, timeout_ms=2000)
        barrier.on_bar(bar(0, 100.0))
        rig.clock.advance(1)
        store.signals = [make_signal(rig.clock, "enter_long")]
        rig.clock.advance(60)
        barrier.on_bar(bar(1, 101.0))
        assert (barrier.waiting, rig.positions()) == (1, {})

        barrier.on_decided(Decided("nse", START_US - MINUTE_US, 1, 1, "store"))
        assert barrier.waiting == 0
        assert rig.positions() == {("trend", "ACME"): 10}
        fills = rig.rows("SELECT timestamp_us, price FROM trades")
        assert [(at_us // MINUTE_US, round(price)) for at_us, price in fills] == [(START_US // MINUTE_US, 101)]
        assert barrier.misses == 0


def test_a_silent_scanner_is_waited_for_and_then_gone_past(tmp_path):
    with engine_rig(tmp_path / "data", paper_fill="next_bar_open") as rig:
        taken = []
        barrier = Barrier(Store(rig), rig.engine.store, rig.clock, taken.append, timeout_ms=2000)
        for number in range(3):
            barrier.on_bar(bar(number, 100.0))
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
