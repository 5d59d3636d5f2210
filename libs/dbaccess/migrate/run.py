"""Applying migrations: each in one transaction with its record, after a backup, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.core.version import CODE_VERSION
from libs.dbaccess.errors import SchemaTooNew, StoreCorrupt
from libs.dbaccess.migrate.model import Migration, MigrationChanged
from libs.dbaccess.migrate.plans import PLANS
from libs.dbaccess.schema import version_of


def migrate(
    connection: sqlite3.Connection,
    store: str,
    *,
    clock: Clock,
    backup: Callable[[], Path] | None,
    plan: Sequence[Migration] | None = None,
) -> list[int]:
    """Bring an open store to this code's schema and give the versions that were applied.

    The caller holds the store's writer lock; the connection is in autocommit. Nothing is touched when the store is
    newer than the code, when an applied migration was changed, or when a store with a schema has no `backup`.
    """
    steps = PLANS[store] if plan is None else tuple(plan)
    if connection.in_transaction:
        raise Refused(f"{store}: a migration begins its own transaction; the connection is inside one")
    found = version_of(connection)
    _refuse_unknown_store(connection, store, found)
    _compare_applied(connection, store, steps, found)
    pending = [step for step in steps if step.version > (found or 0)]
    if not pending:
        return []
    if found is not None:
        if backup is None:
            raise Refused(f"{store}: version {found} holds data; it is not migrated without a backup")
        backup()
    with _foreign_keys_deferred(connection):
        # A new store is made whole or not at all; one that holds data goes step by step.
        for together in [pending] if found is None else [[step] for step in pending]:
            _apply(connection, store, together, clock)
    return [step.version for step in pending]


def _refuse_unknown_store(connection: sqlite3.Connection, store: str, found: int | None) -> None:
    if found is not None:
        return
    strangers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    if strangers:
        names = ", ".join(name for (name,) in strangers[:5])
        raise Refused(f"{store}: the file holds tables ({names}) but no record of migrations; no store of ours")


def _compare_applied(connection: sqlite3.Connection, store: str, steps: Sequence[Migration], found: int | None) -> None:
    if found is None:
        return
    known = {step.version: step for step in steps}
    if found > steps[-1].version:
        raise SchemaTooNew(
            f"{store}: schema version {found} is newer than this code's {steps[-1].version}; "
            "upgrade the code, or restore the backup made before that upgrade"
        )
    applied = dict(connection.execute("SELECT version, checksum FROM schema_migrations ORDER BY version").fetchall())
    if sorted(applied) != list(range(1, found + 1)):
        raise StoreCorrupt(f"{store}: records of migrations {sorted(applied)}; expected 1 to {found} without holes")
    changed = [version for version, checksum in applied.items() if known[version].checksum != checksum]
    if changed:
        step = known[changed[0]]
        raise MigrationChanged(
            f"{store}: migration {step.version} ({step.name}) was applied as {applied[step.version]} and is now "
            f"{step.checksum}; an applied migration is never edited, add a new one"
        )


def _apply(connection: sqlite3.Connection, store: str, steps: Sequence[Migration], clock: Clock) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            step.apply(connection)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?, ?, ?)",
                (step.version, step.name, clock.now_us(), CODE_VERSION, step.checksum),
            )
            _require_whole_references(connection, store, step)
        crash_point("migrate.commit.before")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    crash_point("migrate.commit.after")


def _require_whole_references(connection: sqlite3.Connection, store: str, step: Migration) -> None:
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise Refused(
            f"{store}: migration {step.version} ({step.name}) leaves {len(broken)} broken references, "
            f"the first in {broken[0][0]}"
        )


@contextmanager
def _foreign_keys_deferred(connection: sqlite3.Connection) -> Iterator[None]:
    """Let a migration rebuild a table that others point at; every reference is checked before its commit."""
    (enabled,) = connection.execute("PRAGMA foreign_keys").fetchone()
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA foreign_keys = {int(enabled)}")
