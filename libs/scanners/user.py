"""The user's own scans: every file of a directory, loaded by path and held to what every scan must do."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from libs.core.errors import Refused
from libs.core.userfiles import Broken, classes_in, load_files
from libs.scanners.conformance import problem
from libs.scanners.interface import BaseScan
from libs.scanners.registry import forget, register


class LoadedScans(NamedTuple):
    """What a directory gave."""

    scans: dict[str, Path]
    broken: tuple[Broken, ...]


def load_directory(directory: Path) -> LoadedScans:
    """Load and register every scan of a directory, in the order of file names; `_…` files are left alone.

    One that does not do what a scan must (`libs.scanners.conformance`) is broken. A directory that is not there holds
    no scans.
    """
    return LoadedScans(*load_files(directory, "user_scans", _take, forget))


def _take(module: ModuleType) -> list[str]:
    kinds = classes_in(module, BaseScan)
    for kind in kinds:
        if found := problem(kind):
            raise Refused(f"{kind.__name__} {found}")
    return [register(kind) for kind in kinds]
