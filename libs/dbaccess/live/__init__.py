"""The live buffer: today's rows in DuckDB for their one writer, snapshots of them in Parquet for everybody else."""

from libs.dbaccess.live.buffer import Flushed, LiveBuffer, LiveTable, open_live_buffer
from libs.dbaccess.live.pins import Snapshot, pin_snapshot
from libs.dbaccess.live.reader import SnapshotReader, live_buffer_reader

__all__ = [
    "Flushed",
    "LiveBuffer",
    "LiveTable",
    "Snapshot",
    "SnapshotReader",
    "live_buffer_reader",
    "open_live_buffer",
    "pin_snapshot",
]
