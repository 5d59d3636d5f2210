"""Who moved: gainers, losers, gaps, volume, against the index and against the session's average price."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from libs.indicators.columns import Floats
from libs.scanners.interface import BaseScan, Found, Parameters, nothing, reached
from libs.scanners.panel import Panel

Percent = Annotated[float, Meta(gt=0.0, le=100.0)]
Bars = Annotated[int, Meta(ge=2, le=500)]


class MoveParameters(Parameters, frozen=True, kw_only=True):
    """How far is far, in percent."""

    percent: Percent = 2.0


def _change(panel: Panel) -> Floats:
    """Percent since the close of the day before."""
    before = panel.of_day("previous_close")
    return (panel.last("close") / before - 1.0) * 100.0


class Gainers(BaseScan[MoveParameters]):
    scan_id = "gainers"
    purpose = "Up from the previous close by at least `percent`."
    parameters_type = MoveParameters

    def scan(self, panel: Panel) -> Found:
        change = _change(panel)
        return reached(change, self.parameters.percent, change_percent=change)


class Losers(BaseScan[MoveParameters]):
    scan_id = "losers"
    purpose = "Down from the previous close by at least `percent`."
    parameters_type = MoveParameters

    def scan(self, panel: Panel) -> Found:
        change = _change(panel)
        return reached(-change, self.parameters.percent, change_percent=change)


class GapParameters(Parameters, frozen=True, kw_only=True):
    """How wide a gap counts, in percent."""

    percent: Percent = 1.0


class Gap(BaseScan[GapParameters]):
    scan_id = "gap"
    purpose = "Opened at least `percent` away from the previous close; up is positive, down negative."
    parameters_type = GapParameters
    by_size = True

    def scan(self, panel: Panel) -> Found:
        opened = panel.first("open")
        gap = (opened / panel.of_day("previous_close") - 1.0) * 100.0
        return reached(gap, self.parameters.percent, both_ways=True, gap_percent=gap, change_percent=_change(panel))


class SurgeParameters(Parameters, frozen=True, kw_only=True):
    """The newest bar's volume against the mean of the `bars` before it."""

    times: Annotated[float, Meta(gt=1.0, le=1000.0)] = 3.0
    bars: Bars = 20


class VolumeSurge(BaseScan[SurgeParameters]):
    scan_id = "volume_surge"
    purpose = "The newest bar has at least `times` the mean volume of the `bars` before it."
    parameters_type = SurgeParameters

    @property
    def bars_needed(self) -> int:
        return self.parameters.bars + 1

    def scan(self, panel: Panel) -> Found:
        earlier = np.nan_to_num(panel.volume[:, -self.parameters.bars - 1 : -1])
        mean = earlier.mean(axis=1) if earlier.shape[1] else np.full(len(panel.symbols), np.nan)
        times = panel.last("volume") / np.where(mean > 0, mean, np.nan)
        return reached(times, self.parameters.times, times=times, volume=panel.last("volume"))


class DistanceParameters(Parameters, frozen=True, kw_only=True):
    """How far from the session's average price, in percent."""

    percent: Percent = 1.0


class VwapDistance(BaseScan[DistanceParameters]):
    scan_id = "vwap_distance"
    purpose = "At least `percent` away from the session's volume-weighted average price; above is positive."
    parameters_type = DistanceParameters
    by_size = True

    def scan(self, panel: Panel) -> Found:
        vwap = panel.indicator("vwap")
        away = (panel.last("close") / vwap - 1.0) * 100.0
        return reached(away, self.parameters.percent, both_ways=True, vwap=vwap, distance_percent=away)


class StrengthParameters(Parameters, frozen=True, kw_only=True):
    """Change over `bars` against the index's, in percentage points."""

    points: Percent = 1.0
    bars: Bars = 60


class RelativeStrength(BaseScan[StrengthParameters]):
    scan_id = "relative_strength"
    purpose = "Moved at least `points` percentage points more (or less) than the index over `bars` bars."
    parameters_type = StrengthParameters
    by_size = True

    @property
    def bars_needed(self) -> int:
        return 2

    def scan(self, panel: Panel) -> Found:
        if panel.index.size != panel.bars:
            return nothing(panel)
        begin = max(0, panel.bars - self.parameters.bars)
        moved = (panel.last("close") / panel.close[:, begin] - 1.0) * 100.0
        market = (panel.index[-1] / panel.index[begin] - 1.0) * 100.0
        stronger = moved - market
        index = np.full(len(moved), market)
        return reached(stronger, self.parameters.points, both_ways=True, change_percent=moved, index_percent=index)
