"""B8: figures, optimising, export and import, store by store, through the command as an operator types it."""

from __future__ import annotations

import json
import sqlite3
from datetime import date, timedelta

import duckdb
import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, MarketDataQuery, Role, Store
from libs.dbaccess.layout import SQLITE_STORES, Layout, closed_days
from libs.dbaccess.roles import OWNERS
from tests.kit.commands import fleet_here
from tests.kit.market_days import MONDAY, OPEN_MINUTE, archive_day, at_us, capture, close_day, minutes, tick
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import copy_of, copy_stores

DAYS = [date(2026, 2, 2), date(2026, 2, 3)]
HOLD = """
    import sys
    from libs.dbaccess import DatabaseManager, Store
    with DatabaseManager(sys.argv[1], sys.argv[2]).writer_session(Store(sys.argv[3])):
        print("in", flush=True)
        sys.stdin.read()
"""


def bars(day: date) -> pd.DataFrame:
    times = pd.date_range(f"{day} 09:15", periods=5, freq="min", tz="Asia/Kolkata")
    return pd.DataFrame(
        {"symbol": "TCS", "timeframe": "1m", "timestamp": times, "open": 1.5, "high": 2.5, "low": 1.0, "close": 2.0,
         "volume": 7}
    )  # fmt: skip


@pytest.fixture
def root(data_root):
    """Every store, something in the config store, two closed days."""
    return copy_of(fill, data_root)


def fill(root):
    copy_stores(root)
    with DatabaseManager(root, Role.API).config_writer() as connection:
        connection.execute("INSERT INTO roles VALUES ('it''s; -- odd', 'line\nbreak \" quote')")
    db = DatabaseManager(root, Role.INGESTOR)
    for day in DAYS:
        with db.historical_writer("nse", "candles", "1m", day) as writer:
            writer.append(bars(day))


def run(root, *words, code=0):
    done = fleet_here("db", *words, TRADEFLEET_DATA=str(root))
    assert done.returncode == code, done.stdout + done.stderr
    return done


def dump_of(root, store):
    with DatabaseManager(root).reader(store) as connection:
        connection.set_authorizer(None)
        return list(connection.iterdump())


def rows_of(root, store):
    """Every row of every table; the statistics ANALYZE makes are not the store's."""
    return [line for line in dump_of(root, store) if line.startswith("INSERT") and "sqlite_stat" not in line]


@pytest.mark.parametrize("store", SQLITE_STORES)
def test_sql_goes_out_and_comes_back_the_same(root, tmp_path, store):
    before = dump_of(root, store)
    out = tmp_path / "store.sql"
    run(root, "export", store.value, "--out", out)
    Layout(root).store(store).unlink()
    run(root, "import", store.value, out)

    assert dump_of(root, store) == before
    assert out.stat().st_mode & 0o777 == 0o600


def test_import_keeps_what_it_replaces(root, tmp_path):
    out = tmp_path / "config.sql"
    run(root, "export", "config", "--out", out)
    with DatabaseManager(root, Role.API).config_writer() as connection:
        connection.execute("INSERT INTO roles VALUES ('newer', 'than the dump')")
    kept = json.loads(run(root, "import", "config", out, "--json").stdout)["kept"]

    assert not any("than the dump" in line for line in dump_of(root, Store.CONFIG))
    with sqlite3.connect(kept) as connection:
        assert connection.execute("SELECT count(*) FROM roles WHERE role = 'newer'").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize(
    "text",
    ["no sql at all", "CREATE TABLE x (a);", "ATTACH 'elsewhere.db' AS other;", "", "SELECT load_extension('x');"],
)
def test_what_is_no_dump_of_the_store_replaces_nothing(root, tmp_path, text):
    source = tmp_path / "bad.sql"
    source.write_text(text)
    before = dump_of(root, Store.CONFIG)
    done = run(root, "import", "config", source, code=1)

    assert str(source) in done.stderr
    assert dump_of(root, Store.CONFIG) == before
    assert not [path.name for path in (root / "config").iterdir() if "import" in path.name or "replaced" in path.name]


def test_dump_of_another_store_is_refused(root, tmp_path):
    out = tmp_path / "signals.sql"
    run(root, "export", "signals", "--out", out)

    assert "is no dump of the config store" in run(root, "import", "config", out, code=1).stderr


@pytest.mark.parametrize("point", ["replace.rename.before", "replace.rename.after"])
def test_import_killed_between_the_renames_loses_nothing(root, tmp_path, point):
    out = tmp_path / "config.sql"
    run(root, "export", "config", "--out", out)
    before = dump_of(root, Store.CONFIG)
    code = "import sys\nfrom cli.main import main\nsys.exit(main(sys.argv[1:]))"
    done = run_code(code, "db", "import", "config", out, TRADEFLEET_DATA=str(root), TRADEFLEET_CRASH_AT=point)
    assert done.returncode == -9, done.stderr
    if point.endswith("before"):
        assert [path for path in (root / "config").iterdir() if "replaced" in path.name]
        run(root, "import", "config", out)

    assert dump_of(root, Store.CONFIG) == before


def test_export_never_overwrites(root, tmp_path):
    out = tmp_path / "there.sql"
    out.write_text("mine")
    run(root, "export", "config", "--out", out, code=1)

    assert out.read_text() == "mine"


def test_parquet_goes_out_and_comes_back_the_same(root, tmp_path, data_root):
    run(root, "export", "market", "--out", tmp_path / "out")
    other = tmp_path / "other"
    copy_stores(other)
    first = run(other, "import", "market", tmp_path / "out")
    again = run(other, "import", "market", tmp_path / "out")

    assert "2 days closed, 0 already there" in first.stdout
    assert "0 days closed, 2 already there" in again.stdout
    for day in DAYS:
        frames = []
        for each in (root, other):
            with DatabaseManager(each).historical_reader("nse", "candles", "1m", day) as connection:
                frames.append(connection.sql("SELECT * FROM candles").df())
        pd.testing.assert_frame_equal(*frames)
    assert (other / "market_data/nse/candles/1m/2026-02-02.duckdb").stat().st_mode & 0o777 == 0o444


def test_day_that_differs_is_refused_and_named(root, tmp_path):
    run(root, "export", "market", "--out", tmp_path / "out")
    other = tmp_path / "other"
    copy_stores(other)
    with DatabaseManager(other, Role.INGESTOR).historical_writer("nse", "candles", "1m", DAYS[1]) as writer:
        writer.append(bars(DAYS[1]).assign(volume=8))
    done = run(other, "import", "market", tmp_path / "out", code=1)

    assert "2026-02-03.duckdb" in done.stderr
    assert [day for day, _ in closed_days(Layout(other).series("nse", "candles", "1m"))] == DAYS


@pytest.mark.parametrize("store", [*(store.value for store in SQLITE_STORES), "market", "live"])
def test_figures_and_verdict_of_each_store(root, store):
    figures = json.loads(run(root, "stats", store, "--json").stdout)["figures"]
    verdict = json.loads(run(root, "verify", store, "--json").stdout)

    assert figures
    assert all(each["bytes"] >= 0 for each in figures)
    assert verdict["sound"] is True
    assert run(root, "stats", store).stdout
    assert run(root, "verify", store).stdout


def test_figures_of_market_count_rows_and_files(root):
    (figure,) = (each for each in json.loads(run(root, "stats", "market", "--json").stdout)["figures"] if each["rows"])

    assert (figure["subject"], figure["rows"], figure["files"]) == ("nse/candles/1m", 10, 2)


def test_verify_exits_1_on_damage_and_4_when_there_is_nothing(root):
    path = Layout(root).day("nse", "candles", "1m", DAYS[0])
    path.chmod(0o644)
    path.write_bytes(b"damaged" * 1000)
    path.chmod(0o444)
    run(root, "verify", "market", code=1)
    Layout(root).store(Store.CONFIG).unlink()
    run(root, "verify", "config", code=4)


def test_optimize_gives_room_back_and_keeps_every_row(root):
    with DatabaseManager(root, Role.API).config_writer() as connection:
        connection.executemany(
            "INSERT INTO roles VALUES (?, ?)", [(f"role {number}", "x" * 500) for number in range(5000)]
        )
    with DatabaseManager(root, Role.API).config_writer() as connection:
        connection.execute("DELETE FROM roles WHERE role LIKE 'role %'")
    before = rows_of(root, Store.CONFIG)
    result = json.loads(run(root, "optimize", "config", "--json").stdout)

    assert result["bytes_after"] < result["bytes_before"] / 2
    assert rows_of(root, Store.CONFIG) == before
    run(root, "optimize", "live")


@pytest.mark.parametrize("store", SQLITE_STORES)
@pytest.mark.parametrize("action", ["optimize", "import"])
def test_living_owner_is_not_pushed_aside(root, tmp_path, store, action):
    """Exit 3: refused by ownership or lock."""
    out = tmp_path / "dump.sql"
    run(root, "export", store.value, "--out", out)
    with running_code(HOLD, root, OWNERS[store].value, store.value) as owner:
        first_line(owner)
        done = run(root, action, store.value, *([out] if action == "import" else []), code=3)

    assert str(owner.pid) in done.stderr


def test_readers_and_the_command_read_beside_a_writer(root):
    """The command, a long-lived reader and the owner share a store; nobody waits for anybody."""
    with (
        running_code(HOLD, root, "api", "config") as owner,
        DatabaseManager(root).config_reader() as reader,
    ):
        first_line(owner)
        assert reader.execute("SELECT count(*) FROM roles").fetchone() == (3,)
        run(root, "stats", "config")
        run(root, "verify", "config")
        assert reader.execute("SELECT count(*) FROM roles").fetchone() == (3,)


@pytest.mark.parametrize("words", [[], ["stats"], ["stats", "nothing"], ["export", "config"], ["optimize", "market"]])
def test_wrong_usage_exits_2(root, words):
    assert run(root, *words, code=2).stderr


def test_missing_root_exits_4(tmp_path):
    done = run(tmp_path / "nowhere", "stats", "config", code=4)

    assert "nowhere" in done.stderr


def summary(path):
    sql = f"SELECT count(*), min(symbol), count(DISTINCT epoch_us(timestamp::TIMESTAMPTZ)) FROM '{path}'"
    with duckdb.connect() as connection:  # the one of the process would keep what is left unread for the next test
        return connection.execute(sql).fetchone()


def test_any_range_of_market_data_is_exported_wherever_it_lies(data_root, tmp_path):
    """A day each hot, archived and live; what is outside the range stays out; CSV reads back as the same rows."""
    copy_stores(data_root)
    friday, tuesday = MONDAY - timedelta(days=3), MONDAY + timedelta(days=1)
    close_day(data_root, friday - timedelta(days=1), minutes("TCS", friday - timedelta(days=1), 2))
    archive_day(data_root, friday, minutes("TCS", friday, 3), parts=2)
    close_day(data_root, MONDAY, minutes("TCS", MONDAY, 4))
    capture(data_root, minutes("TCS", tuesday, 5), [tick("TCS", at_us(tuesday, OPEN_MINUTE), seq) for seq in (1, 2)])
    span = ("--from", friday, "--to", tuesday)
    run(data_root, "export", "market", *span, "--format", "csv", "--out", tmp_path / "csv")
    run(data_root, "export", "market", *span, "--out", tmp_path / "parquet")

    for form in ("csv", "parquet"):
        found = {
            path.relative_to(tmp_path / form).with_suffix("").as_posix(): summary(path)
            for path in (tmp_path / form).rglob("*.*")
        }
        assert found == {
            f"nse/candles/1m/{friday}": (3, "TCS", 3), f"nse/candles/1m/{MONDAY}": (4, "TCS", 4),
            f"nse/candles/1m/{tuesday}": (5, "TCS", 5), f"nse/ticks/{tuesday}": (2, "TCS", 1),
        }  # fmt: skip
    other = tmp_path / "other"
    copy_stores(other)
    run(other, "import", "market", tmp_path / "parquet", code=0)
    with MarketDataQuery(DatabaseManager(other)) as query:
        assert len(query.get_candles("TCS", "nse", "1m", friday, tuesday + timedelta(days=1))) == 12


def test_a_damaged_day_is_named_by_an_export(data_root, tmp_path):
    """One that opens and cannot be read to its end, and an archived one; neither leaves half a file."""
    copy_stores(data_root)
    tuesday = MONDAY + timedelta(days=1)
    (archived,) = archive_day(data_root, MONDAY, minutes("TCS", MONDAY, 3)).iterdir()
    hot = close_day(data_root, tuesday, minutes("TCS", tuesday, 300))
    for path, first, last in ((archived, 4, 60), (hot, 12_400, 12_500)):  # neither is noticed by opening
        data = bytearray(path.read_bytes())
        data[first:last] = bytes(each ^ 0xFF for each in data[first:last])
        path.chmod(0o600)
        path.write_bytes(data)
    for day, path in ((MONDAY, archived), (tuesday, hot)):
        out = tmp_path / day.isoformat()
        done = fleet_here(
            "db", "export", "market", "--from", day, "--to", day, "--out", out, "--data-root", data_root
        )  # fmt: skip

        assert done.returncode == 1
        assert f"fleet: {path}: " in done.stderr
        assert [each for each in out.rglob("*") if each.is_file()] == []
