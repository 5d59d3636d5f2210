"""The version of the market data's files: `data/market_data/.schema_version`, one line such as 1.0.0."""

from __future__ import annotations

import re
from pathlib import Path

from libs.dbaccess.errors import SchemaTooNew, StoreCorrupt, StoreMissing
from libs.dbaccess.files import write_atomically
from libs.dbaccess.schema.market import VERSION

_SEMANTIC = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def read_schema_version(path: Path) -> str:
    """Give the version that is written there; `StoreMissing` when there is none."""
    try:
        text = path.read_text("utf-8").strip()
    except FileNotFoundError as e:
        raise StoreMissing(path, "run `fleet init`") from e
    except (IsADirectoryError, UnicodeDecodeError) as e:
        raise StoreCorrupt(f"{path}: expected one line such as {VERSION}: {e}") from e
    if not _SEMANTIC.fullmatch(text):
        raise StoreCorrupt(f"{path}: expected one line such as {VERSION}, found {text[:40]!r}")
    return text


def check_schema_version(path: Path) -> str:
    """Give the version, or raise `SchemaTooNew` when newer code wrote it."""
    found = read_schema_version(path)
    if _parts(found) > _parts(VERSION):
        raise SchemaTooNew(
            f"{path}: market data of version {found} is newer than this code's {VERSION}; upgrade the code"
        )
    return found


def write_schema_version(path: Path, version: str = VERSION) -> None:
    """Write the version so that a reader sees the old or the new one; a newer one is never replaced by an older."""
    if path.exists():
        check_schema_version(path)
    write_atomically(path, f"{version}\n".encode())


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
