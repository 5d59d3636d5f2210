"""`fleet sim history`: some months of the simulated market's past into closed days, for charts and backtests."""

from __future__ import annotations

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exits import OK
from cli.progress import progress
from cli.words import at_least
from libs.core.errors import Refused
from libs.settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa

DAYS, SYMBOLS = 90, 10


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to `fleet sim`."""
    parser = commands.add_parser(
        "history", help="months of the simulated past into closed days",
        description="Write what the simulated market did before its first day: 1m candles, longer ones derived. "
        "The same seed gives the same prices, and the simulator goes on from them. Does nothing when there is history.",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=at_least(1), default=DAYS, metavar="N", help=f"calendar days back; default {DAYS}"
    )
    parser.add_argument(
        "--symbols", type=at_least(1), default=SYMBOLS, metavar="N", help=f"how many shares; default {SYMBOLS}"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the candles and import them, unless there is history already."""
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.importing import ImportRequest, import_files
    from libs.dbaccess.layout import closed_days

    settings = load_settings()
    if settings.profile != "demo":
        raise Refused(f"the profile is {settings.profile}: invented prices belong into the demo's stores only")
    db = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings)
    exchange = settings.data.exchange
    if days := closed_days(db.layout.series(exchange, "candles", "1m")):
        print(f"history is there: {len(days)} days from {days[0][0]}")
        return OK
    with tempfile.TemporaryDirectory(prefix="tradefleet-history-") as folder, progress() as report:
        path = Path(folder, "candles.parquet")
        _write(path, candles(settings, options.days, options.symbols))
        request = ImportRequest("candles", exchange=exchange)
        found = import_files(db, [path], request, report=report)
    print(f"history: {len(found.days)} days closed, {options.symbols} shares, the last {options.days} calendar days")
    return OK


def candles(settings: Settings, days_back: int, shares: int, last: date | None = None) -> pa.Table:
    """Make the 1m candles of the sessions before the simulator's first day, or up to a date."""
    import pyarrow as pa

    from libs.calendar import Calendar
    from libs.core.clock import SystemClock
    from services.exchange_sim.market.candles import minute_candles
    from services.exchange_sim.market.instruments import Listing
    from services.exchange_sim.market.prices import PriceProcess
    from services.exchange_sim.market.sessions import TradingDays, date_of, start_instant_ms

    chosen = settings.exchange_sim
    days = TradingDays.of_exchange(Calendar.load(settings.data.exchange), chosen.holidays)
    if last is None:
        last = days.previous(date_of(start_instant_ms(chosen.start, days, SystemClock())))
    listing = Listing(chosen.symbols, chosen.seed)
    prices = PriceProcess(listing, days, chosen.seed)
    rows = [
        (instrument.symbol, candle.start_ms, candle.open, candle.high, candle.low, candle.close, candle.volume)
        for day in days.between(last - timedelta(days=days_back - 1), last)
        for instrument in (*listing.instruments[: min(shares, chosen.symbols)], listing.index)
        for candle in minute_candles(prices.path(instrument, day))
    ]
    symbol, start_ms, *rest = zip(*rows, strict=True)
    columns = dict(zip(("open", "high", "low", "close", "volume"), rest, strict=True))
    return pa.table(
        {"symbol": symbol, "timestamp": pa.array(start_ms, pa.timestamp("ms", tz="UTC")), **columns}
    )  # fmt: skip


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)
