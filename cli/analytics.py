"""`fleet analytics`: what indicators, regimes and patterns say of a symbol, and computing it again."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cli.exits import FAILED, NOT_FOUND, OK, WrongUsage
from cli.output import add_json, print_json, print_table
from cli.words import a_day, at_least, split_names
from libs.contracts.market import TIMEFRAMES
from libs.core.clock import IST, Clock, SystemClock, to_datetime
from libs.core.errors import Refused, RetryLater
from libs.settings import Settings, load_settings

if TYPE_CHECKING:
    from libs.messaging import CommandClient

_POLL_S = 0.2
_SHOWN = """
SELECT c.timestamp_us, r.regime, r.confidence, c.direction, c.score, c.confidence, c.reasons_json,
       (SELECT group_concat(pattern, ', ') FROM pattern_cache p WHERE p.symbol = c.symbol AND p.exchange = c.exchange
        AND p.timeframe = c.timeframe AND p.timestamp_us = c.timestamp_us AND p.direction <> 'none')
FROM confluence_insights c LEFT JOIN regime r USING (symbol, exchange, timeframe, timestamp_us)
WHERE c.symbol = ? AND c.exchange = ? AND c.timeframe = ? ORDER BY c.timestamp_us DESC LIMIT ?
"""


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("analytics", help="confluence, regime and patterns of symbols: show, update")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="what is stored of a symbol, the newest bar first")
    show.add_argument("symbol")
    show.add_argument("--timeframe", default="", help="default: the first of scanner.analytics_timeframes")
    show.add_argument("--count", type=at_least(1), default=10, metavar="N", help="so many bars; default 10")
    add_json(show)
    show.set_defaults(run=run_show)
    update = actions.add_parser(
        "update",
        help="compute a range of days again",
        description="Compute confluence, regime, patterns and features again and write them into the signals store: by "
        "the scanner while it runs, else under its lock. Rows are replaced, so it may be run again and again.",
    )
    update.add_argument("--from", dest="first", type=a_day, metavar="DATE", help="default: newest day")
    update.add_argument("--to", dest="last", type=a_day, metavar="DATE", help="default: newest day")
    update.add_argument("--symbols", default="", metavar="A,B", help="default: those the scanner analyses")
    update.add_argument("--timeframe", default="", metavar="T,T", help="default: scanner.analytics_timeframes")
    add_json(update)
    update.set_defaults(run=run_update)


def run_show(options: argparse.Namespace) -> int:
    """Print the newest insights of a symbol; 4 when there is none."""
    import msgspec

    from libs.dbaccess import DatabaseManager

    settings = load_settings()
    timeframe = _timeframes(settings, options.timeframe)[0]
    with DatabaseManager(settings.data_root, settings=settings).signals_reader() as connection:
        values = (options.symbol, settings.data.exchange, timeframe, options.count)
        rows = connection.execute(_SHOWN, values).fetchall()
    if not rows:
        print(
            f"fleet: nothing is stored of {options.symbol} on {timeframe}; `fleet analytics update "
            f"--symbols {options.symbol}` computes it",
            file=sys.stderr,
        )
        return NOT_FOUND
    names = ("timestamp_us", "regime", "regime_confidence", "direction", "score", "confidence", "reasons", "patterns")
    entries = [dict(zip(names, row, strict=True)) for row in rows]
    for entry in entries:
        entry["reasons"] = msgspec.json.decode(entry["reasons"])
        entry["patterns"] = entry["patterns"].split(", ") if entry["patterns"] else []
    if options.json:
        print_json(entries)
        return OK
    print_table(("bar", "regime", "direction", "score", "known", "strongest reasons", "patterns"), map(_line, entries))
    return OK


def _line(entry: dict[str, Any]) -> tuple[object, ...]:
    strongest = [f"{each['timeframe']} {each['indicator']} {each['share']:+.2f}" for each in entry["reasons"][:3]]
    return (
        f"{to_datetime(entry['timestamp_us']).astimezone(IST):%Y-%m-%d %H:%M}", entry["regime"] or "unknown",
        entry["direction"], f"{entry['score']:+.2f}", f"{entry['confidence']:.0%}", ", ".join(strongest),
        ", ".join(entry["patterns"]),
    )  # fmt: skip


def run_update(options: argparse.Namespace) -> int:
    """Have the days computed, and wait for it."""
    from libs.messaging import CommandClient

    settings = load_settings()
    if options.first and options.last and options.first > options.last:
        raise WrongUsage(f"--from {options.first} is after --to {options.last}")
    asked = {
        "symbols": _symbols(settings, options.symbols), "timeframes": _timeframes(settings, options.timeframe),
        "first": options.first.isoformat() if options.first else None,
        "last": options.last.isoformat() if options.last else None,
    }  # fmt: skip
    try:
        with CommandClient("scanner", settings=settings) as client:
            client.call("update_analytics", asked)
            done = _waited(client, SystemClock())
    except RetryLater:
        done = _by_us(settings, asked)
    if options.json:
        print_json(done)
    else:
        print(f"{done['rows']} rows of {done['done']} symbols and timeframes")
    if not done["rows"] and not done["error"]:
        done["error"] = "there are no candles of those symbols and days; `fleet coverage` shows what there is"
    if done["error"]:
        print(f"fleet: {done['error']}", file=sys.stderr)
    return FAILED if done["error"] or not done["rows"] else OK


def _waited(client: CommandClient, clock: Clock) -> dict[str, Any]:
    while True:
        status: dict[str, Any] = client.call("status")["analytics_update"]
        if not status["running"]:
            return status
        clock.sleep(_POLL_S)


def _by_us(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.calendars import load_calendar
    from libs.dbaccess.roles import Store
    from services.scanner.store import SignalsStore
    from services.scanner.study import Asked, recomputed

    clock, exchange, asked = SystemClock(), settings.data.exchange, msgspec.convert(arguments, Asked)
    manager = DatabaseManager(settings.data_root, Role.SCANNER, settings=settings, clock=clock)
    sessions = load_calendar(settings.data_root, exchange).session
    rows = done = 0
    with manager.writer_session(Store.SIGNALS) as session:
        store = SignalsStore(session, clock)
        for symbol in asked.symbols:
            for timeframe in asked.timeframes:
                rows += store.keep_insights(recomputed(manager, exchange, symbol, timeframe, asked, sessions))
                done += 1
    return {"rows": rows, "done": done, "error": ""}


def _timeframes(settings: Settings, text: str) -> list[str]:
    found = split_names(text) or [*settings.scanner.analytics_timeframes]
    if unknown := [each for each in found if each not in TIMEFRAMES]:
        raise WrongUsage(f"--timeframe {unknown[0]}: expected one of {', '.join(TIMEFRAMES)}")
    if not found:
        raise Refused("scanner.analytics_timeframes is empty; name one with --timeframe")
    return found


def _symbols(settings: Settings, text: str) -> list[str]:
    from libs.dbaccess import DatabaseManager
    from services.scanner.instances import analysed, choose

    found = split_names(text)
    if not found:
        chosen = choose(DatabaseManager(settings.data_root, settings=settings), settings)
        found = sorted(analysed(settings, chosen.instances))
    if not found:
        raise Refused("no strategy runs and scanner.analytics_symbols is empty; name symbols with --symbols")
    return found
