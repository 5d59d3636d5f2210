"""Small histories for tests: days in every place market data lies, from rows a test can reason about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.layout import Layout
from libs.settings import Settings, load_settings

#: 2026-02-02 is a Monday.
MONDAY = date(2026, 2, 2)
OPEN_MINUTE = 9 * 60 + 15

CANDLE_COLUMNS = ["symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume"]
TICK_COLUMNS = ["symbol", "timestamp", "price", "volume", "bid", "ask", "volume_day", "seq"]


def stores(root: Path, role: Role | None = None, **query: Any) -> DatabaseManager:
    """A manager, with settings of [query] as given."""
    return DatabaseManager(root, role, settings=_settings(tuple(query.items())))


@cache
def _settings(query: tuple[tuple[str, Any], ...]) -> Settings:
    """Read once: some tests close dozens of days."""
    return load_settings(environment={f"TRADEFLEET_QUERY_{key.upper()}": str(value) for key, value in query})


def at_us(day: date, minute: int) -> int:
    """The instant of a minute of a date, IST."""
    return day_start_us(day) + minute * US_PER_MINUTE


def candle(
    symbol: str, timestamp_us: int, close: float = 100.0, *, timeframe: str = "1m", volume: int = 10
) -> dict[str, Any]:
    return {
        "symbol": symbol, "timeframe": timeframe, "timestamp": timestamp_us,
        "open": close - 0.5, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": volume,
    }  # fmt: skip


def minutes(symbol: str, day: date, count: int = 375, *, first: int = OPEN_MINUTE) -> list[dict[str, Any]]:
    """One candle a minute, each closing higher than the one before."""
    return [candle(symbol, at_us(day, first + n), 100.0 + n, volume=n + 1) for n in range(count)]


def tick(symbol: str, timestamp_us: int, seq: int, price: float = 100.0) -> dict[str, Any]:
    return {
        "symbol": symbol, "timestamp": timestamp_us, "price": price, "volume": seq % 5,
        "bid": price - 0.05, "ask": None, "volume_day": seq * 10, "seq": seq,
    }  # fmt: skip


def arrow(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as the writers take them."""
    frame = pd.DataFrame(list(rows))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.schema.get_field_index("timestamp")
    return table.set_column(at, "timestamp", pa.array(frame["timestamp"], pa.timestamp("us", "UTC")))


def close_day(
    root: Path, day: date, rows: Sequence[dict[str, Any]], timeframe: str | None = "1m", exchange: str = "nse"
) -> Path:
    """Write a closed day: candles of a timeframe, or ticks when there is none."""
    data_type = "candles" if timeframe else "ticks"
    root.mkdir(exist_ok=True)
    with stores(root, Role.INGESTOR).historical_writer(exchange, data_type, timeframe, day) as writer:
        writer.append(arrow(rows))
    return Layout(root).day(exchange, data_type, timeframe, day)


def archive_day(
    root: Path, day: date, rows: Sequence[dict[str, Any]], folder: str = "candles/1m", parts: int = 1
) -> Path:
    """Write an archived day in so many Parquet files."""
    top = Layout(root).market / "nse" / "archive" / folder / f"date={day}"
    top.mkdir(parents=True)
    table = arrow(rows)
    size = -(-len(rows) // parts)
    for part in range(parts):
        pq.write_table(table.slice(part * size, size), top / f"part-{part}.parquet", compression="zstd")
    return top


def capture(root: Path, candles: Sequence[dict[str, Any]] = (), ticks: Sequence[dict[str, Any]] = ()) -> None:
    """Put rows into the live buffer, in two flushes, and stop."""
    with stores(root, Role.INGESTOR).live_buffer_writer() as buffer:
        for table, rows in (("candles", candles), ("ticks", ticks)):
            half = len(rows) // 2
            for part in (rows[:half], rows[half:]):
                if part:
                    buffer.append(table, arrow(part))
                    buffer.flush()


def moments(frame: pd.DataFrame) -> list[int]:
    """Give a frame's times as microseconds since the epoch."""
    return [int(moment.timestamp() * 1_000_000) for moment in frame["timestamp"]]
