"""`fleet preflight`: may trading begin? Stores, calendar, feed, scanner, engine, limits, disk, token."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK
from cli.verdict import Check, ask, attempt, command, verdict

if TYPE_CHECKING:
    from libs.settings import Settings

_FRESH_S = 30
_INSTRUMENTS_MAX_DAYS = 1


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers, "preflight", "may trading begin? GO or NO-GO, with reasons",
        "Look at everything trading needs, in the order in which it starts: stores, calendar, instruments, token, "
        "ingestor, scanner, engine. Under the profile live the engine enters nothing on a day before it said GO.", run,
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
    yield from attempt("calendar", lambda: _calendar(settings), "bring config/calendar up to date")
    yield from attempt("instruments", lambda: _instruments(settings), "start the ingestor: it fetches the file")
    yield from attempt("token", lambda: _token(settings), "log in at the broker and store today's token")
    yield from attempt("ingestor", lambda: _ingestor(settings), "`fleet status`, `fleet logs ingestor`")
    yield from attempt("scanner", lambda: _scanner(settings), "`fleet status`, `fleet logs scanner`")
    yield from attempt("engine", lambda: _engine(settings), "`fleet status`, `fleet logs execution_engine`")
    yield from _limits(settings)


def _stores(settings: Settings) -> Iterator[Check]:
    from libs.contracts.health import HealthState
    from libs.dbaccess import HealthCheck

    check = HealthCheck(settings.data_root, settings=settings)
    sound = check.run_all()
    bad = [str(each) for each in check.findings if each.state is HealthState.ERROR]
    warnings = sum(each.state is HealthState.WARNING for each in check.findings)
    found = "; ".join(bad[:3]) if bad else f"{len(check.findings)} findings, {warnings} warnings"
    yield Check("stores", sound, found, "`fleet health --verbose`")


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

    from libs.upstox.credentials import Credentials, Scope

    if settings.profile == "demo":
        yield Check("token", ok=True, found="the simulator's own; the demo uses no real one")
        return
    Credentials(settings, os.environ).token(Scope.TRADING)
    yield Check("token", ok=True, found="there is one to trade with")


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


def _engine(settings: Settings) -> Iterator[Check]:
    status = ask("execution_engine", settings)
    # One that waits for this very verdict is as it should be.
    ready = status["state"] == "active" or status["cause"] == "preflight"
    yield Check(
        "trading state", ready, f"{status['state']} {status['reason']}".rstrip(),
        "`fleet kill-switch resume --reason …` once the reason is gone",
    )  # fmt: skip
    yield Check(
        "reconciled", bool(status["reconciled_us"]), f"{status['unsettled']} orders unsettled", "`fleet reconcile`"
    )


def _limits(settings: Settings) -> Iterator[Check]:
    risk = settings.risk
    wanted = ("account_loss_day_max_rupees", "account_exposure_max_rupees", "account_order_value_max_rupees")
    unset = [name for name in wanted if not getattr(risk, name)]
    yield Check("limits", not unset, f"without a limit: {', '.join(unset)}" if unset else "set", "set them in [risk]")
