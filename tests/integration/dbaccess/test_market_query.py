"""B5, C2: candles and ticks of closed days, archived days and today, read as one."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.dbaccess import MarketDataQuery, StoreCorrupt, UnsafeName
from libs.dbaccess.queries import BadBounds
from tests.kit.market_days import (
    CANDLE_COLUMNS,
    MONDAY,
    OPEN_MINUTE,
    TICK_COLUMNS,
    archive_day,
    at_us,
    candle,
    capture,
    close_day,
    minutes,
    stores,
    tick,
)

TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))
FRIDAY = MONDAY + timedelta(days=4)


@pytest.fixture
def query(data_root):
    with MarketDataQuery(stores(data_root)) as query:
        yield query


def moments(frame):
    return [int(moment.timestamp() * 1_000_000) for moment in frame["timestamp"]]


def test_history_archive_and_today_are_one(data_root, query):
    """The caller need not know where a day lies."""
    archive_day(data_root, MONDAY, minutes("INFY", MONDAY, 4) + minutes("TCS", MONDAY, 2), parts=3)
    close_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 3))
    capture(data_root, minutes("INFY", WEDNESDAY, 2) + minutes("TCS", WEDNESDAY, 1))

    found = query.get_candles("INFY", "nse", "1m", MONDAY, THURSDAY)

    expected = [
        at_us(day, OPEN_MINUTE + n) for day, count in ((MONDAY, 4), (TUESDAY, 3), (WEDNESDAY, 2)) for n in range(count)
    ]
    assert moments(found) == expected
    assert list(found.columns) == CANDLE_COLUMNS
    assert set(found["symbol"]) == {"INFY"}
    assert list(found["volume"]) == [1, 2, 3, 4, 1, 2, 3, 1, 2]


def test_several_symbols_come_sorted_by_symbol_and_time(data_root, query):
    for day in (MONDAY, TUESDAY):
        close_day(data_root, day, minutes("TCS", day, 3) + minutes("INFY", day, 2) + minutes("A&B", day, 1))

    found = query.get_candles_many(["TCS", "INFY", "TCS"], "nse", "1m", MONDAY, WEDNESDAY)

    assert list(zip(found["symbol"], moments(found), strict=True)) == sorted(
        (symbol, at_us(day, OPEN_MINUTE + n))
        for day in (MONDAY, TUESDAY)
        for symbol, count in (("TCS", 3), ("INFY", 2))
        for n in range(count)
    )


def test_a_date_that_is_in_both_is_read_from_history(data_root, query):
    """Between the rename of the closed day and the reset of the buffer both hold it."""
    close_day(data_root, MONDAY, [candle("INFY", at_us(MONDAY, OPEN_MINUTE), 111.0)])
    capture(data_root, [candle("INFY", at_us(day, OPEN_MINUTE), 222.0) for day in (MONDAY, TUESDAY)])

    found = query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)

    assert list(found["close"]) == [111.0, 222.0]


def test_another_exchange_sees_nothing_of_this_ones_buffer(data_root, query):
    capture(data_root, minutes("INFY", MONDAY, 2))

    assert query.get_candles("INFY", "bse", "1m", MONDAY, TUESDAY).empty


@pytest.mark.parametrize("output", ["pandas", "arrow", "polars"])
def test_columns_and_types_are_the_same_when_there_is_nothing(data_root, query, output):
    """Code that runs on a full day must not fail on an empty one."""
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 3))
    close_day(data_root, MONDAY, [tick("INFY", at_us(MONDAY, OPEN_MINUTE), 1)], None)

    def types(start, symbol="INFY"):
        candles = query.get_candles(symbol, "nse", "1m", start, WEDNESDAY, output=output)
        ticks = query.get_ticks(symbol, "nse", start, WEDNESDAY, output=output)
        if output == "pandas":
            return [(list(frame.columns), [str(kind) for kind in frame.dtypes]) for frame in (candles, ticks)]
        return [candles.schema, ticks.schema]

    full = types(MONDAY)
    assert full == types(TUESDAY) == types(MONDAY, "NONE")
    if output == "pandas":
        assert full[0] == (
            CANDLE_COLUMNS, ["str", "str", "datetime64[us, UTC]", *["float64"] * 4, "int64"],
        )  # fmt: skip
        assert full[1] == (
            TICK_COLUMNS, ["str", "datetime64[us, UTC]", "float64", "int64", "float64", "float64", "int64", "int64"],
        )  # fmt: skip
    elif output == "polars":
        assert full[0]["timestamp"] == pl.Datetime("us", "UTC")
    else:
        assert full[0].field("timestamp").type == pa.timestamp("us", "UTC")


NINE_THIRTY_US = at_us(MONDAY, 570)


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 2, 2, 9, 30),  # noqa: DTZ001  naive means IST
        datetime(2026, 2, 2, 4, 0, tzinfo=UTC),
        datetime(2026, 2, 1, 23, 0, tzinfo=timezone(timedelta(hours=-5))),
        "2026-02-02T09:30:00",
        "2026-02-02 04:00:00Z",
        NINE_THIRTY_US,
        np.int64(NINE_THIRTY_US),
        np.datetime64("2026-02-02T09:30"),
        pd.Timestamp("2026-02-02 09:30", tz="Asia/Kolkata"),
        pd.Timestamp("2026-02-02 09:30"),
    ],
    ids=str,
)
def test_bounds_may_be_spelled_in_many_ways(data_root, query, start):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 30))

    found = query.get_candles("INFY", "nse", "1m", start, TUESDAY)

    assert moments(found)[0] == NINE_THIRTY_US
    assert len(found) == 15
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, start)) == 15


def test_the_interval_is_half_open_and_may_be_open_sided(data_root, query):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 5))
    first, third = at_us(MONDAY, OPEN_MINUTE), at_us(MONDAY, OPEN_MINUTE + 2)

    assert moments(query.get_candles("INFY", "nse", "1m", first, third)) == [first, first + US_PER_MINUTE]
    assert query.get_candles("INFY", "nse", "1m", third, third).empty
    assert len(query.get_candles("INFY", "nse", "1m", None, None)) == 5
    assert len(query.get_candles("INFY", "nse", "1m", "0001-01-01", "9999-12-31")) == 5


def test_an_interval_that_ends_before_it_starts_is_refused_with_both_ends(query):
    with pytest.raises(BadBounds, match=r"2026-02-04.*2026-02-03"):
        query.get_candles("INFY", "nse", "1m", "2026-02-04", "2026-02-03")


@pytest.mark.parametrize("start", ["yesterday", 1.5, True, pd.NaT, np.datetime64("NaT"), b"2026", [1]], ids=repr)
def test_what_is_no_time_is_refused(query, start):
    with pytest.raises(BadBounds, match="expected a datetime"):
        query.get_candles("INFY", "nse", "1m", start, None)


@pytest.mark.parametrize("symbol", ["../etc", "A'B", 'A"; DROP', "A\0B", "", "A" * 65, "A/B"])
def test_a_symbol_no_exchange_lists_is_refused(query, symbol):
    with pytest.raises(UnsafeName, match="symbol"):
        query.get_candles(symbol, "nse", "1m", MONDAY, TUESDAY)


def test_exchange_timeframe_output_and_root_are_checked(data_root, query, tmp_path):
    with pytest.raises(UnsafeName, match="exchange"):
        query.get_candles("INFY", "../x", "1m", MONDAY, TUESDAY)
    with pytest.raises(UnsafeName, match="timeframe"):
        query.get_candles("INFY", "nse", "2m", MONDAY, TUESDAY)
    with pytest.raises(Refused, match="output 'csv'"):
        query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY, output="csv")
    with MarketDataQuery(stores(tmp_path / "nowhere")) as lost, pytest.raises(FileNotFoundError, match="nowhere"):
        lost.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY)


# -- ticks


def test_ticks_of_one_instant_stay_apart_and_in_order(data_root, query):
    moment = at_us(MONDAY, OPEN_MINUTE)
    close_day(data_root, MONDAY, [tick("INFY", moment, seq, 100.0 + seq) for seq in (3, 1, 2)], None)
    capture(data_root, ticks=[tick("INFY", at_us(TUESDAY, OPEN_MINUTE), seq) for seq in (5, 4, 5)])

    found = query.get_ticks("INFY", "nse", MONDAY, WEDNESDAY)

    assert list(found.columns) == TICK_COLUMNS
    assert list(found["seq"]) == [1, 2, 3, 4, 5]  # the repeat in the buffer counts once
    assert found["ask"].isna().all()


# -- longer bars


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


# -- what is there


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


# -- damage


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoiled_rows(path: Path) -> None:
    """Damage that opening does not notice: the header and the file's end are whole."""
    data = bytearray(path.read_bytes())
    for at in range(3 * 4096 + 100, len(data) - 300_000, 997):
        data[at] ^= 0xFF
    path.write_bytes(data)


def without_its_table(path: Path) -> None:
    other = close_day(path.parent / "elsewhere", MONDAY, [tick("INFY", at_us(MONDAY, OPEN_MINUTE), 1)], None)
    path.unlink()
    shutil.move(other, path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nothing.duckdb")


@pytest.mark.parametrize("spoil", [garbage, truncated, empty, a_directory, spoiled_rows, without_its_table, dangling])
def test_a_damaged_day_is_named_and_never_left_out(data_root, spoil):
    """Fewer rows would look like a quiet market."""
    rows = minutes("INFY", MONDAY) + [row for n in range(120) for row in minutes(f"S{n:03d}", MONDAY)]
    path = close_day(data_root, MONDAY, rows)
    close_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 2))
    path.chmod(0o600)
    spoil(path)

    with MarketDataQuery(stores(data_root)) as query:
        with pytest.raises(StoreCorrupt, match=str(path)):
            query.get_candles_many(["INFY", *(f"S{n:03d}" for n in range(120))], "nse", "1m", MONDAY, WEDNESDAY)

        assert len(query.get_candles("INFY", "nse", "1m", TUESDAY, WEDNESDAY)) == 2


def test_damage_among_warm_days_is_found_and_the_query_survives_it(data_root, query):
    """Read once, spoiled, evicted, read again: the error names the file, and other days still answer."""
    days = [MONDAY + timedelta(days=n) for n in range(5)]
    paths = [close_day(data_root, day, minutes("INFY", day, 20)) for day in days]
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, "2026-02-09")) == 100

    replacement = paths[2].with_suffix(".new")
    garbage(replacement)
    replacement.rename(paths[2])

    with pytest.raises(StoreCorrupt, match=str(paths[2])):
        query.get_candles("INFY", "nse", "1m", MONDAY, "2026-02-09")
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)) == 40


@pytest.mark.parametrize("spoil", [garbage, truncated, empty])
def test_damaged_archive_is_named(data_root, query, spoil):
    folder = archive_day(data_root, MONDAY, minutes("INFY", MONDAY), parts=2)
    spoil(folder / "part-1.parquet")

    with pytest.raises(StoreCorrupt, match=str(folder / "part-1.parquet")):
        query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY)


def test_a_link_out_of_the_data_root_is_refused(data_root, query, tmp_path):
    outside = close_day(tmp_path / "outside", MONDAY, minutes("INFY", MONDAY, 2))
    inside = close_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 2))
    (inside.parent / outside.name).symlink_to(outside)

    with pytest.raises(UnsafeName, match="leads out of the data root"):
        query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)


# -- limits and sharing


def test_more_days_than_may_be_attached_are_read_in_turns(data_root):
    days = [MONDAY + timedelta(days=n) for n in range(12)]
    for day in days:
        close_day(data_root, day, minutes("INFY", day, 2))

    with MarketDataQuery(stores(data_root, attached_days_max=5)) as query:
        for _ in range(2):
            found = query.get_candles("INFY", "nse", "1m", MONDAY, "2026-02-14")
            assert moments(found) == [at_us(day, OPEN_MINUTE + n) for day in days for n in range(2)]
            assert query.days_attached <= 5


def test_threads_share_one_query(data_root, query):
    for n in range(8):
        day = MONDAY + timedelta(days=n)
        close_day(data_root, day, [row for s in range(4) for row in minutes(f"S{s}", day, 5 + s)])

    def ask(number):
        symbol = number % 4
        found = query.get_candles(f"S{symbol}", "nse", "1m", MONDAY, MONDAY + timedelta(days=1 + number % 8))
        return len(found) == (5 + symbol) * (1 + number % 8)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, range(120)))


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_closing_lets_go_of_every_file_and_thread(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(30):
        close_day(data_root, MONDAY + timedelta(days=n), minutes("INFY", MONDAY + timedelta(days=n), 1))
    before = open_files(), threading.active_count()

    query = MarketDataQuery(stores(data_root))
    assert len(query.get_candles("INFY", "nse", "1m", None, None)) == 30
    query.close()

    assert open_files() <= before[0]
    assert threading.active_count() == before[1]
    assert not (tmp_path / ".tmp").exists()
    with pytest.raises(Refused, match="closed"):
        query.get_candles("INFY", "nse", "1m", None, None)


def test_too_little_memory_is_refused_in_words(data_root):
    rows = [row for n in range(200) for row in minutes(f"S{n:03d}", MONDAY)]
    close_day(data_root, MONDAY, rows)

    with (
        MarketDataQuery(stores(data_root, memory_max_mib=1)) as query,
        pytest.raises(Refused, match=r"query\.memory_max_mib"),
    ):
        query.get_candles_many([f"S{n:03d}" for n in range(200)], "nse", "1m", MONDAY, TUESDAY)


def test_last_candles_looks_back_as_far_as_it_must(data_root, query):
    """A symbol that seldom trades has its last candles weeks ago."""
    for n in range(23):
        day = MONDAY + timedelta(days=n)
        rare = minutes("RARE", day, 1) if n % 10 == 0 else []
        close_day(data_root, day, minutes("INFY", day, 4) + rare)

    assert len(query.last_candles("RARE", "nse", "1m", 2)) == 2
    assert moments(query.last_candles("RARE", "nse", "1m", 99)) == [
        at_us(MONDAY + timedelta(days=n), OPEN_MINUTE) for n in (0, 10, 20)
    ]
    assert moments(query.last_candles("INFY", "nse", "1m", 3, before=TUESDAY)) == [
        at_us(MONDAY, OPEN_MINUTE + n) for n in (1, 2, 3)
    ]
    assert query.last_candles("INFY", "nse", "1m", 0).empty
    assert moments(query.last_candles("INFY", "nse", "1d", 1)) == [at_us(MONDAY + timedelta(days=22), 0)]
    with pytest.raises(Refused, match="count -1"):
        query.last_candles("INFY", "nse", "1m", -1)
