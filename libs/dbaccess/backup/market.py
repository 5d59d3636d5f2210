"""The cold copy of market data: closed and archived days, unchanged ones linked from the copy before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path

import msgspec

from libs.core.clock import Clock
from libs.dbaccess.backup.place import copy_checked, link_or_copy, place
from libs.dbaccess.catalogue import checksums
from libs.dbaccess.connections import attach_day, duckdb_memory, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import CLOSED_FILE, checksum, make_directory, write_atomically
from libs.dbaccess.health.market import read_every_block
from libs.dbaccess.layout import Layout, closed_days
from libs.settings.storage import Sqlite

#: The list of what a copy holds; written last, so that a copy without it is known to be unfinished.
MARKET_LIST = "backup.json"


class MarketList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a copy of market data holds: each file below it with its checksum, and what could not be copied."""

    made_at_us: int
    files: dict[str, str]
    problems: tuple[str, ...] = ()


def read_list(folder: Path) -> MarketList | None:
    """Give the list of a copy, None when it was never finished."""
    try:
        return msgspec.json.decode((folder / MARKET_LIST).read_bytes(), type=MarketList)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as e:
        raise StoreCorrupt(f"{folder / MARKET_LIST}: not the list of a copy of market data: {e}") from e


def copy_market(layout: Layout, target: Path, last: date, *, settings: Sqlite, clock: Clock) -> None:
    """Copy every file of a closed day not later than `last`; raise at the end for those that could not be copied."""
    folders = sorted(target.parent.glob("[0-9]" * 8), reverse=True)
    earlier = [folder for folder in folders if folder != target]
    known = checksums(layout, settings)
    files: dict[str, str] = {}
    problems: list[str] = []
    for path in _files(layout, last):
        relative = path.relative_to(layout.market)
        try:
            expected = known.get(path) or checksum(path)
            _copy_file(path, target / relative, [each / relative for each in earlier], expected)
            files[relative.as_posix()] = expected
        except FileNotFoundError:
            continue  # archived since it was listed: it comes again as Parquet, which is listed after
        except StoreCorrupt as e:
            problems.append(str(e))
    if layout.schema_version.exists():
        write_atomically(target / layout.schema_version.name, layout.schema_version.read_bytes())
    listed = MarketList(clock.now_us(), files, tuple(problems))
    write_atomically(target / MARKET_LIST, msgspec.json.format(msgspec.json.encode(listed), indent=1))
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise StoreCorrupt(f"{target}: {len(problems)} files are not in this copy: {'; '.join(problems[:3])}{more}")


def _files(layout: Layout, last: date) -> Iterator[Path]:
    """Name the files of closed days, hot before archived: a day on its way there is met at least once."""
    for folder, _ in layout.all_series():
        yield from (path for day, path in closed_days(folder) if day <= last)
    for folder in sorted(layout.market.glob("*/archive/**/date=*")):
        if folder.name.removeprefix("date=") <= last.isoformat():
            yield from sorted(path for path in folder.glob("*.parquet") if not path.name.startswith((".", "_")))


def _copy_file(path: Path, target: Path, earlier: list[Path], expected: str) -> None:
    """Link the file from an earlier copy that has the bytes expected, else copy and read it whole.

    Whatever an earlier copy is linked for is hashed once more: a copy that went bad is not handed on.
    """
    if target.exists() and checksum(target) == expected:
        return
    make_directory(target.parent, Path(target.anchor))
    for copied in earlier:
        if copied.exists() and copied.stat().st_size == path.stat().st_size and checksum(copied) == expected:
            place(target, partial(link_or_copy, copied))
            return

    def copy(unfinished: Path) -> None:
        copy_checked(path, unfinished, expected, checksum)
        read_whole(unfinished)
        unfinished.chmod(CLOSED_FILE)

    place(target, copy)


def read_whole(path: Path) -> None:
    """Read every block of a copied day; `StoreCorrupt` names what cannot be read."""
    with duckdb_memory() as connection:
        if ".parquet" in path.name:
            connection.execute(f"CREATE VIEW day AS SELECT * FROM read_parquet({quote(path)})")
            connection.execute("SELECT count(COLUMNS(*)) FROM day").fetchall()
        else:
            attach_day(connection, path, "day")
            read_every_block(connection, "day")
