"""How a command changes the config store: by whoever owns it."""

from __future__ import annotations

import getpass
from contextlib import suppress
from typing import Any

_ASKED_EVERY_S = 0.2


def change_config(change: str, given: dict[str, Any], command: str, *, timeout_ms: int = 0) -> Any:
    """Have it done: by us when nobody else holds the store, else by the api; raise `WriterLockHeld` if it is deaf."""
    from libs.core.clock import SystemClock
    from libs.core.errors import Refused, RetryLater
    from libs.dbaccess import DatabaseManager, Role, WriterLockHeld
    from libs.messaging import CommandClient
    from libs.settings import load_settings
    from services.api.changes import Asked, perform

    settings, clock, sender = load_settings(), SystemClock(), f"{getpass.getuser()} (fleet {command})"
    db = DatabaseManager(settings.data_root, Role.API, settings=settings, clock=clock)
    try:
        with db.config_writer() as connection:
            return perform(connection, change, Asked(sender, "command line", clock.now_us(), given)).result
    except WriterLockHeld as held:
        try:
            with CommandClient("api", settings=settings, clock=clock) as client:
                if timeout_ms:  # long for the work, too long to find out that nobody listens
                    with suppress(Refused):
                        client.call("status")
                asked = {"change": change, "given": given, "sender": sender}
                return _done(client, clock, asked, timeout_ms)
        except RetryLater:
            raise held from None  # somebody holds the lock and does not answer: exit 3, with its pid


def _done(client: Any, clock: Any, asked: dict[str, Any], timeout_ms: int) -> Any:
    """Ask until it is done: what takes long is prepared beside the api's other work."""
    from libs.core.errors import OutcomeUnknown

    end_ns = clock.monotonic_ns() + timeout_ms * 1_000_000
    while True:
        result = client.call("change", asked, timeout_ms=timeout_ms)
        if not (isinstance(result, dict) and result.get("pending")):
            return result
        if clock.monotonic_ns() > end_ns:
            raise OutcomeUnknown(f"the api has worked on it for more than {timeout_ms // 1000} s; ask again")
        clock.sleep(_ASKED_EVERY_S)
