"""`fleet archive`: old closed days to compressed Parquet."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from cli.exits import FAILED, OK
from cli.output import add_json, print_json, print_table, size_text
from cli.progress import progress


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "archive", help="old closed days to compressed Parquet, verified before the hot file goes",
        description="Move closed days past the limits of [archive] (ticks 90 days, 1m candles a year) to compressed "
        "Parquet. Queries read them as before. Exit 3 while the ingestor lives; it archives by itself.",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would happen and how much room it frees")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Archive, and say what each day takes now; exit 1 when a day could not be verified."""
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.archive import archive_days
    from libs.dbaccess.owners import refuse_living_owner
    from libs.settings import load_settings

    settings = load_settings()
    db = DatabaseManager(options.data_root or settings.data_root, Role.INGESTOR, settings=settings)
    if not options.dry_run:
        refuse_living_owner(db.layout)
    with progress() as report:
        found = archive_days(db, report=report, dry_run=options.dry_run)
    if options.json:
        print_json({"dry_run": found.dry_run, "bytes_freed": found.bytes_freed, "days": found.days})
    else:
        rows = [
            [each.series, each.day, size_text(each.bytes_before), size_text(each.bytes_after), each.problem]
            for each in found.days
        ]
        print_table(["series", "day", "hot", "archived", "problem"], rows)
        verb = "would free about" if found.dry_run else "freed"
        print(f"{len(found.days)} days; {verb} {size_text(found.bytes_freed)}")
    return FAILED if any(each.problem for each in found.days) else OK
