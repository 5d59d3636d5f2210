"""Which copies there are, and whether each still opens and checks out."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec

from libs.core.clock import to_us, trading_date
from libs.dbaccess.backup.market import read_list, read_whole
from libs.dbaccess.backup.names import named_time
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import checksum
from libs.dbaccess.soundness import problems_of
from libs.settings.storage import Sqlite

#: Where each store's copies are below the backup root.
PATTERNS = {
    "trading": "trading/*/trading_*.db",
    "config": "config/config_*.db",
    "market": "market_data/" + "[0-9]" * 8,
}


class Copy(msgspec.Struct, frozen=True):
    """One copy of a store. `bytes` is what its files hold; linked days are counted in each copy that has them."""

    store: str
    path: str
    made_at_us: int
    bytes: int
    files: int
    state: str


def list_copies(root: Path, settings: Sqlite, *, verify: bool = False) -> list[Copy]:
    """List the copies below a backup root, the newest of each store first; `verify` opens and reads each."""
    return [
        copy
        for store, pattern in PATTERNS.items()
        for copy in sorted(
            (_copy(store, path, settings, verify=verify) for path in root.glob(pattern)),
            key=lambda each: (-each.made_at_us, each.path),
        )
    ]


def newest_copy(root: Path, store: str) -> Path:
    """Give the newest finished copy of a store."""
    copies = list_copies(root, Sqlite())
    found = next((copy for copy in copies if copy.store == store and copy.state != "unfinished"), None)
    if found is None:
        folder = root / PATTERNS[store].partition("/")[0]
        raise StoreMissing(folder, f"no finished copy of {store}; make one with `fleet backup {store}`")
    return Path(found.path)


def _copy(store: str, path: Path, settings: Sqlite, *, verify: bool) -> Copy:
    if store != "market":
        state = (_sqlite_state(path, settings) if verify else "") or "whole"
        return Copy(store, str(path), _made_us(path), path.stat().st_size, 1, state)
    try:
        listed = read_list(path)
    except StoreCorrupt as e:
        return Copy(store, str(path), _day_us(path), 0, 0, f"damaged: {e}")
    if listed is None:
        return Copy(store, str(path), _day_us(path), 0, 0, "unfinished")
    sizes = [(path / name).stat().st_size for name in listed.files if (path / name).exists()]
    problems = list(_market_problems(path, listed.files)) if verify else []
    missing = len(listed.files) - len(sizes)
    state = "whole"
    if problems or missing:
        state = f"damaged: {problems[0] if problems else f'{missing} files are gone'}"
    elif listed.problems:
        state = f"lacks {len(listed.problems)} damaged days"
    return Copy(store, str(path), listed.made_at_us, sum(sizes), len(sizes), state)


def _sqlite_state(path: Path, settings: Sqlite) -> str:
    """Open a throw-away duplicate: opening the copy itself would leave a log beside it.

    It is made beside the copy, where there is room, unless nothing can be written there.
    """
    beside = path.parent if os.access(path.parent, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=beside) as folder:
        duplicate = Path(folder) / path.name
        shutil.copy2(path, duplicate)
        try:
            with sqlite_writer(duplicate, settings, durable=False) as connection:
                problems = list(problems_of(connection))
        except (StoreCorrupt, sqlite3.DatabaseError) as e:
            problems = [str(e)]
    return f"damaged: {problems[0]}" if problems else ""


def _market_problems(folder: Path, files: dict[str, str]) -> Iterator[str]:
    for name, expected in files.items():
        path = folder / name
        try:
            if checksum(path) != expected:
                yield f"{name}: its bytes changed since it was copied"
            else:
                read_whole(path)
        except (OSError, StoreCorrupt, duckdb.Error) as e:
            yield f"{name}: {e}"


def _made_us(path: Path) -> int:
    """When a copy was made: by its name, which is what its owner meant; a day's copy at the file's hour of that day."""
    written_us = path.stat().st_mtime_ns // 1000
    named = named_time(path)
    if named is None:
        return written_us
    is_of_day = path.name.startswith("config_") and trading_date(written_us) == named.date()
    return written_us if is_of_day else to_us(named)


def _day_us(folder: Path) -> int:
    named = named_time(folder)
    return to_us(named) if named else folder.stat().st_mtime_ns // 1000
