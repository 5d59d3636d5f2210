"""The user's own files of a directory, loaded by path. A broken one is reported with its line, the others load."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from libs.core.errors import FleetError


class Broken(NamedTuple):
    """A file that could not be used: where it broke, and why."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Files(NamedTuple):
    """What a directory gave: the file of each name, and what could not be used."""

    names: dict[str, Path]
    broken: tuple[Broken, ...]


def load_files(
    directory: Path, package: str, take: Callable[[ModuleType], list[str]], forget: Callable[[str], None]
) -> Files:
    """Load every file of a directory, in the order of their names; `_…` files are left alone.

    `take` registers what a module holds and gives the names, or raises; `forget` takes back what the module of a name
    registered before it broke. A directory that is not there holds nothing.
    """
    found: dict[str, Path] = {}
    broken: list[Broken] = []
    for path in sorted(directory.glob("*.py")):
        if path.name.startswith("_"):
            continue
        name = _module_name(package, path)
        try:
            found.update(dict.fromkeys(take(_execute(path, name)), path))
        except SyntaxError as e:
            forget(name)
            broken.append(Broken(e.filename or str(path), e.lineno or 1, f"SyntaxError: {e.msg}"))
        except NothingHere as e:
            broken.append(Broken(str(path), 1, str(e)))
        except (Exception, SystemExit) as e:  # noqa: BLE001 - whatever a user's file raises is that file's fault
            forget(name)
            broken.append(Broken(str(path), _line_in(path, e), f"{type(e).__name__}: {e}"))
    return Files(found, tuple(broken))


class NothingHere(FleetError):
    """A file holds nothing of the kind that is looked for."""


def classes_in(module: ModuleType, base: type) -> list[type]:
    """Give the classes a module defines itself that inherit from a base; raise when there is none."""
    found = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == module.__name__
    ]
    if not found:
        raise NothingHere(f"no class here inherits from {base.__name__}; see `fleet new`")
    return found


def _module_name(package: str, path: Path) -> str:
    # It holds the directory: two users' momentum.py are two modules. msgspec finds annotations by it.
    return f"{package}_{blake2b(str(path.parent.resolve()).encode(), digest_size=4).hexdigest()}.{path.stem}"


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


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the file itself on the way to the error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return (frames[-1].lineno or 1) if frames else 1
