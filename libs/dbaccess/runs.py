"""Writing the file of one backtest run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from libs.core.errors import Refused
from libs.core.ids import random_id
from libs.dbaccess import schema
from libs.dbaccess.connections import duckdb_writer
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_directory, sync_file


@contextmanager
def write_run(path: Path, root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make a run's file and give it its name when the block ends; nothing is left if it raises.

    Of two writers of one run the second is refused, however close they are: a name is given once.
    """
    make_directory(path.parent, root)
    staged = path.with_name(f".{path.name}.{os.getpid()}.{random_id(8)}.new")
    try:
        with duckdb_writer(staged) as connection:
            staged.chmod(PRIVATE_FILE)
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


def _give_name(path: Path, staged: Path) -> None:
    """Link the file to its name, which fails when the name is taken."""
    try:
        os.link(staged, path)
    except FileExistsError as e:
        raise Refused(f"{path}: this run exists; a runner writes only the run it created") from e
