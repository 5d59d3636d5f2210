"""Writing the file of one backtest run, and finding what killed ones left behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from libs.core.errors import Refused
from libs.core.ids import random_id
from libs.dbaccess import schema
from libs.dbaccess.connections import duckdb_reader, duckdb_writer, naming_disk
from libs.dbaccess.errors import StoreBusy, StoreCorrupt, StoreMissing
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_directory, sync_file

#: What readers and writers of a run's file, and of the index, are given.
RunConnection = duckdb.DuckDBPyConnection
IndexConnection = sqlite3.Connection


@contextmanager
def write_run(path: Path, root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make a run's file and give it its name when the block ends; nothing is left if it raises.

    Of two writers of one run the second is refused, however close they are: a name is given once.
    """
    make_directory(path.parent, root)
    staged = path.with_name(f".{path.name}.{os.getpid()}.{random_id(8)}.new")
    try:
        with naming_disk(path), duckdb_writer(staged) as connection:
            staged.chmod(PRIVATE_FILE)
            # A commit goes into the file itself, not into a log of as many bytes first.
            connection.execute("SET wal_autocheckpoint = '1KB'")
            for statement in schema.run_ddl():
                connection.execute(statement)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        sync_file(staged)
        _give_name(path, staged)
        sync_directory(path.parent)
    finally:
        staged.unlink(missing_ok=True)
        staged.with_name(staged.name + ".wal").unlink(missing_ok=True)


def commit_so_far(connection: duckdb.DuckDBPyConnection) -> None:
    """Put what a run has written on disk and go on: of a run that is killed later, this much can be read."""
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")
    connection.execute("BEGIN")


class Unfinished(NamedTuple):
    """The file of a run that has not got its name yet, and the process that made it."""

    run_id: str
    pid: int
    path: Path


def unfinished_runs(folder: Path) -> list[Unfinished]:
    """List the files of runs that go on, or were killed."""
    found = []
    for path in sorted(folder.glob(".run_*.duckdb.*.new")):
        run_id, _, pid, *_ = path.name.removeprefix(".").split(".")
        if pid.isdigit():
            found.append(Unfinished(run_id, int(pid), path))
    return found


@contextmanager
def killed_run_reader(unfinished: Unfinished) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Read what a killed run left behind; None when the run still goes on, for then its file is held by its process."""
    if unfinished.pid == os.getpid():
        yield None
        return
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(duckdb_reader(unfinished.path))
        except (StoreBusy, StoreMissing):  # it goes on, or got its name just now
            yield None
            return
        try:
            yield connection
        except duckdb.CatalogException as e:
            raise StoreCorrupt(f"{unfinished.path}: was not even begun: {e}") from e


def _give_name(path: Path, staged: Path) -> None:
    """Link the file to its name, which fails when the name is taken."""
    try:
        os.link(staged, path)
    except FileExistsError as e:
        raise Refused(f"{path}: this run exists; a runner writes only the run it created") from e
