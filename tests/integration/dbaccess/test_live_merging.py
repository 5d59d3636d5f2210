"""Merging: few files however long the day, each row rewritten a fixed number of times, no flush ever waits."""

from __future__ import annotations

import threading
from datetime import date

import pyarrow.parquet as pq
import pytest

from libs.core.clock import SystemClock
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import live_buffer_reader, open_live_buffer
from libs.dbaccess.live.manifest import Segment
from libs.dbaccess.live.merging import Merger, next_merge
from libs.dbaccess.live.segments import merged
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit.live import candles, ticks

SETTINGS = Live(merge_minute_segments_min=3, merge_hour_segments_min=2)


@pytest.fixture
def layout(data_root):
    return Layout(data_root)


def opened(layout, settings=SETTINGS):
    return open_live_buffer(layout, settings, SystemClock(), exchange="nse", ddl=live_ddl())


def flush(buffer, batch, rows=50):
    buffer.append("ticks", ticks(batch * rows, rows))
    buffer.append("candles", candles(batch * rows, rows))
    return buffer.flush()


@pytest.mark.parametrize("lag", [0, 1, 40])
def test_number_of_segments_and_rewrites_are_bounded(lag):
    """A session of 22,500 flushes at the default settings, with merges that take `lag` flushes each."""
    settings = Live()
    listed: list[Segment] = []
    rewritten, segments_max = 0, 0
    running, done_at = None, 0
    for flush_number in range(22_500):
        if running and flush_number >= done_at:
            first = listed.index(running.parts[0])
            listed[first : first + len(running.parts)] = [merged(running.parts, running.level)]
            rewritten += len(running.parts) if running.level == 1 else sum(part.rows for part in running.parts)
            running = None
        listed.append(Segment(f"f{flush_number}.parquet", 1, flush_number, flush_number, 0, 0, (date(2026, 2, 2),), 1))
        segments_max = max(segments_max, len(listed))
        if running is None and (running := next_merge({"ticks": listed}, settings)):
            done_at = flush_number + lag

    assert segments_max <= 60 + 60 + 22_500 // 3600 + lag + 2
    assert rewritten <= 2 * 22_500
    assert [segment.rowid_min for segment in listed] == [0, *(segment.rowid_max + 1 for segment in listed[:-1])]


def test_merged_segments_hold_the_same_rows_sorted(layout):
    with opened(layout) as buffer:
        for batch in range(7):
            flush(buffer, batch)
        buffer.finish_merges()
        levels = {table: [s.level for s in listed] for table, listed in buffer.manifest.segments.items()}
        for table, order in (("ticks", ["symbol", "timestamp"]), ("candles", ["symbol", "timeframe", "timestamp"])):
            for segment in buffer.manifest.segments[table]:
                rows = pq.read_table(layout.live / "segments" / segment.file)
                assert rows.num_rows == segment.rows
                assert rows.equals(rows.sort_by([(name, "ascending") for name in order]))
        with live_buffer_reader(layout, SETTINGS) as conns:
            found = conns["ticks"].execute("SELECT seq FROM ticks ORDER BY seq").fetchall()

    assert [seq for (seq,) in found] == list(range(350))
    assert all(levels[table][0] > 0 for table in levels)


def test_flushes_go_on_while_a_merge_takes_its_time(layout, monkeypatch):
    """The merge is held until five flushes were published; only then is its result taken in."""
    published = threading.Event()
    work = Merger._work

    def slow(self, merge):
        assert published.wait(60)
        work(self, merge)

    monkeypatch.setattr(Merger, "_work", slow)
    with opened(layout) as buffer:
        for batch in range(8):
            flushed = flush(buffer, batch)
            assert flushed.segments == (batch + 1) * 2
        published.set()
        buffer.finish_merges()
        assert len(buffer.manifest.files()) < 16
        with live_buffer_reader(layout, SETTINGS) as conns:
            assert conns["ticks"].execute("SELECT count(*), sum(seq) FROM ticks").fetchall() == [(400, 79_800)]


def test_a_merge_that_fails_is_reported_and_capture_goes_on(layout):
    """Also: the next owner sees the damage and repairs it from the DuckDB file."""
    with opened(layout) as buffer:
        flush(buffer, 0)
        part = layout.live / "segments" / buffer.manifest.segments["ticks"][0].file
        part.chmod(0o600)
        part.write_bytes(b"garbage")
        errors = []
        for batch in range(1, 6):
            errors.append(flush(buffer, batch).merge_error)
            buffer._merger.wait()
        assert part.name in errors[-1]
        rows = buffer["ticks"].execute("SELECT count(*) FROM ticks").fetchall()
        assert rows == [(300,)]
    with opened(layout), live_buffer_reader(layout, SETTINGS) as conns:
        assert conns["ticks"].execute("SELECT count(*), sum(seq) FROM ticks").fetchall() == [(300, 44_850)]


def test_leaving_while_a_merge_runs_breaks_it_off(layout, monkeypatch):
    """Closing the buffer does not wait for an hour of ticks to be sorted, and leaves no half file."""
    begun = threading.Event()
    leaving = threading.Event()
    work, close = Merger._work, Merger.close

    def held(self, merge):
        begun.set()
        assert leaving.wait(60)
        work(self, merge)

    def closing(self):
        self._closing = True
        leaving.set()
        close(self)

    monkeypatch.setattr(Merger, "_work", held)
    monkeypatch.setattr(Merger, "close", closing)
    with opened(layout) as buffer:
        for batch in range(3):
            flush(buffer, batch)
        assert begun.wait(60)
    names = {path.name for path in (layout.live / "segments").iterdir()}

    assert len(names) == 6
    assert all(name.endswith(".parquet") and not name.startswith(".") for name in names)


def test_a_long_day_does_not_fill_the_memory_with_blocks_already_on_disk(layout, monkeypatch):
    def bytes_cached(connection):
        return connection.execute(
            "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
        ).fetchall()[0][0]  # fmt: skip

    with opened(layout) as buffer:
        connection = buffer["ticks"]
        limit = connection.execute("SELECT current_setting('memory_limit')").fetchall()
        buffer.append("ticks", ticks(0, 400_000))
        buffer.flush()
    with opened(layout) as buffer:
        connection = buffer["ticks"]
        connection.execute("SELECT sum(price), sum(volume), sum(seq), max(symbol) FROM ticks").fetchall()
        full = bytes_cached(connection)
        assert full > 1_000_000

        monkeypatch.setattr("libs.dbaccess.live.buffer._SWEEP_EVERY_FLUSHES", 1)
        buffer.append("ticks", ticks(400_000, 10))
        buffer.flush()

        assert bytes_cached(connection) < full / 4
        assert connection.execute("SELECT current_setting('memory_limit')").fetchall() == limit
        assert connection.execute("SELECT count(*) FROM ticks").fetchall() == [(400_010,)]
