"""`fleet instruments`: what can be traded, from the broker's file into the config store, and looked up there."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from cli.exits import NOT_FOUND, OK
from cli.output import add_json, print_json, print_table
from cli.words import a_day, at_least

_TIMEOUT_MS = 120_000


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "instruments", help="what can be traded: import the broker's file, search",
        description="Symbols, the broker's keys, lots, ticks, freeze quantities and expiries, each with the dates it "
        "holds for. Works whether the api runs or not; exit 3 when the store is held by who does not answer.",
    )  # fmt: skip
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    bring = actions.add_parser(
        "import", help="take the broker's file over",
        description="Take a whole instrument file over, JSON or gzipped JSON. What it lists no more ends the day "
        "before, what is new or different begins; nothing of the past is rewritten, and importing it twice changes "
        "nothing. The ingestor keeps the file it fetched as market_data/instruments_<exchange>.json.gz.",
    )  # fmt: skip
    bring.add_argument("file", type=Path, metavar="FILE")
    bring.add_argument("--date", type=a_day, metavar="D", help="from when it holds (today)")
    bring.add_argument("--segment", action="append", default=[], metavar="S", help="only this one, may be repeated")
    add_json(bring)
    bring.set_defaults(run=_import)
    search = actions.add_parser(
        "search", help="find by symbol, name or ISIN",
        description="Find what can be traded now by a part of its symbol, name or ISIN. Exit 4 when nothing is found.",
    )  # fmt: skip
    search.add_argument("text", metavar="TEXT")
    search.add_argument("--limit", type=at_least(1), default=50, metavar="N", help="at most so many (50)")
    add_json(search)
    search.set_defaults(run=_search)


def _import(options: Namespace) -> int:
    from cli.config_door import change_config
    from libs.core.clock import SystemClock, trading_date

    if not options.file.is_file():
        raise FileNotFoundError(f"{options.file}: there is no such file")
    day = options.date or trading_date(SystemClock().now_us())
    given = {"path": str(options.file.resolve()), "day": day.isoformat(), "segments": options.segment}
    done = change_config("instruments.import", given, "instruments", timeout_ms=_TIMEOUT_MS)
    if options.json:
        print_json(done)
        return OK
    print(f"{done['listed']} instruments from {day}: {done['begun']} new or different, {done['ended']} ended")
    if done["refused"]:
        print(f"{done['refused']} rows could not be used:")
        for row in done["refused_rows"]:
            print(f"  {row}")
    return OK


def _search(options: Namespace) -> int:
    from libs.dbaccess import DatabaseManager
    from libs.settings import load_settings
    from services.api.instruments import book

    settings = load_settings()
    with DatabaseManager(settings.data_root, settings=settings).config_reader() as connection:
        found = book(connection, "WHERE valid_to IS NULL").search(options.text, options.limit)
    if options.json:
        import msgspec

        print_json([msgspec.to_builtins(row) for row in found])
    else:
        names = ("symbol", "exchange", "type", "key", "lot", "tick", "freeze", "expiry", "since", "name")
        print_table(
            names,
            [
                [row.symbol, row.exchange, row.instrument_type, row.instrument_key, row.lot_size, row.tick_size,
                 row.freeze_quantity or "", row.expiry or "", row.valid_from, row.name]
                for row in found
            ],
        )  # fmt: skip
    return OK if found else NOT_FOUND
