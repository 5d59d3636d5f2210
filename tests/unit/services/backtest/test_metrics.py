"""G3: figures are what an independent library says of the same series, and what a hand works out."""

from __future__ import annotations

import empyrical
import numpy as np
import pandas as pd
import pytest

from libs.contracts.orders import Side
from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.orders.model import Fill
from libs.orders.positions import folded
from libs.trading.columns import Columns
from services.backtest.equity import EquityCurve
from services.backtest.metrics import compute, return_figures, round_trips
from services.backtest.traded import Traded
from tests.kit.market_days import MONDAY, OPEN_MINUTE, at_us

PEERS = {
    "cagr": empyrical.annual_return,
    "volatility": empyrical.annual_volatility,
    "sharpe": empyrical.sharpe_ratio,
    "sortino": empyrical.sortino_ratio,
    "calmar": empyrical.calmar_ratio,
    "return_ratio": empyrical.cum_returns_final,
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("seed", range(5))
def test_figures_of_a_return_series_are_the_peers(name, seed):
    """Five series, calm and wild, of 5 to 600 days."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0005, 0.002 * (seed + 1), [5, 20, 252, 300, 600][seed])

    assert return_figures(returns)[name] == pytest.approx(PEERS[name](pd.Series(returns)), rel=1e-9)


def test_deepest_fall_is_the_peers():
    returns = np.random.default_rng(9).normal(0, 0.01, 400)

    assert return_figures(returns)["drawdown_max_daily_ratio"] == pytest.approx(
        -empyrical.max_drawdown(pd.Series(returns))
    )


def fill(minute: int, side: Side, quantity: int, price: float, fees: int = 0) -> Fill:
    return Fill(
        exchange="nse", broker_order_id=f"b{minute}", trade_id=str(minute), symbol="ACME", side=side,
        quantity=quantity, price=price, timestamp_us=at_us(MONDAY, OPEN_MINUTE + minute), strategy_id="s",
        fees_paise=fees,
    )  # fmt: skip


def test_round_trips_by_hand():
    """In at 100 and 102, out at 103 in two parts; then one fill turns a long over into a short."""
    steps = folded(
        [
            fill(0, Side.BUY, 10, 100.0, 5), fill(1, Side.BUY, 10, 102.0, 5),
            fill(2, Side.SELL, 15, 103.0, 7), fill(3, Side.SELL, 5, 103.0, 3),
            fill(4, Side.BUY, 10, 100.0), fill(5, Side.SELL, 30, 99.0, 9), fill(6, Side.BUY, 20, 98.0, 1),
        ]
    )  # fmt: skip
    trips = round_trips(steps)

    assert [(trip.is_long, trip.profit_paise, trip.fees_paise) for trip in trips] == [
        (True, 40_00, 20), (True, -10_00, 9), (False, 20_00, 1),
    ]  # fmt: skip
    assert [(t.closed_us - t.opened_us) // US_PER_MINUTE for t in trips] == [3, 1, 1]


def test_account_figures_by_hand():
    """Two days, 1,000 rupees: up to 1,100, down to 990, up to 1,045; two of six bars in the market."""
    stamps = np.array([at_us(MONDAY, OPEN_MINUTE + n) + day * US_PER_DAY for day in (0, 1) for n in range(3)])
    equity = np.array([1000_00, 1100_00, 1100_00, 990_00, 990_00, 1045_00])
    exposure = np.array([0, 500_00, 0, 500_00, 0, 0])
    curve = EquityCurve(stamps, equity - exposure, equity, exposure)

    figures = compute([], curve, Traded([fill(1, Side.BUY, 5, 100.0), fill(2, Side.SELL, 5, 120.0)]), 1000_00)

    expected = {
        "profit_paise": 45_00, "drawdown_max_paise": 110_00, "drawdown_max_ratio": 0.1, "drawdown_days_max": 1,
        "exposure": 1 / 3, "turnover_ratio": 1.1, "trades": 1, "win_rate": 1.0, "expectancy_paise": 100_00,
        "bars_held_average": 1.0, "return_month_2026-02": 0.045, "profit_factor": None,
    }  # fmt: skip
    assert {name: figures[(name, "")] for name in expected} == pytest.approx(expected)


def test_the_benchmark_by_hand():
    """Two shares for the same money: ten per cent a day of its first open, and one that trades from the second day."""

    def bars(symbol: str, days: tuple[int, ...], closes: tuple[float, ...]) -> Columns:
        stamps = np.array([at_us(MONDAY, OPEN_MINUTE + n) + day * US_PER_DAY for day in days for n in (0, 1)])
        close = np.array([price for evening in closes for price in (50.0, evening)])
        return Columns(symbol, stamps, np.full(len(stamps), closes[0] / 1.1), close, close, close, np.ones(len(stamps)))

    curve = EquityCurve(*(np.empty(0, np.int64) for _ in range(4)))
    both = [bars("ACME", (0, 1, 2), (110.0, 120.0, 130.0)), bars("BETA", (1, 2), (220.0, 200.0))]
    figures = compute(both, curve, Traded([]), 1000_00)

    assert figures[("return_ratio", "benchmark")] == pytest.approx((1.3 + 1.0) / 2 - 1)
    falls = 1 - (1.3 + 1.0) / (1.2 + 1.1), 0.0
    assert figures[("drawdown_max_daily_ratio", "benchmark")] == pytest.approx(max(falls))
    assert compute([], curve, Traded([]), 1000_00).get(("return_ratio", "benchmark")) is None
