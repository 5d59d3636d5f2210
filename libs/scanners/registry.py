"""Every scan by its id."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from libs.core.errors import Refused
from libs.scanners.interface import BaseScan

#: Id: module and class.
SCANS: dict[str, tuple[str, str]] = {
    "gainers": ("libs.scanners.movers", "Gainers"),
    "losers": ("libs.scanners.movers", "Losers"),
    "gap": ("libs.scanners.movers", "Gap"),
    "volume_surge": ("libs.scanners.movers", "VolumeSurge"),
    "vwap_distance": ("libs.scanners.movers", "VwapDistance"),
    "relative_strength": ("libs.scanners.movers", "RelativeStrength"),
    "breakout": ("libs.scanners.shapes", "Breakout"),
    "extremes_52w": ("libs.scanners.shapes", "YearExtremes"),
    "rsi_extremes": ("libs.scanners.shapes", "RsiExtremes"),
    "squeeze": ("libs.scanners.shapes", "Squeeze"),
    "nr7": ("libs.scanners.shapes", "NarrowRange"),
    "expression": ("libs.scanners.shapes", "Condition"),
}


def find(scan_id: str) -> type[BaseScan[Any]]:
    """Give the class of an id."""
    if scan_id not in SCANS:
        raise Refused(f"no scan {scan_id!r}; there are {', '.join(SCANS)}")
    module, name = SCANS[scan_id]
    found: type[BaseScan[Any]] = getattr(import_module(module), name)
    return found


def make(scan_id: str, **parameters: Any) -> BaseScan[Any]:
    """Make a scan with its parameters."""
    return find(scan_id)(**parameters)
