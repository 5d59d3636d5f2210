"""`fleet history fetch`: candles of the past from the broker into closed days. Run it again and it goes on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.broker_history import broker_candles, candle_table
from cli.exits import OK
from cli.output import add_json, print_json, print_table
from cli.progress import progress
from cli.words import a_day, require_order, some_names

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager
    from libs.settings import Settings
    from libs.upstox.history import PastCandle

_TIMEFRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser("history", help="candles of the past from the broker")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    fetch: ArgumentParser = actions.add_parser(
        "fetch", help="fetch candles into closed days",
        description="Fetch the candles of past trading days and close each day with all the symbols named. A day that "
        "is closed already is left as it is, so a fetch that was interrupted goes on where it was. Keeps within the "
        "broker's limits. Exit 3 while another process writes history.",
    )  # fmt: skip
    fetch.add_argument(
        "--symbols", required=True, type=some_names, metavar="A,B", help="all symbols the days are to hold"
    )
    fetch.add_argument("--from", dest="start", required=True, type=a_day, metavar="D")
    fetch.add_argument("--to", dest="end", type=a_day, metavar="D", help="the last session by default")
    fetch.add_argument("--timeframe", default="1m", choices=_TIMEFRAMES)
    fetch.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    add_json(fetch)
    fetch.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Fetch what is missing and say what became of each day."""
    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.calendars import load_calendar
    from libs.settings import load_settings

    settings = load_settings()
    exchange = settings.data.exchange
    calendar = load_calendar(options.data_root or settings.data_root, exchange)
    end = options.end or calendar.previous_session(SystemClock().now_us()).date
    require_order(options.start, end)
    db = DatabaseManager(options.data_root or settings.data_root, Role.INGESTOR, settings=settings)
    days = calendar.trading_days(options.start, end)
    wanted = [day for day in days if not db.layout.day(exchange, "candles", options.timeframe, day).exists()]
    symbols = sorted(set(options.symbols))
    closed = _fetch(db, settings, symbols, options.timeframe, wanted) if wanted else []
    if options.timeframe == "1m" and days:
        _certify(db, exchange, symbols, days)
    report = {
        "timeframe": options.timeframe, "days": len(days), "closed_before": len(days) - len(wanted),
        "closed": [{"date": day, "symbols": count, "rows": rows} for day, count, rows in closed],
        "empty": [day for day in wanted if day not in {done for done, _, _ in closed}],
    }  # fmt: skip
    if options.json:
        print_json(report)
        return OK
    print_table(["date", "symbols", "rows"], closed)
    print(
        f"{len(closed)} days closed, {report['closed_before']} were already, {len(report['empty'])} the broker has not"
    )
    return OK


def _fetch(
    db: DatabaseManager, settings: Settings, symbols: list[str], timeframe: str, days: list[date]
) -> list[tuple[date, int, int]]:
    """Fetch by spans of one call, so that what is in memory is bounded, and close each span's days."""
    from libs.upstox.history import spans

    closed: list[tuple[date, int, int]] = []
    pieces = list(spans(timeframe, days[0], days[-1]))
    with broker_candles(settings, days[-1]) as broker, progress() as report:
        broker.require_known(symbols)
        for number, (first, last) in enumerate(pieces):
            inside = [day for day in days if first <= day <= last]
            if not inside:
                continue
            found: dict[date, dict[str, list[PastCandle]]] = defaultdict(dict)
            for place, symbol in enumerate(symbols):
                report(number * len(symbols) + place, len(pieces) * len(symbols), f"{symbol} {first}")
                for day, candles in broker.of_days(symbol, timeframe, inside).items():
                    found[day][symbol] = candles
            closed += [_close(db, settings.data.exchange, timeframe, day, found[day]) for day in inside if found[day]]
    return closed


def _close(
    db: DatabaseManager, exchange: str, timeframe: str, day: date, by_symbol: dict[str, list[PastCandle]]
) -> tuple[date, int, int]:
    """Write one day whole: its symbols together, for a closed day never gets another one."""
    table = candle_table(by_symbol, timeframe)
    with db.historical_writer(exchange, "candles", timeframe, day, origin="fetch") as writer:
        writer.append(table)
    return day, len(by_symbol), table.num_rows


def _certify(db: DatabaseManager, exchange: str, symbols: list[str], days: list[date]) -> None:
    """Draw up what is missing of the days' certificates, those of a fetch that was killed before it too."""
    from libs.dbaccess.coverage import certify_day, stored_certificates

    known = {each.trading_date for each in stored_certificates(db, exchange, days[0], days[-1])}
    for day in days:
        if day not in known and db.layout.day(exchange, "candles", "1m", day).exists():
            with db.history_lock():
                certify_day(db, exchange, day, symbols)
