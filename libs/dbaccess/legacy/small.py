"""The tables that become rows of a SQLite store: people, orders, trades, insights and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from libs.dbaccess.legacy.mapping import MAPPINGS, ORDERS, TRADES, may_be_kept, understand
from libs.dbaccess.legacy.mapping import Mapping as TableMapping
from libs.dbaccess.legacy.people import (
    PEOPLE,
    place_user_roles,
    place_users,
    roles_by_id,
    unknown_columns,
    users_by_id,
)
from libs.dbaccess.legacy.place import Placed, place_rows, settle_positions
from libs.dbaccess.legacy.report import TableResult
from libs.dbaccess.legacy.source import LegacyFile, keep_table
from libs.dbaccess.legacy.values import Context
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.roles import OWNERS, Role, Store


def mapping_of(table: str) -> TableMapping | None:
    """Find what is known of a table by its name."""
    return next((each for each in MAPPINGS if table in each.names), None)


def is_small_table(table: str) -> bool:
    """Whether a table becomes rows of a SQLite store."""
    return table in PEOPLE or mapping_of(table) is not None


def plan_small(old: LegacyFile, table: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Say where a table would go, which columns nobody knows, and what is in the way."""
    mapping = mapping_of(table.lower())
    if mapping is None:
        return f"config.{table.lower()}", unknown_columns(table.lower(), old.columns(table)), ()
    mapped = understand(mapping, old.columns(table))
    problems = (f"no column for {', '.join(mapped.missing)}",) if mapped.missing else ()
    return f"{mapping.store}.{mapping.target}", mapped.extra, problems


class SmallTables:
    """Places the small tables of one source."""

    def __init__(
        self, managers: Mapping[Role, DatabaseManager], old: LegacyFile, source: Path, folder: Path, context: Context
    ) -> None:
        self._managers = managers
        self._old = old
        self._source = source
        self._folder = folder
        self._context = context

    @staticmethod
    def turn(table: str) -> int:
        """Order them: what points at a row comes after it."""
        names = [*PEOPLE, *(name for each in MAPPINGS for name in each.names)]
        return names.index(table)

    def place(self, table: str) -> TableResult:
        """Place one table in one transaction."""
        if table.lower() in PEOPLE:
            return self._people(table)
        mapping = mapping_of(table.lower())
        if mapping is None:
            raise KeyError(table)
        target = f"{mapping.store}.{mapping.target}"
        mapped = understand(mapping, self._old.columns(table))
        if mapped.missing:
            problems = (f"no column for {', '.join(mapped.missing)}; the table stays in the copy",)
            return TableResult(self._source.name, table, 0, target, "failed", problems=problems)
        db = self._managers[OWNERS[mapping.store]]
        with db.writer_session(mapping.store) as session, session.transaction() as connection:
            placed = place_rows(connection, mapping, mapped, self._old.rows(table), self._context)
            if mapping is ORDERS or mapping is TRADES:
                settle_positions(connection, self._folder.name, db.clock.now_us())
        homeless = [name for name in mapped.extra if not (mapping.extra and may_be_kept(mapping, name))]
        return self._result(
            table,
            target,
            placed,
            mapped.extra,
            keep_table(self._old, table, self._folder) if homeless else mapping.extra,
        )

    def _people(self, table: str) -> TableResult:
        db = self._managers[Role.API]
        tables = {each.lower(): each for each in self._old.tables()}
        name = table.lower()
        rows = self._old.rows(table)
        placed = Placed()
        with db.writer_session(Store.CONFIG) as session, session.transaction() as connection:
            if name == "users":
                placed = place_users(connection, rows, self._context, db.clock.now_us())
            elif name == "user_roles":
                users = users_by_id(self._old.rows(tables["users"])) if "users" in tables else {}
                roles = roles_by_id(self._old.rows(tables["roles"])) if "roles" in tables else {}
                placed = place_user_roles(connection, rows, users, roles, db.clock.now_us())
            else:  # admin and viewer are seeded; the names of others are told by user_roles
                placed.there = sum(1 for _ in rows)
        # Kept whole: also what is known of people is not all taken, such as passwords and the names of other roles.
        kept_in = keep_table(self._old, table, self._folder)
        return self._result(table, f"config.{name}", placed, unknown_columns(name, self._old.columns(table)), kept_in)

    def _result(self, table: str, target: str, placed: Placed, extra: tuple[str, ...], kept_in: str) -> TableResult:
        return TableResult(
            self._source.name, table, 0, target, "done", placed.placed, placed.there, placed.refused,
            extra_columns=extra, extra_kept_in=kept_in if extra or target.startswith("config.") else "",
            problems=placed.told(),
        )  # fmt: skip
