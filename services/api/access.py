"""Logins: who is asking, sessions, tokens, throttling, and the first admin's one-time link."""

from __future__ import annotations

import secrets

import msgspec

from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused, RetryLater
from libs.settings.api import Api
from services.api.changes import AddUser, Asked, Connection, Done, digest, fetch, perform, record

_SEEN_EVERY_US = US_PER_MINUTE


class Principal(msgspec.Struct, frozen=True):
    """Who is asking. `scopes` limit a token; a session has them all."""

    user_id: int
    name: str
    role: str
    kind: str
    key_hash: str
    csrf_token: str = ""
    scopes: tuple[str, ...] = ("read", "trade", "config")


class LoginRefused(Refused):
    """Name and password don't fit; which of them is nobody's business."""


class LockedOut(RetryLater):
    """Too many failed logins; says nothing about whether the name exists."""


def by_session(connection: Connection, cookie: str, now_us: int, settings: Api) -> Principal | None:
    """Whose session a cookie is, if it lives."""
    key = digest(cookie)
    rows = fetch(
        connection,
        "SELECT s.user_id, u.name, r.role, s.csrf_token, s.seen_at_us FROM sessions s JOIN users u USING (user_id) "
        "JOIN user_roles r USING (user_id) WHERE s.session_hash = ? AND s.revoked_at_us IS NULL AND u.is_active = 1 "
        "AND s.expires_at_us > ? AND s.seen_at_us > ? ORDER BY r.role LIMIT 1",
        key, now_us, now_us - settings.session_idle_min * US_PER_MINUTE,
    )  # fmt: skip
    if not rows:
        return None
    row = rows[0]
    if now_us - row["seen_at_us"] > _SEEN_EVERY_US:
        connection.execute("UPDATE sessions SET seen_at_us = ? WHERE session_hash = ?", (now_us, key))
    return Principal(row["user_id"], row["name"], row["role"], "session", key, row["csrf_token"])


def by_token(connection: Connection, token: str, now_us: int) -> Principal | None:
    """Whose API token it is, if it lives."""
    key = digest(token)
    rows = fetch(
        connection,
        "SELECT t.user_id, u.name, r.role, t.scopes_json, t.used_at_us FROM api_tokens t JOIN users u USING (user_id) "
        "JOIN user_roles r USING (user_id) WHERE t.token_hash = ? AND t.revoked_at_us IS NULL AND u.is_active = 1 "
        "AND (t.expires_at_us IS NULL OR t.expires_at_us > ?) ORDER BY r.role LIMIT 1",
        key, now_us,
    )  # fmt: skip
    if not rows:
        return None
    row = rows[0]
    if now_us - (row["used_at_us"] or 0) > _SEEN_EVERY_US:
        connection.execute("UPDATE api_tokens SET used_at_us = ? WHERE token_hash = ?", (now_us, key))
    scopes = tuple(msgspec.json.decode(row["scopes_json"], type=list[str]))
    return Principal(row["user_id"], row["name"], row["role"], "token", key, scopes=scopes)


def attempt(connection: Connection, name: str, address: str, now_us: int, settings: Api) -> str | None:
    """Count a login before it is checked, so that many at once are all counted; give the hash to compare with."""
    since_us = now_us - settings.lockout_min * US_PER_MINUTE
    connection.execute("DELETE FROM login_attempts WHERE at_us < ?", (since_us,))
    counts = fetch(
        connection,
        "SELECT (SELECT count(*) FROM login_attempts WHERE name = ? AND at_us >= ?) AS of_name, "
        "(SELECT count(*) FROM login_attempts WHERE address = ? AND at_us >= ?) AS of_address",
        name, since_us, address, since_us,
    )[0]  # fmt: skip
    if counts["of_name"] >= settings.failed_logins_max or counts["of_address"] >= settings.attempts_per_address_max:
        raise LockedOut(f"too many failed logins; wait {settings.lockout_min} minutes, or have an admin set a password")
    connection.execute("INSERT INTO login_attempts (name, address, at_us) VALUES (?, ?, ?)", (name, address, now_us))
    connection.execute("UPDATE users SET failed_logins = failed_logins + 1 WHERE name = ?", (name,))
    rows = fetch(connection, "SELECT password_hash FROM users WHERE name = ? AND is_active = 1", name)
    return rows[0]["password_hash"] if rows else None


def log_in(connection: Connection, name: str, asked: Asked, user_agent: str, settings: Api) -> tuple[str, str]:
    """Begin a session for a name whose password was right; give the cookie and the CSRF token."""
    rows = fetch(connection, "SELECT user_id, name FROM users WHERE name = ? AND is_active = 1", name)
    if not rows:
        raise LoginRefused("name or password is wrong")
    user_id = rows[0]["user_id"]
    connection.execute("DELETE FROM login_attempts WHERE name = ?", (name,))
    connection.execute("UPDATE users SET failed_logins = 0, locked_until_us = NULL WHERE user_id = ?", (user_id,))
    # The oldest go, so that a program that logs in each minute fills no table.
    connection.execute("DELETE FROM sessions WHERE expires_at_us < ?", (asked.at_us,))
    connection.execute(
        "DELETE FROM sessions WHERE user_id = ? AND session_hash NOT IN (SELECT session_hash FROM sessions "
        "WHERE user_id = ? ORDER BY created_at_us DESC LIMIT ?)",
        (user_id, user_id, settings.sessions_per_user_max - 1),
    )
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    connection.execute(
        "INSERT INTO sessions (session_hash, user_id, csrf_token, address, user_agent, created_at_us, seen_at_us, "
        "expires_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (digest(cookie), user_id, csrf, asked.address, user_agent[:200], asked.at_us, asked.at_us,
         asked.at_us + settings.session_max_min * US_PER_MINUTE),
    )  # fmt: skip
    record(connection, asked, "session.begin", Done("sessions", rows[0]["name"], None, {"user": rows[0]["name"]}))
    return cookie, csrf


def log_out(connection: Connection, who: Principal, asked: Asked) -> None:
    """End a session."""
    connection.execute("UPDATE sessions SET revoked_at_us = ? WHERE session_hash = ?", (asked.at_us, who.key_hash))
    record(connection, asked, "session.end", Done("sessions", who.name, {"user": who.name}, None))


def first_admin_link(connection: Connection, now_us: int, settings: Api) -> str | None:
    """Make the link that lets the first admin in, where nobody can log in yet; older ones are void."""
    if fetch(connection, "SELECT 1 FROM users WHERE is_active = 1 LIMIT 1"):
        return None
    secret = secrets.token_urlsafe(24)
    connection.execute("DELETE FROM one_time_links WHERE purpose = 'first_admin'")
    connection.execute(
        "INSERT INTO one_time_links (link_hash, purpose, created_at_us, expires_at_us) VALUES (?, 'first_admin', ?, ?)",
        (digest(secret), now_us, now_us + settings.link_max_min * US_PER_MINUTE),
    )
    return secret


def use_first_admin_link(connection: Connection, secret: str, given: AddUser, asked: Asked) -> None:
    """Make the first admin; the link works once, and never when there is a user."""
    used = connection.execute(
        "UPDATE one_time_links SET used_at_us = ? WHERE link_hash = ? AND purpose = 'first_admin' "
        "AND used_at_us IS NULL AND expires_at_us > ?",
        (asked.at_us, digest(secret), asked.at_us),
    ).rowcount
    if not used or fetch(connection, "SELECT 1 FROM users WHERE is_active = 1 LIMIT 1"):
        raise LoginRefused("the link is used, too old or wrong; a restart of the api prints a new one, "
                           "or use `fleet user add`")  # fmt: skip
    perform(connection, "user.add", msgspec.structs.replace(asked, given=msgspec.to_builtins(given)))
