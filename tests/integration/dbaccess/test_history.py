"""A1, J1: a closed day is whole, sorted, and never written again, for root either."""

from __future__ import annotations

from datetime import date

import duckdb
import pandas as pd
import pytest

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, ImmutableDay, OwnershipError, Role, StoreCorrupt
from libs.dbaccess.connections import duckdb_memory
from tests.kit.processes import run_code

DAY = date(2026, 2, 2)
SERIES = ("nse", "candles", "1m", DAY)


def bars(*rows: tuple[str, str]) -> pd.DataFrame:
    symbols, times = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "symbol": symbols, "timeframe": "1m", "timestamp": pd.to_datetime(list(times)).tz_localize("Asia/Kolkata"),
            "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10,
        }
    )  # fmt: skip


@pytest.fixture
def db(data_root):
    return DatabaseManager(data_root, Role.INGESTOR)


@pytest.fixture
def closed(db):
    with db.historical_writer(*SERIES) as writer:
        writer.append(bars(("TCS", "2026-02-02 09:15"), ("INFY", "2026-02-02 09:16"), ("INFY", "2026-02-02 09:15")))
    return db.layout.day(*SERIES)


def test_closed_day_is_sorted_and_read_only(db, closed):
    assert closed.stat().st_mode & 0o777 == 0o444
    with db.historical_reader(*SERIES) as connection:
        rows = connection.execute("SELECT symbol, epoch_us(timestamp) % 3600000000 FROM candles").fetchall()
    assert [row[0] for row in rows] == ["INFY", "INFY", "TCS"]
    assert rows == sorted(rows)


def test_closed_day_is_closed_for_its_owner_and_for_root(db, closed):
    before = closed.read_bytes()

    with pytest.raises(ImmutableDay, match=r"2026-02-02\.duckdb"), db.historical_writer(*SERIES):
        pass

    assert closed.read_bytes() == before


def test_day_whose_mode_was_opened_is_still_closed(db, closed):
    closed.chmod(0o644)

    with pytest.raises(ImmutableDay), db.historical_writer(*SERIES):
        pass


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE candles SET close = 1", "DELETE FROM candles", "ALTER TABLE candles ADD COLUMN x INT",
        "DROP TABLE candles", "TRUNCATE candles", "CREATE TABLE x (a INT)", "ATTACH 'x.duckdb'",
        "COPY candles TO 'x.csv'", "SET memory_limit = '1GB'", "INSTALL httpfs", "PRAGMA database_size",
        "WITH gone AS (DELETE FROM candles RETURNING *) SELECT * FROM gone",
        "SELECT 1; DELETE FROM candles", "EXPLAIN ANALYZE DELETE FROM candles",
    ],
)  # fmt: skip
def test_history_only_grows(db, sql):
    """A1: nothing is changed or removed, not even by the owner before the day is closed."""
    with pytest.raises(Refused, match="only grows"), db.historical_writer(*SERIES) as writer:
        writer.execute(sql)

    assert not db.layout.day(*SERIES).exists()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO candles SELECT * FROM candles", "DELETE FROM candles", "COPY candles TO 'x.csv'",
        "ATTACH 'x.duckdb'", "SELECT * FROM read_csv('pyproject.toml')", "SET enable_external_access = true",
        "INSTALL httpfs", "LOAD httpfs",
        "COPY (SELECT 1) TO 'x.parquet'",
    ],
)  # fmt: skip
def test_reader_of_a_day_can_neither_write_nor_leave_it(db, closed, sql):
    with db.historical_reader(*SERIES) as connection, pytest.raises(duckdb.Error):
        connection.execute(sql)


def test_block_that_raises_leaves_nothing(db):
    with pytest.raises(ZeroDivisionError), db.historical_writer(*SERIES) as writer:
        writer.append(bars(("TCS", "2026-02-02 09:15")))
        raise ZeroDivisionError

    assert list(db.layout.series("nse", "candles", "1m").iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("TCS", "2026-02-03 09:15")], "not of 2026-02-02"),
        ([("TCS", "2026-02-01 23:59")], "not of 2026-02-02"),
        ([("TCS", "2026-02-02 09:15")] * 2, "each candle once"),
    ],
)
def test_rows_that_do_not_belong_are_refused(db, rows, why):
    with pytest.raises(Refused, match=why), db.historical_writer(*SERIES) as writer:
        writer.append(bars(*rows))

    assert not db.layout.day(*SERIES).exists()


def test_other_timeframe_is_refused(db):
    with pytest.raises(Refused, match="5m"), db.historical_writer(*SERIES) as writer:
        writer.append(bars(("TCS", "2026-02-02 09:15")).assign(timeframe="5m"))


IMPORTED = {"timeframe": "1m", "origin": "import", "seq": None}
CANDLE = "'TCS' AS symbol, '2026-02-02 09:{}+05:30'::TIMESTAMPTZ AS timestamp, {} AS volume, {}"
PRICES = "2.0 AS open, 3.0 AS high, 1.0 AS low, 2.5 AS close"


def close(db, *rows: str, every_row=IMPORTED):
    """Close the day with rows out of an engine of the caller's."""
    with duckdb_memory() as connection:
        db.close_day(connection, *SERIES, [f"SELECT {row}" for row in rows], every_row=every_row)


@pytest.mark.parametrize(
    ("prices", "volume"),
    [
        *((PRICES.replace(price, f"'{value}'::DOUBLE"), 1) for price in ("2.0", "3.0", "1.0", "2.5")
          for value in ("nan", "inf", "-inf")),
        ("'nan'::DOUBLE AS open, 'nan'::DOUBLE AS high, 'nan'::DOUBLE AS low, 'nan'::DOUBLE AS close", 1),
        *((PRICES.replace(price, value), 1) for price, value in (
            ("2.0", "3.1"), ("2.0", "0.9"), ("2.5", "3.1"), ("2.5", "0.9"), ("3.0", "2.4"), ("1.0", "2.1"),
            ("2.0", "NULL"), ("3.0", "NULL"), ("1.0", "NULL"), ("2.5", "NULL"))),
        (PRICES, -1),
        (PRICES, "NULL"),
    ],
)  # fmt: skip
def test_no_impossible_candle_is_closed(db, prices, volume):
    """Whoever closes a day: the table itself refuses, before the file has a name."""
    with pytest.raises(duckdb.ConstraintException):
        close(db, CANDLE.format(15, 1, PRICES), CANDLE.format(16, volume, prices))

    assert list(db.layout.series("nse", "candles", "1m").iterdir()) == []


@pytest.mark.parametrize(
    ("second", "every_row", "error", "why"),
    [
        (15, IMPORTED, Refused, "each candle once"),
        (14, IMPORTED, StoreCorrupt, "lies behind a later one"),
        (16, IMPORTED | {"timeframe": "5m"}, Refused, "'5m' offered for a file of 1m"),
        (16, IMPORTED | {"timeframe": "2m"}, Refused, "timeframe '2m'"),
        (16, IMPORTED | {"origin": "guess"}, Refused, "origin 'guess'"),
        (16, IMPORTED | {"seq": "7"}, Refused, "seq '7'"),
        (16, IMPORTED | {"volume": "7"}, Refused, "volume in every candle"),
    ],
)
def test_no_odd_day_is_closed(db, second, every_row, error, why):
    with pytest.raises(error, match=why):
        close(db, CANDLE.format(15, 1, PRICES), CANDLE.format(second, 1, PRICES), every_row=every_row)

    assert not db.layout.day(*SERIES).exists()


def test_what_is_the_same_in_every_row_is_read_like_any_column(db, closed):
    """No reader is to know whether a file has it in its rows or in its table."""
    tuesday = date(2026, 2, 3)
    with duckdb_memory() as connection:
        row = CANDLE.format(15, 1, PRICES).replace("-02 ", "-03 ")
        db.close_day(connection, "nse", "candles", "1m", tuesday, [f"SELECT {row}"], every_row=IMPORTED)
        connection.execute(f"ATTACH '{closed}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{db.layout.day('nse', 'candles', '1m', tuesday)}' AS new (READ_ONLY)")
        both = [
            [row[:2] for row in connection.execute(f"DESCRIBE {name}.candles").fetchall()] for name in ("old", "new")
        ]
        rows = connection.execute(
            "SELECT timeframe, origin, seq, count(*) FROM (FROM old.candles UNION ALL FROM new.candles)"
            " WHERE timeframe = '1m' AND origin IN ('live', 'import') GROUP BY ALL ORDER BY origin"
        ).fetchall()

    assert both[0] == both[1]
    assert rows == [("1m", "import", None, 1), ("1m", "live", None, 3)]


def test_midnight_in_india_parts_the_days(db):
    """00:00 IST belongs to the day, though it is yesterday in UTC."""
    with db.historical_writer(*SERIES) as writer:
        writer.append(bars(("TCS", "2026-02-02 00:00"), ("TCS", "2026-02-02 23:59")))

    with db.historical_reader(*SERIES) as connection:
        assert connection.execute("SELECT count(*) FROM candles").fetchall() == [(2,)]


def test_naive_times_are_indian(db):
    with db.historical_writer(*SERIES) as writer:
        writer.execute(
            "INSERT INTO candles (symbol, timeframe, timestamp, open, high, low, close, volume) "
            "VALUES (?, ?, ?, 1, 1, 1, 1, 1)",
            ["TCS", "1m", "2026-02-02 09:15:00"],
        )

    with db.historical_reader(*SERIES) as connection:
        ((found,),) = connection.execute("SELECT epoch_us(timestamp) FROM candles").fetchall()
    assert found == pd.Timestamp("2026-02-02 03:45", tz="UTC").value // 1000


def test_strategy_cannot_write_history(data_root):
    """J1."""
    for role in [Role.SCANNER, Role.EXECUTION_ENGINE, Role.BACKTEST, Role.API, Role.OPS, None]:
        with pytest.raises(OwnershipError), DatabaseManager(data_root, role).historical_writer(*SERIES):
            pass

    assert list(data_root.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "directory"])
def test_damaged_day_is_named(db, closed, damage):
    data = closed.read_bytes()
    closed.unlink()
    if damage == "directory":
        closed.mkdir()
    else:
        closed.write_bytes(
            {"truncated": data[: len(data) // 2], "garbage": b"no database" * 1000, "empty": b""}[damage]
        )

    with pytest.raises(StoreCorrupt, match=r"2026-02-02\.duckdb"), db.historical_reader(*SERIES) as connection:
        connection.execute("SELECT * FROM candles").fetchall()


@pytest.mark.parametrize("point", ["history.rename.before", "history.rename.after"])
def test_kill_around_the_rename_leaves_a_whole_day_or_none(db, point):
    code = """
        import sys
        from datetime import date
        from libs.dbaccess import DatabaseManager, Role
        db = DatabaseManager(sys.argv[1], Role.INGESTOR)
        with db.historical_writer("nse", "ticks", None, date(2026, 2, 2)) as writer:
            writer.execute(
                "INSERT INTO ticks (symbol, timestamp, price, volume, seq) VALUES ('TCS', '2026-02-02 09:15', 1, 1, 1)"
            )
    """
    done = run_code(code, db.layout.root, TRADEFLEET_CRASH_AT=point)
    assert done.returncode == -9, done.stderr
    again = run_code(code, db.layout.root)

    assert (again.returncode == 0) == point.endswith("before")
    assert ("ImmutableDay" in again.stderr) == point.endswith("after")
    with db.historical_reader("nse", "ticks", None, DAY) as connection:
        assert connection.execute("SELECT count(*) FROM ticks").fetchall() == [(1,)]
    assert [path.name for path in db.layout.series("nse", "ticks", None).iterdir()] == ["2026-02-02.duckdb"]


def test_unknown_origin_is_refused_before_anything_is_written(data_root):
    """Refused by the catalogue afterwards, the day would be closed and listed nowhere."""
    db = DatabaseManager(data_root, Role.INGESTOR)
    with (
        pytest.raises(Refused, match="origin 'somewhere'"),
        db.historical_writer("nse", "ticks", None, date(2026, 2, 2), origin="somewhere"),
    ):
        pytest.fail("the writer was given")
    assert list(data_root.rglob("*.duckdb")) == []
