"""Data roots for tests: with every store in them, and settings that don't depend on the machine's disk."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from libs.core.clock import SystemClock
from libs.dbaccess.backup import note_deployment
from libs.dbaccess.init import Made, init_all
from libs.dbaccess.layout import Layout
from libs.settings import Settings, load_settings

#: A small disk is no fault in a test.
ROOMY = {"TRADEFLEET_HEALTH_DISK_FREE_ERROR_GIB": "0", "TRADEFLEET_HEALTH_DISK_FREE_WARNING_GIB": "0"}


def settings(**environment: str) -> Settings:
    """The defaults, on a roomy disk, with what the test changes."""
    return load_settings(environment=ROOMY | environment)


def make_stores(root: Path) -> list[Made]:
    """Do what `fleet init` does."""
    made = init_all(Layout(root), settings=settings(), clock=SystemClock())
    note_deployment(Layout(root))
    return made


def copy_stores(root: Path) -> None:
    """Put every store into a root, in a thirtieth of the time; the stores' uuids are those of every other copy."""
    copy_of(make_stores, root)


def copy_of(make: Callable[[Path], object], root: Path) -> Path:
    """Give a root with what `make` puts into one: made once in a process, and copied. Nothing in it is open."""
    shutil.copytree(_made(make), root, dirs_exist_ok=True)
    return root


@cache
def _made(make: Callable[[Path], object]) -> Path:
    root = Path(tempfile.mkdtemp(prefix="tradefleet-stores-")) / "data"
    atexit.register(shutil.rmtree, root.parent, ignore_errors=True)
    root.mkdir(mode=0o700)
    make(root)
    return root
