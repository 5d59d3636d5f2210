"""Every request has an id: its sender's or one made here; it is on each line logged for it and in the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from libs.core.clock import Clock
from libs.core.ids import random_id
from libs.runtime.logs import bound_context, get_logger

HEADER = "x-request-id"
#: What a sender may call its request: nothing that could break out of a log line or a header.
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_READS = {"GET", "HEAD", "OPTIONS"}


def identified(app: ASGIApp, clock: Clock) -> ASGIApp:
    """Put ids around an application. What changes something, and what fails, has a line of its own in the log."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request_id, begun_ns, statuses = _given(scope), clock.monotonic_ns(), []

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                message["headers"] = [*message.get("headers", ()), (HEADER.encode(), request_id.encode())]
            await send(message)

        scope.setdefault("state", {})["request_id"] = request_id
        with bound_context(request_id=request_id):
            try:
                await app(scope, receive, answer)
            finally:
                status = statuses[0] if statuses else 0
                _log(dict(scope), status, (clock.monotonic_ns() - begun_ns) // 1_000_000)

    return serve


def request_id_of(request: Any) -> str:
    """Give the id of a request that is being answered."""
    return str(request.scope["state"]["request_id"])


def _given(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name == HEADER.encode() and _ID.fullmatch(value):
            return str(value.decode())
    return random_id()


def _log(scope: Mapping[str, Any], status: int, took_ms: int) -> None:
    method = scope.get("method", "")
    if method in _READS and status < 500:
        return
    user = getattr(scope.get("user"), "name", "")
    get_logger().info("api.request", method=method, path=scope["path"][:200], status=status, took_ms=took_ms, user=user)
