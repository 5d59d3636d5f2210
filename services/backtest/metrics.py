"""What a run was worth: returns, risk, trades, costs. Yearly figures count 252 trading days."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from libs.core.clock import trading_date
from libs.indicators.columns import Floats, Integers, day_ends, session_days
from libs.orders.positions import Position, PositionKey, Step
from libs.strategies.wishes import Flags
from libs.trading.columns import Columns
from services.backtest.equity import Block, Deals, EquityCurve, distinct
from services.backtest.traded import Traded

DAYS_A_YEAR = 252
#: (metric, scope): value; None where it is not defined.
Metrics = dict[tuple[str, str], float | None]


class RoundTrip(msgspec.Struct, frozen=True):
    """From flat to flat, or to the other side: what one trade, as a trader counts, came to."""

    symbol: str
    is_long: bool
    opened_us: int
    closed_us: int
    profit_paise: int
    fees_paise: int

    @property
    def net_paise(self) -> int:
        """Give the profit less charges."""
        return self.profit_paise - self.fees_paise


def round_trips(steps: Iterable[Step]) -> list[RoundTrip]:
    """Put fills together to trades; one that turns a position over ends one, fees and all, and begins the next."""
    trips: list[RoundTrip] = []
    began: dict[PositionKey, Position] = {}  # as each position was when its trade began
    for fill, now, after in steps:
        held, left = now.quantity, after.quantity
        if held and (not left or (left > 0) != (held > 0)):
            key = now.key
            first = began.get(key) or Position(key)
            trips.append(
                RoundTrip(
                    fill.symbol, held > 0, now.opened_us, fill.timestamp_us,
                    after.realised_paise - first.realised_paise, after.fees_paise - first.fees_paise,
                )
            )  # fmt: skip
            began[key] = after
    return trips


class Trips(NamedTuple):
    """Trades from flat to flat as columns: what each came to less charges, and how many bars it was held."""

    net: Floats
    bars: Integers

    @classmethod
    def of(cls, trips: Sequence[RoundTrip], timestamps: Integers) -> Trips:
        """Take trades one by one. Bars that were there count: a night or a weekend is none."""
        ends = np.array([(trip.opened_us, trip.closed_us) for trip in trips], dtype=np.int64).reshape(-1, 2)
        return cls(
            np.array([trip.net_paise for trip in trips], dtype=np.float64),
            np.diff(np.searchsorted(timestamps, ends, side="right"), axis=1).reshape(-1),
        )

    def some(self, which: Sequence[bool]) -> Trips:
        """Give some of them."""
        picked = np.array(which, dtype=np.bool_)
        return Trips(self.net[picked], self.bars[picked])


class Timeline:
    """The days a curve's rows fall on, worked out once for all accounts over the same bars."""

    def __init__(self, timestamps: Integers) -> None:
        self.timestamps = timestamps
        #: The last row of every day.
        self.last_rows = day_ends(timestamps)

    def numbers(self, rows: Integers) -> Integers:
        """Give the number of the day each row is of, counted from 0."""
        found: Integers = self.last_rows.searchsorted(rows)
        return found


class Worth(NamedTuple):
    """What the figures of an account need of its curve.

    `exposure_average` is of equity; `exposed` counts the rows with a position, `days_below` the trading days of the
    longest stretch of rows at which it had been worth more before.
    """

    evenings: Integers
    least: int
    fall_max: int
    fall_max_ratio: float
    days_below: int
    exposed: int
    exposure_average: float


def worth_of(blocks: Iterable[Block], timeline: Timeline, cash_paise: int) -> Worth:
    """Go through a curve once, piece by piece."""
    rows = len(timeline.timestamps)
    below, exposures, evenings = np.zeros(rows, np.bool_), np.empty(rows), [np.empty(0, np.int64)]
    best, least, fall_max, fall_max_ratio, exposed = cash_paise, 1 << 62, 0, 0.0, 0
    for start, _, equity, exposure in blocks:
        end = start + len(equity)
        least = min(least, int(equity.min()))
        np.divide(exposure, equity if least > 0 else np.maximum(equity, 1), out=exposures[start:end])
        exposed += int(np.count_nonzero(exposure))
        peaks = np.maximum(equity, best)
        np.maximum.accumulate(peaks, out=peaks)
        best, falls = int(peaks[-1]), peaks - equity
        np.greater(falls, 0, out=below[start:end])
        fall_max = max(fall_max, fall := int(falls.max()))
        if fall / int(peaks[0]) > fall_max_ratio:  # peaks only grow: else no ratio among these is greater
            fall_max_ratio = max(fall_max_ratio, float((falls / peaks).max()))
        first, last = timeline.last_rows.searchsorted((start, end)).tolist()
        evenings.append(equity[timeline.last_rows[first:last] - start])
    average = float(np.mean(exposures)) if rows else 0.0
    days = _longest_days(below, timeline)
    return Worth(np.concatenate(evenings), least, fall_max, fall_max_ratio, days, exposed, average)


def daily_returns(evenings: Integers, cash_paise: int) -> Floats:
    """Give each day's return on the equity of the evening before."""
    closes = evenings.astype(np.float64)
    before = np.concatenate([[float(cash_paise)], closes[:-1]])
    return np.asarray(closes / before - 1.0) if len(closes) else np.empty(0)


def return_figures(returns: Floats) -> dict[str, float | None]:
    """Give the figures that follow from daily returns alone; the risk-free rate is 0."""
    if not len(returns):
        return {}
    total = float(np.prod(1.0 + returns))
    cagr = total ** (DAYS_A_YEAR / len(returns)) - 1.0 if total > 0 else -1.0
    many = len(returns) > 1
    deviation = float(np.std(returns, ddof=1)) if many else math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    mean = float(np.mean(returns))
    wealth = np.cumprod(1.0 + returns)
    peak = np.maximum.accumulate(np.maximum(wealth, 1.0))
    fall = float(np.max(1.0 - wealth / peak))
    return {
        "return_ratio": total - 1.0,
        "cagr": cagr,
        "volatility": _ratio(deviation * math.sqrt(DAYS_A_YEAR), 1.0),
        "sharpe": _ratio(mean * math.sqrt(DAYS_A_YEAR), deviation),
        "sortino": _ratio(mean * math.sqrt(DAYS_A_YEAR), downside),
        "drawdown_max_daily_ratio": fall,
        "calmar": _ratio(cagr, fall),
    }


def compute(columns: Sequence[Columns], curve: EquityCurve, traded: Traded, cash_paise: int) -> Metrics:
    """Work out every figure of a run."""
    metrics: Metrics = {}

    def put(figures: dict[str, float | None], scope: str = "") -> None:
        metrics.update({(name, scope): value for name, value in figures.items()})

    timeline, trips = Timeline(curve.timestamps), round_trips(traded.steps)
    worth = worth_of(curve.blocks(), timeline, cash_paise)
    columns_of_trips, symbols = Trips.of(trips, curve.timestamps), [trip.symbol for trip in trips]
    put(overall(worth, timeline, traded.deals, columns_of_trips, cash_paise))
    put(_months(worth.evenings, timeline, cash_paise))
    for symbol in sorted(set(symbols)):
        put(_trades(columns_of_trips.some([each == symbol for each in symbols])), symbol)
    put(return_figures(_benchmark(columns)), "benchmark")
    return {key: _known(value) for key, value in metrics.items()}


def overall(
    worth: Worth, timeline: Timeline, deals: Deals, trips: Trips, cash_paise: int
) -> dict[str, float | None]:  # fmt: skip
    """Work out the figures of the whole account: of its returns, of its curve, of its trades."""
    figures = return_figures(daily_returns(worth.evenings, cash_paise))
    figures |= _account(worth, timeline, deals, cash_paise)
    figures |= _trades(trips)
    return {name: _known(value) for name, value in figures.items()}


def _account(worth: Worth, timeline: Timeline, deals: Deals, cash_paise: int) -> dict[str, float | None]:
    rows = len(timeline.timestamps)
    if not rows:
        return {}
    fees = int(deals.fees.sum())
    # Added up one after the other: a sum by halves would differ in its last bits from run to run of a growing list.
    turnover = float(np.cumsum(deals.prices * np.abs(deals.signed))[-1]) * 100 if len(deals) else 0.0
    equity = int(worth.evenings[-1])
    profit = equity - cash_paise
    return {
        "equity_paise": equity,
        "profit_paise": profit,
        "fees_paise": fees,
        "fees_share": _ratio(fees, profit + fees) if profit + fees > 0 else None,
        "drawdown_max_paise": worth.fall_max,
        "drawdown_max_ratio": worth.fall_max_ratio,
        "drawdown_days_max": worth.days_below,
        "exposure": worth.exposed / rows,
        "exposure_average_ratio": worth.exposure_average,
        "turnover_ratio": turnover / cash_paise,
        "days": len(timeline.last_rows),
        "bars": rows,
        "fills": len(deals),
    }


def _trades(trips: Trips) -> dict[str, float | None]:
    net = trips.net
    won, lost = net[net > 0], net[net < 0]
    return {
        "trades": len(net),
        "profit_trades_paise": float(net.sum()),
        "win_rate": _ratio(len(won), len(net)),
        "profit_factor": _ratio(float(won.sum()), float(-lost.sum())),
        "expectancy_paise": _ratio(float(net.sum()), len(net)),
        "won_average_paise": _ratio(float(won.sum()), len(won)),
        "lost_average_paise": _ratio(float(lost.sum()), len(lost)),
        "bars_held_average": _ratio(float(trips.bars.sum()), len(net)),
    }


def _months(evenings: Integers, timeline: Timeline, cash_paise: int) -> dict[str, float | None]:
    """Give each month's return, named `return_month_2026-02`."""
    ends: dict[str, float] = {}
    for at_us, equity in zip(timeline.timestamps[timeline.last_rows].tolist(), evenings.tolist(), strict=True):
        ends[trading_date(at_us).strftime("%Y-%m")] = float(equity)
    before, months = float(cash_paise), {}
    for month, end in ends.items():
        months[f"return_month_{month}"] = end / before - 1.0 if before > 0 else None
        before = end
    return months


def _benchmark(columns: Sequence[Columns]) -> Floats:
    """Daily returns of buying each symbol for the same money at its first open and holding it."""
    evenings = [day_ends(each.timestamps) for each in columns]
    own_days = [session_days(each.timestamps[rows]) for each, rows in zip(columns, evenings, strict=True)]
    days = distinct(own_days)
    if not len(days):
        return np.empty(0)
    worth = np.zeros(len(days))
    for each, rows, own in zip(columns, evenings, own_days, strict=True):
        last = np.searchsorted(own, days, side="right") - 1
        worth += np.where(last >= 0, each.close[rows[np.maximum(last, 0)]] / each.open[0], 1.0)
    before = np.concatenate([[float(len(columns))], worth[:-1]])
    return np.asarray(worth / before - 1.0)


def _longest_days(below: Flags, timeline: Timeline) -> int:
    """Count the trading days of the longest stretch below the best equity."""
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False))
    if not len(edges):
        return 0
    return int(np.max(timeline.numbers(edges[1::2] - 1) - timeline.numbers(edges[::2]))) + 1


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole and math.isfinite(part) and math.isfinite(whole) else None
