"""Feature snapshots: named, versioned sets of figures per symbol and bar, the input of models and of hindsight.

A set never changes its formulas: what would change is a new version beside the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from libs.analytics.inputs import Figures, Want, want
from libs.contracts.analytics import FeatureSnapshot
from libs.core.errors import Refused
from libs.indicators.columns import Floats


class FeatureSet(NamedTuple):
    """A name and version, the figures it reads, and a formula for each feature."""

    name: str
    version: int
    wants: tuple[Want, ...]
    formulas: dict[str, Callable[[Figures], Floats]]

    @property
    def key(self) -> str:
        """What the store and every message call it."""
        return f"{self.name}.v{self.version}"

    def __call__(self, figures: Figures) -> dict[str, Floats]:
        """Compute every feature; NaN where it is not known."""
        return {name: formula(figures) for name, formula in self.formulas.items()}

    def row(self, columns: dict[str, Floats], at: int, **identity: Any) -> FeatureSnapshot | None:
        """Say one row as a message; None while no feature is known."""
        known = {name: value for name, column in columns.items() if np.isfinite(value := column.item(at))}
        return FeatureSnapshot(feature_set=self.key, features=known, **identity) if known else None


def over(part: Floats, whole: Floats) -> Floats:
    """Part by whole; nothing known where the whole is nothing."""
    safe = np.where(whole == 0.0, np.nan, whole)
    divided: Floats = part / safe
    return divided


_CORE = FeatureSet(
    "core",
    1,
    (
        want("before_1", "lag", bars=1),
        want("before_5", "lag", bars=5),
        want("before_20", "lag", bars=20),
        want("sma_20", "sma", period=20),
        want("ema_9", "ema", period=9),
        want("ema_21", "ema", period=21),
        want("rsi_14", "rsi", period=14),
        want("atr_14", "atr", period=14),
        want("adx_14", "adx", period=14),
        want("macd", "macd"),
        want("bands_20", "bollinger", period=20, multiplier=2.0),
        want("range_20", "donchian", period=20),
        want("vwap", "vwap"),
        want("volume_20", "sma", source="volume", period=20),
    ),
    {
        "return_1": lambda f: f["close"] / f["before_1"] - 1.0,
        "return_5": lambda f: f["close"] / f["before_5"] - 1.0,
        "return_20": lambda f: f["close"] / f["before_20"] - 1.0,
        "body_share": lambda f: over(f["close"] - f["open"], f["high"] - f["low"]),
        "close_in_bar": lambda f: over(f["close"] - f["low"], f["high"] - f["low"]),
        "sma_20_distance": lambda f: f["close"] / f["sma_20"] - 1.0,
        "ema_spread": lambda f: over(f["ema_9"] - f["ema_21"], f["atr_14"]),
        "rsi_14": lambda f: f["rsi_14"],
        "atr_share": lambda f: f["atr_14"] / f["close"],
        "adx_14": lambda f: f["adx_14"],
        "directional_spread": lambda f: f["adx_14.plus_di"] - f["adx_14.minus_di"],
        "macd_share": lambda f: over(f["macd.histogram"], f["atr_14"]),
        "band_place": lambda f: over(f["close"] - f["bands_20.lower"], f["bands_20.upper"] - f["bands_20.lower"]),
        "band_width": lambda f: over(f["bands_20.upper"] - f["bands_20.lower"], f["bands_20.middle"]),
        "range_place": lambda f: over(f["close"] - f["range_20.lower"], f["range_20.upper"] - f["range_20.lower"]),
        "vwap_distance": lambda f: f["close"] / f["vwap"] - 1.0,
        "volume_ratio": lambda f: over(f["volume"], f["volume_20"]),
    },
)

#: Every set by its key; old versions stay as long as somebody reads them.
FEATURE_SETS: dict[str, FeatureSet] = {each.key: each for each in (_CORE,)}


def find(key: str) -> FeatureSet:
    """Give the set of a key like `core.v1`."""
    if key not in FEATURE_SETS:
        raise Refused(f"no feature set {key!r}; there are {', '.join(FEATURE_SETS)}")
    return FEATURE_SETS[key]
