"""SMA(10/30) cross, long only, next-open fills, no costs: bars a second of the event loop, checked against numpy.

`python -m bench.backtest [days [symbols]]`. The reference is worked out with numpy alone; fills and profit must agree.
Peers are measured only where they are installed, which the lock files leave to whoever compares.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import numpy as np

from bench.table import Measure, print_measures, timed
from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE
from libs.indicators.columns import session_days
from libs.settings.risk import Risk
from libs.trading.columns import Columns
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.form import EVENT, VECTORISED, run_form
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest, make_request

QUANTITY, GOAL = 10, 600_000
_ACCOUNT = ("account_loss_day_max_rupees", "strategy_loss_day_max_rupees", "account_drawdown_max_percent",
            "account_exposure_max_rupees", "strategy_exposure_max_rupees", "account_exposure_equity_max_percent",
            "symbol_exposure_max_rupees", "symbol_trades_day_max", "strategy_trades_day_max",
            "account_trades_day_max", "last_entry_before_close_min", "square_off_before_close_min")  # fmt: skip
#: So many orders within each window of [risk], which nobody comes to.
RATES = [1_000_000] * 3


def walk(symbol: str, days: int, seed: int) -> Columns:
    """Minutes of so many whole sessions: a seeded walk, opens on the tick grid.

    Of the seeds from `seed` on, the first whose two averages are never equal: there last bits would decide.
    """
    calendar = Calendar.load("nse")
    whole = [s for s in calendar.sessions(date(2014, 1, 1), date(2026, 1, 1)) if len(s.minutes) == 375]
    stamps = np.concatenate([s.open_us + np.arange(375) * US_PER_MINUTE for s in whole[:days]])
    count = len(stamps)
    while True:
        units = np.rint(np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 2e-4, count))) * 1e7).astype(np.int64)
        if not len(ties(units, 10, 30)):
            break
        seed += 1000
    close = units / 10_000
    open_ = np.round(np.round(np.concatenate([[1000.0], close[:-1]]) / 0.05) * 0.05, 2)
    return Columns(
        symbol, stamps, open_, np.maximum(open_, close), np.minimum(open_, close), close, np.full(count, 1000)
    )


def ties(units: np.ndarray[Any, np.dtype[np.int64]], fast: int, slow: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give the rows on which two averages of prices in whole units are equal."""
    total = np.concatenate([[0], np.cumsum(units)])
    sums = (total[length:] - total[:-length] for length in (fast, slow))
    fast_sum, slow_sum = next(sums)[slow - fast :], next(sums)
    return np.flatnonzero(slow * fast_sum == fast * slow_sum) + slow - 1


def reference(columns: Columns, *, at_close: bool = False) -> tuple[int, int]:
    """Fills and profit in paise at the last close, by numpy: an order on a day's last bar finds the market closed.

    An order fills at the next bar's open; `at_close`, at the close of its own bar, for a peer that does so.
    """
    close = columns.close
    total = np.concatenate([[0.0], np.cumsum(close)])
    fast, slow = np.full(len(close), np.nan), np.full(len(close), np.nan)
    fast[9:], slow[29:] = (total[10:] - total[:-10]) / 10, (total[30:] - total[:-30]) / 30
    with np.errstate(invalid="ignore"):
        side = np.where(np.isnan(slow), 0, np.sign(fast - slow)).astype(int)
    at = np.flatnonzero(side)
    crossed = at[1:][side[at[1:]] != side[at[:-1]]]
    last_of_day = np.append(np.diff(session_days(columns.timestamps)) != 0, True)
    prices = np.rint(close * 10_000) if at_close else np.round(np.roll(columns.open, -1) * 100) * 100
    held = wanted = spent = fills = 0
    for row in crossed[crossed >= 31].tolist():
        buys = side[row] > 0
        if buys == bool(wanted):
            continue
        wanted = int(buys)
        if last_of_day[row] or buys == bool(held):
            continue
        held, fills = int(buys), fills + 1
        spent += (1 if buys else -1) * int(prices.item(row)) * QUANTITY
    return fills, to_paise(held * round(close.item(-1) * 10_000) * QUANTITY - spent)


def to_paise(units: int) -> int:
    """Round hundredths of a paisa as an account does the worth of a holding: a half goes up."""
    return (units + 50) // 100


def request_of(symbols: list[str], **limits: Any) -> RunRequest:
    return make_request(
        "sma_cross", symbols, "2014-01-01", "2026-01-01", costs=False, daily_anchor=False, product="delivery",
        parameters={"fast": 10, "slow": 30, "allow_short": False, "flat_before_close_minutes": 0},
        sizing={"type": "fixed_quantity", "quantity": QUANTITY}, exits={"square_off": False},
        cash_rupees=100_000_000, limits=limits,
    )  # fmt: skip


def measured(
    columns: list[Columns], form: str, clock: Callable[[], float] = time.perf_counter, **limits: Any
) -> tuple[float, int, int]:
    """Seconds, fills and profit of one run of the loop."""
    # The broker's pace would refuse the eleventh order of a second, which many shares come to.
    pace = {"order_rate_max": RATES} if len(columns) > 1 else {}
    request = request_of([each.symbol for each in columns], **(dict.fromkeys(_ACCOUNT, 0) | pace | limits))
    data, calendar = RunData(tuple(columns), (), (), ()), Calendar.load("nse")
    desk = make_desk(request, data, request.risk(Risk()))
    recorder = RunRecorder(desk)
    loop = TradingLoop(desk, request.fills, calendar.session)
    gc.collect()
    gc.disable()
    seconds = timed(lambda: run_form(form, request, data, loop, recorder, calendar), clock)
    gc.enable()
    return seconds, len(recorder.fills), desk.equity_paise - request.cash_paise


def measures(days: int = 1250, symbols: int = 1) -> Iterable[Measure]:
    """The loop with and without the bars that can be passed over, and with a limit that watches the account."""
    columns = [walk(f"S{number:02d}", days, number) for number in range(symbols)]
    bars = sum(map(len, columns))
    measured([each.part(0, 3750) for each in columns], VECTORISED)  # kernels are compiled
    references: list[tuple[int, int]] = []
    alone = timed(lambda: references.extend(map(reference, columns)))
    expected = (sum(fills for fills, _ in references), sum(paise for _, paise in references))
    plain = [each.part(0, min(len(each), 375 * 100)) for each in columns]
    cases = [
        ("passing over", columns, VECTORISED, {}),
        ("passing over, drawdown watched", columns, VECTORISED, {"account_drawdown_max_percent": 90.0}),
        ("bar by bar", plain, EVENT, {}),
    ]
    for name, given, form, limits in cases:
        seconds, fills, profit = measured(given, form, **limits)
        count = sum(map(len, given))
        if given is columns and (fills, profit) != expected:
            raise AssertionError(f"{name}: {fills} fills and {profit} paise; numpy says {expected}")
        speed = count / seconds
        yield Measure(
            f"backtest, {symbols} symbols x {count // symbols:,} bars, {name}",
            f"{speed / 1e3:,.0f} k bars/s, {fills:,} fills",
            f"numpy reference {bars / alone / 1e3:,.0f} k bars/s",
            speed / (bars / alone),
            f"at least {GOAL:,} bars/s" if form == VECTORISED else "",
            speed >= GOAL if form == VECTORISED else None,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Measure("backtest, peak memory of this process", f"{peak:,.0f} MiB", "", None, "", None)


def main() -> int:
    numbers = [int(word) for word in sys.argv[1:]]
    return 0 if print_measures(measures(*numbers)) else 1


if __name__ == "__main__":
    sys.exit(main())
