"""A morning of the live scanner begins with the bars a backtest begins it with, however far back those lie."""

from __future__ import annotations

from datetime import date

import pytest

from cli.parity_stage import warm_from
from libs.calendar import Calendar
from libs.contracts import SignalEvent
from libs.core.clock import trading_date
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role
from libs.dbaccess.roles import Store
from libs.simulation.clock import ManualClock
from services.backtest import BacktestRunner
from services.backtest.request import make_request
from services.scanner.day import Runner
from services.scanner.history import bars_of
from services.scanner.suspensions import Suspensions
from tests.kit.backtest import runner_manager
from tests.kit.market_days import OPEN_MINUTE, at_us, close_day
from tests.kit.roots import copy_stores, settings
from tests.kit.strategies import instance

#: A share that was suspended for most of a year, or a fleet that was: a few days, then nothing, then these.
LONG_AGO = [date(2025, 3, day) for day in (3, 4, 5, 6)]
DAYS = [date(2026, 2, day) for day in (2, 3, 4)]


def bars(day: date, timeframe: str, number: int) -> list[dict[str, object]]:
    """Forty minutes, or one day: up and down, and up again after sixteen bars or four."""
    count, turns = (40, 8) if timeframe == "1m" else (1, 2)
    rows = []
    for n in range(count):
        swing = abs((number * count + n) % (2 * turns) - turns)
        at = at_us(day, OPEN_MINUTE + n) if timeframe == "1m" else at_us(day, 0)
        rows.append({"symbol": "ACME", "timeframe": timeframe, "timestamp": at, "open": 100.0 + swing,
                     "high": 101.0 + swing, "low": 99.0 + swing, "close": 100.0 + swing, "volume": 10})  # fmt: skip
    return rows


def live_signals(root, days, timeframe, parameters):
    """What the scanner says, started anew every morning."""
    manager = DatabaseManager(root, Role.SCANNER, settings=settings(), clock=ManualClock())
    spec = instance("sma_cross", ["ACME"], timeframe=timeframe, parameters=parameters)
    said: list[SignalEvent] = []
    with MarketDataQuery(manager) as query:
        table = query.get_candles("ACME", "nse", timeframe, days[0], None, output="arrow")
    with manager.writer_session(Store.SIGNALS) as session:
        for day in days:
            runner = Runner(
                manager, settings(), ManualClock(), (spec,), sessions=Calendar.load("nse").session,
                earlier=lambda _until_us, said=said: said, suspensions=Suspensions(session, manager.clock, "nse"),
            )  # fmt: skip
            for bar in bars_of(table, "nse"):
                if trading_date(bar.timestamp_us) == day:
                    runner.add(bar)
                    said += runner.host.on_bars([bar])
    return said


@pytest.mark.parametrize(("timeframe", "slow"), [("1m", 60), ("1d", 3)])
def test_live_and_backtest_are_warmed_by_the_same_bars(tmp_path, timeframe, slow):
    root = tmp_path / "data"
    copy_stores(root)
    for number, day in enumerate([*LONG_AGO, *DAYS]):
        close_day(root, day, bars(day, timeframe, number), timeframe=timeframe)
    parameters = {"fast": 2, "slow": slow, "flat_before_close_minutes": 0}
    db = runner_manager(root)
    request = make_request("sma_cross", "ACME", DAYS[0], DAYS[-1], timeframe=timeframe, parameters=parameters)
    run_id = BacktestRunner(db).execute(request)
    with db.backtest_reader(run_id) as connection:
        past = connection.execute("SELECT signal_id FROM signals ORDER BY timestamp, signal_type").fetchall()
    said = live_signals(root, DAYS, timeframe, parameters)

    said.sort(key=lambda signal: (signal.timestamp_us, signal.signal_type.value))
    assert [(signal.signal_id,) for signal in said] == past
    assert past, "an equal nothing proves nothing"
    assert warm_from(db, request) == LONG_AGO[-2 if timeframe == "1m" else 0], "what parity takes along"
