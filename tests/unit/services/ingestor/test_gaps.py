"""Gaps: every time in which the session was open and the feed gave nothing, and no other."""

from __future__ import annotations

from services.ingestor.gaps import GapTracker
from services.ingestor.session_clock import SessionClock
from tests.kit.clock import ManualClock
from tests.kit.market import session

DAY = session(minutes=60)
OPEN, CLOSE = DAY.open_us, DAY.close_us
SECOND = 1_000_000


def living(at_us: int) -> GapTracker:
    tracker = GapTracker("nse")
    tracker.on_frame(DAY.pre_open_us, DAY, 1)
    tracker.on_frame(at_us, DAY, 1)
    return tracker


def test_feed_that_lives_has_no_gap():
    tracker = living(OPEN)

    assert tracker.on_frame(OPEN + SECOND, DAY, 2) is None
    assert tracker.on_time(OPEN + 30 * SECOND, DAY, 2) is None


def test_loss_in_the_session_is_a_gap_from_last_to_first_life():
    tracker = living(OPEN + 60 * SECOND)
    tracker.on_lost("disconnect", "close code 1006")
    begun = tracker.on_time(OPEN + 60 * SECOND, DAY, 2)  # the session's clock stands still when frames stop
    assert tracker.on_time(OPEN + 65 * SECOND, DAY, 3) is None
    ended = tracker.on_frame(OPEN + 90 * SECOND, DAY, 4)

    assert begun is not None
    assert ended is not None
    assert (begun.timestamp_us, begun.to_us, begun.cause) == (OPEN + 60 * SECOND, 0, "disconnect")
    assert (ended.gap_id, ended.timestamp_us, ended.to_us) == (begun.gap_id, begun.timestamp_us, OPEN + 90 * SECOND)
    assert tracker.open is None


def test_loss_before_the_open_is_a_gap_only_from_the_open():
    tracker = living(DAY.pre_open_us + SECOND)
    tracker.on_lost("stall", "")

    assert tracker.on_time(OPEN - SECOND, DAY, 2) is None
    begun = tracker.on_time(OPEN + SECOND, DAY, 2)
    assert begun is not None
    assert begun.timestamp_us == OPEN


def test_loss_after_the_close_is_no_gap():
    tracker = living(CLOSE)
    tracker.on_lost("disconnect", "")

    assert tracker.on_time(CLOSE + SECOND, DAY, 2) is None
    assert tracker.on_frame(CLOSE + 60 * SECOND, DAY, 3) is None


def test_start_in_the_middle_of_the_session_is_a_gap_from_its_open():
    gap = GapTracker("nse").on_frame(OPEN + 600 * SECOND, DAY, 1)

    assert gap is not None
    assert (gap.timestamp_us, gap.to_us, gap.cause) == (OPEN, OPEN + 600 * SECOND, "start")


def test_restart_is_a_gap_from_the_last_tick_of_the_journal():
    tracker = GapTracker("nse")
    tracker.recover(OPEN + 100 * SECOND)
    gap = tracker.on_frame(OPEN + 130 * SECOND, DAY, 1)

    assert gap is not None
    assert (gap.timestamp_us, gap.to_us) == (OPEN + 100 * SECOND, OPEN + 130 * SECOND)


def test_gap_that_a_dead_process_left_open_is_ended_by_the_next():
    tracker = living(OPEN + 60 * SECOND)
    tracker.on_lost("disconnect", "")
    begun = tracker.on_time(OPEN + 61 * SECOND, DAY, 2)
    assert begun is not None
    heir = GapTracker("nse")
    heir.recover(OPEN + 60 * SECOND)
    heir.replay(begun)
    ended = heir.on_frame(OPEN + 99 * SECOND, DAY, 3)

    assert ended is not None
    assert (ended.gap_id, ended.cause) == (begun.gap_id, "disconnect")


def test_session_clock_stands_where_the_last_frame_put_it():
    clock = ManualClock()
    session_clock = SessionClock(clock, silence_us=5 * SECOND)
    assert session_clock.now_us() == 0
    session_clock.on_frame(OPEN)
    clock.sleep(4)

    assert session_clock.now_us() == OPEN


def test_session_clock_goes_on_through_silence_and_never_back():
    """Bars close during an outage, and what comes after it does not turn the clock back."""
    clock = ManualClock()
    session_clock = SessionClock(clock, silence_us=5 * SECOND)
    session_clock.on_frame(OPEN)
    clock.sleep(60)
    assert session_clock.now_us() == OPEN + 60 * SECOND
    session_clock.on_frame(OPEN + 30 * SECOND)

    assert session_clock.now_us() == OPEN + 60 * SECOND


def test_absurd_exchange_time_moves_nothing():
    """One broken stamp on a real market would close the whole day's bars."""
    clock = ManualClock(OPEN)
    session_clock = SessionClock(clock, silence_us=5 * SECOND, skew_max_us=300 * SECOND)
    session_clock.on_frame(OPEN)
    session_clock.on_frame(OPEN + 86_400 * SECOND)

    assert session_clock.now_us() == OPEN
    assert session_clock.refused == 1
    assert session_clock.odds_us == 86_400 * SECOND, "the heartbeat says so"
    session_clock.on_frame(OPEN + SECOND)
    assert session_clock.odds_us == 0
