"""`fleet init`: make or upgrade every store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from cli.exits import OK
from cli.output import add_json, print_json, print_table


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "init", help="create or upgrade every store; idempotent",
        description="Create every store that is missing and upgrade those of an older version. "
        "Safe to run again, and twice at once; a store in use by its owner is left to it. Code that runs here for the "
        "first time copies trading and config before it touches them.",
    )  # fmt: skip
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    parser.add_argument("--no-backup", action="store_true", help="new code goes on without those copies")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Make the stores and say what was done to each."""
    from libs.core.clock import SystemClock
    from libs.dbaccess import BackupManager
    from libs.dbaccess.backup import copy_before_deployment, note_deployment
    from libs.dbaccess.init import init_all
    from libs.dbaccess.layout import Layout
    from libs.settings import load_settings

    settings = load_settings()
    layout = Layout(options.data_root or settings.data_root)
    copies = copy_before_deployment(BackupManager(layout.root, settings=settings), without=options.no_backup)
    done = init_all(layout, settings=settings, clock=SystemClock())
    note_deployment(layout)
    if options.json:
        print_json({"data_root": str(layout.root), "stores": done, "copied": copies})
    else:
        print(f"data root {layout.root}")
        for store, path in copies.items():
            print(f"this code is new here; {store} was copied before: {path}")
        print_table(["store", "path", "done"], [[row.store, row.path, row.action] for row in done])
    return OK
