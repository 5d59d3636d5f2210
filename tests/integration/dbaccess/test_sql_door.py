"""The SQL door: one SELECT over everything, and no way from it to anything else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from cli.main import main
from libs.core.clock import SystemClock
from libs.dbaccess import StoreCorrupt, UnsafeName
from libs.dbaccess.queries import BadQuery, door, sql_door
from tests.kit.market_days import (
    MONDAY,
    OPEN_MINUTE,
    archive_day,
    at_us,
    candle,
    capture,
    close_day,
    minutes,
    stores,
    tick,
)
from tests.kit.paths import PROJECT
from tests.kit.processes import DEADLINE_S
from tests.kit.roots import copy_of

TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))


def three_places(root):
    archive_day(root, MONDAY, minutes("INFY", MONDAY, 4) + minutes("TCS", MONDAY, 2))
    close_day(root, TUESDAY, minutes("INFY", TUESDAY, 3))
    close_day(root, TUESDAY, [candle("INFY", at_us(TUESDAY, OPEN_MINUTE), timeframe="1h")], "1h")
    close_day(root, TUESDAY, [tick("INFY", at_us(TUESDAY, OPEN_MINUTE), n) for n in range(5)], None)
    capture(root, minutes("INFY", WEDNESDAY, 2), [tick("INFY", at_us(WEDNESDAY, OPEN_MINUTE), n) for n in range(6)])


@pytest.fixture
def market(data_root):
    """Minutes in all three places, hours, ticks."""
    return copy_of(three_places, data_root)


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory):
    """Ten days of minutes and five minutes."""
    root = tmp_path_factory.mktemp("ten-days")
    for day in (MONDAY + timedelta(days=n) for n in range(10)):
        close_day(root, day, minutes("INFY", day, 2))
        close_day(root, day, [candle("INFY", at_us(day, OPEN_MINUTE), timeframe="5m")], "5m")
    return root


def asked(root, sql, **narrowed):
    with sql_door(stores(root), sql, **narrowed) as opened:
        return [tuple(row.values()) for batch in opened.batches for row in batch.to_pylist()]


def files(root, sql, **narrowed):
    with sql_door(stores(root), sql, **narrowed) as opened:
        return opened.files


def test_views_unite_archive_history_and_today(market):
    assert asked(market, "SELECT exchange, timeframe, count(*)::INT FROM candles GROUP BY ALL ORDER BY ALL") == [
        ("nse", "1h", 1), ("nse", "1m", 11),
    ]  # fmt: skip
    assert asked(market, "SELECT count(*)::INT, count(DISTINCT timestamp::DATE)::INT FROM ticks") == [(11, 2)]
    assert asked(
        market, "SELECT count(*)::INT FROM candles c JOIN ticks t USING (symbol, timestamp) WHERE c.timeframe = '1m'"
    ) == [(11,)]


def test_views_are_there_when_there_is_nothing(data_root):
    assert asked(data_root, "SELECT * FROM candles") == []
    assert asked(data_root, "SELECT sum(volume_day) FROM ticks") == [(None,)]


def test_options_narrow_the_views(market):
    assert asked(market, "SELECT count(*)::INT FROM candles", start=TUESDAY, end=WEDNESDAY) == [(4,)]
    assert asked(market, "SELECT count(*)::INT FROM candles", symbols=["TCS"]) == [(2,)]
    with pytest.raises(UnsafeName, match="symbol"):
        asked(market, "SELECT 1", symbols=["x' OR 1=1 --"])


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM candles",
        "INSERT INTO candles SELECT * FROM candles",
        "CREATE TABLE t (a INT)",
        "ATTACH '/tmp/elsewhere.duckdb'",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "SET memory_limit = '1TB'",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "EXPLAIN SELECT 1",
        "LOAD httpfs",
        "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9'",
        "EXPORT DATABASE '/tmp/out'",
        "IMPORT DATABASE '/tmp/in'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SET VARIABLE a = 1",
        "PRAGMA enable_profiling",
        "USE memory",
        "DETACH day1",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "CHECKPOINT",
        "VACUUM",
        "CREATE SECRET s (TYPE s3)",
        "CREATE MACRO f() AS TABLE SELECT * FROM read_text('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW candles",
        "",
        "-- nothing",
        "SELEC 1",
    ],
)
def test_anything_but_one_select_is_refused(market, sql):
    with pytest.raises(BadQuery):
        asked(market, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{root}/secret.csv')",
        "SELECT * FROM read_text('{root}/secret.csv')",
        "SELECT * FROM '{root}/secret.csv'",
        "SELECT * FROM glob('{root}/*')",
        "SELECT * FROM read_parquet('{root}/*/*/*/*/*.parquet')",
        "SELECT * FROM read_blob('{root}/secret.csv')",
        "SELECT * FROM read_json_auto('{root}/secret.csv')",
        "SELECT * FROM sniff_csv('{root}/secret.csv')",
        "SELECT * FROM parquet_metadata('{root}/secret.csv')",
        "SELECT * FROM read_duckdb('{root}/backtest/runs/none.duckdb')",
        "SELECT * FROM sqlite_scan('{root}/config/config.db', 'users')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{root}/out.csv''')",
        "SELECT * FROM query_table('{root}/secret.csv')",
        "SELECT * FROM '{root}/config/config.db'",
        "SELECT * FROM 'http://127.0.0.1:9/secret.csv'",
        "FROM candles; COPY candles TO '{root}/out.csv'",
        "SELECT * FROM market",  # a Python variable of ours
        "WITH gone AS (DELETE FROM day1.candles RETURNING *) SELECT * FROM gone",
        "WITH added AS (INSERT INTO day1.candles SELECT * FROM day1.candles RETURNING *) SELECT * FROM added",
        "SELECT getenv('HOME')",
        "SELECT * FROM enable_logging(storage = 'file', storage_path = '{root}/log')",
        "SELECT * FROM enable_profiling(save_location = '{root}/profile')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{root}/secret.csv'')'))",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM duckdb_extensions()",
        "SELECT * FROM create_external_resource('a', MAP {{'b': 'c'}})",
        "SELECT no_such_column FROM candles",
        "SELECT 'x'::INT FROM candles",
    ],
)
def test_no_way_out_and_no_way_to_write(market, sql):
    """DuckDB calls a WITH that deletes a SELECT; the engine refuses it because the day is attached read-only."""
    (market / "secret.csv").write_text("a\n1\n")
    before = {path: path.stat().st_mtime_ns for path in market.rglob("*") if path.is_file()}

    with pytest.raises(BadQuery):
        asked(market, f"{sql.format(root=market)} /* candles */")
    assert {path: path.stat().st_mtime_ns for path in market.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("condition", "files_opened"),
    [
        ("true", 20),
        ("timeframe = '1m'", 10),
        ("timeframe IN ('5m', '1d')", 10),
        ("timeframe = '15m'", 0),
        ("exchange = 'bse'", 0),
        ("timeframe = '1m' AND timestamp >= '2026-02-09' AND timestamp < '2026-02-10'", 5),
        ("timeframe = '1m' AND timestamp::DATE = '2026-02-11'", 3),
        ("timeframe = '1m' AND timestamp BETWEEN TIMESTAMPTZ '2026-02-02' AND TIMESTAMPTZ '2026-02-03'", 3),
        ("timeframe = '1m' AND DATE '2026-02-02' > timestamp", 2),
        ("timeframe = '1m' AND timestamp >= now() - INTERVAL 3 DAY", 0),
        # Nothing is certain here:
        ("timeframe = '1m' OR timestamp > '2026-02-09'", 20),
        ("NOT timeframe = '1m'", 20),
        ("timeframe <> '1m'", 20),
        ("timestamp NOT BETWEEN '2026-02-02' AND '2026-02-03'", 20),
        ("timestamp + INTERVAL 9 DAY > '2026-02-12'", 20),
        ("timestamp > timestamp - INTERVAL 1 DAY", 20),
    ],
)
def test_days_that_cannot_matter_stay_closed(ten_days, condition, files_opened):
    """And the rows are those of a query that opens all."""
    sql = f"SELECT timestamp, timeframe FROM candles WHERE {condition} ORDER BY ALL"
    everything = f"SELECT timestamp, timeframe FROM (SELECT * FROM candles) WHERE {condition} ORDER BY ALL"

    assert files(ten_days, sql) == files_opened
    assert files(ten_days, everything) == 20
    assert asked(ten_days, sql) == asked(ten_days, everything)


def test_hints_hold_only_for_the_views_own_columns(data_root):
    """A second look at the view, or a column renamed to one of its names, must see every day."""
    for day in (MONDAY, MONDAY + timedelta(days=20)):
        close_day(data_root, day, minutes("INFY", day, 2))
    for sql in (
        "SELECT count(*)::INT FROM candles WHERE timestamp < '2026-02-03' AND symbol IN (SELECT symbol FROM candles)",
        "SELECT (SELECT count(*)::INT FROM candles) FROM candles WHERE timestamp < '2026-02-03' LIMIT 1",
        "SELECT close AS timeframe, 1 FROM candles WHERE timestamp < '2026-02-03'",
        "SELECT 1 FROM candles UNION ALL SELECT 2 FROM candles WHERE timestamp < '2026-02-03'",
        "SELECT 1 FROM candles AS c(a, b, c, timestamp) WHERE timestamp < '2026-02-03'",
    ):
        assert files(data_root, sql) == 2, sql


def test_a_damaged_day_is_named(market):
    path = close_day(market, THURSDAY, minutes("INFY", THURSDAY, 3))
    path.chmod(0o600)
    path.write_bytes(b"garbage" * 1000)

    with pytest.raises(StoreCorrupt, match=str(path)):
        asked(market, "SELECT count(*) FROM candles")


def test_limits_are_said_in_words(market):
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000) b"
    with (
        pytest.raises(BadQuery, match=r"query\.timeout_s = 1"),
        sql_door(stores(market, timeout_s=1), endless) as opened,
    ):
        list(opened.batches)
    with (
        pytest.raises(BadQuery, match=r"query\.memory_max_mib = 64"),
        sql_door(
            stores(market, memory_max_mib=64), "SELECT a, count(*) FROM range(50000000) t(a) GROUP BY a ORDER BY 2"
        ) as opened,
    ):
        list(opened.batches)
    with (
        pytest.raises(BadQuery, match="attached_days_max"),
        sql_door(stores(market, attached_days_max=1), "SELECT * FROM candles"),
    ):
        pass


# -- the commands


def run(*words):
    return main([str(word) for word in words])


def test_query_writes_every_format(market, tmp_path, capfd):
    sql = "SELECT symbol, timestamp, close FROM candles WHERE timeframe = '1m' ORDER BY symbol, timestamp"
    where = ("--data-root", market)

    assert run("query", sql, *where) == 0
    table = capfd.readouterr().out.splitlines()
    assert table[0].split() == ["symbol", "timestamp", "close"]
    assert table[1].split() == ["INFY", "2026-02-02", "09:15:00", "100.0"]  # IST on screens

    assert run("query", sql, *where, "--format", "json") == 0
    rows = json.loads(capfd.readouterr().out)
    assert len(rows) == 11
    assert rows[0] == {"symbol": "INFY", "timestamp": "2026-02-02T03:45:00Z", "close": 100.0}

    assert run("query", sql, *where, "--out", tmp_path / "rows.csv") == 0
    assert pa_csv.read_csv(tmp_path / "rows.csv").num_rows == 11
    assert run("query", sql, *where, "--out", tmp_path / "rows.parquet") == 0
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 11
    assert run("query", sql, *where, "--to", "2026-02-02", "--symbols", "TCS", "--format", "csv") == 0
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_query_that_fails_leaves_no_file(market, tmp_path, capfd):
    assert run("query", "SELECT nothing FROM candles", "--data-root", market, "--out", tmp_path / "rows.csv") == 1
    assert "nothing" in capfd.readouterr().err
    assert run("query", "SELECT error('late') FROM candles", "--data-root", market, "--out", tmp_path / "x.csv") == 1
    assert run("query", "SELECT 1", "--data-root", market, "--format", "parquet") == 2
    assert run("query", "SELECT 1", "--data-root", tmp_path / "nowhere") == 4
    assert list(tmp_path.glob("*.csv")) == []
    assert list(tmp_path.glob(".*.tmp")) == []


def test_candles_command(market, capfd):
    where = ("--data-root", market, "--format", "json")

    assert run("candles", "INFY", "--from", "2026-02-02", "--to", "2026-02-05", *where) == 0
    out, err = capfd.readouterr()
    assert len(json.loads(out)) == 9
    assert "not there: 1 of 4 trading days: 2026-02-05" in err

    assert run("candles", "INFY,TCS", "--to", "2026-02-02", *where) == 0
    assert len(json.loads(capfd.readouterr().out)) == 6
    assert run("candles", "INFY", "--last", "3", *where) == 0
    assert [row["close"] for row in json.loads(capfd.readouterr().out)] == [102.0, 100.0, 101.0]
    assert run("candles", "NONE", "--last", "3", *where) == 0
    assert json.loads(capfd.readouterr().out) == []
    assert run("candles", "../x", *where) == 2
    assert "symbol" in capfd.readouterr().err


def test_a_statement_that_heeds_nothing_ends_its_process(monkeypatch):
    """A function over one huge list is one block of rows, in which the engine hears no interrupt, for minutes."""
    release = threading.Event()

    def end(why: str) -> NoReturn:
        release.set()
        raise SystemExit(why)

    monkeypatch.setattr(door, "_HEEDS_S", 0.01)
    engine: Any = SimpleNamespace(interrupt=lambda: None)
    with ExitStack() as stack, pytest.raises(SystemExit, match="does not heed"):
        door._Patience(engine, SystemClock(), 0, stack, end).wait(release.wait)


def test_ctrl_c_stops_a_long_statement(market):
    """DuckDB itself does not look at signals: without care the terminal hangs until the statement is done."""
    words = ["query", "SELECT count(*) FROM range(1000000000) a, range(1000000) b", "--data-root", str(market)]
    code = "import sys, threading; print('up', flush=True); from cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=PROJECT, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        while process.poll() is None:
            os.kill(process.pid, signal.SIGINT)  # again: the first may come while modules are imported
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                continue
        assert process.wait(DEADLINE_S) != 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def by_symbol(data_root):
    """INFY on Tuesday, TCS on Wednesday, both on Thursday."""
    for day, symbols in ((TUESDAY, ["INFY"]), (WEDNESDAY, ["TCS"]), (THURSDAY, ["INFY", "TCS"])):
        close_day(data_root, day, [row for symbol in symbols for row in minutes(symbol, day, 2)])
    return data_root


def spoil(path, *, later_s=0):
    """Put bytes in a day's place that nobody can open, of the size and time of the day's own."""
    found = path.stat()
    path.chmod(0o600)
    path.write_bytes(b"x" * found.st_size)
    path.chmod(0o444)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + later_s * 1_000_000_000))


@pytest.mark.parametrize(
    ("condition", "symbols", "days"),
    [
        ("symbol = 'INFY'", [], {TUESDAY, THURSDAY}),
        ("symbol IN ('TCS', 'ACC') AND close > 0", [], {WEDNESDAY, THURSDAY}),
        ("true", ["TCS"], {WEDNESDAY, THURSDAY}),
        ("symbol = 'INFY'", ["TCS"], set()),
        ("symbol = 'NOSUCH'", [], set()),
        ("symbol <> 'INFY'", [], {TUESDAY, WEDNESDAY, THURSDAY}),
        ("symbol = 'INFY' OR close > 0", [], {TUESDAY, WEDNESDAY, THURSDAY}),
        ("upper(symbol) = 'INFY'", [], {TUESDAY, WEDNESDAY, THURSDAY}),
    ],
)
def test_days_without_the_symbol_are_not_opened(by_symbol, condition, symbols, days):
    """The others are made such that opening one fails."""
    sql = f"SELECT symbol, timestamp FROM candles WHERE {condition} ORDER BY ALL"
    expected = asked(by_symbol, f"SELECT * FROM ({sql.replace('candles', '(SELECT * FROM candles)')})", symbols=symbols)
    for day in {TUESDAY, WEDNESDAY, THURSDAY} - days:
        spoil(stores(by_symbol).layout.day("nse", "candles", "1m", day))

    assert files(by_symbol, sql, symbols=symbols) == len(days)
    assert asked(by_symbol, sql, symbols=symbols) == expected


def test_what_the_catalogue_does_not_know_for_certain_is_opened(by_symbol):
    """A day not listed, one written after it was listed, one of another size; and without a catalogue every day."""
    sql = "SELECT count(*)::INT FROM candles WHERE symbol = 'INFY'"
    layout = stores(by_symbol).layout
    layout.catalogue.rename(by_symbol / "elsewhere.db")
    assert files(by_symbol, sql) == 3
    (by_symbol / "elsewhere.db").rename(layout.catalogue)
    assert (files(by_symbol, sql), asked(by_symbol, sql)) == (2, [(4,)])
    other = layout.day("nse", "candles", "1m", WEDNESDAY)
    spoil(other, later_s=3600)

    with pytest.raises(StoreCorrupt, match=str(WEDNESDAY)):
        files(by_symbol, sql)
    layout.catalogue.write_bytes(b"no catalogue")
    with pytest.raises(StoreCorrupt, match=str(WEDNESDAY)):
        files(by_symbol, sql)
