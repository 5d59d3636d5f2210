"""`fleet db`: look after one store by hand."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, NOT_FOUND, OK
from cli.output import add_json, print_json, print_table, size_text
from cli.words import a_day, require_order

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager, Store

SQLITE = ("trading", "signals", "config", "backtest_index")
STORES = (*SQLITE, "market", "live")


def add(subparsers: Any) -> None:
    """Add the command group."""
    parser: ArgumentParser = subparsers.add_parser("db", help="verify, stats, optimize, export, import a store")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _action(actions, "verify", "read every page or block of a store; exit 1 when it is damaged", STORES, _verify)
    _action(actions, "stats", "size, rows and free space, table by table", STORES, _stats)
    optimize = _action(
        actions, "optimize", "VACUUM, ANALYZE and checkpoint; takes the owner's lock", (*SQLITE, "live"), _optimize
    )
    export = _action(actions, "export", "a SQLite store as SQL, market data as Parquet or CSV", STORES[:-1], _export)
    export.add_argument("--out", type=Path, required=True, help="file (SQL) or new directory (market data)")
    export.add_argument("--from", dest="start", type=a_day, metavar="D", help="market: the first day")
    export.add_argument("--to", dest="end", type=a_day, metavar="D", help="market: the last, included")
    export.add_argument("--format", dest="form", choices=("parquet", "csv"), default="parquet", help="of market data")
    load = _action(actions, "import", "a SQL dump in a store's place, or Parquet as closed days", STORES[:-1], _import)
    load.add_argument("source", type=Path, help="file made by export, or directory of Parquet")
    for each in (optimize, load):
        each.epilog = "Exit 3 while the store's owner holds its lock: stop that service first."


def _action(
    actions: Any, name: str, purpose: str, stores: tuple[str, ...], run: Callable[[Namespace, DatabaseManager], int]
) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("store", choices=stores, metavar="STORE", help=", ".join(stores))
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=lambda options: run(options, _manager(options)))
    return parser


def _manager(options: Namespace) -> DatabaseManager:
    """Make a manager of the role that owns the store, as its owner would."""
    from libs.dbaccess import DatabaseManager, Store
    from libs.dbaccess.roles import OWNERS
    from libs.settings import load_settings

    settings = load_settings()
    role = OWNERS[Store.HISTORY if options.store in {"market", "live"} else Store(options.store)]
    return DatabaseManager(options.data_root or settings.data_root, role, settings=settings)


def _store(options: Namespace) -> Store:
    from libs.dbaccess import Store

    return Store(options.store)


def _verify(options: Namespace, db: DatabaseManager) -> int:
    from libs.contracts.health import HealthState
    from libs.dbaccess.health import verify_store

    findings = verify_store(db, options.store)
    bad = [finding for finding in findings if finding.state is HealthState.ERROR]
    if options.json:
        print_json({"store": options.store, "sound": not bad, "findings": findings})
    else:
        print_table(["state", "subject", "found"], [[each.state.value, each.subject, each.detail] for each in findings])
    if bad:
        return FAILED
    missing = findings and all(finding.detail == "missing" for finding in findings)
    return NOT_FOUND if missing else OK


def _stats(options: Namespace, db: DatabaseManager) -> int:
    from libs.dbaccess.tools.stats import figures

    found = figures(db, options.store)
    if options.json:
        print_json({"store": options.store, "figures": found})
        return OK
    print_table(
        ["what", "rows", "size", "files", "free"],
        [[each.subject, each.rows, size_text(each.bytes), each.files, f"{each.free_share:.0%}"] for each in found],
    )
    return OK


def _optimize(options: Namespace, db: DatabaseManager) -> int:
    from libs.dbaccess.tools.optimize import optimize

    before, after = optimize(db, options.store)
    if options.json:
        print_json({"store": options.store, "bytes_before": before, "bytes_after": after})
    else:
        print(f"{options.store}: {size_text(before)} -> {size_text(after)}")
    return OK


def _export(options: Namespace, db: DatabaseManager) -> int:
    if options.store == "market":
        from libs.dbaccess.tools.exporting import export_market

        require_order(options.start, options.end)
        start, end = options.start or date.min, options.end or date.max
        count = export_market(db, options.out, first=start, last=end, form=options.form, report=_progress)
        what = "days"
    else:
        from libs.dbaccess.tools.dump import export_sql

        count = export_sql(db, _store(options), options.out)
        what = "statements"
    _say(options, f"{options.out}: {count} {what}", {"store": options.store, "out": str(options.out), what: count})
    return OK


def _import(options: Namespace, db: DatabaseManager) -> int:
    if options.store == "market":
        from libs.dbaccess.tools.parquet import import_parquet

        taken, skipped = import_parquet(db, options.source, report=_progress)
        _say(
            options,
            f"{taken} days closed, {skipped} already there with the same rows",
            {"days": taken, "same": skipped},
        )
        return OK
    from libs.dbaccess.tools.dump import import_sql

    kept = import_sql(db, _store(options), options.source)
    text = f"{options.store} replaced" + (f"; what it was is kept as {kept}" if kept else "")
    _say(options, text, {"store": options.store, "kept": str(kept) if kept else None})
    return OK


def _say(options: Namespace, text: str, value: dict[str, Any]) -> None:
    if options.json:
        print_json(value)
    else:
        print(text)


def _progress(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total} {what}", end="" if done < total else "\n", file=sys.stderr, flush=True)
