"""Writing the file of one backtest run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from libs.dbaccess import schema
from libs.dbaccess.connections import duckdb_writer
from libs.dbaccess.files import PRIVATE_FILE, make_directory


@contextmanager
def write_run(path: Path, root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make a run's file and commit what the block wrote; nothing is left if it raises."""
    make_directory(path.parent, root)
    try:
        with duckdb_writer(path) as connection:
            path.chmod(PRIVATE_FILE)
            for statement in schema.run_ddl():
                connection.execute(statement)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
    except BaseException:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        raise
