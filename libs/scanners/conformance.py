"""What every scan must do, shipped or the user's own; looked at on a small market with gaps before it may run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from libs.core.clock import US_PER_MINUTE
from libs.indicators.columns import Floats
from libs.scanners.interface import BaseScan, pick
from libs.scanners.panel import Panel
from libs.scanners.running import Running

_SYMBOLS = tuple(f"SYMBOL{number}" for number in range(12))
_BARS = 120
_ARRAYS = ("open", "high", "low", "close", "volume", "previous_close", "year_high", "year_low", "index")
#: As the signals store refuses them.
_SIZING = ("quantity", "qty", "stop", "target", "size")


def problem(kind: type[BaseScan[Any]]) -> str:
    """Say what is wrong with a scan, in words that follow its name; empty when it does what it must.

    With its defaults it takes any market (none, one bar, gaps, constant prices), says the same of the same panel,
    leaves the panel as it is, needs no more than `bars_needed`, and names no figure that says how much to trade.
    """
    return next(_problems(kind), "")


def _problems(kind: type[BaseScan[Any]]) -> Iterator[str]:
    if not kind.scan_id:
        yield "has no scan_id"
    if not kind.purpose.endswith("."):
        yield "needs a purpose: one sentence for `fleet scans`"
    for name, panel in _panels().items():
        before = [getattr(panel, each).copy() for each in _ARRAYS]
        first, second = pick(kind(), panel, len(_SYMBOLS)), pick(kind(), panel, len(_SYMBOLS))
        if any(not _same(old, getattr(panel, each)) for each, old in zip(_ARRAYS, before, strict=True)):
            yield f"changes the panel it is given ({name}); copy what you change"
        if any(not 0.0 <= each.confidence <= 1.0 for each in first):
            yield f"has a confidence that is no number between 0 and 1 ({name})"
        if first != second:
            yield f"picks differently when it looks again at the same panel ({name})"
        sizing = {key for each in first for key in each.features if any(part in key.lower() for part in _SIZING)}
        if sizing:
            yield f"has features {sorted(sizing)}; a pick never says how much to trade, nor where to leave"


def _same(old: Floats, new: Floats) -> bool:
    return old.shape == new.shape and bool(np.array_equal(old, new, equal_nan=True))


def _panels() -> dict[str, Panel]:
    whole = _market()
    constant = np.full((len(_SYMBOLS), _BARS), 100.0)
    return {
        "a market with gaps": whole,
        "one bar": _cut(whole, 1),
        "no bar": _cut(whole, 0),
        "constant prices": Panel(_SYMBOLS, whole.timestamp_us, constant, constant, constant, constant, constant),
    }


def _market() -> Panel:
    # Waves of other lengths and heights for each symbol: trends, turns and surges, the same in every process.
    row, bar = np.arange(len(_SYMBOLS))[:, None], np.arange(_BARS)[None, :]
    close = 100.0 + 10.0 * row + (1.0 + row) * np.sin(bar / (5.0 + row)) + 0.05 * (row - 6.0) * bar
    opened = np.roll(close, 1, axis=1)
    opened[:, 0] = close[:, 0]
    spread = 0.1 + 0.05 * np.abs(np.cos(bar / 3.0 + row))
    high, low = np.maximum(opened, close) + spread, np.minimum(opened, close) - spread
    volume = 100.0 + 50.0 * ((bar + row) % 7) + 2000.0 * ((bar + row) % 40 == 39)
    missing = ((bar * 7 + row * 3) % 11 == 0) & (bar < _BARS - 1)
    opened, high, low, close, volume = (np.where(missing, np.nan, each) for each in (opened, high, low, close, volume))
    before = np.nanmax(close, axis=1) * (0.97 + 0.01 * row[:, 0])
    before[-1] = np.nan
    instants = 1_770_003_900_000_000 + US_PER_MINUTE * np.arange(_BARS)
    return Panel(
        _SYMBOLS, instants, opened, high, low, close, volume, previous_close=before,
        year_high=np.nanmax(close, axis=1), year_low=np.nanmin(close, axis=1), index=100.0 + np.sin(bar[0] / 9.0),
    )  # fmt: skip


def _cut(panel: Panel, bars: int) -> Panel:
    return replace(
        panel, timestamp_us=panel.timestamp_us[:bars], index=panel.index[:bars], running=Running(),
        **{name: getattr(panel, name)[:, :bars] for name in _ARRAYS[:5]},
    )  # fmt: skip
