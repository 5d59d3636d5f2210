"""Live push: server-sent events, conflated, so that a slow page gets the newest and holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import Parameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from libs.core.errors import Refused
from services.api.access import Principal
from services.api.context import Context
from services.api.watch import FAMILIES, Page

_BEAT_S = 2.0
_NEWS_MAX = 2000


@get("/api/live", role="viewer")
async def live(
    request: Request[Any, Any, Any], context: Context, families: Annotated[str, Parameter(max_length=200)] = "candle"
) -> ServerSentEvent:
    """Tell what changes: first the newest of each topic, then what is new, and a beat that shows the stream lives."""
    wanted = frozenset(families.split(","))
    if unknown := wanted - set(FAMILIES):
        raise Refused(f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    return ServerSentEvent(_tell(context, context.watch.open(wanted), request.user), retry_duration=1000)


async def _tell(context: Context, page: Page, who: Principal) -> AsyncGenerator[ServerSentEventMessage, None]:
    pause_s = context.settings.api.push_interval_ms / 1000
    beats = 0.0
    try:
        yield ServerSentEventMessage(event="beat", data=str(context.clock.now_us()))
        while True:
            news = page.take()
            for start in range(0, len(news), _NEWS_MAX):
                text = b",".join(each.wire for each in news[start : start + _NEWS_MAX]).decode()
                yield ServerSentEventMessage(event="news", data=f"[{text}]")
            beats += pause_s
            if beats >= _BEAT_S:
                beats = 0.0
                if not _may_still(context, who):
                    yield ServerSentEventMessage(event="ended", data="the session is over")
                    return
                yield ServerSentEventMessage(event="beat", data=str(context.clock.now_us()))
            await asyncio.sleep(pause_s)
    finally:
        context.watch.close(page)


def _may_still(context: Context, who: Principal) -> bool:
    """A session that was revoked ends its open pages, too."""
    table, key = ("sessions", "session_hash") if who.kind == "session" else ("api_tokens", "token_hash")
    sql = f"SELECT 1 FROM {table} WHERE {key} = ? AND revoked_at_us IS NULL AND COALESCE(expires_at_us, ?) >= ?"  # noqa: S608  # names of ours
    now_us = context.clock.now_us()
    return bool(context.session.connection.execute(sql, (who.key_hash, now_us, now_us)).fetchone())


HANDLERS = [live]
