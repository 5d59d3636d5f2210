"""Equity kept price by price equals equity computed from scratch."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from libs.contracts.orders import Side
from libs.orders.positions import PositionBook, PositionKey
from libs.orders.profit import Valuation, opening_equity
from tests.kit.orders import OPEN_US, make_fill

DAY = date(2026, 2, 2)


@pytest.mark.parametrize("seed", range(20))
def test_running_equity_is_the_equity(seed):
    rng = random.Random(seed)
    positions, valuation, prices = PositionBook(), Valuation(10_000_000), {}
    for i in range(100):
        if rng.random() < 0.2:  # asked at any moment, it adds up what came since
            assert valuation.equity_paise == 10_000_000 + sum(p.profit_paise(prices[p.key.symbol]) for p in positions)
        symbol = rng.choice(["ACME", "BETA"])
        prices[symbol] = rng.randint(900, 1100) / 10
        valuation.on_price(symbol, prices[symbol])
        if rng.random() < 0.5:
            continue
        fill = make_fill(
            rng.randint(1, 100), f"t{i}", symbol=symbol, side=rng.choice(list(Side)), price=prices[symbol],
            strategy_id=rng.choice("ab"), timestamp_us=OPEN_US + i, fees_paise=rng.randint(0, 999),
        )  # fmt: skip
        valuation.on_position(positions.apply(fill), prices[symbol])

    assert valuation.equity_paise == 10_000_000 + sum(p.profit_paise(prices[p.key.symbol]) for p in positions)
    assert valuation.profits_paise() == {
        name: sum(p.profit_paise(prices[p.key.symbol]) for p in positions if p.key.strategy_id == name)
        for name in {p.key.strategy_id for p in positions}
    }


def test_fills_mark_until_a_price_is_told():
    """The last fill's price values a symbol nobody has told a price of; a told one does ever after."""
    positions, valuation = PositionBook(), Valuation(0)
    valuation.on_position(positions.apply(make_fill(10, "t1", price=100.0, timestamp_us=OPEN_US)), 100.0)
    valuation.on_position(positions.apply(make_fill(10, "t2", price=103.0, timestamp_us=OPEN_US + 1)), 103.0)
    by_fills = valuation.equity_paise
    valuation.on_price("ACME", 90.0)
    valuation.on_position(positions.apply(make_fill(10, "t3", price=91.0, timestamp_us=OPEN_US + 2)), 91.0)

    assert by_fills == 10 * 300
    assert valuation.equity_paise == -10 * (1000 + 1300 + 100)


def test_day_loss_starts_anew_and_drawdown_does_not():
    equity = opening_equity(DAY, 1_000_000).marked(DAY, 1_100_000).marked(DAY, 950_000)
    assert (equity.loss_day_paise, equity.drawdown_paise) == (50_000, 150_000)

    tomorrow = equity.marked(DAY + timedelta(days=1), 940_000)
    assert (tomorrow.loss_day_paise, tomorrow.drawdown_paise) == (10_000, 160_000)


def test_a_charge_without_a_fill_counts():
    positions, valuation = PositionBook(), Valuation(1_000_000)
    valuation.on_position(positions.apply(make_fill(100, fees_paise=500)), 100.0)
    valuation.charge(2_360)

    assert valuation.equity_paise == 1_000_000 - 500 - 2_360
    assert positions.get(PositionKey("", "ACME")).fees_paise == 500
