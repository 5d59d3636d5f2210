"""The user's own strategies: every file of a directory, loaded by path. A broken one is reported, the others load."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from libs.core.userfiles import Broken, classes_in, load_files
from libs.strategies.interface import BaseStrategy, describe_parameters, id_of
from libs.strategies.registry import forget, register


class Loaded(NamedTuple):
    """What a directory gave."""

    strategies: dict[str, Path]
    broken: tuple[Broken, ...]


def load_directory(directory: Path) -> Loaded:
    """Load and register every strategy of a directory, in the order of file names; `_…` files are left alone.

    A directory that is not there holds no strategies.
    """
    return Loaded(*load_files(directory, "user_strategies", _take, forget))


def _take(module: ModuleType) -> list[str]:
    kinds = classes_in(module, BaseStrategy)
    for kind in kinds:
        describe_parameters(kind)
        kind().warmup_bars  # noqa: B018 - its defaults must make a strategy
    return [id_of(register(kind)) for kind in kinds]


__all__ = ["Broken", "Loaded", "load_directory"]
