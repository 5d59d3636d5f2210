"""`fleet backup`, `fleet backups`, `fleet restore`: copies of the stores, and the way back."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK
from cli.output import add_json, print_json, print_table, size_text
from cli.progress import progress
from cli.words import a_day
from libs.core.clock import IST

if TYPE_CHECKING:
    from libs.dbaccess import BackupManager
    from libs.settings import Settings

STORES = ("trading", "config", "market")


def add(subparsers: Any) -> None:
    """Add `fleet backup`."""
    parser: ArgumentParser = subparsers.add_parser(
        "backup", help="copy a store beside its living owner, checked before it counts",
        description="Copy the trading or config store, or all closed days of market data. Works beside a running "
        "fleet. Each copy is opened and checked; old ones are pruned by the settings of [backup].",
    )  # fmt: skip
    parser.add_argument("store", choices=(*STORES, "all"), metavar="STORE", help="trading, config, market or all")
    parser.add_argument("--day", type=a_day, help="market: only days up to this date; default today")
    _add_roots(parser)
    parser.set_defaults(run=run)


def add_list(subparsers: Any) -> None:
    """Add `fleet backups`."""
    parser: ArgumentParser = subparsers.add_parser("backups", help="list the copies there are, newest first")
    parser.add_argument("--verify", action="store_true", help="open and read each copy; exit 1 when one is damaged")
    _add_roots(parser)
    parser.set_defaults(run=run_list)


def add_restore(subparsers: Any) -> None:
    """Add `fleet restore`."""
    parser: ArgumentParser = subparsers.add_parser(
        "restore", help="put a copy back in a store's place; what it replaces is kept",
        description="Check a copy, keep the store it replaces, put the copy in its place and say how to go back. "
        "Exit 3 while the store's owner holds its lock: stop that service first.",
    )  # fmt: skip
    parser.add_argument("store", choices=STORES, metavar="STORE", help=", ".join(STORES))
    parser.add_argument("file", metavar="FILE", help="a copy (market: its folder, or a part of it), or `latest`")
    _add_roots(parser)
    parser.set_defaults(run=run_restore)


def _add_roots(parser: ArgumentParser) -> None:
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    parser.add_argument("--backup-root", type=Path, help="instead of <data root>/backups")
    add_json(parser)


def _manager(options: Namespace) -> tuple[BackupManager, Settings]:
    from libs.dbaccess import BackupManager
    from libs.settings import load_settings

    settings = load_settings()
    root = options.data_root or settings.data_root
    return BackupManager(root, options.backup_root, settings=settings), settings


def run(options: Namespace) -> int:
    """Make the copies asked for, every one of them, and fail at the end when one could not be made."""
    from libs.core.errors import FleetError

    manager, _ = _manager(options)
    makers: dict[str, Callable[[], Path]] = {
        "trading": manager.backup_trading_db,
        "config": manager.backup_config_db,
        "market": lambda: manager.backup_market_data(options.day),
    }
    if options.store != "all":
        _say_made(options, {options.store: str(makers[options.store]())}, {})
        return OK
    made, failed = {}, {}
    for store, make in makers.items():
        try:
            made[store] = str(make())
        except (FleetError, OSError) as e:
            failed[store] = str(e)
    _say_made(options, made, failed)
    return FAILED if failed else OK


def _say_made(options: Namespace, made: dict[str, str], failed: dict[str, str]) -> None:
    if options.json:
        print_json({"made": made, "failed": failed})
        return
    rows = [[store, path] for store, path in made.items()] + [[store, f"FAILED: {e}"] for store, e in failed.items()]
    print_table(["store", "copy"], rows)


def run_list(options: Namespace) -> int:
    """List the copies."""
    from libs.dbaccess.backup import list_copies
    from libs.dbaccess.errors import StoreMissing

    manager, settings = _manager(options)
    if options.backup_root and not manager.root.is_dir():
        raise StoreMissing(manager.root, "there is no such folder of copies")
    copies = list_copies(manager.root, settings.sqlite, verify=options.verify)
    if options.json:
        print_json({"backup_root": str(manager.root), "verified": options.verify, "copies": copies})
    else:
        rows = [
            [each.store, _ist(each.made_at_us), size_text(each.bytes), each.files, each.state, each.path]
            for each in copies
        ]
        print_table(["store", "made (IST)", "size", "files", "state", "path"], rows)
    return FAILED if any(each.state.startswith("damaged") for each in copies) else OK


def run_restore(options: Namespace) -> int:
    """Put a copy back and say how to go back."""
    from libs.dbaccess import DatabaseManager, Store
    from libs.dbaccess.backup import newest_copy, restore_market, restore_sqlite
    from libs.dbaccess.roles import OWNERS

    manager, settings = _manager(options)
    source = newest_copy(manager.root, options.store) if options.file == "latest" else Path(options.file)
    store = Store.HISTORY if options.store == "market" else Store(options.store)
    db = DatabaseManager(manager.layout.root, OWNERS[store], settings=settings)
    with progress() as report:
        done = (
            restore_market(db, source, report=report) if store is Store.HISTORY else restore_sqlite(db, store, source)
        )
    if options.json:
        print_json(done)
        return OK
    print(f"{options.store} restored from {done.source}: {done.placed} put in place, {done.same} were there alike")
    if done.left_alone:
        print(f"left alone, because they are in the archive by now: {len(done.left_alone)} days")
    if done.kept:
        print(f"what was replaced is kept: {done.kept}")
    if done.added and done.kept:
        print(f"not there before, and there also when you go back: {done.added} files")
    print(f"to go back: {done.go_back}")
    return OK


def _ist(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")
