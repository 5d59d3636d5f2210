"""What ops does on schedule: copies, the archive, a look at everything stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from libs.contracts.health import HealthState, Severity
from libs.core.clock import Clock, SystemClock
from libs.dbaccess import BackupManager
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.health.finding import Finding
from libs.runtime.alerts import Alerts
from libs.settings import Settings
from services.ops.schedule import Task, daily, every, weekly
from services.ops.watching import watching

if TYPE_CHECKING:  # what is done now and then is loaded when it is due
    from libs.dbaccess.archive import ArchiveReport

_SOURCE = "health"
_DETAILS_MAX = 5


def tasks(
    settings: Settings, clock: Clock, alerts: Alerts, is_trading: Callable[[], bool], market_us: Callable[[], int]
) -> list[Task]:
    """Make the list; trading is copied while it trades, and old days are archived while it does not."""
    ops = settings.ops
    copies = BackupManager(settings.data_root, settings=settings, clock=clock)
    interval = every(ops.trading_backup_interval_min)

    def trading(now_us: int) -> str:
        return interval(now_us) if is_trading() else ""

    evening = daily(ops.daily_hour)

    def archiving(_now_us: int) -> str:
        return "" if is_trading() else evening(market_us())

    return [
        Task(
            "health", every(ops.health_interval_min),
            lambda: _look(settings, clock), lambda found: _tell(found, alerts),
        ),
        Task("trading backup", trading, copies.backup_trading_db),
        Task("config backup", daily(ops.daily_hour), copies.backup_config_db),
        Task("archive", archiving, lambda: _archive(settings, MarketClock(market_us)), _archived),
        Task("market backup", weekly(ops.weekly_day, ops.daily_hour), copies.backup_market_data),
        *watching(settings, clock, alerts, market_us),
    ]  # fmt: skip


class MarketClock(SystemClock):
    """The market's time of day: a replayed or simulated day makes no other day old."""

    def __init__(self, market_us: Callable[[], int]) -> None:
        self._market_us = market_us

    def now_us(self) -> int:
        return self._market_us()


def _archive(settings: Settings, clock: Clock) -> ArchiveReport:
    from services.ops.archiving import archive

    return archive(settings, clock, lambda *_: None)


def _archived(found: ArchiveReport) -> str:
    if problems := [day.problem for day in found.days if day.problem]:
        raise StoreCorrupt("; ".join(problems[:_DETAILS_MAX]))
    return f"{len(found.days)} days, {found.bytes_freed} bytes freed"


def _look(settings: Settings, clock: Clock) -> list[Finding]:
    """Check what is stored; give what is not green."""
    from libs.dbaccess import HealthCheck

    check = HealthCheck(settings.data_root, settings=settings, clock=clock)
    check.run_all()
    return [finding for finding in check.findings if finding.state is not HealthState.GREEN]


def _tell(findings: Sequence[Finding], alerts: Alerts) -> str:
    """Each kind of finding is an alert of its own, and over when it is not found again."""
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.check, []).append(finding)
    for alert in alerts.standing():
        if alert.source == _SOURCE and alert.title not in kinds:
            alerts.clear(f"stored {alert.title}")
    for kind, found in kinds.items():
        is_error = any(finding.state is HealthState.ERROR for finding in found)
        details = "; ".join(f"{finding.subject}: {finding.detail}" for finding in found[:_DETAILS_MAX])
        alerts.raise_(f"stored {kind}", Severity.CRITICAL if is_error else Severity.WARNING, _SOURCE, kind, details)
    return f"{len(findings)} findings of {len(kinds)} kinds are not green"
