"""B5: damage is named and never left out; many days, many threads, little memory."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from libs.core.errors import Refused
from libs.dbaccess import MarketDataQuery, StoreCorrupt, UnsafeName
from tests.kit.market_days import (
    MONDAY,
    OPEN_MINUTE,
    archive_day,
    at_us,
    candle,
    close_day,
    minutes,
    moments,
    stores,
    tick,
)

TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))


@pytest.fixture
def query(data_root):
    with MarketDataQuery(stores(data_root)) as query:
        yield query


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


def written_otherwise(path: Path, select: str) -> None:
    """Put what a SELECT of the day's candles gives in the place of the day."""
    new = path.with_suffix(".new")
    with duckdb.connect(str(new)) as connection:
        connection.execute(f"ATTACH '{path}' AS day (READ_ONLY)")
        connection.execute(f"CREATE TABLE candles AS {select}")
    new.replace(path)


@pytest.mark.parametrize("asked_before", [False, True])
def test_days_of_other_types_and_columns_are_read_as_they_are(data_root, query, asked_before):
    """Read together, days would all take the first one's types: here prices of seven digits."""
    paths = [close_day(data_root, MONDAY + timedelta(days=n), minutes("INFY", MONDAY + timedelta(days=n), 3))
             for n in range(3)]  # fmt: skip
    written_otherwise(paths[0], "SELECT * REPLACE (close::FLOAT AS close), 7 AS more FROM day.candles")
    written_otherwise(paths[1], "SELECT * REPLACE (100.123456789 AS close) FROM day.candles ORDER BY ALL")
    if asked_before:
        query.get_candles("INFY", "nse", "1m", MONDAY, THURSDAY)

    assert list(query.get_candles("INFY", "nse", "1m", MONDAY, THURSDAY)["close"]) == [
        100.0, 101.0, 102.0, *[100.123456789] * 3, 100.0, 101.0, 102.0,
    ]  # fmt: skip
    with MarketDataQuery(stores(data_root), days_at_once=10) as passing:
        (columns,) = passing.candle_columns(["INFY"], "nse", "1m", MONDAY, THURSDAY)
    assert columns.close.tolist() == [100.0, 101.0, 102.0, *[100.123456789] * 3, 100.0, 101.0, 102.0]


@pytest.mark.parametrize("number", [0, 1])
def test_a_day_without_a_column_is_named(data_root, query, number):
    """Its prices are not missing: they were never looked for."""
    paths = [close_day(data_root, day, minutes("INFY", day, 3)) for day in (MONDAY, TUESDAY)]
    written_otherwise(paths[number], "SELECT * EXCLUDE (high) FROM day.candles")

    with pytest.raises(StoreCorrupt, match=f"(?s){paths[number]}.*high"):
        query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)


def test_a_data_root_that_looks_like_a_pattern_is_no_pattern(tmp_path):
    """DuckDB takes a path it reads for a pattern, and the folder beside it fits this one."""
    for name, price in (("da[tu]a*", 1.0), ("data1", 2.0)):
        close_day(tmp_path / name, MONDAY, [candle("INFY", at_us(MONDAY, OPEN_MINUTE), price)])

    with MarketDataQuery(stores(tmp_path / "da[tu]a*"), days_at_once=10) as query:
        assert [each.close.tolist() for each in query.candle_columns(["INFY"], "nse", "1m", None, None)] == [[1.0]]


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
