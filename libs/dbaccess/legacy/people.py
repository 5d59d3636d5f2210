"""Users and their roles. Passwords we cannot check are not taken over: those users get a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from libs.dbaccess.legacy.place import Placed
from libs.dbaccess.legacy.values import Context, Unfit, argon2, flag, moment, plain

PEOPLE = ("users", "roles", "user_roles")
_NAMES = ("username", "name", "login", "email")
_HASHES = ("passwordhash", "hashedpassword", "password")
_ACTIVE = ("isactive", "active", "enabled")
_MADE = ("createdat", "created", "registeredat")
_ROLES = ("role", "userrole")
#: What is taken of each table: of each group the first spelling that is there.
_TAKEN = {
    "users": (("userid", "id"), _NAMES, _HASHES, _ACTIVE, _MADE, _ROLES),
    "roles": (("roleid", "id"), ("rolename", "name", "role")),
    "user_roles": (("roleid", "role", "rolename"), ("userid", "user", "username")),
}


def unknown_columns(table: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Name the columns of a table of people that have no place here."""
    known = {plain(column): column for column in reversed(columns)}
    taken = {next((known[each] for each in group if each in known), "") for group in _TAKEN[table]}
    return tuple(column for column in columns if column not in taken)


def place_users(
    connection: sqlite3.Connection, rows: Iterable[dict[str, Any]], context: Context, now_us: int
) -> Placed:
    """Insert the users there are not yet, by name; a role column counts as a role."""
    return _each(rows, lambda row: _place_user(connection, row, context, now_us))


def _place_user(connection: sqlite3.Connection, row: dict[str, Any], context: Context, now_us: int) -> bool:
    name = str(_pick(row, _NAMES) or "").strip()
    if not name:
        raise Unfit("a user without a name")
    if connection.execute("SELECT 1 FROM users WHERE name = ?", [name]).fetchone():
        return False
    secret, made, active = _pick(row, _HASHES), _pick(row, _MADE), _pick(row, _ACTIVE)
    connection.execute(
        "INSERT INTO users (name, password_hash, is_active, created_at_us, updated_at_us) VALUES (?, ?, ?, ?, ?)",
        (
            name,
            argon2(secret, context) if secret else None,
            1 if active is None else flag(active, context),
            now_us if made is None else moment(made, context),
            now_us,
        ),
    )
    if role := _pick(row, _ROLES):
        _grant(connection, name, str(role), now_us)
    return True


def place_user_roles(
    connection: sqlite3.Connection, rows: Iterable[dict[str, Any]], names: dict[Any, str], roles: dict[Any, str],
    now_us: int,
) -> Placed:  # fmt: skip
    """Grant roles; `names` and `roles` say what the old numbers stood for."""

    def place(row: dict[str, Any]) -> bool:
        in_role, of_user = _TAKEN["user_roles"]
        role, user = _pick(row, in_role), names.get(_pick(row, of_user), "")
        return _grant(connection, user, str(roles.get(role, role)), now_us)

    return _each(rows, place)


def _each(rows: Iterable[dict[str, Any]], place: Callable[[dict[str, Any]], bool]) -> Placed:
    """Place each row, and count those that were there and those that have no place."""
    placed = Placed()
    for row in rows:
        try:
            if place(row):
                placed.placed += 1
            else:
                placed.there += 1
        except (Unfit, sqlite3.IntegrityError) as e:
            placed.problems[str(e)] += 1
    return placed


def users_by_id(rows: Iterable[dict[str, Any]]) -> dict[Any, str]:
    """Give the names behind the old numbers; a name stands for itself."""
    found: dict[Any, str] = {}
    for row in rows:
        name = str(_pick(row, _NAMES) or "")
        found |= {_pick(row, ("userid", "id")): name, name: name}
    return found


def roles_by_id(rows: Iterable[dict[str, Any]]) -> dict[Any, str]:
    """Give the names of the old roles by their numbers."""
    number, name = _TAKEN["roles"]
    return {_pick(row, number): str(_pick(row, name)) for row in rows}


def _grant(connection: sqlite3.Connection, user: str, role: str, now_us: int) -> bool:
    """Grant admin to admins; every other role of old reads, because nobody should be given more than he had."""
    ours = "admin" if plain(role) in {"admin", "administrator", "superuser", "owner"} else "viewer"
    found = connection.execute("SELECT user_id FROM users WHERE name = ?", [user]).fetchone()
    if found is None:
        raise Unfit(f"user {user!r} is not there")
    done = connection.execute("INSERT OR IGNORE INTO user_roles VALUES (?, ?, ?)", (found[0], ours, now_us))
    return done.rowcount > 0


def _pick(row: dict[str, Any], spellings: tuple[str, ...]) -> Any:
    for spelling in spellings:
        for column, value in row.items():
            if plain(column) == spelling:
                return value
    return None
