"""`fleet rollover`: move the days that are over from the live buffer into history."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import NOT_FOUND, OK
from cli.output import add_json, print_json, print_table
from cli.words import a_day

if TYPE_CHECKING:
    from libs.dbaccess import WriterLockHeld
    from libs.settings import Settings

#: A day of ten million ticks takes a minute or two.
_PATIENCE_S = 900


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "rollover", help="move the days that are over from the live buffer into history",
        description="Close every day up to D that the live buffer holds, earlier ones first. Safe to kill and to run "
        "again: a day that is closed with the same rows is skipped, one with other rows is refused.",
        epilog="A living ingestor is asked to do it. Exit 1 when a closed day holds other rows or the day is not over, "
        "3 when the buffer's owner does not answer, 4 when --date was given and there is nothing of that day.",
    )  # fmt: skip
    parser.add_argument(
        "--date", type=a_day, metavar="D", help="up to this day; the last session that is over by default"
    )
    parser.add_argument("--exchange", help="instead of the one that is captured")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Roll over, or have the living ingestor do it, and say what became of each file."""
    from libs.core.clock import SystemClock
    from libs.dbaccess.calendars import load_calendar
    from libs.settings import load_settings

    settings = load_settings()
    exchange = options.exchange or settings.data.exchange
    calendar = load_calendar(options.data_root or settings.data_root, exchange)
    day = options.date or calendar.previous_session(SystemClock().now_us()).date
    found = roll_over(settings, day, exchange=exchange, root=options.data_root)
    if options.json:
        print_json(found)
    elif found["series"]:
        print_table(
            ["date", "data", "timeframe", "rows", "done"],
            [
                [each["date"], each["data_type"], each["timeframe"] or "", each["rows"], each["done"]]
                for each in found["series"]
            ],
        )
    else:
        print(f"{exchange} {day}: nothing to roll over; it is {'' if found['in_history'] else 'not '}in history")
    return NOT_FOUND if options.date and not found["in_history"] else OK


def roll_over(settings: Settings, day: date, *, exchange: str = "", root: Path | None = None) -> dict[str, Any]:
    """Roll a day over here, or have the ingestor do it when it lives; give its report."""
    from libs.dbaccess import WriterLockHeld

    try:
        return _roll(settings, root or settings.data_root, day, exchange or settings.data.exchange)
    except WriterLockHeld as held:
        return _ask_owner(settings, day, held)


def _roll(settings: Settings, root: Path | str, day: date, exchange: str) -> dict[str, Any]:
    from libs.dbaccess import DatabaseManager, EODRollover, Role

    report = EODRollover(DatabaseManager(root, Role.INGESTOR, settings=settings), root).roll(day, exchange)
    return {
        "date": report.date, "exchange": report.exchange, "in_history": report.in_history,
        "rows_kept": report.rows_kept, "series": [each._asdict() for each in report.series],
    }  # fmt: skip


def _ask_owner(settings: Settings, day: date, held: WriterLockHeld) -> dict[str, Any]:
    """Put it to the ingestor, which captures on meanwhile; it is alone with its buffer."""
    from libs.core.clock import SystemClock
    from libs.core.errors import FleetError, OutcomeUnknown, Refused, RetryLater
    from libs.messaging import CommandClient

    clock = SystemClock()
    with CommandClient("ingestor", settings=settings) as client:
        try:
            asked = client.call("rollover", {"date": day.isoformat()})
        except (RetryLater, OutcomeUnknown) as e:
            raise held from e  # whoever holds the lock does not answer
        end_ns = clock.monotonic_ns() + _PATIENCE_S * 1_000_000_000
        while clock.monotonic_ns() < end_ns:
            clock.sleep(0.2)
            try:
                found = client.call("status")["rollover"]
            except FleetError:
                found = None  # it may be closing its buffer just now
            if not _lives(settings, asked["pid"]):
                raise RetryLater(f"the ingestor ended before {day} was in history; nothing is lost, ask again")
            if found and found["attempts"] > asked["attempts"] and not found["running"]:
                if found["error"]:
                    raise Refused(found["error"])
                return {"exchange": settings.data.exchange, **found}
    raise OutcomeUnknown(f"the ingestor has been at it for {_PATIENCE_S} s; look at `fleet logs ingestor`")


def _lives(settings: Settings, pid: int) -> bool:
    """Whether this very process still owns the buffer; its successor rolls nothing over because it was asked to."""
    from libs.dbaccess import Store, WriterLock
    from libs.dbaccess.layout import Layout

    lock = WriterLock(Layout(settings.data_root).lock(Store.LIVE))
    return lock.is_held_by_anyone() and lock.holder() == pid
