"""C2: where a tick belongs, what volume it adds, when a bar closes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.bars import BarAggregator, Outcome
from libs.contracts import MinuteClosed, OHLCVBar, Tick
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, US_PER_SECOND
from libs.core.errors import Refused
from tests.kit.market import DAY, session

GRACE_US = 2 * US_PER_SECOND
DAY_SESSION = session()
OPEN = DAY_SESSION.open_us


def aggregator(connected_us=DAY_SESSION.pre_open_us - 1):
    made = BarAggregator(DAY_SESSION, grace_us=GRACE_US)
    made.on_connect(connected_us)
    return made


def tick(second, price, volume_day, symbol="ACC"):
    return Tick(symbol, OPEN + int(second * US_PER_SECOND), price, volume_day=volume_day)


def close(bars, minute):
    return bars.advance(OPEN + (minute + 1) * US_PER_MINUTE + GRACE_US)


def test_a_bar_of_conflated_quotes():
    """Volume is the rise of the day's volume; open and close follow trade time, not arrival."""
    bars = aggregator()
    bars.on_tick(tick(5, 101.0, 10))
    bars.on_tick(tick(30, 99.0, 500))
    bars.on_tick(tick(2, 100.0, 500))  # came late within the minute, traded first
    bars.on_tick(tick(20, 103.0, 510))

    bar, closed = close(bars, 0)
    assert bar == OHLCVBar("ACC", "1m", OPEN, 100.0, 103.0, 99.0, 99.0, 510)
    assert closed == MinuteClosed("nse", OPEN, 1)


def test_a_bar_closes_by_the_clock_and_not_by_the_next_tick():
    bars = aggregator()
    bars.on_tick(tick(5, 101.0, 10))

    assert bars.advance(OPEN + US_PER_MINUTE + GRACE_US - 1) == []
    assert len(bars.advance(OPEN + US_PER_MINUTE + GRACE_US)) == 2
    assert bars.closed_through_us == OPEN


def test_both_minutes_are_open_during_the_grace():
    bars = aggregator()
    bars.on_tick(tick(59, 101.0, 10))
    bars.on_tick(tick(60, 102.0, 15))
    assert bars.on_tick(tick(59.5, 103.0, 16)) == (Outcome.BOOKED, 1)
    assert bars.on_tick(tick(61, 104.0, 18)) == (Outcome.BOOKED, 2)

    first, _ = close(bars, 0)
    second, _ = close(bars, 1)
    assert (first.close, first.volume) == (103.0, 11)
    assert (second.open, second.close, second.volume) == (102.0, 104.0, 7)


def test_a_late_tick_never_changes_a_published_bar():
    bars = aggregator()
    bars.on_tick(tick(5, 101.0, 10))
    close(bars, 0)

    assert bars.on_tick(tick(50, 500.0, 30)) == (Outcome.LATE, 20)
    assert bars.on_tick(tick(50, 500.0, 30)) == (Outcome.STALE, 0)  # its depth-only repeat
    bars.on_tick(tick(65, 102.0, 31))
    bar, _ = close(bars, 1)
    assert (bar.high, bar.volume) == (102.0, 1)


def test_a_quote_without_a_trade_is_not_late():
    """An illiquid share's depth moves for minutes after its last trade."""
    bars = aggregator()
    bars.on_tick(tick(5, 101.0, 10))
    close(bars, 2)

    assert bars.on_tick(tick(5, 101.0, 10)) == (Outcome.REPEAT, 0)
    assert close(bars, 3) == [MinuteClosed("nse", OPEN + 3 * US_PER_MINUTE, 0)]


def test_a_quote_that_moved_after_its_minute_is_a_tick_of_the_recording_too():
    """It was one when it was captured; as a late tick the replayed day would lack it."""
    live, replayed = aggregator(), aggregator()
    traded, moved = tick(5, 101.0, 10), tick(5, 101.0, 10)
    live.on_tick(traded)
    close(live, 2)
    assert live.on_tick(moved) == (Outcome.REPEAT, 0)
    assert replayed.on_recorded(replace(traded, volume=10)) is Outcome.BOOKED
    made = close(replayed, 2)

    assert replayed.on_recorded(moved) is Outcome.REPEAT
    assert [bar.volume for bar in made if isinstance(bar, OHLCVBar)][:1] == [10]
    assert [bar for bar in close(replayed, 3) if isinstance(bar, OHLCVBar)] == []


def test_first_value_of_a_connection_is_a_baseline():
    bars = aggregator(connected_us=OPEN + 5 * US_PER_SECOND)

    assert bars.on_tick(tick(6, 100.0, 5000)) == (Outcome.BOOKED, 0)
    assert bars.on_tick(tick(7, 100.0, 5010)) == (Outcome.BOOKED, 10)
    bars.on_connect(OPEN + 68 * US_PER_SECOND)
    assert bars.on_tick(tick(69, 100.0, 9000)) == (Outcome.BOOKED, 0)
    assert bars.on_tick(tick(70, 100.0, 9001)) == (Outcome.BOOKED, 1)


def test_what_traded_unseen_between_two_trades_of_one_minute_is_of_that_minute():
    """A reconnect takes a second or two; nobody would ever fill the minute's volume in."""
    bars = aggregator()
    bars.on_tick(tick(5, 100.0, 70))
    bars.on_connect(OPEN + 8 * US_PER_SECOND)

    assert bars.on_tick(tick(9, 100.0, 90)) == (Outcome.BOOKED, 20)
    bars.on_connect(OPEN + 10 * US_PER_SECOND)
    assert bars.on_tick(tick(11, 100.0, 40)) == (Outcome.BOOKED, 0), "a fall is no volume"
    (bar, _) = close(bars, 0)
    assert bar.volume == 90


def test_snapshot_of_a_trade_before_the_connection_is_stale():
    bars = aggregator()
    close(bars, 3)
    bars.on_connect(OPEN + 5 * US_PER_MINUTE)

    assert bars.on_tick(tick(5, 100.0, 5000)) == (Outcome.STALE, 0)
    assert bars.on_tick(tick(5, 100.0, 5000)) == (Outcome.STALE, 0)
    assert bars.on_tick(tick(301, 100.0, 5001)) == (Outcome.BOOKED, 1)


def test_nothing_traded_across_a_reconnect():
    """The same trade before and after: the quote repeats, and the next volume counts in full."""
    bars = aggregator()
    bars.on_tick(tick(5, 101.0, 10))
    close(bars, 1)
    bars.on_connect(OPEN + 3 * US_PER_MINUTE)

    assert bars.on_tick(tick(5, 101.0, 10)) == (Outcome.REPEAT, 0)
    assert bars.on_tick(tick(185, 101.0, 25)) == (Outcome.BOOKED, 15)


def test_connected_before_the_session_the_first_trade_counts():
    assert aggregator().on_tick(tick(1, 100.0, 70)) == (Outcome.BOOKED, 70)


def test_an_earlier_dates_figures_are_a_baseline_of_nothing():
    """In the morning the feed still shows yesterday's last trade and volume."""
    bars = aggregator(connected_us=OPEN + 60 * US_PER_SECOND)

    assert bars.on_tick(tick(-US_PER_DAY // US_PER_SECOND, 99.0, 7_000_000)) == (Outcome.OUTSIDE, 0)
    assert bars.on_tick(tick(70, 100.0, 25)) == (Outcome.BOOKED, 25)


def test_pre_open_volume_makes_no_bar():
    bars = aggregator()

    assert bars.on_tick(tick(-400, 100.0, 1000)) == (Outcome.OUTSIDE, 1000)
    assert bars.on_tick(tick(1, 100.0, 1010)) == (Outcome.BOOKED, 10)
    bar, _ = close(bars, 0)
    assert bar.volume == 10


@pytest.mark.parametrize("stray", [0, 3])
def test_a_stray_low_figure_adds_nothing(stray):
    """One lower value (or an absent one) must not count the whole day again."""
    bars = aggregator()
    bars.on_tick(tick(1, 100.0, 1000))

    assert bars.on_tick(tick(2, 100.0, stray))[1] == 0
    assert bars.on_tick(tick(3, 100.0, 1010))[1] == 10
    assert bars.volumes.corrections == 0


def test_strays_with_a_right_figure_between_them_are_no_correction():
    bars = aggregator()
    bars.on_tick(tick(1, 100.0, 1000))

    assert [bars.on_tick(tick(s, 100.0, v))[1] for s, v in ((2, 3), (3, 1001), (4, 3), (5, 1002))] == [0, 1, 0, 1]
    assert bars.volumes.corrections == 0


def test_an_older_frame_is_no_correction():
    bars = aggregator()
    bars.on_tick(tick(10, 100.0, 1000))

    assert [bars.on_tick(tick(s, 100.0, v))[1] for s, v in ((5, 800), (6, 900), (11, 1001))] == [0, 0, 1]


def test_the_exchange_may_correct_its_volume_downwards():
    """Two lower values in a row are believed, and counted."""
    bars = aggregator()
    bars.on_tick(tick(1, 100.0, 1000))

    assert [bars.on_tick(tick(s, 100.0, v))[1] for s, v in ((2, 900), (3, 905), (4, 906))] == [0, 5, 1]
    assert bars.volumes.corrections == 1


def test_symbols_without_volume_make_bars():
    bars = aggregator()
    for second, price in ((1, 22_000.5), (2, 22_001.0), (61, 22_002.0)):
        assert bars.on_tick(tick(second, price, 0, "NIFTY 50")) == (Outcome.BOOKED, 0)

    bar, _ = close(bars, 0)
    assert (bar.open, bar.close, bar.volume) == (22_000.5, 22_001.0, 0)


def test_longer_bars_come_with_their_last_minute():
    bars = aggregator()
    for minute in range(40):
        bars.on_tick(tick(60 * minute + 1, 100.0 + minute, 10 * (minute + 1)))
    out = bars.advance(DAY_SESSION.last_us + GRACE_US)

    assert bars.is_over
    made = {(b.timeframe, (b.timestamp_us - OPEN) // US_PER_MINUTE): b.volume for b in out if isinstance(b, OHLCVBar)}
    assert {start for timeframe, start in made if timeframe == "15m"} == {0, 15, 30}
    assert made["15m", 30] == 100
    assert [b for b in out if isinstance(b, OHLCVBar)][-1].timeframe == "1d"
    assert out[-1] == MinuteClosed("nse", OPEN + 39 * US_PER_MINUTE, 4)  # 1m, 5m, the short last 15m, 1d


def test_joining_in_the_middle_closes_no_earlier_minute():
    bars = BarAggregator(DAY_SESSION, grace_us=GRACE_US)
    now_us = OPEN + 10 * US_PER_MINUTE + 5
    bars.start_session(DAY_SESSION, now_us)
    bars.on_connect(now_us)

    assert bars.advance(now_us) == []
    assert bars.on_tick(tick(599, 100.0, 10))[0] is Outcome.STALE
    assert bars.on_tick(tick(601, 100.0, 10))[0] is Outcome.BOOKED
    assert [r.timestamp_us for r in close(bars, 10)] == [OPEN + 10 * US_PER_MINUTE] * 2


def test_a_new_day_on_the_same_connection():
    bars = aggregator()
    bars.on_tick(tick(1, 100.0, 1000))
    bars.start_session(session(DAY.replace(day=3)))

    assert bars.on_tick(tick(86_401, 101.0, 40)) == (Outcome.BOOKED, 40)


def test_a_state_of_another_day_is_refused():
    other = BarAggregator(session(DAY.replace(day=3)), grace_us=GRACE_US)

    with pytest.raises(Refused, match="2026-02-02"):
        other.restore(aggregator().state())
