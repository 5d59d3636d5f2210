"""`fleet rollover`: move the days that are over from the live buffer into history."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from pathlib import Path
from typing import Any

from cli.exits import NOT_FOUND, OK
from cli.output import add_json, print_json, print_table


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "rollover", help="move the days that are over from the live buffer into history",
        description="Close every day up to D that the live buffer holds, earlier ones first. Safe to kill and to run "
        "again: a day that is closed with the same rows is skipped, one with other rows is refused.",
        epilog="Exit 1 when a closed day holds other rows, 3 while the ingestor lives, 4 when --date was given and "
        "there is nothing of that day.",
    )  # fmt: skip
    parser.add_argument(
        "--date", type=date.fromisoformat, metavar="D", help="up to this day; the last session that is over by default"
    )
    parser.add_argument("--exchange", help="instead of the one that is captured")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Roll over and say what became of each file."""
    from libs.calendar import Calendar
    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, EODRollover, Role
    from libs.settings import load_settings

    settings = load_settings()
    exchange = options.exchange or settings.data.exchange
    day = options.date or Calendar.load(exchange).previous_session(SystemClock().now_us()).date
    root = options.data_root or settings.data_root
    db = DatabaseManager(root, Role.INGESTOR, settings=settings)
    report = EODRollover(db, root).roll(day, exchange)
    if options.json:
        print_json({
            "date": report.date, "exchange": report.exchange, "in_history": report.in_history,
            "rows_kept": report.rows_kept, "series": [each._asdict() for each in report.series],
        })  # fmt: skip
    elif report.series:
        print_table(
            ["date", "data", "timeframe", "rows", "done"],
            [[each.date, each.data_type, each.timeframe or "", each.rows, each.done] for each in report.series],
        )
    else:
        print(f"{exchange} {day}: nothing to roll over; it is {'' if report.in_history else 'not '}in history")
    return NOT_FOUND if options.date and not report.in_history else OK
