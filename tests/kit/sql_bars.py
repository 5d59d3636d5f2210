"""1m bars from recorded ticks by one SQL statement: the reference that streaming bars are held against."""

from __future__ import annotations

import duckdb
import polars as pl

from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE


def bars_by_sql(ticks: pl.DataFrame, session: Session) -> pl.DataFrame:
    """Build one day's 1m bars with DuckDB: columns symbol, timestamp_us, price, volume, seq.

    The late ticks are not among them. Ticks outside the session's hours make no bar.
    """
    hours = " OR ".join("(timestamp_us >= ? AND timestamp_us < ?)" for _ in session.trading_spans)
    edges = [edge for span in session.trading_spans for edge in span]
    with duckdb.connect() as connection:
        connection.register("ticks", ticks.to_arrow())
        return (
            connection.sql(
                f"""
                SELECT symbol, timestamp_us // {US_PER_MINUTE} * {US_PER_MINUTE} AS timestamp_us,
                       arg_min(price, (timestamp_us, seq)) AS open, max(price) AS high, min(price) AS low,
                       arg_max(price, (timestamp_us, seq)) AS close, sum(volume)::BIGINT AS volume
                FROM ticks WHERE {hours} GROUP BY ALL ORDER BY 1, 2
                """,
                params=edges,
            ).pl()
        )  # fmt: skip
