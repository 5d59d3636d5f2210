"""Opening the live buffer over every kind of damage: the DuckDB files are the truth, the snapshot is made to match."""

from __future__ import annotations

import duckdb
import msgspec
import pytest

from libs.core.clock import SystemClock
from libs.dbaccess import SchemaTooNew, StoreCorrupt
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import live_buffer_reader, open_live_buffer
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit.live import candles, ticks
from tests.kit.processes import run_code

SETTINGS = Live(merge_minute_segments_min=3, merge_hour_segments_min=3, rebuild_segment_rows_max=25)
FLUSHES = 8


@pytest.fixture
def layout(data_root):
    """A buffer of an ended life, with segments of every level."""
    layout = Layout(data_root)
    with opened(layout) as buffer:
        for batch in range(FLUSHES):
            buffer.append("ticks", ticks(batch * 10, 10))
            buffer.append("candles", candles(batch * 2, 2))
            buffer.flush(watermarks={"tick": batch * 10 + 9})
            buffer.finish_merges() if batch == 5 else None
    return layout


def opened(layout, settings=SETTINGS):
    return open_live_buffer(layout, settings, SystemClock(), exchange="nse", ddl=live_ddl())


def segments(layout):
    return sorted((layout.live / "segments").glob("ticks-*.parquet"))


def seen(layout):
    with live_buffer_reader(layout, SETTINGS) as conns:
        return [
            sorted(seq for (seq,) in conns[table].execute(f"SELECT seq FROM {table}").fetchall())
            for table in ("ticks", "candles")
        ]


def rewrite(layout, **changes):
    path = layout.live / "manifest.json"
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def rename_live_file(layout):
    (layout.live / "ticks_today.duckdb").rename(layout.live / "elsewhere.duckdb")


def replace_bytes(path, start, data):
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(start if start >= 0 else path.stat().st_size + start)
        file.write(data)


DAMAGE = {
    "a segment is gone": lambda layout: segments(layout)[1].unlink(),
    "all segments are gone": lambda layout: [path.unlink() for path in segments(layout)],
    "a segment is cut": lambda layout: replace_size(segments(layout)[0], -100),
    "a segment is empty": lambda layout: replace_size(segments(layout)[-1], 0),
    "a segment's footer is garbage": lambda layout: replace_bytes(segments(layout)[0], -40, b"\xff" * 40),
    "the manifest is gone": lambda layout: (layout.live / "manifest.json").unlink(),
    "the manifest is cut": lambda layout: replace_size(layout.live / "manifest.json", -50),
    "the manifest is garbage": lambda layout: (layout.live / "manifest.json").write_bytes(b"\x00\xff"),
    "the manifest leads elsewhere": lambda layout: (layout.live / "manifest.json").write_bytes(
        (layout.live / "manifest.json").read_bytes().replace(b'"file":"ticks', b'"file":"../ticks')
    ),
    "the machine was booted since": lambda layout: rewrite(layout, boot="another"),
    "files nobody lists": lambda layout: [
        (layout.live / "segments" / name).write_bytes(b"x")
        for name in ("ticks-0000000999-0-aaaa.parquet", ".ticks-1.parquet.tmp", ".merge.tmp", "what")
    ],
    "a spill directory": lambda layout: (layout.live / "segments" / ".merge.spill").mkdir(),
}


def replace_size(path, size):
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.truncate(size if size >= 0 else path.stat().st_size + size)


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_row_is_back_once(layout, damage):
    generation = msgspec.json.decode((layout.live / "manifest.json").read_bytes())["generation"]
    DAMAGE[damage](layout)
    with opened(layout) as buffer:
        listed = buffer.manifest
        assert seen(layout) == [list(range(FLUSHES * 10)), list(range(FLUSHES * 2))]
        assert {path.name for path in (layout.live / "segments").iterdir()} == set(listed.files())
        # Names of segments hold their generation, so that generations grow past a lost manifest where any are left.
        assert listed.generation > generation or damage in {
            "the manifest is gone",
            "the manifest is cut",
            "the manifest is garbage",
            "the manifest leads elsewhere",
        }
        assert buffer.watermarks("ticks") == {"tick": FLUSHES * 10 - 1}

        buffer.append("ticks", ticks(FLUSHES * 10, 10))
        buffer.flush()
        assert seen(layout)[0] == list(range(FLUSHES * 10 + 10))


def test_whole_segments_are_not_written_again(layout):
    """A start costs what was damaged, not what the day holds."""
    segments(layout)[-1].unlink()
    kept = {path.name: path.stat().st_ino for path in segments(layout)}
    with opened(layout):
        found = {path.name: path.stat().st_ino for path in segments(layout)}

    assert kept.items() <= found.items()
    assert len(found) == len(kept) + 1


def test_segments_of_an_earlier_boot_are_all_written_anew(layout):
    """They were never synced: a right size and a right footer prove nothing after a power cut."""
    before = {path.name for path in segments(layout)}
    rewrite(layout, boot="another")
    with opened(layout):
        assert before.isdisjoint(path.name for path in segments(layout))


def test_a_rebuilt_day_is_written_in_pieces(layout):
    """Twenty million rows are not sorted in one go."""
    for path in segments(layout):
        path.unlink()
    with opened(layout) as buffer:
        rows = [segment.rows for segment in buffer.manifest.segments["ticks"]]

    assert rows == [25, 25, 25, 5]


def test_segments_of_another_duckdb_file_are_not_believed(layout):
    """A fresh file under the old name (a new day, a restored copy) takes its snapshot with it."""
    (layout.live / "ticks_today.duckdb").unlink()
    with opened(layout):
        assert seen(layout) == [[], list(range(FLUSHES * 2))]


def test_manifest_of_newer_code_is_refused_and_left_alone(layout):
    rewrite(layout, format=99)
    before = (layout.live / "manifest.json").read_bytes()

    with pytest.raises(SchemaTooNew, match="99"), opened(layout):
        pass
    with pytest.raises(SchemaTooNew, match="99"), live_buffer_reader(layout, SETTINGS):
        pass
    assert (layout.live / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("damage", ["the manifest is garbage", "the manifest leads elsewhere"])
def test_reader_of_a_damaged_manifest_gets_an_error_that_names_it(layout, damage):
    DAMAGE[damage](layout)
    with pytest.raises(StoreCorrupt, match=r"manifest\.json"), live_buffer_reader(layout, SETTINGS):
        pass


def test_damaged_duckdb_file_is_named_and_its_snapshot_stays(layout):
    """The file cannot be repaired from here (the journal can): readers keep what was published."""
    replace_bytes(layout.live / "ticks_today.duckdb", 0, b"\xff" * 8192)
    with pytest.raises(StoreCorrupt, match=r"ticks_today\.duckdb"), opened(layout):
        pass

    assert seen(layout)[0] == list(range(FLUSHES * 10))


def test_what_could_not_be_published_is_published_by_the_next_flush(layout):
    """A disk that is full for a while: the rows are committed, and no later segment may leave them out."""
    directory = layout.live / "segments"
    with opened(layout) as buffer:
        buffer.append("ticks", ticks(FLUSHES * 10, 10))
        directory.rename(layout.live / "away")
        with pytest.raises((OSError, duckdb.IOException)):
            buffer.flush()
        (layout.live / "away").rename(directory)
        assert seen(layout)[0] == list(range(FLUSHES * 10))

        buffer.append("ticks", ticks(FLUSHES * 10 + 10, 10))
        buffer.flush()
        assert seen(layout)[0] == list(range(FLUSHES * 10 + 20))


def test_commit_that_fails_moves_no_watermark(layout):
    """A disk full at the commit itself: DuckDB drops the rows, so the buffer takes nothing until it is reopened."""
    done = run_code(
        """
        import resource, signal, sys
        from libs.core.clock import SystemClock
        from libs.core.errors import OutcomeUnknown
        from libs.dbaccess.layout import Layout
        from libs.dbaccess.live import open_live_buffer
        from libs.dbaccess.schema import live_ddl
        from libs.settings.storage import Live
        from tests.kit.live import ticks
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        layout = Layout(sys.argv[1])
        with open_live_buffer(layout, Live(), SystemClock(), exchange="nse", ddl=live_ddl()) as buffer:
            buffer.append("ticks", ticks(80, 5000))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            for attempt in range(2):
                try:
                    buffer.flush(watermarks={"tick": 5079})
                except OutcomeUnknown:
                    print("unknown")
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            raise SystemExit(0)
        """,
        layout.root,
    )
    assert done.stdout.split() == ["unknown", "unknown"], done.stderr

    with opened(layout) as buffer:
        assert buffer.watermarks("ticks") == {"tick": FLUSHES * 10 - 1}
        assert seen(layout)[0] == list(range(FLUSHES * 10))


class TestRowids:
    """What segments rest on: the rows above the last published rowid are the new ones, without holes."""

    def insert(self, connection, rows):
        connection.execute(f"INSERT INTO t SELECT * FROM range({rows})")
        return connection.execute("SELECT min(rowid), max(rowid), count(*) FROM t").fetchall()[0]

    def test_grow_one_by_one_whatever_is_rolled_back_checkpointed_or_reopened(self, tmp_path):
        path = tmp_path / "x.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE t (a BIGINT)")
            assert self.insert(connection, 1000) == (0, 999, 1000)
            for rows in (10, 300_000):
                connection.execute("BEGIN")
                self.insert(connection, rows)
                connection.execute("ROLLBACK")
            assert self.insert(connection, 1000) == (0, 1999, 2000)
        with duckdb.connect(path) as connection:
            assert self.insert(connection, 200_000) == (0, 201_999, 202_000)
            connection.execute("CHECKPOINT")
            assert self.insert(connection, 1) == (0, 202_000, 202_001)

    def test_are_used_twice_once_rows_are_deleted(self, tmp_path):
        """Why the live buffer refuses DELETE even to its owner."""
        path = tmp_path / "x.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE t (a BIGINT)")
            self.insert(connection, 1000)
            connection.execute("DELETE FROM t")
            connection.execute("CHECKPOINT")
        with duckdb.connect(path) as connection:
            assert self.insert(connection, 1) == (0, 0, 1)
