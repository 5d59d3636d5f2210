"""What ops watches besides the stores: what the last day holds, the machine's clock, the broker's token."""

from __future__ import annotations

import os
from collections.abc import Callable

from libs.calendar import Calendar
from libs.contracts.health import Severity
from libs.core.clock import US_PER_MINUTE, Clock
from libs.dbaccess import DatabaseManager
from libs.dbaccess.calendars import FollowedCalendar
from libs.runtime.alerts import Alerts
from libs.runtime.timekeeping import clock_offset_ms
from libs.settings import Settings
from libs.upstox.credentials import Credentials, NoCredentials, Scope
from libs.upstox.tokens import TokenState, judge
from services.ops.schedule import Task, every

_SOURCE = "watching"
#: A day's rollover is over well within it, tried again after failures too.
_SETTLING_US = 120 * US_PER_MINUTE


def watching(settings: Settings, clock: Clock, alerts: Alerts, market_us: Callable[[], int]) -> list[Task]:
    """Make the list. The demo has neither a clock to keep nor a token to lose."""
    calendar = FollowedCalendar(settings.data_root, settings.data.exchange)

    def settled_us() -> int:
        """Give the market's time less what a day is given to go into history."""
        return market_us() - _SETTLING_US

    def last_session(_now_us: int) -> str:
        """Name the session before: a holiday has none, and nothing is done twice."""
        return calendar.previous_session(settled_us()).date.isoformat()

    wanted = [
        Task(
            "coverage", last_session, lambda: _coverage(settings, calendar, settled_us),
            lambda found: _tell_coverage(found, settings, alerts),
        )
    ]  # fmt: skip
    if settings.profile != "demo":
        wanted.append(Task("clock", every(settings.ops.watch_interval_min), clock_offset_ms,
                           lambda found: _tell_clock(found, settings, alerts)))  # fmt: skip
        if settings.execution.broker != "paper":
            wanted.append(Task("token", every(settings.ops.watch_interval_min), lambda: _token(settings, clock),
                               lambda found: _tell_token(found, alerts)))  # fmt: skip
    return wanted


def _coverage(settings: Settings, calendar: Calendar, settled_us: Callable[[], int]) -> tuple[str, float]:
    from libs.dbaccess.coverage import coverage

    day = calendar.previous_session(settled_us()).date
    db = DatabaseManager(settings.data_root, settings=settings)
    (found,) = coverage(db, settings.data.exchange, day, day)
    # A fleet that did not capture that day at all has no day to complain about.
    return day.isoformat(), found.present_percent if found.symbols else 100.0


def _tell_coverage(found: tuple[str, float], settings: Settings, alerts: Alerts) -> str:
    day, percent = found
    _tell(
        alerts, "coverage", Severity.WARNING if percent < settings.ops.coverage_min_percent else None,
        f"{day} is {percent:.2f} percent complete", f"`fleet coverage --from {day} --to {day}` says what is missing",
    )  # fmt: skip
    return f"{day}: {percent:.2f} percent"


def _tell_clock(offset_ms: float | None, settings: Settings, alerts: Alerts) -> str:
    text = "nothing keeps it" if offset_ms is None else f"{offset_ms:.1f} ms off"
    is_off = offset_ms is None or offset_ms > settings.ops.clock_offset_max_ms
    _tell(
        alerts,
        "clock",
        Severity.WARNING if is_off else None,
        f"the machine's clock: {text}",
        "run chrony or systemd-timesyncd",
    )
    return text


def _token(settings: Settings, clock: Clock) -> tuple[TokenState, str]:
    try:
        token = Credentials(settings, os.environ).token(Scope.TRADING)
    except NoCredentials:
        token = ""
    view = judge(token, clock.now_us())
    return view.state, view.detail


def _tell_token(found: tuple[TokenState, str], alerts: Alerts) -> str:
    state, detail = found
    gone = state in {TokenState.NEEDS_LOGIN, TokenState.DEAD}
    severity = Severity.CRITICAL if gone else Severity.WARNING
    _tell(alerts, "token", None if state is TokenState.VALID else severity, f"the trading token: {state.value}",
          f"{detail}; `fleet token login`")  # fmt: skip
    return state.value


def _tell(alerts: Alerts, key: str, severity: Severity | None, title: str, detail: str) -> None:
    if severity:
        alerts.raise_(key, severity, _SOURCE, title, detail)
    else:
        alerts.clear(key)
