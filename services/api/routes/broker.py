"""The broker's token: its state, never the token; and the daily login.

The broker sends the browser back to `/broker`. That request comes from another site, so it has no session's cookie;
the page hands the code over in a request of its own, which has cookie and CSRF token.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.exceptions import PermissionDeniedException
from msgspec import Meta

from libs.core.errors import FleetError
from services.api.access import Principal
from services.api.changes import Asked, Done
from services.api.context import Context
from services.api.guards import address_of


class Returned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the broker sent back."""

    code: Annotated[str, Meta(min_length=1, max_length=2000)]
    state: Annotated[str, Meta(min_length=1, max_length=200)]


@get("/api/broker", role="viewer", sync_to_thread=True)
def broker(context: Context) -> dict[str, Any]:
    """Say where orders go and how the broker's token is: valid, expiring, needs_login, dead; read anew each time."""
    return context.broker.view()


@post("/api/broker/login", role="admin", scope="config", status_code=200, sync_to_thread=False)
def begin(request: Request[Any, Any, Any], context: Context) -> dict[str, Any]:
    """Begin to log in at the broker: the address to go to, good for this session, once."""
    return {"url": context.broker.begin(_session(request).key_hash)}


@post("/api/broker/token", role="admin", scope="config", status_code=200)
async def finish(request: Request[Any, Any, Any], context: Context, data: Returned) -> dict[str, Any]:
    """Finish the login this session began: the code becomes a token in its private file; its state is told."""
    who, outcome = _session(request), "done"
    asked = Asked(who.name, address_of(request), context.clock.now_us(), {})
    try:
        context.broker.claim(who.key_hash, data.state)
        await asyncio.to_thread(context.broker.finish, data.code)
    except FleetError as e:
        outcome = f"{type(e).__name__}: {e}".replace(data.code, "…")
        raise
    finally:
        context.note(asked, "broker.login", Done("broker", "token", None, {"outcome": outcome}))
    return await asyncio.to_thread(context.broker.view)


@post("/api/broker/check", role="admin", scope="config", status_code=200)
async def check(context: Context) -> dict[str, Any]:
    """Ask the broker now whether it takes the token."""
    if await asyncio.to_thread(context.broker.check):
        context.broker_changed()
    return await asyncio.to_thread(context.broker.view)


def _session(request: Request[Any, Any, Any]) -> Principal:
    who: Principal = request.user
    if who.kind != "session":
        raise PermissionDeniedException("a person logs in at the broker: use the dashboard, or `fleet token login`")
    return who


HANDLERS = [broker, begin, finish, check]
