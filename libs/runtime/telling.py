"""Telling people: mail, chat or webhook through apprise, in a thread of its own, with quiet hours."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from libs.contracts.health import Alert, Severity
from libs.core.clock import IST, to_datetime
from libs.runtime.alert_rules import Rules
from libs.runtime.logs import get_logger
from libs.runtime.process import WrongConfiguration
from libs.settings.ops import Ops


class Address(NamedTuple):
    """Where alerts go. The url is a secret; the name, which may be empty, is what rules and people call it by."""

    name: str
    url: str


def read_addresses(name: str) -> list[Address]:
    """Give the addresses alerts go to; those are secrets, in a private file, one a line: `NAME ADDRESS` or `ADDRESS`.

    No file named, no addresses.
    """
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
    words = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    return [Address(each[0] if len(each) == 2 else "", each[-1].strip()) for each in words]


class Messenger:
    """Sends alerts to addresses. In quiet hours only what is critical wakes anybody. Addresses are never logged."""

    def __init__(self, settings: Ops, addresses: Sequence[Address]) -> None:
        self._settings = settings
        self._addresses = list(addresses)
        #: Addresses no rule names are told as the settings say.
        self.rules = Rules()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts")
        self.sent = 0
        self.failed = 0

    def tell(self, alert: Alert) -> None:
        """Send it soon; an address that does not answer is a line in the log and holds nobody up."""
        if told := [each for each in self._addresses if self._is_told(each, alert)]:
            self._thread.submit(self._send, alert, told)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _is_told(self, address: Address, alert: Alert) -> bool:
        if address.name not in self.rules.named:
            return alert.severity is Severity.CRITICAL or not self._is_quiet(alert.timestamp_us)
        return any(
            rule.lets_through(alert.severity, alert.timestamp_us)
            for rule in self.rules.rules
            if rule.target == address.name
        )

    def _send(self, alert: Alert, told: Sequence[Address]) -> None:
        import apprise

        sender = apprise.Apprise()
        for address in told:
            sender.add(address.url)
        title = f"[{alert.severity.value}] {alert.title}"
        if sender.notify(title=title, body=alert.detail or alert.title):
            self.sent += 1
        else:
            self.failed += 1
            get_logger().error("alert.not_sent", alert=alert.title, addresses=len(told))

    def _is_quiet(self, now_us: int) -> bool:
        begin, end = self._settings.quiet_from_hour, self._settings.quiet_to_hour
        hour = to_datetime(now_us).astimezone(IST).hour
        return begin <= hour < end if begin <= end else hour >= begin or hour < end
