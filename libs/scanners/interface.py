"""What a scan is: a panel in, a score for each symbol out. NaN means not picked."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import msgspec
import numpy as np

from libs.core.errors import Refused
from libs.indicators.columns import Floats
from libs.scanners.panel import Panel


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a scan's parameters: typed fields with defaults and ranges."""


P = TypeVar("P", bound=msgspec.Struct)


class Found(NamedTuple):
    """What a scan says of every symbol. `score` orders those picked, `confidence` is 0 to 1, `features` say why."""

    score: Floats
    confidence: Floats
    features: dict[str, Floats]


class Pick(msgspec.Struct, frozen=True):
    """A symbol a scan picked out. It says nothing about how much to trade, and never may."""

    symbol: str
    rank: int
    score: float
    confidence: float
    features: dict[str, float]


class BaseScan(Generic[P]):
    """Inherit, name it, and score a panel. The same panel gives the same picks; no clock, no store, no chance."""

    scan_id: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    #: One sentence for `fleet scans`.
    purpose: ClassVar[str] = ""
    parameters_type: ClassVar[type[msgspec.Struct]] = Parameters
    #: Whether a higher score is stronger; else its size is.
    by_size: ClassVar[bool] = False

    parameters: P

    def __init__(self, **given: Any) -> None:
        try:
            self.parameters = cast("P", msgspec.convert(given, self.parameters_type, strict=False))
        except msgspec.ValidationError as e:
            raise Refused(f"scan {self.scan_id!r}: parameters {given}: {e}") from e

    @property
    def bars_needed(self) -> int:
        """Bars a symbol must have before it can be picked."""
        return 1

    def scan(self, panel: Panel) -> Found:
        """Score every symbol."""
        raise NotImplementedError(f"{type(self).__name__}.scan")


def pick(scan: BaseScan[Any], panel: Panel, limit: int = 50) -> list[Pick]:
    """Run a scan and give the strongest first; equal scores by name. A symbol without enough bars is not picked."""
    if panel.bars == 0 or not panel.symbols:
        return []
    with np.errstate(all="ignore"):
        found = scan.scan(panel)
    enough = panel.have_traded(scan.bars_needed)
    chosen = np.flatnonzero(np.isfinite(found.score) & enough)
    strength = np.abs(found.score) if scan.by_size else found.score
    if chosen.size > limit > 0:  # thousands may be picked, of which a few are told
        weakest = np.sort(strength[chosen])[-limit]
        chosen = chosen[strength[chosen] >= weakest]
    order = sorted(chosen.tolist(), key=lambda row: (-strength[row], panel.symbols[row]))
    return [
        Pick(
            panel.symbols[row], rank, float(found.score[row]), float(np.clip(found.confidence[row], 0.0, 1.0)),
            {name: float(values[row]) for name, values in found.features.items() if np.isfinite(values[row])},
        )
        for rank, row in enumerate(order[:limit], 1)
    ]  # fmt: skip


def reached(measure: Floats, threshold: float, *, both_ways: bool = False, **features: Floats) -> Found:
    """Pick what reaches a threshold, upwards or in its size; the measure is the score."""
    size = np.abs(measure) if both_ways else measure
    return Found(np.where(size >= threshold, measure, np.nan), certain(measure, threshold), features)


def nothing(panel: Panel) -> Found:
    """Pick nothing."""
    none = np.full(len(panel.symbols), np.nan)
    return Found(none, none, {})


def certain(score: Floats, threshold: float) -> Floats:
    """Confidence of a score over its threshold: a half at the threshold, whole at twice of it."""
    with np.errstate(all="ignore"):
        return np.clip(np.abs(score) / (2.0 * threshold), 0.0, 1.0)
