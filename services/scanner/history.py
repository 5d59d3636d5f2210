"""Bars as history gives them, as the messages they once were."""

from __future__ import annotations

from typing import Any

from libs.contracts import OHLCVBar


def bars_of(table: Any, exchange: str) -> list[OHLCVBar]:
    """Make bars of a table of candles."""
    instants = table["timestamp"].cast("int64").to_pylist()
    return [
        OHLCVBar(
            row["symbol"], row["timeframe"], instant, row["open"], row["high"], row["low"], row["close"],
            row["volume"], exchange,
        )
        for row, instant in zip(table.to_pylist(), instants, strict=True)
    ]  # fmt: skip
