"""`fleet preflight`: may trading begin? Stores, data, broker, watchers, trading, as a fleet starts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK
from cli.verdict import Check, ask, attempt, command, verdict
from libs.core.errors import FleetError

if TYPE_CHECKING:
    from libs.settings import Settings

_FRESH_S = 30
_INSTRUMENTS_MAX_DAYS = 1
#: Minutes the scanner's analytics may be behind its strategies.
_BEHIND_MAX = 5
#: Findings of `fleet health` that have a line of their own; all others are about stores.
_OWN_LINE = {"lock": "locks", "disk": "disk"}


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers, "preflight", "may trading begin? GO or NO-GO, with reasons",
        "Look at everything trading needs, in the order in which it starts: stores, locks, disk, clock, calendar, "
        "instruments, token, feed, strategies, analytics, monitoring, engine, limits. Under the profile live the "
        "engine enters nothing on a day before it said GO.", run,
    )  # fmt: skip
    parser.add_argument("--override", default="", metavar="REASON", help="trade on a NO-GO; kept with your name")


def run(options: Namespace) -> int:
    """Check and say GO or NO-GO."""
    from libs.settings import load_settings

    settings = load_settings()
    failed: list[str] = []

    def noted() -> Iterator[Check]:
        for check in _checks(settings):
            if not check.ok and not check.is_warning:
                failed.append(check.name)
            yield check

    code = verdict(noted(), as_json=options.json, profile=settings.profile)
    return _clear(failed, options.override) if settings.profile == "live" else code


def _clear(failed: list[str], override: str) -> int:
    """Tell the engine, which keeps every verdict; give the exit code."""
    import getpass

    from cli.engine_door import ask_engine

    found = {"verdict": "NO-GO" if failed else "GO", "failed": failed, "override": override if failed else ""}
    cleared = ask_engine("preflight", found | {"sender": getpass.getuser()})["cleared"]
    return OK if cleared else FAILED


def _checks(settings: Settings) -> Iterator[Check]:
    yield from attempt("stores", lambda: _stores(settings), "`fleet health --verbose`, then `fleet init`")
    yield from _clock(settings)
    yield from attempt("calendar", lambda: _calendar(settings), "bring config/calendar up to date")
    yield from attempt("instruments", lambda: _instruments(settings), "start the ingestor: it fetches the file")
    yield from attempt("token", lambda: _token(settings), "log in at the broker and store today's token")
    yield from attempt("ingestor", lambda: _ingestor(settings), "`fleet status`, `fleet logs ingestor`")
    yield from attempt("scanner", lambda: _scanner(settings), "`fleet status`, `fleet logs scanner`")
    for watcher in ("ops", "watchdog"):
        yield _watcher(watcher, settings)
    yield _told(settings)
    yield from attempt("engine", lambda: _engine(settings), "`fleet status`, `fleet logs execution_engine`")
    yield from _limits(settings)


def _stores(settings: Settings) -> Iterator[Check]:
    from libs.contracts.health import HealthState
    from libs.dbaccess import HealthCheck

    check = HealthCheck(settings.data_root, settings=settings)
    check.run_all()
    for name in ("stores", "locks", "disk"):
        mine = [each for each in check.findings if _OWN_LINE.get(each.check, "stores") == name]
        bad = [str(each) for each in mine if each.state is HealthState.ERROR]
        warnings = sum(each.state is HealthState.WARNING for each in mine)
        found = "; ".join(bad[:3]) if bad else f"{len(mine)} findings, {warnings} warnings"
        yield Check(name, not bad, found, "`fleet health --verbose`")


def _calendar(settings: Settings) -> Iterator[Check]:
    from libs.core.clock import SystemClock, trading_date
    from libs.dbaccess.calendars import load_calendar

    calendar = load_calendar(settings.data_root, settings.data.exchange)
    today = trading_date(SystemClock().now_us())
    known = calendar.is_known(today)
    yield Check(
        "calendar", known, f"{today} is {'covered' if known else 'not covered: regular hours are assumed'}",
        "bring config/calendar up to date", is_warning=settings.profile == "demo",
    )  # fmt: skip
    session, holiday = calendar.session(today), calendar.holiday(today)
    if session is None and settings.profile != "demo":
        yield Check("session", ok=False, found=f"no session today{f': {holiday}' if holiday else ''}", is_warning=True)


def _instruments(settings: Settings) -> Iterator[Check]:
    from libs.core.clock import US_PER_DAY, SystemClock
    from libs.dbaccess.layout import Layout

    path = Layout(settings.data_root).market / f"instruments_{settings.data.exchange}.json.gz"
    days = (SystemClock().now_us() - path.stat().st_mtime_ns // 1000) / US_PER_DAY
    yield Check(
        "instruments", days <= _INSTRUMENTS_MAX_DAYS, f"{path.name} is {days:.1f} days old",
        "`fleet restart ingestor`: it fetches the day's file",
    )  # fmt: skip


def _token(settings: Settings) -> Iterator[Check]:
    import os

    from libs.core.clock import SystemClock
    from libs.upstox.credentials import Credentials, Scope
    from libs.upstox.session import BrokerSession
    from libs.upstox.tokens import TokenState, is_refused, judge

    if settings.profile == "demo":
        yield Check("token", ok=True, found="the simulator's own; the demo uses no real one")
        return
    token = Credentials(settings, os.environ).token(Scope.TRADING)
    asks = settings.execution.broker == "upstox"
    view = judge(
        token, SystemClock().now_us(), is_refused=asks and is_refused(BrokerSession.open(settings, Scope.TRADING))
    )
    usable = view.state in {TokenState.VALID, TokenState.EXPIRING}
    asked = ", the broker takes it" if asks and usable else ""
    yield Check("token", usable, f"{view.state.value}: {view.detail}{asked}", "`fleet token login`")


def _clock(settings: Settings) -> Iterator[Check]:
    from libs.runtime.timekeeping import clock_offset_ms

    if settings.profile == "demo":
        return  # it trades by the simulator's
    offset_ms, most_ms = clock_offset_ms(), settings.ops.clock_offset_max_ms
    yield Check(
        "clock", offset_ms is not None and offset_ms <= most_ms,
        "nothing keeps it" if offset_ms is None else f"{offset_ms:.1f} ms off, {most_ms} at most",
        "run chrony or systemd-timesyncd", is_warning=offset_ms is None,
    )  # fmt: skip


def _watcher(service: str, settings: Settings) -> Check:
    """Whether somebody would notice what breaks; a demo is watched by who plays with it."""
    advice, may_lack = f"`fleet status`, `fleet logs {service}`", settings.profile == "demo"
    try:
        standing = ask(service, settings)["alerts"]
    except FleetError as e:
        return Check(f"monitoring {service}", ok=False, found=str(e), advice=advice, is_warning=may_lack)
    found = f"stands: {'; '.join(standing)}" if standing else "nothing stands"
    return Check(f"monitoring {service}", not standing, found, f"`fleet logs {service}`", is_warning=True)


def _told(settings: Settings) -> Check:
    """Whether anybody away from the screens is told."""
    named = bool(settings.ops.alert_urls_file) or settings.profile == "demo"
    found = "somebody is told" if named else "alerts go to the screens and to nobody's phone"
    return Check("alerts", named, found, "name addresses in ops.alert_urls_file", is_warning=True)


def _ingestor(settings: Settings) -> Iterator[Check]:
    from libs.core.clock import US_PER_SECOND, SystemClock

    status = ask("ingestor", settings)
    feed, capture = status["feed"], status["capture"]
    silent_s = (SystemClock().now_us() - capture["last_received_us"]) / US_PER_SECOND
    live = feed["state"] == "live" and silent_s <= _FRESH_S
    trouble = f": {feed['error']}" if feed["error"] else ""
    yield Check(
        "feed", live, f"{feed['state']}, last frame {silent_s:.0f} s ago{trouble}",
        "`fleet logs ingestor`; outside market hours a silent feed is as it should be",
    )  # fmt: skip
    error = status["rollover"]["error"]
    yield Check("rollover", not error, error or "nothing refused", "`fleet rollover`", is_warning=True)


def _scanner(settings: Settings) -> Iterator[Check]:
    status = ask("scanner", settings)
    instances, ill = status["instances"], [*status["suspended"], *status["broken"]]
    yield Check(
        "strategies", bool(instances), f"{len(instances)} run ({status['origin']})", "enable one in the config store"
    )
    yield Check("strategy faults", not ill, f"{ill or 'none'}", "`fleet logs scanner`", is_warning=True)
    yield Check("candles", not status["gaps"], f"{status['gaps']} lost for good", "`fleet restart scanner`")
    behind, failed = status["insights_behind"], status["insights_failed"]
    yield Check(
        "analytics", behind <= _BEHIND_MAX and not failed, f"{behind} minutes behind, {failed} minutes failed",
        "`fleet logs scanner`; `fleet analytics update` does a day again", is_warning=behind <= _BEHIND_MAX,
    )  # fmt: skip


def _engine(settings: Settings) -> Iterator[Check]:
    status = ask("execution_engine", settings)
    # One that waits for this very verdict is as it should be.
    ready = status["state"] == "active" or status["cause"] == "preflight"
    yield Check(
        "trading state", ready, f"{status['state']} {status['reason']}".rstrip(),
        "`fleet kill-switch resume --reason …` once the reason is gone",
    )  # fmt: skip
    listed = status["instruments"]
    yield Check("engine instruments", bool(listed), f"{listed} shares", "`fleet restart execution_engine`")
    yield Check(
        "reconciled", bool(status["reconciled_us"]), f"{status['unsettled']} orders unsettled", "`fleet reconcile`"
    )


def _limits(settings: Settings) -> Iterator[Check]:
    risk = settings.risk
    wanted = ("account_loss_day_max_rupees", "account_exposure_max_rupees", "account_order_value_max_rupees")
    unset = [name for name in wanted if not getattr(risk, name)]
    yield Check("limits", not unset, f"without a limit: {', '.join(unset)}" if unset else "set", "set them in [risk]")
