"""Telling people: mail, chat or webhook through apprise, in a thread of its own, with quiet hours."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from libs.contracts.health import Alert, Severity
from libs.core.clock import IST, to_datetime
from libs.runtime.logs import get_logger
from libs.runtime.process import WrongConfiguration
from libs.settings.ops import Ops


def read_addresses(name: str) -> list[str]:
    """Give the addresses alerts go to; those are secrets, in a private file, one a line. No name, no addresses."""
    if not name:
        return []
    path = Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8").splitlines()
    except OSError as e:
        raise WrongConfiguration(f"ops.alert_urls_file {path}: {e.strerror}") from e
    if mode & 0o077:
        raise WrongConfiguration(f"ops.alert_urls_file {path} is {stat.filemode(mode)}; it holds secrets: chmod 600")
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


class Messenger:
    """Sends alerts to addresses. In quiet hours only what is critical wakes anybody. Addresses are never logged."""

    def __init__(self, settings: Ops, addresses: Sequence[str]) -> None:
        self._settings = settings
        self._addresses = list(addresses)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts")
        self.sent = 0
        self.failed = 0

    def tell(self, alert: Alert) -> None:
        """Send it soon; an address that does not answer is a line in the log and holds nobody up."""
        if self._addresses and not (self._is_quiet(alert.timestamp_us) and alert.severity is not Severity.CRITICAL):
            self._thread.submit(self._send, alert)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _send(self, alert: Alert) -> None:
        import apprise

        sender = apprise.Apprise()
        for address in self._addresses:
            sender.add(address)
        title = f"[{alert.severity.value}] {alert.title}"
        if sender.notify(title=title, body=alert.detail or alert.title):
            self.sent += 1
        else:
            self.failed += 1
            get_logger().error("alert.not_sent", alert=alert.title, addresses=len(self._addresses))

    def _is_quiet(self, now_us: int) -> bool:
        begin, end = self._settings.quiet_from_hour, self._settings.quiet_to_hour
        hour = to_datetime(now_us).astimezone(IST).hour
        return begin <= hour < end if begin <= end else hour >= begin or hour < end
