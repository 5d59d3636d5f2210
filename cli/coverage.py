"""`fleet coverage`: what there is of each trading day, and what is missing."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK, reading_words
from cli.output import add_json, print_json, print_table
from cli.words import a_day, between, require_order, split_names

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager
    from libs.dbaccess.coverage import Certificate, DayCoverage
    from libs.settings import Settings

_DAYS = 30
_COLUMNS = ("expected", "live", "backfilled", "synthetic", "missing")


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "coverage", help="which minutes of which days there are, by origin, and which are missing",
        description="Minutes expected by the calendar and found, for each closed trading day; each symbol's with "
        "--symbols. Days without any data are shown too. Today is not over and is left out.",
        epilog="A minute without a trade has no candle and is missing too. Exit 1 when a day falls short of --min.",
    )  # fmt: skip
    parser.add_argument("--from", dest="start", type=a_day, metavar="D", help=f"{_DAYS} days ago")
    parser.add_argument("--to", dest="end", type=a_day, metavar="D", help="the last session by default")
    parser.add_argument("--symbols", default="", metavar="A,B", help="only these, one row each")
    parser.add_argument(
        "--min", type=between(0, 100), default=0.0, metavar="PERCENT", help="of the minutes of each row"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="fetch the broker's candles of these days first and hold ours to them",
    )
    parser.add_argument("--exchange", help="instead of the one that is captured")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show it; nothing is written."""
    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.calendars import load_calendar
    from libs.dbaccess.coverage import coverage
    from libs.dbaccess.layout import symbol_name
    from libs.settings import load_settings

    settings = load_settings()
    exchange = options.exchange or settings.data.exchange
    root = options.data_root or settings.data_root
    end = options.end or load_calendar(root, exchange).previous_session(SystemClock().now_us()).date
    start = options.start or end - timedelta(days=_DAYS)
    require_order(start, end)
    with reading_words():
        symbols = list(map(symbol_name, split_names(options.symbols)))
    db = DatabaseManager(root, settings=settings)
    if options.compare:
        _compare(DatabaseManager(root, Role.INGESTOR, settings=settings), settings, start, end, symbols)
    days = coverage(db, exchange, start, end, symbols)
    rows = [row for day in days for row in (_symbol_rows(day, symbols) if symbols else [_row(day, day.symbols)])]
    if options.json:
        print_json([{**_plain(day), "present_percent": round(day.present_percent, 3)} for day in days])
    else:
        print_table(["date", "symbols" if not symbols else "symbol", *_COLUMNS, "late", "differing", "present %"], rows)
    return FAILED if any(float(row[-1]) < options.min for row in rows) else OK


def _compare(db: DatabaseManager, settings: Settings, start: date, end: date, symbols: list[str]) -> None:
    """Only the days that are closed; the broker is asked for the exchange that is captured."""
    from cli.broker_history import compare_days
    from cli.progress import progress
    from libs.dbaccess.calendars import load_calendar

    days = load_calendar(db.layout.root, settings.data.exchange).trading_days(start, end)
    with progress() as report:
        compare_days(db, settings, days, symbols, report)


def _plain(day: DayCoverage) -> dict[str, Any]:
    return {name: getattr(day, name) for name in day.__struct_fields__}


def _symbol_rows(day: DayCoverage, symbols: list[str]) -> list[list[Any]]:
    found = {each.symbol: each for each in day.certificates}
    return [
        _row(found[name], name) if name in found else [day.trading_date, name, *["-"] * 7, "0.0"] for name in symbols
    ]


def _row(each: DayCoverage | Certificate, name: object) -> list[Any]:
    counts = [getattr(each, f"bars_{column}") for column in _COLUMNS]
    percent = 100 * (1 - each.bars_missing / each.bars_expected) if each.bars_expected else 0.0
    differing = f"{each.bars_differing} of {each.bars_compared}" if each.bars_compared else "-"
    return [each.trading_date, name, *counts, each.late_ticks, differing, f"{percent:.1f}"]
