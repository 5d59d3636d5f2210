"""What ops does on schedule: copies, the archive, a look at everything stored."""

from __future__ import annotations

from collections.abc import Callable

from libs.contracts.health import HealthState, Severity
from libs.core.clock import Clock
from libs.dbaccess import BackupManager, HealthCheck
from libs.settings import Settings
from services.ops.alerts import Alerts
from services.ops.schedule import Task, daily, every, weekly


def tasks(settings: Settings, clock: Clock, alerts: Alerts, is_trading: Callable[[], bool]) -> list[Task]:
    """Make the list; trading is copied while it trades."""
    ops = settings.ops
    copies = BackupManager(settings.data_root, settings=settings, clock=clock)
    interval = every(ops.trading_backup_interval_min)

    def trading(now_us: int) -> str:
        return interval(now_us) if is_trading() else ""

    return [
        Task("health", every(ops.health_interval_min), lambda: _look(settings, clock, alerts)),
        Task("trading backup", trading, lambda: str(copies.backup_trading_db())),
        Task("config backup", daily(ops.daily_hour), lambda: str(copies.backup_config_db())),
        Task("market backup", weekly(ops.weekly_day, ops.daily_hour), lambda: str(copies.backup_market_data())),
    ]  # fmt: skip


def _look(settings: Settings, clock: Clock, alerts: Alerts) -> str:
    """Check what is stored; each kind of finding is an alert of its own, and over when it is not found again."""
    check = HealthCheck(settings.data_root, settings=settings, clock=clock)
    check.run_all()
    found: dict[str, tuple[Severity, list[str]]] = {}
    for finding in check.findings:
        if finding.state is HealthState.GREEN:
            continue
        severity = Severity.CRITICAL if finding.state is HealthState.ERROR else Severity.WARNING
        worst, details = found.setdefault(f"stored {finding.check}", (severity, []))
        details.append(f"{finding.subject}: {finding.detail}")
        if severity.rank > worst.rank:
            found[f"stored {finding.check}"] = (severity, details)
    for alert in alerts.standing():
        if alert.source == "health" and f"stored {alert.title}" not in found:
            alerts.clear(f"stored {alert.title}")
    for key, (severity, details) in found.items():
        alerts.raise_(key, severity, "health", key.removeprefix("stored "), "; ".join(details[:5]))
    return f"{len(check.findings)} findings, {len(found)} kinds not green"
