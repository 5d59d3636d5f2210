"""`fleet migrate`: an older installation's files into the six stores."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK, WrongUsage, reading_words
from cli.output import add_json, print_json, print_table
from cli.progress import progress

if TYPE_CHECKING:
    from libs.dbaccess.legacy import MigrationReport


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "migrate", help="an older installation's files into the six stores",
        description="Take over one DuckDB file or the three SQLite files of an older installation. They are copied "
        "first and only read. Run it again after a kill: it goes on. Exit 3 while a store's owner lives.",
        epilog="Without SOURCE the files are taken from TRADING_DB_PATH, TRADING_DATABASE_URL, MARKET_DATABASE_URL, "
        "ANALYTICS_DATABASE_URL and DATABASE_URL (trading).",
    )  # fmt: skip
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE", help="a DuckDB or SQLite file")
    parser.add_argument("--dry-run", action="store_true", help="say what would go where; nothing is changed")
    parser.add_argument("--exchange", help="of rows that name none; by default the settings'")
    parser.add_argument("--tz", default="Asia/Kolkata", help="zone of times that name none; default Asia/Kolkata")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Migrate, and print what became of every table; exit 1 when a known table or row was not placed."""
    from libs.dbaccess.importing.moments import zone_named
    from libs.dbaccess.layout import exchange_name
    from libs.dbaccess.legacy import migrate_legacy, sources_of_environment
    from libs.settings import load_settings

    settings = load_settings()
    sources = options.sources or sources_of_environment(os.environ)
    if not sources:
        raise WrongUsage("no SOURCE was given, and no variable of an older installation names one")
    with reading_words():
        exchange, zone = exchange_name(options.exchange or settings.data.exchange), zone_named(options.tz).key
    with progress() as report:
        found = migrate_legacy(
            options.data_root or settings.data_root,
            sources,
            settings=settings,
            exchange=exchange,
            zone=zone,
            dry_run=options.dry_run,
            report=report,
        )
    if options.json:
        print_json(found)
    else:
        _print(found)
    return OK if found.succeeded else FAILED


def _print(found: MigrationReport) -> None:
    print_table(
        ["source", "table", "rows", "goes to", "state", "placed", "there", "refused", "checksum"],
        [
            [each.source, each.table, each.rows, each.target, each.state, each.placed, each.there, each.refused,
             each.checksum]
            for each in found.tables
        ],
    )  # fmt: skip
    for each in found.tables:
        for problem in each.problems:
            print(f"{each.table}: {problem}")
        if each.extra_columns:
            kept = f", kept in {each.extra_kept_in}" if each.extra_kept_in else ""
            print(f"{each.table}: columns of its own: {', '.join(each.extra_columns)}{kept}")
    for source, copy in found.kept.items():
        print(f"{source} is kept as {copy}; the original was only read")
