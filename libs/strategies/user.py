"""The user's own strategies: every file of a directory, loaded by path. A broken one is reported, the others load."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from libs.core.errors import FleetError
from libs.strategies.interface import BaseStrategy, describe_parameters, id_of
from libs.strategies.registry import forget, register


class Broken(NamedTuple):
    """A file that could not be used: where it broke, and why."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Loaded(NamedTuple):
    """What a directory gave."""

    strategies: dict[str, Path]
    broken: tuple[Broken, ...]


def load_directory(directory: Path) -> Loaded:
    """Load and register every strategy of a directory, in the order of file names; `_…` files are left alone.

    A directory that is not there holds no strategies.
    """
    found: dict[str, Path] = {}
    broken: list[Broken] = []
    for path in sorted(directory.glob("*.py")):
        if path.name.startswith("_"):
            continue
        outcome = _load(path)
        if isinstance(outcome, Broken):
            broken.append(outcome)
        else:
            found.update(dict.fromkeys(outcome, path))
    return Loaded(found, tuple(broken))


def _load(path: Path) -> list[str] | Broken:
    name = _module_name(path)
    try:
        module = _execute(path, name)
        kinds = [kind for kind in vars(module).values() if _is_strategy_of(module, kind)]
        if not kinds:
            return Broken(str(path), 1, "no class here inherits from BaseStrategy; see `fleet new strategy`")
        for kind in kinds:
            describe_parameters(kind)
            kind().warmup_bars  # noqa: B018 - its defaults must make a strategy
        return [id_of(register(kind)) for kind in kinds]
    except SyntaxError as e:
        forget(name)
        return Broken(e.filename or str(path), e.lineno or 1, f"SyntaxError: {e.msg}")
    except (Exception, SystemExit) as e:  # noqa: BLE001 - whatever a user's file raises is that file's fault
        forget(name)
        return Broken(str(path), _line_in(path, e), f"{type(e).__name__}: {e}")


def _module_name(path: Path) -> str:
    # It holds the directory: two users' momentum.py are two modules. msgspec finds annotations by it.
    return f"user_strategies_{blake2b(str(path.parent.resolve()).encode(), digest_size=4).hexdigest()}.{path.stem}"


def _execute(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FleetError(f"{path} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_strategy_of(module: ModuleType, kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseStrategy) and kind.__module__ == module.__name__


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the file itself on the way to the error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return (frames[-1].lineno or 1) if frames else 1
