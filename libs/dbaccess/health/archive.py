"""Archived days: there, and with the bytes that were recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb

from libs.dbaccess import catalogue
from libs.dbaccess.connections import duckdb_memory, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.health.finding import Finding, error, green
from libs.dbaccess.layout import Layout
from libs.settings.storage import Sqlite

_RESTORE = "restore it: `fleet restore market latest`"


def check_archived_days(layout: Layout, settings: Sqlite, *, deep: bool) -> Iterator[Finding]:
    """Every archived day has its files, and every one the catalogue lists is there; deep compares the checksum."""
    try:
        known = catalogue.archived_checksums(layout, settings)
    except (StoreCorrupt, sqlite3.DatabaseError, ValueError):
        known = {}  # the check of closed days says what is wrong with the catalogue
    found = [folder for folder in layout.market.glob("*/archive/**/date=*") if folder.is_dir()]
    problems = 0
    for folder in sorted({*found, *known}):
        if problem := _problem(folder, known.get(folder), deep=deep):
            problems += 1
            yield error("archive", folder, problem, _RESTORE)
    if found and not problems:
        yield green("archive", layout.market, f"{len(found)} archived days {'read in full' if deep else 'there'}")


def _problem(folder: Path, recorded: str | None, *, deep: bool) -> str:
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        return "no Parquet file of this day is there"
    try:
        with duckdb_memory() as connection:
            files = ", ".join(quote(part) for part in parts)
            columns = "count(COLUMNS(*))" if deep else "count(*)"
            connection.execute(f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false)").fetchall()
    except duckdb.Error as e:
        return f"cannot be read: {e}"
    if deep and recorded and catalogue.folder_checksum(folder) != recorded:
        return "its bytes are not the ones the catalogue recorded"
    return ""
