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

#: What `register` added in this process: the user's own.
_registered: dict[str, type[BaseScan[Any]]] = {}


def register(kind: type[BaseScan[Any]]) -> str:
    """Make a scan known and give its id; the same class again replaces itself, another one of that id is refused."""
    held = _registered.get(kind.scan_id)
    taken = SCANS.get(kind.scan_id) or (_origin(held) if held is not None else _origin(kind))
    if taken != _origin(kind):
        raise Refused(f"scan id {kind.scan_id!r} is taken by {'.'.join(taken)}; choose another")
    _registered[kind.scan_id] = kind
    return kind.scan_id


def forget(module: str) -> None:
    """Take out again what a module registered before it broke."""
    for name in [name for name, kind in _registered.items() if kind.__module__ == module]:
        del _registered[name]


def names() -> list[str]:
    """List the ids: shipped first, then the registered ones."""
    return [*SCANS, *sorted(_registered)]


def find(scan_id: str) -> type[BaseScan[Any]]:
    """Give the class of an id."""
    if scan_id in _registered:
        return _registered[scan_id]
    if scan_id not in SCANS:
        raise Refused(f"no scan {scan_id!r}; there are {', '.join(names())}")
    module, name = SCANS[scan_id]
    found: type[BaseScan[Any]] = getattr(import_module(module), name)
    return found


def make(scan_id: str, **parameters: Any) -> BaseScan[Any]:
    """Make a scan with its parameters."""
    return find(scan_id)(**parameters)


def _origin(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
