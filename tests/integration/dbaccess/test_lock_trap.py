"""DESIGN §5: DuckDB's own lock vanishes when its owner opens the file another way; the writer lock does not."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from libs.dbaccess import DatabaseManager, Role
from tests.kit.live import ticks
from tests.kit.processes import run_code

RAW_OPEN = """
    import sys
    import duckdb
    try:
        duckdb.connect(sys.argv[1]).close()
    except duckdb.IOException as e:
        sys.exit("locked: " + str(e))
"""
SECOND_OWNER = """
    import sys
    from libs.dbaccess import DatabaseManager, Role, WriterLockHeld
    try:
        with DatabaseManager(sys.argv[1], role=Role.INGESTOR).live_buffer_writer():
            pass
    except WriterLockHeld as e:
        sys.exit(str(e))
"""


def hash_it(path: Path) -> None:
    hashlib.sha256(path.read_bytes()).hexdigest()


def copy_it(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.duckdb"))


def open_it_read_only(path: Path) -> None:
    # DuckDB refuses the second connect, having opened and closed the file to find out.
    with suppress(duckdb.Error):
        duckdb.connect(path, read_only=True).close()


@pytest.fixture
def owner(data_root):
    manager = DatabaseManager(data_root, role=Role.INGESTOR)
    with manager.live_buffer_writer() as buffer:
        buffer.append("ticks", ticks(0, 100))
        buffer.flush()
        yield buffer


@pytest.mark.parametrize("way", [hash_it, copy_it])
def test_no_second_owner_although_duckdb_would_let_it_in(owner, data_root, way):
    """The trap is real: after a look at the file another process opens it for writing, past DuckDB. Not past us."""
    path = data_root / "live_buffer" / "ticks_today.duckdb"
    assert run_code(RAW_OPEN, path).stderr.startswith("locked")

    way(path)
    assert run_code(RAW_OPEN, path).returncode == 0, "DuckDB's lock no longer vanishes: the trap is gone, rejoice"

    second = run_code(SECOND_OWNER, data_root)
    assert second.returncode == 1
    assert str(data_root / "live_buffer" / ".writer.lock") in second.stderr
    assert "held by process" in second.stderr


def test_what_a_refused_second_connect_does_to_the_lock_changes_nothing_for_us(owner, data_root):
    path = data_root / "live_buffer" / "ticks_today.duckdb"
    open_it_read_only(path)

    assert run_code(SECOND_OWNER, data_root).returncode == 1


def test_reading_snapshots_in_the_owner_leaves_duckdbs_lock_alone(owner, data_root):
    """Nothing the live buffer does opens the file a second way: reader, flush, merge and pins use Parquet only."""
    reader = DatabaseManager(data_root)
    for batch in range(1, 4):
        owner.append("ticks", ticks(batch * 100, 100))
        owner.flush()
        with reader.live_buffer_reader() as conns:
            assert conns["ticks"].execute("SELECT count(*) FROM ticks").fetchall() == [((batch + 1) * 100,)]

    assert run_code(RAW_OPEN, data_root / "live_buffer" / "ticks_today.duckdb").stderr.startswith("locked")


def test_the_owner_cannot_open_it_twice_through_the_manager(owner, data_root):
    """Neither with the same manager nor with another in the same process."""
    from libs.core.errors import FleetError

    with pytest.raises(FleetError), DatabaseManager(data_root, role=Role.INGESTOR).live_buffer_writer():
        pass
