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
        "Parquet. Queries read them as before. A living ingestor is asked to do it; exit 3 when it does not answer.",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would happen and how much room it frees")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Archive, or have the living ingestor do it; exit 1 when a day could not be verified."""
    import msgspec

    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.archive import archive_days
    from libs.settings import load_settings
    from services.ops.archiving import archive

    settings = load_settings()
    if options.data_root:
        settings = msgspec.structs.replace(settings, data_root=str(options.data_root))
    with progress() as report:
        if options.dry_run:
            owner = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings)
            found = archive_days(owner, report=report, dry_run=True)
        else:
            found = archive(settings, SystemClock(), report)
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
