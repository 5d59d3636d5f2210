"""A2, B2: the live buffer's writer, its snapshots and its readers, in one process."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa
import pytest

from libs.core.clock import US_PER_DAY, SystemClock
from libs.core.errors import Refused
from libs.dbaccess import StoreMissing
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import live_buffer_reader, open_live_buffer, pin_snapshot
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit.live import OPEN_US, candles, ticks

SETTINGS = Live(merge_minute_segments_min=4, merge_hour_segments_min=3)


@pytest.fixture
def layout(data_root):
    return Layout(data_root)


def opened(layout, settings=SETTINGS):
    return open_live_buffer(layout, settings, SystemClock(), exchange="nse", ddl=live_ddl())


def seen(layout, table="ticks"):
    """The seqs a reader sees, in order."""
    with live_buffer_reader(layout, SETTINGS) as conns:
        return [seq for (seq,) in conns[table].execute(f"SELECT seq FROM {table} ORDER BY seq").fetchall()]


def test_reader_sees_exactly_what_was_flushed(layout):
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 100))
        assert seen(layout) == []

        buffer.flush()
        assert seen(layout) == list(range(100))

        buffer.append("ticks", ticks(100, 50))
        buffer.append("candles", candles(0, 7))
        assert seen(layout) == list(range(100))

    assert seen(layout) == list(range(150))
    assert seen(layout, "candles") == list(range(7))


def test_values_survive_the_way_through_a_segment(layout):
    offered = ticks(0, 500)
    with opened(layout) as buffer:
        buffer.append("ticks", offered)
    with live_buffer_reader(layout, SETTINGS) as conns:
        found = conns["ticks"].sql("SELECT * EXCLUDE (open_interest) FROM ticks ORDER BY seq").to_arrow_table()

    assert found.cast(offered.schema).equals(offered)


def test_rows_inserted_by_sql_are_flushed_too(layout):
    with opened(layout) as buffer:
        buffer["ticks"].execute(
            "INSERT INTO ticks (symbol, timestamp, price, volume, seq) VALUES ('A', '2026-02-02 09:15', 1.5, 1, 9)"
        )

    assert seen(layout) == [9]


def test_snapshot_before_the_first_row_is_empty_with_the_columns_of_the_table(layout):
    with opened(layout), live_buffer_reader(layout, SETTINGS) as conns:
        empty = conns["ticks"].execute("DESCRIBE ticks").fetchall()
        count = conns["candles"].execute("SELECT count(*) FROM candles").fetchall()
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 1))
    with live_buffer_reader(layout, SETTINGS) as conns:
        filled = conns["ticks"].execute("DESCRIBE ticks").fetchall()

    assert count == [(0,)]
    assert [row[:2] for row in empty] == [row[:2] for row in filled]
    assert ("timestamp", "TIMESTAMP WITH TIME ZONE") in [row[:2] for row in empty]


def test_both_connections_see_both_tables(layout):
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 3))
        buffer.append("candles", candles(0, 2))
    with live_buffer_reader(layout, SETTINGS) as conns:
        counts = [
            conns[name].execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for name in ("ticks", "candles")
            for table in ("ticks", "candles")
        ]

    assert counts == [3, 2, 3, 2]


def test_times_are_ist_in_both_connections(layout):
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 1))
    with live_buffer_reader(layout, SETTINGS) as conns:
        hours = [conns[name].execute("SELECT hour(timestamp) FROM ticks").fetchall() for name in ("ticks", "candles")]

    assert hours == [[(9,)], [(9,)]]


def test_block_that_raises_rolls_back_what_was_not_flushed(layout):
    def capture():
        with opened(layout) as buffer:
            buffer.append("ticks", ticks(0, 10))
            buffer.flush(watermarks={"tick": 9})
            buffer.append("ticks", ticks(10, 10))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        capture()

    assert seen(layout) == list(range(10))
    with opened(layout) as buffer:
        assert buffer.watermarks("ticks") == {"tick": 9}


def test_missing_live_buffer_is_named(layout):
    """B4: a store that is not there is a FileNotFoundError that says where it was looked for; nothing is made."""
    with pytest.raises(FileNotFoundError, match=r"manifest\.json") as error, live_buffer_reader(layout, SETTINGS):
        pass

    assert isinstance(error.value, StoreMissing)
    assert not layout.live.exists()


class TestWatermarks:
    def test_are_in_each_file_and_in_the_manifest(self, layout):
        with opened(layout) as buffer:
            buffer.flush(watermarks={"tick": 41, "bar": 7})
            with pin_snapshot(layout, SETTINGS) as snapshot:
                listed = snapshot.manifest.watermarks
        with opened(layout) as buffer:
            assert buffer.watermarks("ticks") == buffer.watermarks("candles") == {"tick": 41, "bar": 7}

        assert listed == {"ticks": {"tick": 41, "bar": 7}, "candles": {"tick": 41, "bar": 7}}

    def test_never_go_back(self, layout):
        with opened(layout) as buffer:
            buffer.flush(watermarks={"tick": 41})
            with pytest.raises(Refused, match="may not go back from 41 to 40"):
                buffer.flush(watermarks={"tick": 40})
            buffer.rollback()


class TestSpoiltTransaction:
    """DuckDB answers COMMIT of a transaction in which a statement failed with success, having rolled it back."""

    def test_a_refused_row_stops_the_next_flush(self, layout):
        """Else the watermark would pass over rows that are not there."""
        with opened(layout) as buffer:
            buffer.append("ticks", ticks(0, 10))
            with pytest.raises(Refused, match="NOT NULL"):
                buffer.append("ticks", pa.table({"symbol": ["A"], "seq": [1]}))
            with pytest.raises(Refused, match="roll back"):
                buffer.flush()
            buffer.rollback()
            buffer.append("ticks", ticks(100, 10))
            buffer.flush()

            assert seen(layout) == list(range(100, 110))

    def test_unknown_column_is_refused_by_name(self, layout):
        with opened(layout) as buffer:
            with pytest.raises(Refused, match="colour"):
                buffer.append("ticks", pa.table({"symbol": ["A"], "colour": ["red"]}))
            buffer.rollback()


@pytest.mark.parametrize(
    "sql",
    ["UPDATE ticks SET price = 1", "DELETE FROM ticks", "DROP TABLE ticks", "COMMIT", "ALTER TABLE ticks ADD x INT"],
)
def test_live_rows_are_never_changed_or_committed_by_hand(layout, sql):
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 1))
        with pytest.raises(Refused, match="only grows"):
            buffer["ticks"].execute(sql)

    assert seen(layout) == [0]


class TestWalls:
    """B4: what a reader of the live buffer cannot do."""

    @pytest.fixture
    def conns(self, layout):
        with opened(layout) as buffer:
            buffer.append("ticks", ticks(0, 5))
        with live_buffer_reader(layout, SETTINGS) as conns:
            yield conns

    @pytest.mark.parametrize("name", ["ticks", "candles"])
    def test_nothing_but_select(self, layout, conns, name):
        """The last one would overwrite the segment every reader shares, through its hard link: DuckDB allows it."""
        pinned = conns[name].snapshot.files("ticks")[0]
        for sql in (
            "INSERT INTO ticks SELECT * FROM ticks",
            "CREATE TABLE t (a INT)",
            "SET threads = 1",
            f"ATTACH '{layout.live}/ticks_today.duckdb' AS x",
            f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{pinned}' (USE_TMP_FILE false)",
            f"COPY (SELECT 1) TO '{pinned}' (USE_TMP_FILE false)",
        ):
            with pytest.raises(Refused, match="only read"):
                conns[name].execute(sql)
        assert seen(layout) == list(range(5))

    @pytest.mark.parametrize("name", ["ticks", "candles"])
    def test_no_other_file(self, layout, conns, name):
        (segment,) = (layout.live / "segments").glob("ticks-*.parquet")
        with pytest.raises(duckdb.PermissionException):
            conns[name].execute(f"SELECT * FROM read_parquet('{segment}')")


def test_rows_of_two_dates_are_said_to_be(layout):
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(0, 5))
        buffer.flush()
        assert buffer.manifest.trading_dates == (date(2026, 2, 2),)

        buffer.append("ticks", ticks(5, 5, start_us=OPEN_US + US_PER_DAY))
        buffer.flush()

        assert buffer.manifest.trading_dates == (date(2026, 2, 2), date(2026, 2, 3))
        assert buffer.manifest.trading_date == date(2026, 2, 3)


def test_flush_with_nothing_new_renews_the_age(layout):
    """The age of a snapshot tells a quiet market from a dead writer."""
    with opened(layout) as buffer:
        with pin_snapshot(layout, SETTINGS) as first:
            pass
        buffer.flush()
        with pin_snapshot(layout, SETTINGS) as second:
            pass

    assert second.generation == first.generation + 1
    assert second.published_at_us > first.published_at_us
    assert second.age_us(SystemClock()) >= 0
