"""`fleet import`: candles or ticks from CSV and Parquet into closed days."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, OK, WrongUsage, reading_words
from cli.output import add_json, print_json, print_table
from cli.progress import progress
from libs.contracts.market import TIMEFRAMES

if TYPE_CHECKING:
    from libs.dbaccess.importing import FilePlan, ImportReport, ImportRequest
    from libs.settings import Settings

#: So many names of what is passed over are shown.
_NAMED_MAX = 10
_EPILOG = """Columns are found by their names (date/datetime/timestamp, o/open, ltp, vol, ...), also in two parts
(date and time), and shown; --dry-run shows them and takes nothing. Times without a zone are of --tz.
A file without a symbol column is of the symbol in its name, or --symbol. 5m, 15m and 1d are derived.
A day is closed once and for ever: give the files of all symbols together, or the folder they lie in.
  fleet import candles RELIANCE_minute.csv TCS_minute.csv --tz Asia/Kolkata"""


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "import", help="candles or ticks from CSV or Parquet into closed days",
        epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("what", choices=("candles", "ticks"))
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="CSV (also .gz, .zst), Parquet, or a folder"
    )
    parser.add_argument("--exchange", help="by default the settings'")
    parser.add_argument("--timeframe", default="1m", choices=list(TIMEFRAMES), help="of the candles; default 1m")
    parser.add_argument("--tz", default="Asia/Kolkata", help="zone of times that name none; default Asia/Kolkata")
    parser.add_argument("--time-format", metavar="FORM", help="such as %%d/%%m/%%Y %%H:%%M, if it is not recognised")
    parser.add_argument("--symbol", help="the symbol of files that have no such column")
    parser.add_argument("--columns", metavar="A,B,C", help="names of the columns, in order; also instead of the header")
    parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", help="say which column is which")
    parser.add_argument("--keep-repeats", action="store_true", help="ticks: keep those equal in every column")
    parser.add_argument("--dry-run", action="store_true", help="show how the files would be read")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Import the files; exit 1 when a row or a day was refused, so that nobody overlooks it."""
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.importing import import_files
    from libs.settings import load_settings

    settings = load_settings()
    with reading_words():
        request = _request(options, settings)
    files = _files(options.files)
    if options.dry_run:
        return _show_plans(options, request, files)
    db = DatabaseManager(options.data_root or settings.data_root, Role.INGESTOR, settings=settings)
    try:
        with progress() as report:
            found = import_files(db, files, request, report=report)
    except KeyboardInterrupt:
        print(
            "fleet: stopped; days that are closed stay, no day is half, and the same command goes on", file=sys.stderr
        )
        raise
    if options.json:
        print_json(found)
    else:
        _print_report(found)
    return FAILED if found.rows_refused else OK


def _request(options: Namespace, settings: Settings) -> ImportRequest:
    from libs.dbaccess.importing import ImportRequest
    from libs.dbaccess.importing.moments import zone_named
    from libs.dbaccess.layout import exchange_name

    pairs = [each.partition("=") for each in options.map]
    if wrong := [field for field, equals, column in pairs if not (field and equals and column)]:
        raise WrongUsage(f"--map {wrong[0]}: expected FIELD=COLUMN, such as close=last_price")
    return ImportRequest(
        options.what,
        exchange=exchange_name(options.exchange or settings.data.exchange),
        timeframe=options.timeframe if options.what == "candles" else None,
        zone=zone_named(options.tz).key,
        time_format=options.time_format,
        symbol=options.symbol,
        columns=tuple(name.strip() for name in options.columns.split(",")) if options.columns else (),
        chosen={field: column for field, _, column in pairs},
        keep_repeats=options.keep_repeats,
    )


def _files(named: Sequence[Path]) -> Sequence[Path]:
    """Find the files, and say what of a folder is left where it lies."""
    from libs.dbaccess.importing.folders import files_in

    files, passed_over = files_in(named)
    if passed_over:
        names = ", ".join(str(path) for path in passed_over[:_NAMED_MAX])
        more = f" and {len(passed_over) - _NAMED_MAX} more" if len(passed_over) > _NAMED_MAX else ""
        print(f"fleet: not CSV or Parquet, passed over: {names}{more}", file=sys.stderr)
    return files


def _show_plans(options: Namespace, request: ImportRequest, files: Sequence[Path]) -> int:
    from libs.dbaccess.importing import plan_files

    plans = plan_files(files, request)
    if options.json:
        print_json({"plans": plans})
    else:
        for plan in plans:
            _print_plan(plan)
    return OK


def _print_plan(plan: FilePlan) -> None:
    print(plan.path)
    columns = ", ".join(f"{field} <- {column}" for field, column in plan.columns.items())
    print(f"  columns: {columns}" + (f"; symbol {plan.symbol} by its name" if plan.symbol else ""))
    print(f"  times:   {plan.times}")
    if plan.ignored:
        print(f"  not used: {', '.join(plan.ignored)}")


def _print_report(found: ImportReport) -> None:
    for plan in found.plans:
        _print_plan(plan)
    shown = found.days if len(found.days) <= 20 else [*found.days[:10], *found.days[-10:]]
    print_table(
        ["day", "state", "rows", "derived", "reason"],
        [[each.day, each.state, each.rows, " ".join(each.derived), each.reason] for each in shown],
    )
    if len(shown) < len(found.days):
        print(f"(the first and last 10 of {len(found.days)} days; --json gives all)")
    print(
        f"{found.rows_read:,} rows read: {found.rows_taken:,} taken, {found.rows_same:,} there already, "
        f"{found.rows_repeated:,} repeated, {found.rows_refused:,} refused"
    )
    for reason, count in sorted(found.refused.items(), key=lambda item: -item[1]):
        examples = "; ".join(found.examples.get(reason, []))
        print(f"  refused {count:,}: {reason}" + (f" (such as {examples})" if examples else ""))
