"""Every change of the config store: what is asked is a typed struct, what was done stands in the audit log.

The service, `fleet user` and the screens all come through `perform`; nothing else writes these tables.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from services.api.told import store

Connection: TypeAlias = Any  # sqlite3's, which only dbaccess may import
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s/|\x00-\x1f]+$")]
Role = Annotated[str, Meta(pattern="^(viewer|admin)$")]
PasswordHash = Annotated[str, Meta(pattern=r"^\$argon2id\$")]
SCOPES = ("read", "trade", "config")


class NotThere(Refused):
    """There is no such row."""


class Asked(msgspec.Struct, frozen=True):
    """Who asks for what, when, from where."""

    actor: str
    address: str
    at_us: int
    given: Mapping[str, Any]
    prepared: Any = None  # what a change that takes long worked out beforehand


class Done(msgspec.Struct, frozen=True):
    """What was changed. `before` and `after` are without secrets."""

    table: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    result: Any = None
    seq: int = 0  # its place in the outbox


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a change takes; unknown keys are refused."""


class AddUser(Given, frozen=True, kw_only=True):
    """A new user; the password comes as its hash, so that it crosses no socket."""

    name: Name
    role: Role
    password_hash: PasswordHash


class OneUser(Given, frozen=True, kw_only=True):
    """A user by name."""

    name: Name


class SetPassword(OneUser, frozen=True, kw_only=True):
    """Another password; every session and lock of the user ends."""

    password_hash: PasswordHash


class SetRole(OneUser, frozen=True, kw_only=True):
    """Another role."""

    role: Role


class AddToken(OneUser, frozen=True, kw_only=True):
    """A token for a program of this user."""

    token_name: Name
    scopes: tuple[Annotated[str, Meta(pattern="^(read|trade|config)$")], ...] = ("read",)
    days: Annotated[int, Meta(ge=0, le=3650)] = 0


class RevokeToken(OneUser, frozen=True, kw_only=True):
    """End a token."""

    token_name: Name


class RevokeSessions(OneUser, frozen=True, kw_only=True):
    """End the sessions of a user; with an id, as `/api/sessions` gives it, that one alone."""

    session_id: Annotated[str, Meta(pattern="^([0-9a-f]{16})?$")] = ""


def digest(secret: str) -> str:
    """What is stored of a cookie, a token or a link: enough to know it again, useless to who reads it."""
    return sha256(secret.encode()).hexdigest()


def fetch(connection: Connection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def users(connection: Connection) -> list[dict[str, Any]]:
    """Every user, without secrets."""
    return fetch(
        connection,
        "SELECT u.user_id, u.name, (SELECT min(role) FROM user_roles r WHERE r.user_id = u.user_id) AS role, "
        "u.is_active, u.failed_logins, u.locked_until_us, u.created_at_us, u.updated_at_us FROM users u "
        "ORDER BY u.name",
    )


def _user(connection: Connection, name: str) -> dict[str, Any]:
    for row in users(connection):
        if row["name"].casefold() == name.casefold():
            return row
    raise NotThere(f"no user {name!r}; `fleet user list` shows them")


def _keep_an_admin(connection: Connection, user: Mapping[str, Any]) -> None:
    others = [r for r in users(connection) if r["role"] == "admin" and r["is_active"] and r["name"] != user["name"]]
    if user["role"] == "admin" and not others:
        raise Refused(f"{user['name']} is the last admin; make another one first")


def _add_user(connection: Connection, asked: Asked, given: AddUser) -> Done:
    if any(row["name"].casefold() == given.name.casefold() for row in users(connection)):
        raise Refused(f"there is a user {given.name!r} already")
    cursor = connection.execute(
        "INSERT INTO users (name, password_hash, created_at_us, updated_at_us) VALUES (?, ?, ?, ?)",
        (given.name, given.password_hash, asked.at_us, asked.at_us),
    )
    connection.execute("INSERT INTO user_roles VALUES (?, ?, ?)", (cursor.lastrowid, given.role, asked.at_us))
    after = _user(connection, given.name)
    return Done("users", given.name, None, after, after)


def _remove_user(connection: Connection, _: Asked, given: OneUser) -> Done:
    before = _user(connection, given.name)
    _keep_an_admin(connection, before)
    connection.execute("DELETE FROM users WHERE user_id = ?", (before["user_id"],))
    return Done("users", given.name, before, None, {"removed": before["name"]})


def _set_password(connection: Connection, asked: Asked, given: SetPassword) -> Done:
    before = _user(connection, given.name)
    connection.execute(
        "UPDATE users SET password_hash = ?, failed_logins = 0, locked_until_us = NULL, updated_at_us = ? "
        "WHERE user_id = ?",
        (given.password_hash, asked.at_us, before["user_id"]),
    )
    _end_sessions(connection, before["user_id"], asked.at_us)
    after = _user(connection, given.name)
    return Done("users", given.name, before, after, after)


def _set_role(connection: Connection, asked: Asked, given: SetRole) -> Done:
    before = _user(connection, given.name)
    if given.role != "admin":
        _keep_an_admin(connection, before)
    connection.execute("DELETE FROM user_roles WHERE user_id = ?", (before["user_id"],))
    connection.execute("INSERT INTO user_roles VALUES (?, ?, ?)", (before["user_id"], given.role, asked.at_us))
    after = _user(connection, given.name)
    return Done("users", given.name, before, after, after)


def session_id_of(key: str) -> str:
    """Name a session by the beginning of its key: enough to tell it from others, useless to who wants to be it."""
    return key[:16]


def _end_sessions(connection: Connection, user_id: int, at_us: int, session_id: str = "") -> int:
    return int(
        connection.execute(
            "UPDATE sessions SET revoked_at_us = ? WHERE user_id = ? AND revoked_at_us IS NULL "
            "AND ? IN ('', substr(session_hash, 1, 16))",
            (at_us, user_id, session_id),
        ).rowcount
    )


def _revoke_sessions(connection: Connection, asked: Asked, given: RevokeSessions) -> Done:
    user = _user(connection, given.name)
    ended = _end_sessions(connection, user["user_id"], asked.at_us, given.session_id)
    if given.session_id and not ended:
        raise NotThere(f"{given.name} has no living session {given.session_id!r}")
    key = f"{given.name}/{given.session_id}" if given.session_id else given.name
    return Done("sessions", key, {"sessions": ended}, {"sessions": 0}, {"ended": ended})


def _add_token(connection: Connection, asked: Asked, given: AddToken) -> Done:
    user = _user(connection, given.name)
    taken = fetch(
        connection, "SELECT 1 FROM api_tokens WHERE user_id = ? AND name = ?", user["user_id"], given.token_name
    )
    if taken:
        raise Refused(f"{given.name} has had a token {given.token_name!r}; choose another name")
    token = "tf_" + secrets.token_urlsafe(32)
    expires_us = asked.at_us + given.days * 24 * 60 * US_PER_MINUTE if given.days else None
    connection.execute(
        "INSERT INTO api_tokens (user_id, name, token_hash, scopes_json, created_at_us, expires_at_us) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (user["user_id"], given.token_name, digest(token), msgspec.json.encode(given.scopes).decode(), asked.at_us,
         expires_us),
    )  # fmt: skip
    after = {"token_name": given.token_name, "scopes": given.scopes, "expires_at_us": expires_us}
    return Done("api_tokens", f"{given.name}/{given.token_name}", None, after, {**after, "token": token})


def _revoke_token(connection: Connection, asked: Asked, given: RevokeToken) -> Done:
    user = _user(connection, given.name)
    changed = connection.execute(
        "UPDATE api_tokens SET revoked_at_us = ? WHERE user_id = ? AND name = ? AND revoked_at_us IS NULL",
        (asked.at_us, user["user_id"], given.token_name),
    ).rowcount
    if not changed:
        raise NotThere(f"{given.name} has no living token {given.token_name!r}")
    after = {"revoked_at_us": asked.at_us}
    return Done("api_tokens", f"{given.name}/{given.token_name}", {"revoked_at_us": None}, after, after)


#: Change: what it takes, what does it.
ACTIONS: dict[str, tuple[type[Given], Callable[[Connection, Asked, Any], Done]]] = {
    "user.add": (AddUser, _add_user),
    "user.remove": (OneUser, _remove_user),
    "user.password": (SetPassword, _set_password),
    "user.role": (SetRole, _set_role),
    "sessions.revoke": (RevokeSessions, _revoke_sessions),
    "token.add": (AddToken, _add_token),
    "token.revoke": (RevokeToken, _revoke_token),
}


def perform(connection: Connection, action: str, asked: Asked) -> Done:
    """Do a change and write it into the audit log and the outbox, in the caller's transaction."""
    from services.api.configuration import CONFIGURATION

    kind, function = {**ACTIONS, **CONFIGURATION}.get(action, (None, None))
    if kind is None or function is None:
        raise NotThere(f"no change {action!r}; there are {', '.join((*ACTIONS, *CONFIGURATION))}")
    try:
        given = msgspec.convert(dict(asked.given), kind)
    except msgspec.ValidationError as e:
        raise Refused(f"{action}: {e}") from e
    done = function(connection, asked, given)
    record(connection, asked, action, done)
    return msgspec.structs.replace(done, seq=store(connection, done.table, done.key, asked.at_us))


def record(connection: Connection, asked: Asked, action: str, done: Done, reason: str = "") -> None:
    """Add a line to the audit log."""
    before, after = (None if row is None else msgspec.json.encode(row).decode() for row in (done.before, done.after))
    connection.execute(
        "INSERT INTO audit_log (at_us, actor, address, action, subject, subject_key, before_json, after_json, reason) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (asked.at_us, asked.actor, asked.address, action, done.table, done.key, before, after, reason),
    )
