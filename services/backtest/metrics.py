"""What a run was worth: returns, risk, trades, costs. Yearly figures count 252 trading days."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from libs.core.clock import trading_date
from libs.indicators.columns import Floats, Integers, session_days
from libs.orders.model import Fill
from libs.orders.positions import Position, PositionKey, after_fill
from libs.trading.columns import Columns
from services.backtest.equity import Deals, EquityCurve, day_rows

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


def round_trips(fills: Sequence[Fill]) -> list[RoundTrip]:
    """Fold fills into trades. A fill that turns a position over ends one and begins the next; its fees end with it."""
    trips: list[RoundTrip] = []
    held: dict[PositionKey, tuple[Position, Position]] = {}  # now, and as it was when the trade began
    for fill in fills:
        key = PositionKey(fill.strategy_id, fill.symbol, fill.exchange, fill.product)
        now, began = held.get(key) or (Position(key), Position(key))
        after = after_fill(now, fill)
        is_over = now.quantity != 0 and (after.quantity == 0 or (after.quantity > 0) != (now.quantity > 0))
        if is_over:
            trips.append(
                RoundTrip(
                    fill.symbol, now.quantity > 0, now.opened_us, fill.timestamp_us,
                    after.realised_paise - began.realised_paise, after.fees_paise - began.fees_paise,
                )
            )  # fmt: skip
            began = after
        held[key] = (after, began)
    return trips


class Trips(NamedTuple):
    """Trades from flat to flat as columns: when each began and ended, and what it came to less charges."""

    opened_us: Integers
    closed_us: Integers
    net: Floats

    @classmethod
    def of(cls, trips: Sequence[RoundTrip]) -> Trips:
        """Take trades one by one."""
        return cls(
            np.array([trip.opened_us for trip in trips], dtype=np.int64),
            np.array([trip.closed_us for trip in trips], dtype=np.int64),
            np.array([trip.net_paise for trip in trips], dtype=np.float64),
        )


class Timeline:
    """The days a curve's rows fall on, worked out once for all accounts over the same bars."""

    def __init__(self, timestamps: Integers) -> None:
        self.timestamps = timestamps
        days = session_days(timestamps)
        #: The last row of every day, and the number of the day each row is of, counted from 0.
        self.last_rows = day_rows(timestamps, days)
        self.numbers = np.concatenate([[0], np.cumsum(np.diff(days) != 0)])[: len(days)]


def daily_returns(curve: EquityCurve, cash_paise: int, timeline: Timeline) -> Floats:
    """Give each day's return on the equity of the evening before."""
    closes = curve.equity[timeline.last_rows].astype(np.float64)
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


def compute(columns: Sequence[Columns], curve: EquityCurve, fills: Sequence[Fill], cash_paise: int) -> Metrics:
    """Work out every figure of a run."""
    metrics: Metrics = {}

    def put(figures: dict[str, float | None], scope: str = "") -> None:
        metrics.update({(name, scope): value for name, value in figures.items()})

    timeline, trips = Timeline(curve.timestamps), round_trips(fills)
    put(overall(curve, timeline, Deals.of(fills), Trips.of(trips), cash_paise))
    put(_months(curve, timeline, cash_paise))
    for symbol in sorted({trip.symbol for trip in trips}):
        own = Trips.of([trip for trip in trips if trip.symbol == symbol])
        put(_trades(own, curve.timestamps), symbol)
    put(return_figures(_benchmark(columns)), "benchmark")
    return {key: _known(value) for key, value in metrics.items()}


def overall(
    curve: EquityCurve, timeline: Timeline, deals: Deals, trips: Trips, cash_paise: int
) -> dict[str, float | None]:  # fmt: skip
    """Work out the figures of the whole account: of its returns, of its curve, of its trades."""
    figures = return_figures(daily_returns(curve, cash_paise, timeline))
    figures |= _account(curve, timeline, deals, cash_paise)
    figures |= _trades(trips, curve.timestamps)
    return {name: _known(value) for name, value in figures.items()}


def _account(curve: EquityCurve, timeline: Timeline, deals: Deals, cash_paise: int) -> dict[str, float | None]:
    if not len(curve.equity):
        return {}
    falls = curve.falls(cash_paise)
    fees = int(deals.fees.sum())
    # Added up one after the other: a sum by halves would differ in its last bits from run to run of a growing list.
    turnover = float(np.cumsum(deals.prices * np.abs(deals.signed))[-1]) * 100 if len(deals) else 0.0
    profit = int(curve.equity[-1]) - cash_paise
    return {
        "equity_paise": int(curve.equity[-1]),
        "profit_paise": profit,
        "fees_paise": fees,
        "fees_share": _ratio(fees, profit + fees) if profit + fees > 0 else None,
        "drawdown_max_paise": int(np.max(falls)),
        "drawdown_max_ratio": float(np.max(falls / (curve.equity + falls))),
        "drawdown_days_max": _longest_days(falls > 0, timeline.numbers),
        "exposure": float(np.mean(curve.exposure > 0)),
        "exposure_average_ratio": float(np.mean(curve.exposure / np.maximum(curve.equity, 1))),
        "turnover_ratio": turnover / cash_paise,
        "days": len(timeline.last_rows),
        "bars": len(curve.timestamps),
        "fills": len(deals),
    }


def _trades(trips: Trips, timestamps: Integers) -> dict[str, float | None]:
    net = trips.net
    won, lost = net[net > 0], net[net < 0]
    # In bars that were there: a night or a weekend is none.
    opened, closed = (np.searchsorted(timestamps, at_us, side="right") for at_us in (trips.opened_us, trips.closed_us))
    return {
        "trades": len(net),
        "profit_trades_paise": float(net.sum()),
        "win_rate": _ratio(len(won), len(net)),
        "profit_factor": _ratio(float(won.sum()), float(-lost.sum())),
        "expectancy_paise": _ratio(float(net.sum()), len(net)),
        "won_average_paise": _ratio(float(won.sum()), len(won)),
        "lost_average_paise": _ratio(float(lost.sum()), len(lost)),
        "bars_held_average": _ratio(float((closed - opened).sum()), len(net)),
    }


def _months(curve: EquityCurve, timeline: Timeline, cash_paise: int) -> dict[str, float | None]:
    """Give each month's return, named `return_month_2026-02`."""
    ends: dict[str, float] = {}
    for row in timeline.last_rows.tolist():
        ends[trading_date(int(curve.timestamps[row])).strftime("%Y-%m")] = float(curve.equity[row])
    before, months = float(cash_paise), {}
    for month, equity in ends.items():
        months[f"return_month_{month}"] = equity / before - 1.0 if before > 0 else None
        before = equity
    return months


def _benchmark(columns: Sequence[Columns]) -> Floats:
    """Daily returns of buying each symbol for the same money at its first open and holding it."""
    days = np.unique(np.concatenate([session_days(each.timestamps) for each in columns])) if columns else np.empty(0)
    if not len(days):
        return np.empty(0)
    worth = np.zeros(len(days))
    for each in columns:
        own = session_days(each.timestamps)
        last = np.searchsorted(own, days, side="right") - 1
        worth += np.where(last >= 0, each.close[np.maximum(last, 0)] / each.open[0], 1.0)
    before = np.concatenate([[float(len(columns))], worth[:-1]])
    return np.asarray(worth / before - 1.0)


def _longest_days(below: Any, numbers: Integers) -> int:
    """Count the trading days of the longest stretch below the best equity; `numbers` count the days."""
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False))
    return int(np.max(numbers[edges[1::2] - 1] - numbers[edges[::2]])) + 1 if len(edges) else 0


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole and math.isfinite(part) and math.isfinite(whole) else None
