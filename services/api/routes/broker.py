"""The broker's token: its state, never the token."""

from __future__ import annotations

import os
from typing import Any

from litestar import get

from services.api.context import Context


@get("/api/broker", role="viewer", sync_to_thread=True)
def broker(context: Context) -> dict[str, Any]:
    """Say where orders go and how the broker's token is: valid, expiring, needs_login, dead; read anew each time."""
    # The broker's SDK is heavy, and most who start the api never ask.
    from libs.upstox.credentials import Credentials, NoCredentials, Scope
    from libs.upstox.tokens import judge

    try:
        token = Credentials(context.settings, os.environ).token(Scope.TRADING)
    except NoCredentials:
        token = ""
    view = judge(token, context.clock.now_us())
    return {
        "broker": context.settings.execution.broker, "state": view.state.value, "detail": view.detail,
        "expires_us": view.expires_us,
    }  # fmt: skip


HANDLERS = [broker]
