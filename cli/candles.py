"""`fleet candles`: candles of one or more symbols, longer ones made of minutes where they are not stored."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cli.exits import WrongUsage
from cli.rows import add_format, write_rows
from cli.words import at_least, read_interval, split_names
from libs.contracts.market import TIMEFRAMES


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("candles", help="candles of a symbol, history and today as one")
    parser.add_argument("symbol", metavar="SYMBOL", help="a symbol, or several as A,B")
    parser.add_argument("--exchange", help="by default the settings'")
    parser.add_argument("--timeframe", default="1m", choices=list(TIMEFRAMES), help="default 1m")
    parser.add_argument("--from", dest="start", metavar="T", help="from this date or time on (IST); default: all")
    parser.add_argument("--to", dest="end", metavar="T", help="before this time; a bare date is included")
    parser.add_argument("--last", type=at_least(0), metavar="N", help="only the newest N (one symbol, without --from)")
    parser.add_argument("--data-root", help="the stores' directory; by default the settings'")
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read the candles, say on standard error which trading days are not there, and write the rows."""
    from libs.dbaccess import DatabaseManager, MarketDataQuery
    from libs.settings import load_settings

    settings = load_settings()
    exchange, symbols = options.exchange or settings.data.exchange, split_names(options.symbol)
    if options.last is not None and (len(symbols) != 1 or options.start):
        raise WrongUsage("--last takes one symbol and no --from")
    start, end = read_interval(options.start, options.end)
    db = DatabaseManager(options.data_root or settings.data_root, read_only=True, settings=settings)
    asked = (exchange, options.timeframe)
    with MarketDataQuery(db) as query:
        if options.last is not None:
            table = query.last_candles(symbols[0], *asked, options.last, before=end, output="arrow")
        else:
            table = query.get_candles(symbols, *asked, start, end, output="arrow", on_missing=_say_missing)
    write_rows(table.schema, table.to_batches(), options, settings.query.table_rows_max)
    return 0


def _say_missing(coverage: Any) -> None:
    days = ", ".join(day.isoformat() for day in coverage.missing[:5])
    more = len(coverage.missing) - 5
    rest = f" and {more} more" if more > 0 else ""
    print(f"not there: {len(coverage.missing)} of {len(coverage.asked)} trading days: {days}{rest}", file=sys.stderr)
