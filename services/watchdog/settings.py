"""What the watchdog makes of its environment before it starts."""

from __future__ import annotations

import os

from libs.runtime.process import WrongConfiguration
from libs.runtime.telling import Address, read_addresses
from libs.settings import Settings


def checked(settings: Settings) -> tuple[str, list[Address]]:
    """Give the supervisor's address and those alerts go to."""
    url = os.environ.get("SUPERVISOR_SERVER_URL", "")
    if not url:
        raise WrongConfiguration(
            "SUPERVISOR_SERVER_URL is not set: the watchdog is an event listener of supervisord, start it by `fleet up`"
        )
    if (wait_s := settings.watchdog.hung_s) * 1000 <= (beat_ms := settings.runtime.heartbeat_interval_ms):
        raise WrongConfiguration(
            f"watchdog.hung_s is {wait_s}, and a heartbeat comes every {beat_ms} ms (runtime.heartbeat_interval_ms): "
            "every service would be taken for hung"
        )
    return url, read_addresses(settings.ops.alert_urls_file)
