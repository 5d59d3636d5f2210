"""The manifest: what a snapshot of the live buffer consists of, replaced as a whole by every flush."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.dbaccess.errors import SchemaTooNew, StoreCorrupt, StoreMissing
from libs.dbaccess.files import write_atomically
from libs.dbaccess.live.paths import TABLES

FORMAT = 1

#: A plain file name: nothing in a manifest leads out of the segments' directory.
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]*\.parquet$")]
Count = Annotated[int, Meta(ge=0)]


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A column of a table, with DuckDB's name of its type."""

    name: str
    type: str


class Segment(msgspec.Struct, frozen=True):
    """One immutable Parquet file: the rows of one table from `rowid_min` to `rowid_max`, sorted.

    `level` counts how often the rows were merged: 0 is a flush, 1 a minute, 2 an hour.
    """

    file: FileName
    rows: Count
    rowid_min: Count
    rowid_max: Count
    timestamp_min_us: int
    timestamp_max_us: int
    trading_dates: tuple[date, ...]
    size_bytes: Count
    level: Count = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of the snapshot, ticks and candles together.

    `watermarks` says, by table, up to which seq of each stream that table holds everything: the two DuckDB files
    commit apart, so after a crash one may be ahead. `boot` names the boot of the machine it was written in.
    """

    format: int = FORMAT
    generation: Count
    published_at_us: int
    exchange: str
    boot: str
    columns: dict[str, tuple[Column, ...]]
    watermarks: dict[str, dict[str, int]]
    segments: dict[str, tuple[Segment, ...]]

    def __post_init__(self) -> None:
        for part in (self.columns, self.watermarks, self.segments):
            if set(part) != set(TABLES):
                raise ValueError(f"tables {sorted(part)} instead of {sorted(TABLES)}")

    @property
    def trading_dates(self) -> tuple[date, ...]:
        """The dates (IST) rows are of, in order: one, unless a day was not rolled over."""
        found = {day for listed in self.segments.values() for segment in listed for day in segment.trading_dates}
        return tuple(sorted(found))

    @property
    def trading_date(self) -> date | None:
        """The date being captured: the latest there are rows of."""
        return self.trading_dates[-1] if self.trading_dates else None

    def files(self) -> list[str]:
        """The names of all segments listed."""
        return [segment.file for listed in self.segments.values() for segment in listed]


_decoder = msgspec.json.Decoder(Manifest)


def read_manifest(path: Path) -> Manifest:
    """Read the newest manifest; StoreMissing when there is none, StoreCorrupt when it is not one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as e:
        raise StoreMissing(path, "nothing was captured yet; the ingestor makes it when it starts") from e
    try:
        _check_format(path, data)
        return _decoder.decode(data)
    except msgspec.MsgspecError as e:
        raise StoreCorrupt(f"{path}: not a manifest of the live buffer: {e}; the ingestor rebuilds it at start") from e


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest; a reader sees the old or the new one. Not synced: recovery does not rely on it."""
    write_atomically(path, msgspec.json.encode(manifest), sync=False)


class _Format(msgspec.Struct, frozen=True):
    format: int


def _check_format(path: Path, data: bytes) -> None:
    found = msgspec.json.decode(data, type=_Format).format
    if found > FORMAT:
        raise SchemaTooNew(f"{path}: manifest format {found}, this code knows {FORMAT}; upgrade the reader")
