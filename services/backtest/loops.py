"""Which loop a run goes through: on bars, on the ticks between them, or day by day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from libs.calendar import Calendar
from libs.strategies.context import regular_session
from libs.trading.day_loop import DayLoop
from libs.trading.desk import Desk
from libs.trading.loop import TradingLoop
from libs.trading.tick_loop import TickLoop, Ticks
from services.backtest.data import RunData
from services.backtest.request import NEXT_TICK, RunRequest

if TYPE_CHECKING:  # they bring DuckDB
    from libs.dbaccess import DatabaseManager
    from services.backtest.ticks import ClosedTicks


def make_loop(request: RunRequest, desk: Desk, calendar: Calendar, ticks: Ticks | None = None) -> TradingLoop:
    """Make the loop of a request; without ticks, one whose fills don't matter."""
    if request.timeframe == "1d":
        return DayLoop(desk, request.fills, calendar.session, regular_session)
    if ticks is not None:
        return TickLoop(desk, request.fills, calendar.session, ticks)
    return TradingLoop(desk, request.fills, calendar.session)


@contextmanager
def ticks_of(db: DatabaseManager, request: RunRequest, data: RunData) -> Iterator[ClosedTicks | None]:
    """Open the ticks a request fills on; None for one that fills on bars."""
    if request.fill != NEXT_TICK:
        yield None
        return
    from services.backtest.ticks import ClosedTicks, require_ticks

    require_ticks(db, request.exchange, data)
    with ClosedTicks(db, request.exchange) as ticks:
        yield ticks
