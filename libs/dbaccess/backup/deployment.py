"""A copy before new code touches a store, made by whatever starts it: a command, or the store's owner by itself.

A copy made beside a living owner is not noted: that owner's code writes on, and its successor copies what it left.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.core.clock import Clock
from libs.core.errors import FleetError, Refused
from libs.dbaccess.backup.manager import BackupManager
from libs.dbaccess.deployed import is_new_code, note_code
from libs.dbaccess.errors import DiskRefused, StoreBusy, WriterLockHeld
from libs.dbaccess.layout import Layout
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Store

#: What cannot be computed again.
_COPIED = (Store.TRADING, Store.CONFIG)
#: So long an owner copies before it goes on without: the watchdog's alarm that nobody guards positions begins here.
_OWNER_COPIES_S = 10
_WAITS_S = 10
_AGAIN_S = 0.02


def copy_before_deployment(manager: BackupManager, *, without: bool = False) -> dict[str, str]:
    """Copy trading and config unless this code ran here before; give the copies by store, none when it did.

    Each copy is opened and checked. Raise Refused when one cannot be made: the new code has touched nothing then.
    `without` deploys without a copy. Stores that are not there yet need none.
    """
    if without or not manager.layout.root.is_dir():
        return {}
    made = {}
    for store in _COPIED:
        try:
            path = _copy(manager, store)
        except (FleetError, OSError, sqlite3.Error) as e:
            raise Refused(
                f"this code runs here for the first time, and a copy of {store.value} before it could not be made: "
                f"{e}. Nothing was touched: go back to the code that ran, or `fleet init --no-backup` goes on without"
            ) from e
        if path:
            made[store.value] = str(path)
    return made


def copy_before_first_write(manager: BackupManager, store: Store) -> Path | None:
    """Copy a store unless this code was on it before, and note that it is now; give the copy.

    For the store's owner, which holds its lock and wrote nothing yet. Raises when it cannot be done within some
    seconds, or would take more than half of the room there is; nothing is noted then, and the next start copies.
    """
    return _copy(manager, store, is_owner=True)


def note_deployment(layout: Layout) -> None:
    """Write down that this code is on the stores now, but for one whose owner lives: it notes its own."""
    for store in _COPIED:
        if not WriterLock(layout.lock(store)).is_held_by_anyone():
            note_code(layout, store)


def _copy(manager: BackupManager, store: Store, *, is_owner: bool = False) -> Path | None:
    layout = manager.layout
    if not is_new_code(layout, store):
        return None
    with _turn(layout, store, manager.clock):
        if not is_new_code(layout, store):  # to who had the turn before
            return None
        # An owner that starts from here on is of this code, and waits for its turn before it writes.
        writes_on = not is_owner and WriterLock(layout.lock(store)).is_held_by_anyone()
        copy = None
        if layout.store(store).exists():
            copy = _copy_in_time(manager, store) if is_owner else manager.copy_for_deployment(store)
        if not writes_on:
            note_code(layout, store)
    return copy


def _copy_in_time(manager: BackupManager, store: Store) -> Path:
    """Copy for an owner that has more to do: it neither takes long nor fills the disk that the owner writes to."""
    path = manager.layout.store(store)
    journal = path.with_name(f"{path.name}-wal")
    size = path.stat().st_size + (journal.stat().st_size if journal.exists() else 0)
    if shutil.disk_usage(manager.root).free < 2 * size:
        raise DiskRefused(f"{manager.root}: a copy of {size} bytes would take more than half of the room that is left")
    go_on = _until(manager.clock, _OWNER_COPIES_S, StoreBusy(path, f"its copy takes longer than {_OWNER_COPIES_S} s"))
    try:
        return manager.copy_for_deployment(store, go_on)
    except sqlite3.OperationalError:
        go_on()  # SQLite says it in its own words while it checks
        raise


@contextmanager
def _turn(layout: Layout, store: Store, clock: Clock) -> Iterator[None]:
    """Copy one at a time. Never waited for while another lock is wanted, so nobody waits for ever, nor long."""
    lock = WriterLock(layout.backups / f".deploying_{store.value}.lock")
    go_on = _until(clock, _WAITS_S, WriterLockHeld(lock.path, lock.holder()))
    while not lock.acquire():
        go_on()
        clock.sleep(_AGAIN_S)
    try:
        yield
    finally:
        lock.release()


def _until(clock: Clock, limit_s: float, error: FleetError) -> Callable[..., None]:
    """Give what raises the error once so long has passed."""
    end_ns = clock.monotonic_ns() + int(limit_s * 1e9)

    def go_on(*_: object) -> None:
        if clock.monotonic_ns() > end_ns:
            raise error

    return go_on
