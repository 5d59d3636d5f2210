"""Live push: server-sent events, conflated, so that a slow page gets the newest and holds nobody up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import Parameter
from litestar.response import Stream

from libs.core.errors import Refused
from services.api.access import Principal
from services.api.context import Context
from services.api.watch import FAMILIES


@get("/api/live", role="viewer")
async def live(
    request: Request[Any, Any, Any], context: Context, families: Annotated[str, Parameter(max_length=200)] = "candle"
) -> Stream:
    """Tell what changes: first the newest of each topic, then what is new, and a beat that shows the stream lives."""
    wanted = frozenset(families.split(","))
    if unknown := wanted - set(FAMILIES):
        raise Refused(f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    context.watch.pushing.check_room()
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Stream(_tell(context, wanted, request.user), media_type="text/event-stream", headers=headers)


async def _tell(context: Context, families: frozenset[str], who: Principal) -> AsyncGenerator[bytes, None]:
    # Opened here and not before: what is never read from is never closed, either.
    page = context.watch.open(families)
    try:
        yield b"retry: 1000\n\n" + context.watch.pushing.beat().wire
        while True:
            chunk = await page.take()
            if chunk.is_beat and not _may_still(context, who):
                yield b"event: ended\ndata: the session is over\n\n"
                return
            yield chunk.wire
    finally:
        context.watch.pushing.close(page)


def _may_still(context: Context, who: Principal) -> bool:
    """A session that was revoked ends its open pages, too."""
    table, key = ("sessions", "session_hash") if who.kind == "session" else ("api_tokens", "token_hash")
    sql = f"SELECT 1 FROM {table} WHERE {key} = ? AND revoked_at_us IS NULL AND COALESCE(expires_at_us, ?) >= ?"  # noqa: S608  # names of ours
    now_us = context.clock.now_us()
    return bool(context.session.connection.execute(sql, (who.key_hash, now_us, now_us)).fetchone())


HANDLERS = [live]
