"""Time, ids, errors and crash points."""

from __future__ import annotations

import signal
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core import errors
from libs.core.clock import IST, US_PER_DAY, SystemClock, day_start_us, to_datetime, to_us, trading_date
from libs.core.ids import content_id, random_id
from tests.kit.processes import run_code

MOMENTS = st.integers(min_value=0, max_value=4_102_444_800_000_000)


@given(MOMENTS)
def test_microseconds_and_datetimes_are_one_to_one(moment_us):
    assert to_us(to_datetime(moment_us)) == moment_us


@given(MOMENTS)
def test_trading_date_is_the_date_in_india(moment_us):
    assert trading_date(moment_us) == to_datetime(moment_us).astimezone(IST).date()


@given(MOMENTS)
def test_an_instant_lies_in_its_trading_date(moment_us):
    start = day_start_us(trading_date(moment_us))

    assert start <= moment_us < start + US_PER_DAY


def test_naive_datetime_is_indian():
    assert to_us(datetime(2026, 2, 2, 9, 15)) == to_us(datetime(2026, 2, 2, 3, 45, tzinfo=UTC))  # noqa: DTZ001


def test_day_starts_at_midnight_in_india():
    assert to_datetime(day_start_us(date(2026, 2, 2))).astimezone(IST) == datetime(2026, 2, 2, tzinfo=IST)


def test_system_clock_is_the_machines():
    before = datetime.now(UTC)
    now = to_datetime(SystemClock().now_us())

    assert before - timedelta(milliseconds=1) <= now <= datetime.now(UTC)
    assert SystemClock().monotonic_ns() <= SystemClock().monotonic_ns()


#: Few characters, and among them what could pass for a border: parts that meet in different ways are found soon.
PARTS = st.lists(st.text("ab|,\x00\x1f é", max_size=4), max_size=4)


@given(PARTS, PARTS)
def test_ids_are_equal_only_for_equal_parts(one, other):
    """("ab", "c") and ("a", "bc") are different facts."""
    assert (content_id(*one) == content_id(*other)) == (one == other)


def test_ids_do_not_change():
    """E4: an id written yesterday is the id of the same fact today, in every process."""
    assert content_id("sma_cross", 1, "RELIANCE") == "e0138db1a0e7cbd90f4c3c81fce2e254"


def test_random_ids_differ_and_have_their_length():
    assert len({random_id() for _ in range(1000)}) == 1000
    assert {len(random_id(digits)) for digits in (1, 8, 15)} == {1, 8, 15}


def test_four_kinds_of_error_are_apart():
    kinds = [errors.RetryLater, errors.Refused, errors.OutcomeUnknown, errors.Corrupt]

    assert all(issubclass(kind, errors.FleetError) for kind in kinds)
    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)


CRASHER = """
    import sys
    from libs.core import faults
    faults.POINTS["test.point"] = "here"
    for number in range(1, 4):
        print(number, flush=True)
        faults.crash_point("test.point")
"""


@pytest.mark.parametrize(("armed", "printed"), [("test.point", "1"), ("test.point:3", "1 2 3"), ("other", "1 2 3")])
def test_armed_crash_point_kills_at_the_asked_hit(tmp_path, armed, printed):
    done = run_code(CRASHER, TRADEFLEET_CRASH_AT=armed, TRADEFLEET_CRASH_SEEN=str(tmp_path))

    assert done.stdout.split() == printed.split()
    assert done.returncode == (0 if armed == "other" else -signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["test.point"]


def test_unregistered_crash_point_is_an_error(tmp_path):
    done = run_code(
        "from libs.core.faults import crash_point\ncrash_point('nobody.knows.this')",
        TRADEFLEET_CRASH_SEEN=str(tmp_path),
    )

    assert "is not in libs.core.faults.POINTS" in done.stderr
