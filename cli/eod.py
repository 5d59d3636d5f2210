"""`fleet eod`: is the day over and done? Flat, rolled over, compared, copied; and what the day came to."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from cli.verdict import Check, ask, attempt, command, verdict
from cli.words import a_day, at_least
from libs.core.errors import FleetError

if TYPE_CHECKING:
    from libs.settings import Settings

#: Ten seconds at the broker's pace, and most of a day's turnover.
_COMPARED_SYMBOLS = 50


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers, "eod", "end the day: flat, settled, in history, copied; GO or NO-GO",
        "After the close: check that nothing is held or unsettled, have the day rolled over, hold its candles to the "
        "broker's, copy the stores, and report the day.", run,
    )  # fmt: skip
    parser.add_argument(
        "--compare", type=at_least(0), default=_COMPARED_SYMBOLS, metavar="N",
        help="hold the candles of the N most traded symbols to the broker's, one call each; 0 for none, default "
        f"{_COMPARED_SYMBOLS}",
    )  # fmt: skip
    parser.add_argument("--date", type=a_day, metavar="D", help="the last session that is over by default")


def run(options: Namespace) -> int:
    """Check, roll over, copy, report."""
    from libs.core.clock import SystemClock
    from libs.dbaccess.calendars import load_calendar
    from libs.settings import load_settings

    settings = load_settings()
    calendar = load_calendar(settings.data_root, settings.data.exchange)
    day = options.date or calendar.previous_session(SystemClock().now_us()).date
    report = _report(settings, day)
    code = verdict(_checks(settings, day, options.compare), as_json=options.json, date=day, report=report)
    if not options.json:
        print(", ".join(f"{name} {value}" for name, value in report.items()))
    return code


def _checks(settings: Settings, day: date, compared: int) -> Iterator[Check]:
    yield from attempt("flat", lambda: _flat(settings), "start the engine, or look with `fleet positions`")
    yield from attempt("history", lambda: _history(settings, day), "`fleet rollover --date D` says why")
    yield from _candles(settings, day, compared)
    yield from attempt("copies", lambda: _copies(settings), "`fleet backup all`")


def _flat(settings: Settings) -> Iterator[Check]:
    """Ask the engine; when it is down its store knows."""
    from libs.dbaccess import DatabaseManager

    try:
        status = ask("execution_engine", settings)
        held, unsettled = status["positions"], status["unsettled"]
    except FleetError:
        with DatabaseManager(settings.data_root).trading_reader() as trading:
            held = trading.execute(
                "SELECT count(*) FROM positions WHERE quantity <> 0 AND product = 'intraday'"
            ).fetchone()[0]
            unsettled = trading.execute(
                "SELECT count(*) FROM orders WHERE status NOT IN ('filled', 'cancelled', 'rejected', 'expired')"
            ).fetchone()[0]
    yield Check("flat", not held, f"{held} positions held", "`fleet kill-switch halt --flatten --reason eod`")
    yield Check("settled", not unsettled, f"{unsettled} orders unsettled", "`fleet reconcile`")


def _history(settings: Settings, day: date) -> Iterator[Check]:
    from cli.rollover import roll_over

    found = roll_over(settings, day)
    files = len(found["series"])
    yield Check("history", found["in_history"], f"{day}: {files} files closed now" if files else f"{day}: in history"
                if found["in_history"] else f"{day}: nothing was captured", "`fleet logs ingestor`")  # fmt: skip


def _candles(settings: Settings, day: date, count: int) -> Iterator[Check]:
    """Note in the certificates how our minutes differ from the broker's. Of a day without them, nothing is asked.

    Never more than a warning: the day is what was captured, whatever the broker says afterwards, or cannot say.
    """
    from cli.broker_history import compare_days
    from cli.progress import progress
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.coverage import closed_symbols

    db = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings)
    try:
        symbols = closed_symbols(db, settings.data.exchange, day, most_traded=count)
        if not symbols:
            why = "as asked" if not count else f"no closed candles of {day}"
            yield Check("broker candles", ok=True, found=f"not compared: {why}")
            return
        with progress() as report:
            found = compare_days(db, settings, [day], symbols, report)
    except (FleetError, OSError) as e:
        advice = f"`fleet coverage --compare --from {day} --to {day}` when the broker answers"
        yield Check("broker candles", ok=False, found=f"not compared: {e}", advice=advice, is_warning=True)
        return
    differing, bars = found["bars_differing"], found["bars_compared"]
    text = f"{differing} of {bars} minutes of the {len(symbols)} most traded symbols differ from the broker's"
    yield Check("broker candles", ok=bool(bars) and not differing, found=text, is_warning=True,
                advice=f"`fleet coverage --from {day} --to {day} --symbols {symbols[0]},…` shows which")  # fmt: skip


def _copies(settings: Settings) -> Iterator[Check]:
    from libs.core.clock import SystemClock, trading_date
    from libs.dbaccess import BackupManager

    copies = BackupManager(settings.data_root, settings=settings)
    made = [copies.backup_trading_db(), copies.backup_config_db()]
    market = copies.backup_market_data(trading_date(SystemClock().now_us()))
    yield Check("copies", ok=True, found=f"{', '.join(path.name for path in made)}, market {market.name}")


def _report(settings: Settings, day: date) -> dict[str, Any]:
    """Count the day's signals, orders and fills, and what they came to."""
    from libs.core.clock import US_PER_DAY, day_start_us
    from libs.dbaccess import DatabaseManager

    db = DatabaseManager(settings.data_root, settings=settings)
    start = day_start_us(day)
    bounds = (start, start + US_PER_DAY)
    found: dict[str, Any] = {}
    try:
        with db.signals_reader() as signals:
            (found["signals"],) = signals.execute(
                "SELECT count(*) FROM signals WHERE timestamp_us >= ? AND timestamp_us < ?", bounds
            ).fetchone()
        with db.trading_reader() as trading:
            (found["orders"],) = trading.execute(
                "SELECT count(*) FROM orders WHERE created_at_us >= ? AND created_at_us < ?", bounds
            ).fetchone()
            trades, fees, profit = trading.execute(
                "SELECT count(*), coalesce(sum(fees_paise), 0), coalesce(sum(profit_paise), 0) FROM trades "
                "WHERE trading_date = ? AND status = 'filled'",
                (day.isoformat(),),
            ).fetchone()
    except FileNotFoundError:
        return found
    return found | {"trades": trades, "fees_rupees": fees / 100, "profit_rupees": profit / 100}
