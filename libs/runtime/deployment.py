"""How an owner takes its store, whoever started it: the lock, a copy if the code is new to it, and then the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from libs.dbaccess import DatabaseManager
from libs.dbaccess.deployed import is_new_code
from libs.dbaccess.roles import Store
from libs.dbaccess.sqlite_session import SqliteSession
from libs.runtime.logs import get_logger


@contextmanager
def take_store(manager: DatabaseManager, store: Store) -> Iterator[tuple[SqliteSession, str]]:
    """Hold a store for its service's life; give its session, and why it was not copied for new code, for the heartbeat.

    A copy that cannot be made stops nobody. To leave positions without their stops because a disk is full costs more
    than going back without this copy does: ops' hourly copies are left, and an upgrade of the store makes its own.
    """
    with manager.lock(store):
        problem = _copy_for_new_code(manager, store)
        with manager.writer_session(store) as session:
            yield session, problem


def _copy_for_new_code(manager: DatabaseManager, store: Store) -> str:
    log = get_logger()
    try:
        if not is_new_code(manager.layout, store):
            return ""
        from libs.dbaccess.backup import BackupManager, copy_before_first_write  # loaded when they are needed

        copies = BackupManager(manager.layout.root, settings=manager.settings, clock=manager.clock)
        copy = copy_before_first_write(copies, store)
    except Exception as e:  # noqa: BLE001 - a start must not fail for it, whatever new code raises here
        log.error("deployment.not_copied", store=store.value, kind=type(e).__name__, error=str(e))
        return f"new code is on {store.value}, and a copy before it could not be made: {e}"
    if copy:
        log.info("deployment.copied", store=store.value, copy=str(copy))
    return ""
