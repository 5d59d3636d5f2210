"""One sentence: what this scan looks for."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.scanners.interface import BaseScan, Found, Parameters, reached
from libs.scanners.panel import Panel


class TemplateParameters(Parameters, frozen=True, kw_only=True):
    """What can be tuned. The ranges are enforced and shown."""

    percent: Annotated[float, Meta(gt=0.0, le=100.0)] = 1.0
    bars: Annotated[int, Meta(ge=2, le=300)] = 15


class Template(BaseScan[TemplateParameters]):
    """Moved over the last bars. Replace this with your own idea."""

    scan_id = "template"
    version = "1"
    purpose = "Moved at least `percent` over the last `bars` bars; up is positive, down negative."
    parameters_type = TemplateParameters
    by_size = True

    @property
    def bars_needed(self) -> int:
        """Bars a symbol must have before it can be picked."""
        return self.parameters.bars

    def scan(self, panel: Panel) -> Found:
        """Score every symbol at once, NaN where it is not picked. Rows are symbols, columns bars; NaN: not traded."""
        bars = min(self.parameters.bars, panel.bars)
        moved = (panel.last("close") / panel.close[:, -bars] - 1.0) * 100.0
        return reached(moved, self.parameters.percent, both_ways=True, moved_percent=moved)
