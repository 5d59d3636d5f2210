"""Rows out of DuckDB as Arrow, without planning a statement twice."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

# DuckDB would rather be given a relation and spare a copy of the rows. But a relation is planned when it is made, for
# its columns, and again when it is read; for a union of many days planning costs far more than the copy.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)


def batches(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None
) -> pa.RecordBatchReader:
    """Run a SELECT and give its rows batch by batch."""
    rows: Any = connection.execute(sql, parameters).to_arrow_reader()
    return rows
