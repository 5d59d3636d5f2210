"""Putting closed days back from a cold copy: the missing and the changed ones, each whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.dbaccess import catalogue
from libs.dbaccess.backup.market import MARKET_LIST, MarketList, read_list, read_whole
from libs.dbaccess.backup.place import copy_checked, link_or_copy, place
from libs.dbaccess.backup.restore import Restored, way_back
from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.files import CLOSED_FILE, checksum, make_directory, write_atomically
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import Layout
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.owners import refuse_living_owner

#: Called with how many are done, how many there are, and the name of the one just done.
Report = Callable[[int, int, str], None]


def restore_market(db: DatabaseManager, source: Path, *, report: Report) -> Restored:
    """Put every day of a copy, or one file of it, back where history lacks it or has other bytes.

    Days the copy does not have stay. What is replaced is kept as a copy of its own below the backups, so the way back
    is another restore. `WriterLockHeld` while the ingestor lives.
    """
    require_root(db.layout)
    folder, names = _chosen(source)
    refuse_living_owner(db.layout)
    with db.history_lock():
        now = to_datetime(db.clock.now_us()).astimezone(IST)
        kept = _Kept(db.layout.backups / "market_data" / f"replaced_{now:%Y%m%d_%H%M%S_%f}", db)
        _restore_books(db, folder)
        recorded = catalogue.checksums(db.layout, db.settings.sqlite)
        placed, left_alone = 0, []
        for done, (name, expected) in enumerate(sorted(names.items()), 1):
            target = db.layout.confined(db.layout.market / name)
            if _is_archived(db.layout, name):
                left_alone.append(name)
                report(done, len(names), name)
                continue
            if not target.exists() or checksum(target) != expected:
                kept.add(target, name)
                _put(folder / name, target, expected, db)
                placed += 1
            # Also of a day that is there alike: a restore may have been killed between the two.
            if target.suffix == ".duckdb" and recorded.get(target) != expected:
                catalogue.record_day(db.layout, target, origin="found", clock=db.clock, settings=db.settings.sqlite)
            report(done, len(names), name)
    same = len(names) - placed - len(left_alone)
    folder_kept = str(kept.folder) if kept.files else None
    if folder_kept:
        go_back = way_back("market", kept.folder, db.layout)
    else:
        go_back = "nothing was replaced, only added" if placed else "nothing was changed"
    added = placed - len(kept.files)
    return Restored("market", str(source), placed, same, folder_kept, go_back, tuple(left_alone), added)


class _Kept:
    """What a restore replaces, kept as a copy like any other; its list is written before the file is replaced."""

    def __init__(self, folder: Path, db: DatabaseManager) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self._db = db

    def add(self, target: Path, name: str) -> None:
        """Give a day a second name among the copies, where it stays when the first is taken."""
        if not target.exists():
            return
        copy = self.folder / name
        make_directory(copy.parent, self._db.layout.root)
        link_or_copy(target, copy)
        self.files[name] = checksum(copy)
        listed = MarketList(self._db.clock.now_us(), self.files)
        write_atomically(self.folder / MARKET_LIST, msgspec.json.format(msgspec.json.encode(listed), indent=1))


def _chosen(source: Path) -> tuple[Path, dict[str, str]]:
    """Give the copy's folder and the files to put back, with the checksums they must have."""
    if not source.exists():
        raise StoreMissing(source, "`fleet backups` lists the copies there are")
    folder = next((each for each in (source, *source.parents) if (each / MARKET_LIST).is_file()), None)
    if folder is None:
        raise Refused(f"{source}: lies in no finished copy of market data (none above it has a {MARKET_LIST})")
    listed = read_list(folder)
    files = listed.files if listed else {}
    if source == folder:
        return folder, files
    name = source.relative_to(folder).as_posix()
    chosen = {each: files[each] for each in files if each == name or each.startswith(f"{name}/")}
    if not chosen:
        raise Refused(f"{source}: is not in the list of the copy {folder}")
    return folder, chosen


def _restore_books(db: DatabaseManager, folder: Path) -> None:
    """Bring back the catalogue, the ledger and the version note where they are lost; the living ones know more."""
    for path in (db.layout.catalogue, db.layout.ledger, db.layout.schema_version):
        copied = folder / path.name
        if copied.exists() and not path.exists():
            place(path, partial(shutil.copyfile, copied))
    catalogue.ensure(db.layout, clock=db.clock, settings=db.settings.sqlite)


def _is_archived(layout: Layout, name: str) -> bool:
    """Whether a hot day of the copy is in the archive by now, where it is found as well as ever."""
    exchange, *series, file = name.split("/")
    if series[0] == "archive":
        return False
    folder = layout.market / exchange / "archive" / Path(*series) / f"date={file.removesuffix('.duckdb')}"
    return any(folder.glob("*.parquet"))


def _put(source: Path, target: Path, expected: str, db: DatabaseManager) -> None:
    make_directory(target.parent, db.layout.root)
    for left in target.parent.glob(f".{target.name}.*.partial"):  # by a killed restore; the lock is ours now
        left.unlink()

    def copy(staged: Path) -> None:
        copy_checked(source, staged, expected, checksum)
        read_whole(staged)
        staged.touch()  # not the copy's time: until it is listed, the catalogue's row is of another file
        staged.chmod(CLOSED_FILE)

    place(target, copy)
