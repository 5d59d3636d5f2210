"""Looking for candlestick patterns: over columns, over the newest bar of a whole market, and with a cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from libs.analytics.bars import BarColumns, is_whole
from libs.analytics.candles import PATTERNS, WINDOW, Candles
from libs.contracts import OHLCVBar
from libs.contracts.analytics import Direction, PatternFound
from libs.indicators.columns import Floats, Integers

VERSION = "1"
_PRICES = ("open", "high", "low", "close")
#: A pattern that was found is never quite without strength.
_STRENGTH_MIN = 0.01


def detect(prices: Floats) -> Floats:
    """Look for every pattern at every bar: open, high, low, close x … x bars in, patterns x … x bars out.

    0 is not found, else the strength up to 1; patterns are in the order of `PATTERNS`.
    """
    with np.errstate(all="ignore"):
        candles = Candles(*prices)
        found = []
        for pattern in PATTERNS.values():
            is_there, strength = pattern.rule(candles)
            clear = np.clip(np.nan_to_num(strength, nan=_STRENGTH_MIN), _STRENGTH_MIN, 1.0)
            found.append(np.where(is_there, clear, 0.0))
    return np.stack(found)


def prices_of(bars: BarColumns) -> Floats:
    """Stack the prices the way `detect` takes them."""
    return np.stack([bars.columns[name] for name in _PRICES])


def pattern_rows(strengths: Floats, at: int, *, with_none: bool = False, **identity: Any) -> list[PatternFound]:
    """Say one bar as messages, a pattern each.

    `with_none`: a bar without any gives one row of direction `none`, so that nobody has to look again.
    """
    rows = [
        PatternFound(pattern=name, direction=pattern.direction, strength=strength, version=VERSION, **identity)
        for (name, pattern), strength in zip(PATTERNS.items(), strengths[:, at].tolist(), strict=True)
        if strength > 0.0
    ]
    if rows or not with_none:
        return rows
    return [PatternFound(pattern="any", direction=Direction.NONE, strength=0.0, version=VERSION, **identity)]


class PatternWatch:
    """The streaming form over a whole market: keeps the last bars of each symbol, looks at a minute of all at once."""

    def __init__(self) -> None:
        self._row: dict[tuple[str, str], int] = {}
        self._recent = np.full((len(_PRICES), 0, WINDOW), np.nan)

    def update(self, bars: Iterable[OHLCVBar]) -> tuple[list[OHLCVBar], Floats]:
        """Take the newest bar of some symbols, each at most once; give those without a hole and their patterns."""
        whole = [bar for bar in bars if is_whole(bar)]
        if not whole:
            return [], np.empty((len(PATTERNS), 0))
        rows = [self._row_of(bar.exchange, bar.symbol) for bar in whole]
        window = self._recent[:, rows, :]
        window = np.concatenate([window[..., 1:], np.empty((len(_PRICES), len(rows), 1))], axis=-1)
        window[..., -1] = [[getattr(bar, name) for bar in whole] for name in _PRICES]
        self._recent[:, rows, :] = window
        return whole, detect(window)[..., -1]

    def _row_of(self, exchange: str, symbol: str) -> int:
        row = self._row.setdefault((exchange, symbol), len(self._row))
        if row == self._recent.shape[1]:
            more = np.full((len(_PRICES), max(16, row), WINDOW), np.nan)
            self._recent = np.concatenate([self._recent, more], axis=1)
        return row


class _Seen(NamedTuple):
    timestamp_us: Integers
    prices: Floats
    strengths: Floats


class PatternCache:
    """Remembers what was found, a symbol and timeframe an entry, the least asked for forgotten first.

    Bars equal to those seen before are not looked at again: only what came after them is, or from the first bar on
    that was corrected.
    """

    def __init__(self, entries_max: int = 512) -> None:
        self._entries_max = entries_max
        self._held: OrderedDict[Sequence[str], _Seen] = OrderedDict()
        #: Bars that were looked at, and bars that need not be.
        self.looked = self.spared = 0

    def strengths(self, key: Sequence[str], bars: BarColumns) -> Floats:
        """Give `detect` of the bars; `key` says whose they are."""
        prices, key = prices_of(bars), tuple(key)
        seen = self._held.get(key)
        same = 0 if seen is None else _same_bars(seen, bars.timestamp_us, prices)
        begin = max(0, same - WINDOW + 1)
        fresh = detect(prices[:, begin:])
        strengths = fresh if seen is None or not same else np.concatenate(
            [seen.strengths[:, :same], fresh[:, same - begin :]], axis=1
        )  # fmt: skip
        self.looked += len(bars) - same
        self.spared += same
        self._held[key] = _Seen(bars.timestamp_us.copy(), prices, strengths)
        self._held.move_to_end(key)
        while len(self._held) > self._entries_max:
            self._held.popitem(last=False)
        return strengths


def _same_bars(seen: _Seen, timestamps: Integers, prices: Floats) -> int:
    size = min(seen.timestamp_us.size, timestamps.size)
    same = (seen.timestamp_us[:size] == timestamps[:size]) & (seen.prices[:, :size] == prices[:, :size]).all(axis=0)
    return size if same.all() else int(np.argmin(same))
