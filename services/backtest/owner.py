"""What may be asked of the index's owner, and who does it: the service while it lives, else the caller itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role, StoreMissing, WriterLockHeld
from libs.dbaccess.runs import IndexConnection
from libs.settings import Settings
from services.backtest import cleanup, index
from services.backtest.manifest import NAME

Action = Callable[[DatabaseManager, IndexConnection, Clock, Mapping[str, Any]], Any]


def _reconcile(db: DatabaseManager, connection: IndexConnection, clock: Clock, _: Mapping[str, Any]) -> Any:
    return msgspec.to_builtins(index.reconcile(db, connection, clock))


def _rebuild(db: DatabaseManager, connection: IndexConnection, clock: Clock, _: Mapping[str, Any]) -> Any:
    return msgspec.to_builtins(index.rebuild(db, connection, clock))


def _clean_up(db: DatabaseManager, connection: IndexConnection, clock: Clock, _: Mapping[str, Any]) -> Any:
    index.reconcile(db, connection, clock)
    return {"deleted": cleanup.clean_up(db, connection, clock)}


def _delete(db: DatabaseManager, connection: IndexConnection, clock: Clock, given: Mapping[str, Any]) -> Any:
    run_id = str(given.get("run_id", ""))
    index.reconcile(db, connection, clock)
    found = connection.execute("SELECT state FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if found is None:
        raise StoreMissing(db.layout.backtest_run(run_id), "no such run; `fleet backtest list` shows them")
    if found[0] == "running":
        raise Refused(f"{run_id} is running; stop it first")
    cleanup.delete(db, connection, run_id)
    return {"deleted": [run_id]}


def _keep(db: DatabaseManager, connection: IndexConnection, clock: Clock, given: Mapping[str, Any]) -> Any:
    run_id, is_kept = str(given.get("run_id", "")), bool(given.get("is_kept", True))
    index.reconcile(db, connection, clock)
    if not connection.execute("UPDATE runs SET is_kept = ? WHERE run_id = ?", (int(is_kept), run_id)).rowcount:
        raise StoreMissing(db.layout.backtest_run(run_id), "no such run; `fleet backtest list` shows them")
    return {"run_id": run_id, "is_kept": is_kept}


ACTIONS: dict[str, Action] = {
    "reconcile": _reconcile,
    "rebuild": _rebuild,
    "cleanup": _clean_up,
    "delete": _delete,
    "keep": _keep,
}


def ask_owner(settings: Settings, data_root: str, action: str, clock: Clock, **arguments: Any) -> Any:
    """Have it done by whoever owns the index: by us when nobody else holds it, else by the service."""
    db = DatabaseManager(data_root, Role.BACKTEST_INDEX, settings=settings, clock=clock)
    try:
        with db.backtest_index_writer() as connection:
            return ACTIONS[action](db, connection, clock, arguments)
    except WriterLockHeld:
        from libs.messaging import CommandClient  # nobody who runs alone pays for a bus

        owned = msgspec.structs.replace(settings, data_root=data_root)
        with CommandClient(NAME, settings=owned, clock=clock) as client:
            return client.call(action, arguments)
