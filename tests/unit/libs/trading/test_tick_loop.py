"""Fills on captured ticks, each worked out by hand: what the quotes were, what was traded, when."""

from __future__ import annotations

import pytest

from libs.contracts.market import Tick
from libs.core.clock import US_PER_SECOND
from libs.orders.fills import FillSettings
from libs.orders.positions import PositionKey
from libs.trading.decisions import Refusal
from libs.trading.exits import ExitRules
from libs.trading.sizing import FixedValue
from libs.trading.tick_loop import TickLoop
from tests.kit.engine import START_US, engine_rig
from tests.kit.orders import MINUTE_US, OPEN_US
from tests.kit.trading import bar, fills_of, make_loop, run, signal

KEY = PositionKey("trend", "ACME")


class Recorded:
    """Ticks as they were captured: seconds since the open, price, bid, ask, volume."""

    def __init__(self, *rows, symbol="ACME", grace_s=0):
        self.grace_us = grace_s * US_PER_SECOND
        self.ticks = [
            Tick(symbol, OPEN_US + round(second * US_PER_SECOND), price, volume, bid, ask)
            for second, price, bid, ask, volume in rows
        ]
        self.read = []

    def between(self, symbol, start_us, end_us):
        self.read.append(symbol)
        for tick in self.ticks:
            if tick.symbol == symbol and start_us <= tick.timestamp_us < end_us:
                yield tick


def traded(ticks, *, kinds=("enter_long",), minutes=3, rules=None, sizing=None, **fills):
    """Signals on minutes 0, 1, …; give the fills as seconds since the open, price and quantity."""

    def kind(desk, settings, session_of):
        return TickLoop(desk, settings, session_of, ticks)

    loop = make_loop(kind=kind, rules=rules, sizing=sizing, fills=FillSettings(**fills))
    days = {
        n: ([bar(n, 100)], [signal(n, kinds[n])] if n < len(kinds) and kinds[n] else []) for n in range(minutes)
    }  # fmt: skip
    found = fills_of(run(loop, days))
    return loop, [((f.timestamp_us - OPEN_US) / US_PER_SECOND, f.price, f.quantity) for f in found]


def test_a_buy_pays_the_ask_of_the_first_tick_after_its_minute():
    """Decided at 60 s. The tick at 59.9 s is of the past; at 60.4 s the ask is 100.20, whatever the last price was."""
    ticks = Recorded((59.9, 99, 98.95, 99.05, 50), (60.4, 100.1, 100.05, 100.2, 50), (61, 100, 99.95, 100.05, 50))

    assert traded(ticks)[1] == [(60.4, 100.2, 10)]


def test_a_sale_gets_the_bid():
    ticks = Recorded((60.4, 100.1, 100.05, 100.2, 50), (121, 101, 100.9, 101.1, 50))

    assert traded(ticks, kinds=("enter_long", "exit_long"))[1] == [(60.4, 100.2, 10), (121, 100.9, 10)]


def test_without_quotes_half_the_spread_is_paid_and_slippage_comes_on_top():
    """Spread of 4 ticks of 0.05: half is 0.10. 2 ticks of slippage more: 100.00 + 0.10 + 0.10 = 100.20."""
    assert traded(Recorded((60, 100, None, None, 50)), spread_ticks=4, slippage_ticks=2)[1] == [(60, 100.2, 10)]


def test_partial_fills_take_their_share_of_each_tick():
    """10 wanted, a quarter of the volume may be taken: 12 gives 3, 3 gives none, 20 gives 5, then the last 2."""
    ticks = Recorded(
        (60, 100, 99.95, 100.0, 12), (61, 100, 99.95, 100.05, 3), (62, 100, 99.95, 100.1, 20),
        (125, 100, 99.95, 100.15, 400),
    )  # fmt: skip

    loop, fills = traded(ticks, participation_percent_max=25)
    assert fills == [(60, 100.0, 3), (62, 100.1, 5), (125, 100.15, 2)]
    assert loop.desk.positions.get(KEY).quantity == 10


def test_an_order_takes_its_time_to_the_exchange():
    """250 ms on its way: the tick at 60.2 s is gone when it gets there."""
    ticks = Recorded((60.2, 100, 99.95, 100.0, 50), (60.3, 101, 100.95, 101.0, 50))

    assert traded(ticks, latency_ms=250)[1] == [(60.3, 101.0, 10)]


def test_nobody_decides_on_a_bar_that_is_not_known():
    """Two seconds of grace: the cheap tick at 61.9 s has come and gone when the bar is closed at 62 s."""
    rows = (60.4, 100, 99.95, 100.0, 50), (61.9, 100, 99.95, 100.05, 50), (62, 101, 100.95, 101.05, 50)

    assert traded(Recorded(*rows, grace_s=2))[1] == [(62, 101.05, 10)]
    assert traded(Recorded(*rows))[1] == [(60.4, 100.0, 10)]


def test_what_was_held_before_is_left_on_ticks_of_the_grace():
    """The stop at 99.00 is reached at 121.5 s, before the exit signal of the bar to 120 s is decided on at 122 s."""
    rows = (62, 100, 99.95, 100.0, 50), (121.5, 98.9, 98.85, 98.95, 50), (121.8, 98.6, 98.55, 98.65, 50)
    rules = ExitRules(stop_percent=1, square_off=False)

    loop, fills = traded(Recorded(*rows, grace_s=2), kinds=("enter_long", "exit_long"), rules=rules)
    assert fills == [(62, 100.0, 10), (121.8, 98.55, 10)]
    assert not loop.resting


def test_an_entry_is_sized_by_the_last_price_there_is():
    """10,000 rupees at the bar's close of 100 are 100 shares; at 125, the tick of the grace, they are 80."""
    rows = (61, 125, 124.95, 125.05, 500), (62.5, 125, 124.95, 125.05, 500)

    fills = traded(Recorded(*rows, grace_s=2), sizing=FixedValue(10_000))[1]
    assert fills == [(62.5, 125.05, 80)]


def test_a_stop_is_judged_on_ticks_and_fills_behind_the_one_that_reached_it():
    """Bought at 100.00, 1 % below is 99.00. The tick at 99.00 reaches it; the next one's bid is what there is."""
    ticks = Recorded(
        (60, 100, 99.95, 100.0, 50), (70, 99.1, 99.05, 99.15, 50), (80, 99.0, 98.95, 99.05, 50),
        (80, 98.6, 98.55, 98.65, 50), (81, 99.9, 99.85, 99.95, 50),
    )  # fmt: skip

    loop, fills = traded(ticks, rules=ExitRules(stop_percent=1, square_off=False))
    assert fills == [(60, 100.0, 10), (80, 98.55, 10)]
    assert not loop.desk.guards


def test_only_symbols_with_something_at_stake_are_read():
    ticks = Recorded((60, 100, 99.95, 100.0, 50))
    traded(ticks, kinds=("",))
    assert ticks.read == []

    traded(ticks)
    assert set(ticks.read) == {"ACME"}


def two_symbols(rows, signals, **limits):
    """Ten shares of ACME and BETA each, and the ticks of both: seconds since the open, symbol, price."""
    ticks = Recorded(grace_s=2)
    for symbol in ("ACME", "BETA"):
        own = ((at, price, price, price, 50) for at, name, price in rows if name == symbol)
        ticks.ticks += Recorded(*own, symbol=symbol).ticks

    def kind(desk, settings, session_of):
        return TickLoop(desk, settings, session_of, ticks)

    loop = make_loop(kind=kind, **limits)
    bars = {n: [bar(n, 100, symbol=symbol) for symbol in ("ACME", "BETA")] for n in range(4)}
    return loop, run(loop, {n: (bars[n], [each for each in signals if each.timestamp_us == OPEN_US + n * MINUTE_US])
                            for n in bars})  # fmt: skip


def test_all_symbols_trade_in_the_order_of_the_market():
    """They share one account. BETA's tick at 90 s comes before ACME's at 121.5 s, whatever their names."""
    signals = [signal(0, "enter_long", symbol=symbol) for symbol in ("ACME", "BETA")]
    events = two_symbols([(121.5, "ACME", 100), (90, "BETA", 100)], signals)[1]

    found = [(fill.symbol, (fill.timestamp_us - OPEN_US) / US_PER_SECOND) for fill in fills_of(events)]
    assert found == [("BETA", 90), ("ACME", 121.5)]


def test_the_account_is_valued_at_a_fill_as_the_engine_does():
    """ACME is 10 rupees down when BETA fills: 100 of 50 that may be lost, though the minute ends as it began."""
    rows = [(62, "ACME", 100), (130, "ACME", 90), (131, "BETA", 100), (170, "ACME", 100)]
    signals = [signal(0, "enter_long"), signal(1, "enter_long", symbol="BETA"),
               signal(2, "enter_short", symbol="BETA", strategy_id="revert")]  # fmt: skip
    rejected = [each.rejected.check for each in two_symbols(rows, signals, account_loss_day_max_rupees=50)[1]
                if isinstance(each, Refusal)]  # fmt: skip

    assert rejected == ["daily_loss"]


def test_what_was_captured_behind_the_last_bar_still_trades():
    """The capture was cut off at 130 s: there is no bar of that minute, and the engine filled on its ticks."""
    loop, fills = traded(Recorded((125, 100, 99.95, 100.05, 50), grace_s=2), kinds=("", "enter_long"), minutes=2)
    assert fills == []

    events = loop.end(OPEN_US + 2 * MINUTE_US)
    assert [(each.timestamp_us - OPEN_US) / US_PER_SECOND for each in fills_of(events)] == [125]
    assert not loop.resting


def test_a_day_without_ticks_leaves_the_order_unfilled():
    loop, fills = traded(Recorded())
    assert fills == []

    (order,) = loop.desk.orders.unsettled()
    loop.end(OPEN_US + 375 * MINUTE_US)
    assert loop.desk.orders.get(order.order_id).status == "expired"


@pytest.mark.parametrize("stop_percent", [0.0, 1.0])
def test_the_paper_broker_fills_the_same_ticks_alike(tmp_path, stop_percent):
    """One code decides on ticks, live and here: same times, prices, quantities, from entry to exit."""
    prices = [(1, 100.0), (2, 100.4), (20, 99.2), (25, 98.95), (26, 98.5), (40, 98.0), (61, 97.5), (70, 97.0)]
    quiet = {"signal_age_max_s": 0, "price_age_max_s": 0}
    with engine_rig(tmp_path / "d", stop_percent=stop_percent, **quiet) as rig:
        rig.tick(100.0, seconds=0)
        rig.signal("enter_long", signal_id="trend-ACME-0-enter_long")
        for second, price in prices:
            if second > 60:
                break
            rig.tick(price, seconds=second - (rig.clock.now_us() - START_US) / 1e6)
        rig.clock.advance(60 - (rig.clock.now_us() - START_US) / 1e6)
        rig.signal("exit_long", signal_id="trend-ACME-1-exit_long")
        for second, price in prices:
            if second > 60:
                rig.tick(price, seconds=second - (rig.clock.now_us() - START_US) / 1e6)
        live = rig.rows("SELECT timestamp_us - ?, price, quantity FROM trades ORDER BY timestamp_us", START_US)

    ticks = Recorded(*((60 + second, price, price - 0.05, price + 0.05, 1000) for second, price in prices))
    rules = ExitRules(stop_percent=stop_percent, square_off=False)
    _, past = traded(ticks, kinds=("enter_long", "exit_long"), rules=rules, minutes=4)
    assert len(live) == 2
    assert [(us / 1e6, price, quantity) for us, price, quantity in live] == [(at - 60, p, q) for at, p, q in past]
