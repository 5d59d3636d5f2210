"""A live buffer for tests: checkable batches of ticks and candles, and what a snapshot must hold of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

#: 2026-02-02 09:15 IST.
OPEN_US = 1_770_003_900_000_000


def ticks(first_seq: int, rows: int, *, start_us: int = OPEN_US) -> pa.Table:
    """Ticks `first_seq`… whose every column follows from seq, so that any row can be checked alone."""
    seq = np.arange(first_seq, first_seq + rows, dtype=np.int64)
    return pa.table(
        {
            "symbol": pa.array([f"S{number:03d}" for number in seq % 97]),
            "timestamp": pa.array(start_us + seq * 200, pa.timestamp("us", tz="UTC")),
            "price": 100 + (seq % 1000) / 20,
            "volume": seq % 7,
            "bid": 100 + (seq % 1000) / 20 - 0.05,
            "ask": 100 + (seq % 1000) / 20 + 0.05,
            "volume_day": seq,
            "seq": seq,
        }
    )


def candles(first_seq: int, rows: int, *, start_us: int = OPEN_US) -> pa.Table:
    """One candle a minute of one symbol, `first_seq`…"""
    seq = np.arange(first_seq, first_seq + rows, dtype=np.int64)
    price = 100 + seq % 50
    return pa.table(
        {
            "symbol": pa.array([f"S{number:03d}" for number in seq % 97]),
            "timeframe": pa.array(["1m"] * rows),
            "timestamp": pa.array(start_us + seq // 97 * 60_000_000, pa.timestamp("us", tz="UTC")),
            "open": price, "high": price + 2.0, "low": price - 2.0, "close": price + 1.0,
            "volume": seq, "origin": pa.array(["live"] * rows), "seq": seq,
        }
    )  # fmt: skip
