"""Every route says who may use it; one that says nothing admits nobody.

Roles: `public`, `local` (this machine without a login, others with one), `viewer`, `admin`. A token needs the route's
scope as well: `read`, `trade`, `config`. What changes something needs the session's CSRF token beside its cookie.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult

from services.api.access import Principal, by_session, by_token
from services.api.context import Context
from services.api.settings import is_loopback

COOKIE = "tradefleet_session"
CSRF_HEADER = "x-csrf-token"
ROLES = ("public", "local", "viewer", "admin")
_SAFE = {"GET", "HEAD", "OPTIONS"}

Connection = ASGIConnection[Any, Any, Any, Any]


class Authentication(AbstractAuthenticationMiddleware):
    """Finds out who is asking; whether they may is the guard's."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        context: Context = connection.app.state.context
        now_us, store = context.clock.now_us(), context.session.connection
        header = connection.headers.get("authorization", "")
        who: Principal | None = None
        if header.lower().startswith("bearer "):
            who = by_token(store, header[7:].strip(), now_us)
        elif cookie := connection.cookies.get(COOKIE):
            who = by_session(store, cookie, now_us, context.settings.api)
        return AuthenticationResult(user=who, auth=None)


def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let in who may."""
    role = handler.opt.get("role")
    who: Principal | None = connection.scope.get("user")
    _check_host(connection)
    if role not in ROLES:
        raise PermissionDeniedException("this route says nobody may use it")
    if connection.scope.get("method") not in _SAFE:
        _check_origin(connection)
        # What is public brings its own proof: who is logged in still may log in as somebody else.
        if who is not None and who.kind == "session" and role != "public":
            _check_csrf(connection, who)
    if role == "public" or (role == "local" and is_local(connection)):
        return
    if who is None:
        raise NotAuthorizedException("log in, or send `Authorization: Bearer` with an API token")
    if role == "admin" and who.role != "admin":
        raise PermissionDeniedException(f"{who.name} is a {who.role}; this needs an admin")
    scope = handler.opt.get("scope", "read")
    if scope not in who.scopes:
        raise PermissionDeniedException(f"this token may {', '.join(who.scopes) or 'nothing'}; this needs {scope!r}")


def address_of(connection: Connection) -> str:
    """Where a request comes from. What a proxy says of it anybody could say, so it is not believed."""
    return connection.client.host if connection.client else ""


def is_local(connection: Connection) -> bool:
    """Whether it comes from this machine; what went through a proxy comes from who knows where."""
    proxied = any(name in connection.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    return is_loopback(address_of(connection)) and not proxied


def _check_host(connection: Connection) -> None:
    """A page of somebody else's that has its own name point here is not let in."""
    host = connection.headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    if is_local(connection) and not is_loopback(name):
        raise PermissionDeniedException(f"host {host!r} is not this machine's; use http://127.0.0.1")


def _check_origin(connection: Connection) -> None:
    origin = connection.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != connection.headers.get("host"):
        raise PermissionDeniedException(f"a page of {origin} may not do this")


def _check_csrf(connection: Connection, who: Principal) -> None:
    given = connection.headers.get(CSRF_HEADER, "")
    if not compare_digest(given.encode(), who.csrf_token.encode()):
        raise PermissionDeniedException("the X-CSRF-Token header is missing or wrong; load the page anew")
