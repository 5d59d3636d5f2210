"""G2: what luck looks like, and that the figures tell it from skill."""

from __future__ import annotations

import math

import numpy as np
import pytest

from libs.contracts import SignalEvent, SignalType
from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.core.errors import Refused
from libs.trading.columns import Columns
from libs.trading.deflation import deflated_sharpe, effective_trials, expected_best
from libs.trading.significance import HeldTrade, random_entry_significance, trade_order_risk
from libs.trading.warmup import warmup_sensitivity

DAY, PER_DAY = US_PER_DAY, 100
START_US = 1_770_003_900_000_000


def seeded(seed=1):
    return np.random.default_rng(seed)


def walk(days=20, seed=1, symbol="ALFA"):
    moves = seeded(seed).normal(0.0, 0.001, days * PER_DAY)
    close = 100.0 * np.cumprod(1.0 + moves)
    open_ = np.concatenate([[100.0], close[:-1]])
    stamps = np.array([START_US + d * DAY + m * US_PER_MINUTE for d in range(days) for m in range(PER_DAY)])
    return Columns(symbol, stamps, open_, np.maximum(open_, close), np.minimum(open_, close), close,
                   np.ones(close.size, np.int64))  # fmt: skip


def trade(columns, begin, held, *, is_long=True, value=10_000_00):
    move = columns.open[begin + held] / columns.open[begin] - 1.0
    return HeldTrade(
        symbol=columns.symbol, is_long=is_long, opened_us=int(columns.timestamps[begin]),
        closed_us=int(columns.timestamps[begin + held]), value_paise=value,
        profit_paise=round(value * move * (1 if is_long else -1)),
    )  # fmt: skip


def test_order_of_trades_by_hand():
    """+100, -50, -50 on 1000: the orders' falls are 100/1100, 50/1000 or 100/1000 twice over."""
    risk = trade_order_risk([100, -50, -50], 1000, chance=seeded(), rounds=3000)

    assert risk.drawdown_real == pytest.approx(100 / 1100)
    assert risk.drawdown_p05 == pytest.approx(50 / 1000)
    assert risk.drawdown_p95 == pytest.approx(100 / 1000)
    assert risk.drawdown_rank == pytest.approx(1 / 3, abs=0.04)
    assert risk.profit_real_paise == 0
    assert risk.ruin_probability == 0.0


def test_ruin_is_a_fall_of_half():
    """Two losses of a third each ruin the account in the orders where no gain comes between or before."""
    risk = trade_order_risk([900, -400, -400], 1000, chance=seeded(), rounds=3000)

    # Only the gain last: 1000 -> 200 falls 80 %. Gain first falls 42 %, in the middle 40 %.
    assert risk.ruin_probability == pytest.approx(1 / 3, abs=0.04)


def test_losing_by_chance_is_as_likely_as_the_trades_say():
    """99 gains and losses of one size each: a coin; all gains: never."""
    even = trade_order_risk([10, -10] * 100, 100_000, chance=seeded(), rounds=2000)

    assert even.loss_probability == pytest.approx(0.5, abs=0.05)
    assert trade_order_risk([10, 12], 1000, chance=seeded()).loss_probability == 0.0


def test_same_seed_same_answer():
    columns = walk()
    trades = [trade(columns, begin, 7) for begin in range(0, 1500, 50)]

    assert trade_order_risk([5, -3, 9], 100, chance=seeded(3)) == trade_order_risk([5, -3, 9], 100, chance=seeded(3))
    one, two = (random_entry_significance(trades, [columns], chance=seeded(3)) for _ in range(2))
    assert one == two


def test_entries_by_chance_are_not_significant_and_foresight_is():
    """p-values of random entries are spread evenly from 0 to 1; who knows tomorrow has the smallest there is."""
    from scipy import stats  # a second of imports

    columns = walk(days=30)
    values = []
    for seed in range(60):
        chosen = seeded(seed).integers(0, PER_DAY - 10, 25) + PER_DAY * seeded(seed).integers(0, 30, 25)
        trades = [trade(columns, int(begin), 9) for begin in chosen]
        values.append(random_entry_significance(trades, [columns], chance=seeded(seed + 1), rounds=300).p_value)
    ahead = columns.open[9:] - columns.open[:-9]
    known = [int(row) for row in np.argsort(-ahead)[:25] if row % PER_DAY < PER_DAY - 10]
    skilled = random_entry_significance([trade(columns, row, 9) for row in known], [columns], chance=seeded())

    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert skilled.p_value == pytest.approx(1 / 1001)


def test_drift_of_the_market_is_no_skill():
    """In a market that only rises every long trade wins: so do the random ones, and p is not small."""
    columns = walk()
    rising = np.linspace(100.0, 200.0, len(columns))
    columns.open, columns.close = rising, rising + 0.01
    found = random_entry_significance(
        [trade(columns, row, 20) for row in range(10, 1900, 100)], [columns], chance=seeded()
    )

    assert found.profit_real_paise > 0
    assert found.p_value > 0.2


def test_trade_of_one_day_is_moved_within_days():
    """Overnight jumps are not given to trades that never held over a night; to those that did, they are."""
    columns = walk(days=5)
    for day in range(5):
        columns.open[day * PER_DAY : (day + 1) * PER_DAY] = 100.0 * 2**day
    intraday = random_entry_significance([trade(columns, 210, 60)], [columns], chance=seeded())
    overnight = random_entry_significance([trade(columns, 190, 60)], [columns], chance=seeded())

    assert intraday.profit_random_p95_paise == intraday.profit_random_p05_paise == 0.0
    assert overnight.profit_random_p95_paise == 10_000_00


def test_trade_left_in_the_bar_it_was_entered_goes_from_open_to_close():
    columns = walk(days=2)
    columns.close = columns.open * 1.01
    found = random_entry_significance([trade(columns, 5, 0)], [columns], chance=seeded(), rounds=50)

    assert found.profit_random_p50_paise == pytest.approx(10_000_00 * 0.01)


def test_what_cannot_be_judged_is_none_or_refused():
    columns = walk(days=1)

    assert trade_order_risk([5], 100, chance=seeded()) is None
    assert random_entry_significance([], [columns], chance=seeded()) is None
    with pytest.raises(Refused, match="BETA, of which no bars"):
        random_entry_significance([trade(walk(days=1, symbol="BETA"), 1, 2)], [columns], chance=seeded())
    with pytest.raises(Refused, match="above 0"):
        trade_order_risk([5, 6], 0, chance=seeded())
    assert deflated_sharpe([0.01] * 50, [1.0]) is None
    assert deflated_sharpe([0.01, 0.02], [1.0]) is None
    with pytest.raises(Refused, match="missing"):
        deflated_sharpe([0.01, math.nan, 0.02], [1.0])


def test_deflated_sharpe_is_the_published_formula():
    """Written out once more with scipy's distribution and moments."""
    from scipy import stats

    returns = seeded(4).normal(0.001, 0.01, 500) ** 3 * 1e3 + 0.0005
    tried = seeded(5).normal(0.0, 0.05, 40)
    found = deflated_sharpe(returns, tried)
    sharpe = returns.mean() / returns.std(ddof=1)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    gamma = np.euler_gamma
    best = tried.std(ddof=1) * (
        (1 - gamma) * stats.norm.ppf(1 - 1 / 40) + gamma * stats.norm.ppf(1 - 1 / (40 * math.e))
    )
    spread = math.sqrt(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)

    assert found.sharpe_expected == pytest.approx(best)
    assert found.probability == pytest.approx(stats.norm.cdf((sharpe - best) * math.sqrt(499) / spread))
    assert found.probability_single == pytest.approx(stats.norm.cdf(sharpe * math.sqrt(499) / spread))


def test_best_of_many_without_skill_is_seen_through():
    """A single look believes the best of 100 worthless ones almost always; the deflated figure almost never."""
    believed, deflated = 0, 0
    for seed in range(60):
        table = seeded(seed).normal(0.0, 0.01, (100, 250))
        sharpes = table.mean(axis=1) / table.std(axis=1, ddof=1)
        found = deflated_sharpe(table[np.argmax(sharpes)], sharpes)
        believed += found.probability_single > 0.95
        deflated += found.probability > 0.95
    skilled = seeded(7).normal(0.005, 0.01, 250)

    assert believed >= 55
    assert deflated <= 6
    assert deflated_sharpe(skilled, [*sharpes, skilled.mean() / skilled.std(ddof=1)]).probability > 0.95


def test_expected_best_is_what_the_best_of_chance_shows():
    best = np.mean([seeded(seed).normal(0.0, 0.2, 50).max() for seed in range(2000)])

    assert expected_best(50, 0.2) == pytest.approx(best, rel=0.03)
    assert expected_best(1, 0.2) == 0.0


def test_trials_that_trade_alike_count_as_few():
    own = seeded().normal(0, 1, (10, 400))
    shared = seeded(2).normal(0, 1, 400)

    assert effective_trials(own) == pytest.approx(10, abs=0.5)
    assert effective_trials(np.tile(shared, (10, 1))) == pytest.approx(1)
    assert effective_trials(own + 3 * shared) < 3
    assert effective_trials(np.zeros((5, 30))) == 1
    assert effective_trials([]) == 0


def said(minute, stop=None, kind=SignalType.ENTER_LONG):
    return SignalEvent(f"{minute}", "sma", "ALFA", START_US + minute * US_PER_MINUTE, kind, stop=stop)


def test_warmup_that_is_enough():
    """10 bars give another signal, 20 another stop, 40 and 80 the same: 40 are enough."""
    full = [said(5, 99.0), said(9, kind=SignalType.EXIT_LONG)]
    found = warmup_sensitivity({10: [said(4, 99.0), full[1]], 20: [said(5, 98.0), full[1]], 40: full, 80: full})

    assert [(row.missing, row.extra, row.levels_changed) for row in found.rows] == [
        (1, 1, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)
    ]  # fmt: skip
    assert found.enough_bars == 40
    assert not found.proves_nothing


def test_warmup_nobody_knows():
    """The longest is the reference, never its own proof; and no signals at all prove nothing."""
    assert warmup_sensitivity({10: [], 20: [said(5)]}).enough_bars is None
    assert warmup_sensitivity({10: [], 20: []}).proves_nothing
    with pytest.raises(Refused, match="at least two"):
        warmup_sensitivity({10: []})
