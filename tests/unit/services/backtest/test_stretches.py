"""An account valued by its stretches is the one that is walked bar by bar, to the bit, or is not valued so."""

from __future__ import annotations

import numpy as np
import pytest

from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.trading.columns import Columns
from services.backtest.equity import Deals, Valuation
from services.backtest.metrics import Timeline, worth_of
from services.backtest.stretches import ROWS_AT_A_TIME, Stretched, mean_of

CASH_PAISE = 10_000_000


def bars(chance: np.random.Generator, *, days: int = 5, per_day: int = 40, step: float = 1e-3) -> Columns:
    stamps = np.concatenate([day * US_PER_DAY + np.arange(per_day) * US_PER_MINUTE for day in range(days)])
    close = np.round(500 * np.exp(np.cumsum(chance.normal(0, step, len(stamps)))), 2)
    return Columns("AAA", stamps, close, close, close, close, np.ones(len(stamps), np.int64))


def deals_of(columns: Columns, rows: list[int], signed: list[int], prices: list[float] | None = None) -> Deals:
    at = np.array(rows, dtype=np.int64)
    given = columns.open[at] if prices is None else np.array(prices)
    fees = np.arange(len(at), dtype=np.int64) % 7
    return Deals(
        ("AAA",), np.zeros(len(at), np.int64), columns.timestamps[at], np.array(signed, np.int64), given, fees, at
    )


def random_deals(chance: np.random.Generator, columns: Columns) -> Deals:
    """Longs, shorts and turn-overs, of one size or of many, some on the same bar, sometimes none at all."""
    rows = np.sort(chance.integers(0, len(columns), chance.integers(0, 60)))
    sides = chance.integers(0 if chance.random() < 0.5 else -1, 2, len(rows))
    sizes = chance.integers(1, 50, len(rows)) if chance.random() < 0.5 else np.full(len(rows), 10)
    return deals_of(columns, rows.tolist(), np.diff(sides * sizes, prepend=0).tolist())


def both(columns: Columns, deals: Deals):
    valuation = Valuation([columns])
    timeline = Timeline(valuation.timestamps)
    walked = worth_of(valuation.blocks(deals, CASH_PAISE), timeline, CASH_PAISE)
    return Stretched(valuation, timeline).worth(deals, CASH_PAISE), walked


def test_random_accounts_are_worth_what_the_walk_says(monkeypatch):
    """Also in blocks of a few rows, as a long run has them."""
    monkeypatch.setattr("services.backtest.stretches.ROWS_AT_A_TIME", 128)
    reached = 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        columns = bars(chance, step=float(chance.choice([1e-4, 1e-2])))
        found, walked = both(columns, random_deals(chance, columns))
        assert found is not None, f"seed {seed}"
        reached += found.fall_max > 0

        assert found.evenings.tolist() == walked.evenings.tolist(), f"seed {seed}"
        assert found[1:] == walked[1:], f"seed {seed}"
    assert reached > 150


def test_the_mean_of_parts_is_numpys():
    """To the bit, however many there are."""
    chance = np.random.default_rng(3)
    for rows in (
        1,
        7,
        9,
        128,
        129,
        1000,
        ROWS_AT_A_TIME,
        ROWS_AT_A_TIME + 1,
        3 * ROWS_AT_A_TIME + 5,
        *chance.integers(1, 1 << 20, 30),
    ):
        column = chance.random(rows) * chance.choice([1e-9, 1.0, 1e9], rows)
        assert mean_of(len(column), lambda start, end, column=column: column[start:end]) == np.mean(column), rows


def test_dear_shares_are_worth_what_the_walk_says():
    """Their prices have no room in half of the memory."""
    columns = bars(np.random.default_rng(7))
    dear = np.round(columns.close * 1000, 2)
    columns = Columns("AAA", columns.timestamps, dear, dear, dear, dear, columns.volume)
    found, walked = both(columns, deals_of(columns, [3, 90, 120], [1, -1, 1]))

    assert found is not None
    assert found[1:] == walked[1:]
    assert found.fall_max > 0


def test_an_account_at_its_best_all_the_time_never_falls():
    """Up with every bar, held from the first: every row is walked, and none is below the best."""
    columns = bars(np.random.default_rng(0))
    rising = np.arange(len(columns)) * 0.05 + 100
    columns = Columns("AAA", columns.timestamps, rising, rising, rising, rising, columns.volume)
    found, walked = both(columns, deals_of(columns, [0], [10]))

    assert found is not None
    assert found[1:] == walked[1:]
    assert (found.fall_max, found.days_below) == (0, 0)


@pytest.mark.parametrize("price", [0.0, 0.0001])
def test_what_is_worth_nothing_is_walked(price):
    """A holding of no worth is no exposure: how many bars there are of it only the walk knows."""
    columns = bars(np.random.default_rng(1))
    columns.close[50:60] = price
    found, _ = both(columns, deals_of(columns, [20], [1]))

    assert found is None


def test_an_account_that_lost_everything_is_walked():
    columns = bars(np.random.default_rng(2))
    found, walked = both(columns, deals_of(columns, [3], [10], prices=[20_000.0]))

    assert walked.least <= 0
    assert found is None


def test_several_symbols_are_walked():
    one = bars(np.random.default_rng(3))
    other = Columns("BBB", *(getattr(one, name) for name in ("timestamps", "open", "high", "low", "close", "volume")))
    valuation = Valuation([one, other])

    assert Stretched(valuation, Timeline(valuation.timestamps)).worth(deals_of(one, [3], [1]), CASH_PAISE) is None
