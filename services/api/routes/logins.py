"""Log in, log out, who am I, the first admin."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from msgspec import Meta

from services.api import access
from services.api.changes import AddUser, Asked, Name, session_id_of
from services.api.context import Context
from services.api.guards import COOKIE, address_of
from services.api.passwords import hash_password, is_right

Secret = Annotated[str, Meta(min_length=1, max_length=1024)]


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name and password."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Secret


class FirstAdmin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of the one-time link, and who the first admin is to be."""

    secret: Secret
    name: Name
    password: Secret


@post("/api/session", role="public", status_code=200)
async def log_in(request: Request[Any, Any, Any], context: Context, data: Login) -> Response[dict[str, Any]]:
    """Begin a session: the cookie for the browser, the CSRF token for its requests."""
    api, store, address = context.settings.api, context.session, address_of(request)
    with store.transaction() as connection:
        stored = access.attempt(connection, data.name, address, context.clock.now_us(), api)
    async with context.hashing:
        fits = await asyncio.to_thread(is_right, stored, data.password)
    if not fits:
        raise access.LoginRefused("name or password is wrong")
    asked = Asked(data.name, address, context.clock.now_us(), {})
    with store.transaction() as connection:
        agent = request.headers.get("user-agent", "")
        cookie, csrf = access.log_in(connection, data.name, asked, agent, api)
    kept = Cookie(COOKIE, value=cookie, httponly=True, samesite="strict", path="/", max_age=api.session_max_min * 60,
                  secure=request.url.scheme == "https")  # fmt: skip
    return Response({"name": data.name, "csrf_token": csrf}, cookies=[kept])


@get("/api/session", role="viewer", sync_to_thread=False)
def who_am_i(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Say who asks, and what the page needs to ask on."""
    who: access.Principal = request.user
    session_id = session_id_of(who.key_hash) if who.kind == "session" else ""
    return {
        "name": who.name, "role": who.role, "kind": who.kind, "scopes": who.scopes, "csrf_token": who.csrf_token,
        "session_id": session_id,
    }  # fmt: skip


@delete("/api/session", role="viewer", status_code=200)
async def log_out(request: Request[Any, Any, Any], context: Context) -> Response[dict[str, Any]]:
    """End this session."""
    who: access.Principal = request.user
    with context.session.transaction() as connection:
        access.log_out(connection, who, Asked(who.name, address_of(request), context.clock.now_us(), {}))
    return Response({"name": who.name}, cookies=[Cookie(COOKIE, value="", path="/", max_age=0)])


@post("/api/first-admin", role="public", status_code=200)
async def first_admin(request: Request[Any, Any, Any], context: Context, data: FirstAdmin) -> dict[str, Any]:
    """Make the first admin by the one-time link the api printed."""
    async with context.hashing:
        hashed = await asyncio.to_thread(hash_password, data.password, context.settings.api.password_characters_min)
    given = AddUser(name=data.name, role="admin", password_hash=hashed)
    asked = Asked(data.name, address_of(request), context.clock.now_us(), {})
    with context.session.transaction() as connection:
        access.use_first_admin_link(connection, data.secret, given, asked)
    return {"name": data.name}


HANDLERS = [log_in, who_am_i, log_out, first_admin]
