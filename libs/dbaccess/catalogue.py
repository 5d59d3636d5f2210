"""What history holds: one row a closed day with its checksum, and one a symbol in it.

The catalogue is written after a day has its name; a crash in between is made good by `refresh`, which adds what is on
disk and not listed. It can be rebuilt from the files and is never needed to read them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple, Self

from libs.core.clock import Clock
from libs.core.version import CODE_VERSION
from libs.dbaccess.connections import attach_day, duckdb_memory, sqlite_reader, sqlite_writer
from libs.dbaccess.figures import Figures, figures_of
from libs.dbaccess.files import checksum
from libs.dbaccess.init import ensure_file
from libs.dbaccess.layout import Layout, closed_days
from libs.settings.storage import Sqlite


class DayKey(NamedTuple):
    """Which closed day: `timeframe` is empty for ticks."""

    exchange: str
    data_type: str
    timeframe: str
    day: date

    @classmethod
    def of(cls, layout: Layout, path: Path) -> Self:
        """Read it off a day file's place."""
        exchange, data_type, *timeframe, name = path.relative_to(layout.market).parts
        return cls(exchange, data_type, timeframe[0] if timeframe else "", date.fromisoformat(name.split(".")[0]))

    def columns(self) -> tuple[str, str, str, str]:
        """Spell it as the catalogue's key."""
        return self.exchange, self.data_type, self.timeframe, self.day.isoformat()


def folder_checksum(folder: Path) -> str:
    """Hash the bytes of an archived day's files, in order of name."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.glob("*.parquet")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def ensure(layout: Layout, *, clock: Clock, settings: Sqlite) -> None:
    """Make the catalogue, or bring it up to date; raises when it is broken, before a day depends on it."""
    ensure_file(layout, layout.catalogue, "catalogue", clock=clock, settings=settings)


def record_day(
    layout: Layout, path: Path, *, origin: str, clock: Clock, settings: Sqlite,
    figures: Mapping[str, Figures] | None = None, digest: str | None = None,
) -> None:  # fmt: skip
    """List a day that was just closed; the caller holds the history lock.

    It gives the day's figures and its file's checksum if it has them.
    """
    with _writer(layout, clock, settings) as connection:
        _record(connection, layout, path, origin, clock, figures, digest)


def refresh(layout: Layout, *, clock: Clock, settings: Sqlite) -> list[Path]:
    """List the days on disk that are not listed, as found; the caller holds the history lock."""
    found = []
    with _writer(layout, clock, settings) as connection:
        known = {row[0] for row in connection.execute("SELECT path FROM catalogue_days")}
        for folder, _ in layout.all_series():
            for _, path in closed_days(folder):
                if path.relative_to(layout.root).as_posix() not in known:
                    _record(connection, layout, path, "found", clock)
                    found.append(path)
    return found


def checksums(layout: Layout, settings: Sqlite) -> dict[Path, str]:
    """Give the recorded checksum of every listed day that is still a file of its own; empty without a catalogue."""
    if not layout.catalogue.exists():
        return {}
    with sqlite_reader(layout.catalogue, settings) as connection:
        rows = connection.execute("SELECT path, checksum FROM catalogue_days WHERE sync_status = 'hot'").fetchall()
    return {layout.root / path: recorded for path, recorded in rows}


def mark_archived(layout: Layout, hot: Path, folder: Path, *, clock: Clock, settings: Sqlite) -> None:
    """List a day under its archive, while its hot file still stands; the caller holds the history lock."""
    key = DayKey.of(layout, hot)
    where = "(exchange, data_type, timeframe, trading_date) = (?, ?, ?, ?)"
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    with _writer(layout, clock, settings) as connection:
        if not connection.execute(f"SELECT 1 FROM catalogue_days WHERE {where}", key.columns()).fetchone():
            _record(connection, layout, hot, "found", clock)
        connection.execute(
            "UPDATE catalogue_days SET path = ?, bytes = ?, checksum = ?, sync_status = 'archived', verified_at_us = ?"
            f" WHERE {where}",
            (
                folder.relative_to(layout.root).as_posix(), size, folder_checksum(folder), clock.now_us(),
                *key.columns(),
            ),
        )  # fmt: skip


def archived_checksums(layout: Layout, settings: Sqlite) -> dict[Path, str]:
    """Give the recorded checksum of every archived day's folder; empty without a catalogue."""
    if not layout.catalogue.exists():
        return {}
    with sqlite_reader(layout.catalogue, settings) as connection:
        rows = connection.execute("SELECT path, checksum FROM catalogue_days WHERE sync_status = 'archived'").fetchall()
    return {layout.root / path: recorded for path, recorded in rows}


@contextmanager
def _writer(layout: Layout, clock: Clock, settings: Sqlite) -> Iterator[sqlite3.Connection]:
    ensure(layout, clock=clock, settings=settings)
    with sqlite_writer(layout.catalogue, settings, durable=False) as connection:
        yield connection


def _record(
    connection: sqlite3.Connection, layout: Layout, path: Path, origin: str, clock: Clock,
    figures: Mapping[str, Figures] | None = None, digest: str | None = None,
) -> None:  # fmt: skip
    key = DayKey.of(layout, path)
    symbols = figures if figures is not None else _figures(path, key.data_type)
    listed = key.columns()
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "DELETE FROM catalogue_days WHERE (exchange, data_type, timeframe, trading_date) = (?, ?, ?, ?)", listed
        )
        connection.execute(
            "INSERT INTO catalogue_days VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'hot', ?, ?, NULL)",
            (
                *listed, path.relative_to(layout.root).as_posix(),
                sum(each.rows for each in symbols.values()), len(symbols), path.stat().st_size,
                digest or checksum(path), origin, CODE_VERSION, clock.now_us(),
            ),
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO catalogue_symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*listed, symbol, *each[:6]) for symbol, each in sorted(symbols.items())],
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _figures(path: Path, table: str) -> dict[str, Figures]:
    with duckdb_memory() as connection:
        attach_day(connection, path, "day")
        return figures_of(connection, f"SELECT * FROM day.{table}", table, ("symbol", "timestamp"))
