"""C6: a day goes to the archive verified, is read as before, and whatever is killed when, it is never in no place."""

from __future__ import annotations

import json
import random
import threading
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from libs.core.clock import day_start_us
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role, Store, WriterLock
from libs.dbaccess.archive import archive_days
from libs.dbaccess.backup import BackupManager, list_copies, restore_market
from libs.dbaccess.health import HealthCheck
from libs.dbaccess.layout import Layout, closed_days
from libs.dbaccess.queries import sql_door
from libs.dbaccess.queries.engine import Engine
from tests.kit.clock import ManualClock
from tests.kit.commands import fleet_here
from tests.kit.market_days import MONDAY, at_us, close_day, minutes, tick
from tests.kit.processes import run_code
from tests.kit.roots import copy_of, copy_stores, settings

#: A year and more after the days below.
LATER = date(2027, 6, 1)
TUESDAY, RECENT = date(2026, 2, 3), date(2027, 5, 3)
#: Each is verified: on a slow machine they would hold up what they are made beside, and that them, without an end.
COPIES_MAX = 3
ARCHIVE = """
    import sys
    from datetime import date
    from libs.core.clock import day_start_us
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.archive import archive_days
    from tests.kit.clock import ManualClock
    clock = ManualClock(day_start_us(date(2027, 6, 1)))
    archive_days(DatabaseManager(sys.argv[1], Role.INGESTOR, clock=clock), report=lambda *_: None)
"""


def three_days(root) -> None:
    copy_stores(root)
    rng = random.Random(3)
    for day in (MONDAY, TUESDAY, RECENT):
        rows = [each for symbol in ("TCS", "INFY", "M&M") for each in minutes(symbol, day, 30)]
        close_day(root, day, rows)
        ticks = [tick(rng.choice(("TCS", "INFY")), at_us(day, 555 + n // 10), n, 100.0 + n % 7) for n in range(300)]
        close_day(root, day, ticks, None)


@pytest.fixture
def root(data_root):
    return copy_of(three_days, data_root)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """What every root holds before anything is moved."""
    return everything(copy_of(three_days, tmp_path_factory.mktemp("archive") / "data"))


def owner(root, **environment) -> DatabaseManager:
    clock = ManualClock(day_start_us(LATER))
    return DatabaseManager(root, Role.INGESTOR, clock=clock, settings=settings(**environment))


def quiet(done, total, what):
    pass


def everything(root) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list]:
    db = DatabaseManager(root)
    with MarketDataQuery(db) as query:
        candles = query.get_candles(["INFY", "M&M", "TCS"], "nse", "1m", None, None)
        hours = query.get_candles(["INFY", "TCS"], "nse", "1h", None, None)
        ticks = query.get_ticks(["INFY", "TCS"], "nse", None, None)
    with sql_door(db, "SELECT symbol, count(*), sum(volume) FROM ticks GROUP BY symbol ORDER BY symbol") as opened:
        summed = [row for batch in opened.batches for row in batch.to_pylist()]
    return candles, hours, ticks, summed


def assert_same(root, before):
    for found, expected in zip(everything(root), before, strict=True):
        if isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(found, expected)
        else:
            assert found == expected
    assert len(before[0]) == 270
    assert len(before[2]) == 900


def hot(root) -> list[str]:
    return sorted(
        path.relative_to(root / "market_data/nse").as_posix() for path in root.rglob("market_data/nse/*/**/20*.duckdb")
    )


def test_old_days_move_and_callers_see_no_change(root, before):
    with MarketDataQuery(DatabaseManager(root)) as warm:
        warm.get_ticks("TCS", "nse", None, None)
        report = archive_days(owner(root), report=quiet)
        after_in_a_warm_query = warm.get_ticks(["INFY", "TCS"], "nse", None, None)

    assert [(each.series, each.day) for each in report.days] == [
        ("nse/candles/1m", "2026-02-02"), ("nse/candles/1m", "2026-02-03"),
        ("nse/ticks", "2026-02-02"), ("nse/ticks", "2026-02-03")]  # fmt: skip
    assert hot(root) == ["candles/1m/2027-05-03.duckdb", "ticks/2027-05-03.duckdb"]
    assert_same(root, before)
    pd.testing.assert_frame_equal(after_in_a_warm_query, before[2])
    part = Layout(root).market / "nse/archive/ticks/date=2026-02-02/part-0.parquet"
    assert part.stat().st_mode & 0o777 == 0o444
    with duckdb.connect() as connection:
        listed = connection.execute(f"SELECT symbol, timestamp FROM read_parquet('{part}')").fetchall()
        encodings = connection.execute(
            "SELECT encodings FROM parquet_metadata(?) WHERE path_in_schema = 'seq'", [str(part)]
        ).fetchall()
    assert listed == sorted(listed)
    assert encodings == [("DELTA_BINARY_PACKED",)]
    assert pq.read_table(part, columns=["symbol", "seq"]).num_rows == len(listed)  # tools of others read it too
    check = HealthCheck(root, settings=settings())
    assert check.run_all(deep=True), [each for each in check.findings if each.state != "green"]
    assert archive_days(owner(root), report=quiet).days == []


def test_footers_are_kept_by_every_cursor_that_reads():
    engine = Engine(settings().query)
    try:
        kept = [
            each.execute("SELECT current_setting('parquet_metadata_cache')").fetchall() for each in engine._all_cursors
        ]
    finally:
        engine.close()

    assert kept == [[(True,)]] * settings().query.threads_max


def test_what_was_archived_in_version_1_of_the_format_is_read_and_verified(root, before):
    """A folder from before the upgrade: the run that wrote it was killed, so its day is compared and then removed."""
    for day in ("2026-02-02", "2026-02-03"):
        hot_day = Layout(root).day("nse", "ticks", None, date.fromisoformat(day))
        part = Layout(root).market / f"nse/archive/ticks/date={day}/part-0.parquet"
        part.parent.mkdir(parents=True, mode=0o700)
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH '{hot_day}' AS day (READ_ONLY)")
            connection.execute(
                f"COPY (FROM day.ticks ORDER BY symbol, timestamp, seq) TO '{part}'"
                " (FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, ROW_GROUP_SIZE 2048)"
            )
        part.chmod(0o444)
        written = part.read_bytes()
    archive_days(owner(root), report=quiet)

    assert part.read_bytes() == written
    assert_same(root, before)
    assert hot(root) == ["candles/1m/2027-05-03.duckdb", "ticks/2027-05-03.duckdb"]


POINTS = [f"archive.{step}.{when}" for step in ("rename", "remove") for when in ("before", "after")]
#: Each point once in `make test`, at the first day or a later one; all of them at every day in `make matrix`.
KILLS = [
    pytest.param(point, hit, marks=() if hit == 1 + 2 * (number % 2) else pytest.mark.matrix)
    for number, point in enumerate(POINTS)
    for hit in (1, 2, 3, 4)
]


@pytest.mark.parametrize(("point", "hit"), KILLS)
def test_killed_archive_loses_and_doubles_nothing(root, before, point, hit):
    killed = run_code(ARCHIVE, root, TRADEFLEET_CRASH_AT=f"{point}:{hit}")
    assert killed.returncode == -9, killed.stderr
    assert_same(root, before)

    archive_days(owner(root), report=quiet)
    assert_same(root, before)
    assert hot(root) == ["candles/1m/2027-05-03.duckdb", "ticks/2027-05-03.duckdb"]
    assert not list(root.rglob("*.staged"))
    assert HealthCheck(root, settings=settings()).run_all(deep=True)


def test_whoever_reads_while_days_move_sees_every_row(root):
    """Days go away between a reader's listing and its opening; it looks again, and neither loses nor doubles one."""
    for number in range(4):
        day = MONDAY.replace(day=9 + number)
        close_day(root, day, [tick("TCS", at_us(day, 556), each, 7.0) for each in range(50)], None)
    moving = threading.Thread(target=archive_days, args=(owner(root),), kwargs={"report": quiet})
    counts, rounds = set(), 0
    with MarketDataQuery(DatabaseManager(root)) as query:
        moving.start()
        while moving.is_alive() or not rounds:
            rounds += 1
            with sql_door(DatabaseManager(root), "SELECT count(*) AS rows FROM ticks") as opened:
                counts |= {row["rows"] for batch in opened.batches for row in batch.to_pylist()}
            counts.add(len(query.get_ticks(["INFY", "TCS"], "nse", None, None)))
        moving.join()

    assert counts == {900 + 4 * 50}
    assert hot(root) == ["candles/1m/2027-05-03.duckdb", "ticks/2027-05-03.duckdb"]


def test_a_copy_made_while_days_move_and_close_is_whole(root, tmp_path):
    """Days go to the archive and new ones are closed under the copy's feet; each copy restores to a sound store."""
    days = [MONDAY.replace(day=number) for number in range(9, 13)]
    for day in days[:2]:
        close_day(root, day, [tick("TCS", at_us(day, 556), each, 7.0) for each in range(50)], None)
    first = len(ticks_of(root))

    def move() -> None:
        for day in days[2:]:
            close_day(root, day, [tick("TCS", at_us(day, 556), each, 7.0) for each in range(50)], None)
        archive_days(owner(root), report=quiet)

    def copy(number: int) -> Path:
        return BackupManager(root).backup_market_data(LATER + timedelta(days=number))

    moving = threading.Thread(target=move)
    moving.start()
    copies = [copy(0)]
    while moving.is_alive() and len(copies) < COPIES_MAX:
        copies.append(copy(len(copies)))
    moving.join()
    copies.append(copy(len(copies)))
    states = {each.state for each in list_copies(root / "backups", settings().sqlite, verify=True)}
    rows = []
    for number, copy in enumerate((copies[0], copies[-1])):
        other = tmp_path / f"other{number}"
        copy_stores(other)
        restore_market(owner(other), copy, report=quiet)
        assert HealthCheck(other, settings=settings()).run_all(deep=True)
        rows.append(ticks_of(other))

    assert states == {"whole"}
    assert first <= len(rows[0]) <= first + 2 * 50
    assert not rows[0].duplicated().any()
    pd.testing.assert_frame_equal(rows[1], ticks_of(root))
    assert len(rows[1]) == first + 2 * 50


def ticks_of(root) -> pd.DataFrame:
    with MarketDataQuery(DatabaseManager(root)) as query:
        return query.get_ticks(["INFY", "TCS"], "nse", None, None)


def test_what_differs_stays_hot_and_is_named(root):
    """An archive folder that is not the day's equal, left by whoever, never costs the day."""
    archive_days(owner(root), report=quiet)
    folder = Layout(root).market / "nse/archive/ticks/date=2026-02-02"
    close_day(root, MONDAY, [tick("TCS", at_us(MONDAY, 556), 1, 7.0)], None)
    report = archive_days(owner(root), report=quiet)

    assert [each.day for each in report.days if "TCS" in each.problem] == ["2026-02-02"]
    assert "ticks/2026-02-02.duckdb" in hot(root)
    assert any(folder.iterdir())


def test_damage_in_the_archive_is_named_and_comes_back_from_a_copy(root, before):
    archive_days(owner(root), report=quiet)
    copy = BackupManager(root).backup_market_data(date(2027, 5, 31))
    part = Layout(root).market / "nse/archive/candles/1m/date=2026-02-03/part-0.parquet"
    data = part.read_bytes()
    part.unlink()
    part.write_bytes(data[: len(data) // 2])
    check = HealthCheck(root, settings=settings())
    assert not check.run_all()
    assert [str(part.parent)] == [each.subject for each in check.findings if each.state == "error"]

    restore_market(DatabaseManager(root, Role.INGESTOR), copy, report=quiet)
    assert_same(root, before)


def test_the_command_says_what_would_happen_and_waits_for_no_owner(root):
    days = ("--data-root", root, "--json")
    limits = {"TRADEFLEET_ARCHIVE_TICKS_HOT_DAYS": "1", "TRADEFLEET_ARCHIVE_MINUTES_HOT_DAYS": "1"}
    with WriterLock(Layout(root).lock(Store.LIVE)):
        dry = fleet_here("archive", "--dry-run", *days, **limits)
        refused = fleet_here("archive", *days, **limits)
    assert (dry.returncode, refused.returncode) == (0, 3), dry.stderr
    assert len(hot(root)) == 6

    planned, done = json.loads(dry.stdout), json.loads(fleet_here("archive", *days, **limits).stdout)
    assert [each["day"] for each in planned["days"]] == [each["day"] for each in done["days"]]
    assert done["days"]
    assert planned["bytes_freed"] == pytest.approx(done["bytes_freed"], rel=0.5)


def test_a_damaged_day_stays_hot_and_keeps_no_other(root):
    """Dry or not: it is named in the report, with exit 1, and the days after it are packed, or estimated."""
    hot = Layout(root).day("nse", "ticks", None, MONDAY)
    data = bytearray(hot.read_bytes())
    data[12_400:12_500] = bytes(each ^ 0xFF for each in data[12_400:12_500])
    hot.chmod(0o600)
    hot.write_bytes(data)
    hot.chmod(0o444)
    for words in (["--dry-run"], []):
        done = fleet_here("archive", *words, "--data-root", root, "--json", TRADEFLEET_ARCHIVE_TICKS_HOT_DAYS="1")
        days = {each["day"]: each for each in json.loads(done.stdout)["days"] if each["series"] == "nse/ticks"}

        assert done.returncode == 1
        assert str(hot) in days[MONDAY.isoformat()]["problem"]
        assert days[TUESDAY.isoformat()]["problem"] == ""
        assert days[TUESDAY.isoformat()]["bytes_after"] < days[TUESDAY.isoformat()]["bytes_before"]
    hot_days = {day for day, _ in closed_days(hot.parent)}
    assert (MONDAY in hot_days, TUESDAY in hot_days) == (True, False)
