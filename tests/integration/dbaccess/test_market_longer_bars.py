"""B5, C2: longer bars are read where they are stored, and made of minutes where they are not."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE
from libs.dbaccess import MarketDataQuery
from tests.kit.market_days import (
    MONDAY,
    OPEN_MINUTE,
    archive_day,
    at_us,
    candle,
    capture,
    close_day,
    minutes,
    moments,
    stores,
)

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3, 4))


@pytest.fixture
def query(data_root):
    with MarketDataQuery(stores(data_root)) as query:
        yield query


def test_longer_bars_are_made_of_minutes_from_the_open_on(data_root, query):
    """C2: 1h and 4h are anchored at the session's open, 09:15 IST, and the last is shorter."""
    close_day(data_root, MONDAY, minutes("INFY", MONDAY))

    hours = query.get_candles("INFY", "nse", "1h", MONDAY, TUESDAY)

    assert moments(hours) == [at_us(MONDAY, OPEN_MINUTE + 60 * n) for n in range(7)]
    second = hours.iloc[1]
    assert (second.open, second.high, second.low, second.close) == (159.5, 220.0, 159.0, 219.0)
    assert second.volume == sum(range(61, 121))
    assert hours["volume"].sum() == sum(range(1, 376))
    assert set(hours["timeframe"]) == {"1h"}
    for timeframe, count in (("5m", 75), ("15m", 25), ("4h", 2)):
        assert len(query.get_candles("INFY", "nse", timeframe, MONDAY, TUESDAY)) == count
    assert moments(query.get_candles("INFY", "nse", "1d", MONDAY, TUESDAY)) == [at_us(MONDAY, 0)]
    assert moments(query.get_candles("INFY", "nse", "1h", hours["timestamp"][1], hours["timestamp"][3])) == [
        at_us(MONDAY, OPEN_MINUTE + 60), at_us(MONDAY, OPEN_MINUTE + 120),
    ]  # fmt: skip


def test_stored_bars_win_over_made_ones(data_root, query):
    """An imported 1h file may hold some symbols only; the others are made of minutes as ever."""
    close_day(data_root, MONDAY, minutes("INFY", MONDAY) + minutes("TCS", MONDAY))
    close_day(data_root, MONDAY, [candle("INFY", at_us(MONDAY, OPEN_MINUTE), 7.0, timeframe="1h")], "1h")
    close_day(data_root, MONDAY, [candle("INFY", at_us(MONDAY, OPEN_MINUTE), 5.0, timeframe="5m")], "5m")

    assert list(query.get_candles("INFY", "nse", "1h", MONDAY, TUESDAY)["close"]) == [7.0]
    assert list(query.get_candles("INFY", "nse", "5m", MONDAY, TUESDAY)["close"]) == [5.0]
    assert len(query.get_candles("TCS", "nse", "1h", MONDAY, TUESDAY)) == 7
    # The stored bar lies before this interval: the minutes must not fill in for it.
    assert query.get_candles("INFY", "nse", "1h", "2026-02-02T10:00", TUESDAY).empty


def test_of_today_only_bars_that_are_over_are_made(data_root, query):
    """A bar that still grows looks like any other; a strategy that trades on it sees the future change."""
    capture(data_root, minutes("INFY", MONDAY, 64) + minutes("TCS", MONDAY, 7))

    assert moments(query.get_candles("INFY", "nse", "1h", MONDAY, TUESDAY)) == [at_us(MONDAY, OPEN_MINUTE)]
    assert moments(query.get_candles("TCS", "nse", "5m", MONDAY, TUESDAY)) == [
        at_us(MONDAY, OPEN_MINUTE), at_us(MONDAY, OPEN_MINUTE + 5),
    ]  # fmt: skip
    assert query.get_candles("INFY", "nse", "1d", MONDAY, TUESDAY).empty
    assert query.get_candles("INFY", "nse", "4h", MONDAY, TUESDAY).empty


def test_after_the_close_the_last_shorter_bar_of_today_is_over(data_root, query):
    day, session = MONDAY, Calendar.load("nse").session(MONDAY)
    last = (session.last_us - session.open_us) // US_PER_MINUTE
    capture(data_root, minutes("INFY", day, last))

    assert len(query.get_candles("INFY", "nse", "1h", day, TUESDAY)) == -(-last // 60)
    assert len(query.get_candles("INFY", "nse", "1d", day, TUESDAY)) == 1


def test_stored_bars_of_today_win_and_missing_ones_are_made(data_root, query):
    stored = candle("INFY", at_us(MONDAY, OPEN_MINUTE), 7.0, timeframe="5m")
    capture(data_root, [*minutes("INFY", MONDAY, 11), stored])

    assert list(query.get_candles("INFY", "nse", "5m", MONDAY, TUESDAY)["close"]) == [7.0, 109.0]


def test_archived_minutes_make_longer_bars_too(data_root, query):
    archive_day(data_root, MONDAY, minutes("INFY", MONDAY))

    assert len(query.get_candles("INFY", "nse", "1h", MONDAY, TUESDAY)) == 7


def test_missing_days_are_skipped_and_reported(data_root, query):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 1))
    close_day(data_root, THURSDAY, minutes("INFY", THURSDAY, 1))
    seen = []

    found = query.get_candles("INFY", "nse", "1m", MONDAY, "2026-02-08", on_missing=seen.append)

    assert len(found) == 2
    [coverage] = seen
    assert coverage.asked == (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
    assert coverage.found == (MONDAY, THURSDAY)
    assert coverage.missing == (TUESDAY, WEDNESDAY, FRIDAY)
    assert coverage.sources == {MONDAY: "hot", THURSDAY: "hot"}
    assert query.coverage("nse", "1m", MONDAY, TUESDAY).is_complete
    assert query.coverage("nse", None, MONDAY, TUESDAY).missing == (MONDAY,)


def test_a_complete_answer_is_not_reported(data_root, query):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 1))

    query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY, on_missing=pytest.fail)


def test_a_day_that_appears_is_seen_and_one_that_was_archived_is_found_again(data_root, query):
    """A long-lived reader must not need a restart after the rollover or the archive."""
    hot = close_day(data_root, MONDAY, minutes("INFY", MONDAY, 2))
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)) == 2

    close_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 3))
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)) == 5

    archive_day(data_root, MONDAY, minutes("INFY", MONDAY, 2))
    hot.unlink()
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)) == 5
    assert query.coverage("nse", "1m", MONDAY, TUESDAY).sources == {MONDAY: "archive"}


def test_a_listing_grown_old_notices_that_its_day_is_gone(data_root, query):
    """The folder's time of change may not have moved; opening the file tells."""
    path = close_day(data_root, MONDAY, minutes("INFY", MONDAY, 2))
    os.utime(path.parent, (1_000_000, 1_000_000))
    assert not query.coverage("nse", "1m", MONDAY, TUESDAY).missing

    path.unlink()
    os.utime(path.parent, (1_000_000, 1_000_000))

    assert query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY).empty


def test_a_day_restored_under_the_same_name_is_read_anew(data_root, query, tmp_path):
    path = close_day(data_root, MONDAY, minutes("INFY", MONDAY, 2))
    other = close_day(tmp_path / "other", MONDAY, minutes("INFY", MONDAY, 9))
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY)) == 2

    other.rename(path)

    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY)) == 9


def test_names_that_are_no_days_are_left_alone(data_root, query):
    path = close_day(data_root, MONDAY, minutes("INFY", MONDAY, 2))
    for name in (".2026-02-03.duckdb.77.staged", "2026-02-99.duckdb", "notes.txt"):
        (path.parent / name).write_text("no day")
    archive = archive_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 2))
    (archive / ".part-1.parquet").write_text("being written")
    (archive.parent / "date=2026-02-77").mkdir()

    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)) == 4
