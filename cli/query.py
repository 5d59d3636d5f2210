"""`fleet query`: one SELECT over candles and ticks, history, archive and live as one; it cannot write."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

from cli.exits import FAILED
from cli.rows import add_format, write_rows
from cli.words import read_interval, split_names

_VIEWS = """Views: candles (exchange, symbol, timeframe, timestamp, open, high, low, close, volume) and
ticks (exchange, symbol, timestamp, price, volume, bid, ask, volume_day, seq), as stored; `fleet candles`
makes longer bars of minutes. Times in SQL without a zone are IST. Example:
  fleet query "SELECT symbol, max(high) FROM candles WHERE timeframe = '1d' GROUP BY symbol" """


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "query",
        help="run one SELECT over candles and ticks, read only",
        epilog=_VIEWS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sql", help="one SELECT")
    parser.add_argument("--from", dest="start", metavar="T", help="only rows from this date or time on (IST)")
    parser.add_argument("--to", dest="end", metavar="T", help="only rows before this time; a bare date is included")
    parser.add_argument("--symbols", metavar="A,B", help="only rows of these symbols")
    parser.add_argument("--data-root", help="the stores' directory; by default the settings'")
    add_format(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the statement and write its rows."""
    from libs.dbaccess import DatabaseManager
    from libs.dbaccess.queries import sql_door
    from libs.settings import load_settings

    settings = load_settings()
    db = DatabaseManager(options.data_root or settings.data_root, read_only=True, settings=settings)
    symbols = split_names(options.symbols)
    start, end = read_interval(options.start, options.end)
    with sql_door(db, options.sql, start=start, end=end, symbols=symbols, give_up=_end) as opened:
        write_rows(opened.schema, opened.batches, options, settings.query.table_rows_max)
    return 0


def _end(why: str) -> NoReturn:
    """End at once: leaving in order waits for the engine, which may take minutes, whatever is pressed."""
    print(f"fleet: {why}", file=sys.stderr, flush=True)
    os._exit(FAILED)
