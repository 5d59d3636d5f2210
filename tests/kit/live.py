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


def problems(conns, manifest, *, ticks_a_batch: int, candles_a_batch: int) -> list[str]:
    """What is wrong with a snapshot of the batches `tests.kit.live_writer` writes; nothing when it is consistent.

    Every flush is whole batches, so a torn one shows as a count that is no multiple, or one that its watermark denies.
    """
    found = []
    rows = {}
    for table, stream, batch in (("ticks", "tick", ticks_a_batch), ("candles", "bar", candles_a_batch)):
        count, distinct, low, high, wrong = (
            conns[table]
            .execute(
                f"""SELECT count(*), count(DISTINCT seq), min(seq), max(seq),
                           count(*) FILTER (symbol <> format('S{{:03d}}', seq % 97) OR {_WRONG[table]}) FROM {table}"""
            )
            .fetchall()[0]
        )
        rows[table] = count // batch
        last = manifest.watermarks[table].get(stream, -1)
        if (count, distinct, low, high) != ((count, count, 0, count - 1) if count else (0, 0, None, None)):
            found.append(f"{table}: {count} rows, {distinct} seqs from {low} to {high}")
        if count % batch or last != count - 1:
            found.append(f"{table}: {count} rows, batches of {batch}, watermark {last}")
        if wrong:
            found.append(f"{table}: {wrong} rows with wrong values")
    if rows["ticks"] - rows["candles"] not in range(MAX_AHEAD + 1):
        found.append(f"{rows} batches: candles are never ahead, and ticks by one flush at most")
    return found


#: Batches in a flush at most: what one file may be ahead of the other after a crash between their commits.
MAX_AHEAD = 10
_WRONG = {
    "ticks": "price <> 100 + (seq % 1000) / 20 OR volume <> seq % 7 OR volume_day <> seq",
    "candles": "open <> 100 + seq % 50 OR volume <> seq OR low <> open - 2",
}
