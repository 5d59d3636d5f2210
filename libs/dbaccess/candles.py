"""Candles as columns: what is read of them, and no word of how."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # whoever begins to read early imports numpy meanwhile
    import numpy as np
    import numpy.typing as npt


class CandleColumns(NamedTuple):
    """One symbol's candles in time order, each once; times are microseconds."""

    symbol: str
    timestamps: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.int64]
