"""Commands as log lines: who asked an owner for what and what became of it, by the id the sender gave it."""

from __future__ import annotations

from typing import Any

from libs.contracts.bus import CommandRequest
from libs.core.errors import Refused
from libs.messaging.commands import Handler
from libs.runtime.logs import bound_context, get_logger

#: Asked all day long, and changes nothing.
_LOOKS = ("status",)


def logged(handler: Handler) -> Handler:
    """Write a line for each command, and put its id on every line logged while it is done."""

    def handle(request: CommandRequest) -> Any:
        if request.name in _LOOKS:
            return handler(request)
        with bound_context(command_id=request.command_id):
            told: dict[str, Any] = {"name": request.name, "sender": str(request.arguments.get("sender", ""))}
            try:
                result = handler(request)
            except Refused as e:
                get_logger().info("command.refused", **told, reason=str(e))
                raise
            except Exception as e:
                get_logger().warning("command.failed", **told, error=f"{type(e).__name__}: {e}")
                raise
            get_logger().info("command.done", **told)
            return result

    return handle
