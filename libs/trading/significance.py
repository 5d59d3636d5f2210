"""Was it skill? Trades in other orders, and the same holding times entered by chance.

Pure: chance is an argument, so that the same seed gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from libs.core.errors import Refused
from libs.indicators.columns import session_days
from libs.trading.columns import Columns

_QUANTILES = (0.05, 0.5, 0.95)
#: Cells of one round's table: many trades are shuffled a few rounds at a time.
_CELLS_MAX = 2_000_000


class HeldTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade from flat to flat. `value_paise` is what was bought or sold short; profit is before fees."""

    symbol: str
    is_long: bool
    opened_us: int
    closed_us: int
    value_paise: int
    profit_paise: int
    fees_paise: int = 0


class OrderRisk(msgspec.Struct, frozen=True, kw_only=True):
    """What other orders of the same trades would have done to the account.

    Falls are shares of the best equity so far, judged after each trade. `drawdown_*` and `ruin_probability` are over
    shuffled orders, in which the sum is always the same; `profit_*` and `loss_probability` over as many trades drawn
    with replacement. `drawdown_rank` is the share of orders that fell less than the real one: near 1, its order was
    unlucky; near 0, lucky.
    """

    rounds: int
    trades: int
    drawdown_real: float
    drawdown_p05: float
    drawdown_p50: float
    drawdown_p95: float
    drawdown_rank: float
    ruin_probability: float
    profit_real_paise: int
    profit_p05_paise: float
    profit_p50_paise: float
    profit_p95_paise: float
    loss_probability: float


class Significance(msgspec.Struct, frozen=True, kw_only=True):
    """The real trades beside trades of the same symbols, sides, values and holding times entered at random.

    `p_value` is the chance that random entries do at least as well, the real trades counted among them: never 0.
    Profits are before fees on both sides, which are the same.
    """

    rounds: int
    trades: int
    profit_real_paise: int
    profit_random_mean_paise: float
    profit_random_p05_paise: float
    profit_random_p50_paise: float
    profit_random_p95_paise: float
    p_value: float


def trade_order_risk(
    net_paise: Sequence[int],
    cash_paise: int,
    *,
    chance: np.random.Generator,
    rounds: int = 1000,
    ruin_ratio: float = 0.5,
) -> OrderRisk | None:
    """Shuffle the trades' net profits; ruin is a fall of `ruin_ratio`. None without two trades."""
    _check(rounds)
    if cash_paise <= 0:
        raise Refused(f"cash of {cash_paise} paise: a fall is a share of the account, which must be above 0")
    net = np.asarray(net_paise, dtype=np.float64)
    if net.size < 2:
        return None
    real = float(_falls(net[np.newaxis, :], cash_paise)[0])
    falls, sums = np.empty(rounds), np.empty(rounds)
    step = max(1, _CELLS_MAX // net.size)
    for begin in range(0, rounds, step):
        many = min(step, rounds - begin)
        rows = slice(begin, begin + many)
        falls[rows] = _falls(chance.permuted(np.tile(net, (many, 1)), axis=1), cash_paise)
        sums[rows] = net[chance.integers(0, net.size, (many, net.size))].sum(axis=1)
    low, middle, high = np.quantile(falls, _QUANTILES).tolist()
    profit_low, profit_middle, profit_high = np.quantile(sums, _QUANTILES).tolist()
    return OrderRisk(
        rounds=rounds,
        trades=net.size,
        drawdown_real=real,
        drawdown_p05=low,
        drawdown_p50=middle,
        drawdown_p95=high,
        drawdown_rank=float(np.mean(falls < real)),
        ruin_probability=float(np.mean(falls >= ruin_ratio)),
        profit_real_paise=int(net.sum()),
        profit_p05_paise=profit_low,
        profit_p50_paise=profit_middle,
        profit_p95_paise=profit_high,
        loss_probability=float(np.mean(sums < 0)),
    )


def random_entry_significance(
    trades: Sequence[HeldTrade], columns: Sequence[Columns], *, chance: np.random.Generator, rounds: int = 1000
) -> Significance | None:
    """Move every trade to random bars of its symbol, held as many bars; None without trades.

    A trade within one day moves within days. Entered at a bar's open, left at the open so many bars later, at the
    bar's own close when it was left in the bar it was entered. Moved trades may overlap where the real ones did not.
    """
    _check(rounds)
    if not trades:
        return None
    of_symbol = {each.symbol: _Market(each) for each in columns}
    lost = sorted({trade.symbol for trade in trades} - set(of_symbol))
    if lost:
        raise Refused(f"trades in {', '.join(lost)}, of which no bars were given")
    profits = np.zeros(rounds)
    for trade in trades:
        profits += of_symbol[trade.symbol].moved(trade, chance, rounds)
    real = sum(trade.profit_paise for trade in trades)
    low, middle, high = np.quantile(profits, _QUANTILES).tolist()
    return Significance(
        rounds=rounds,
        trades=len(trades),
        profit_real_paise=real,
        profit_random_mean_paise=float(profits.mean()),
        profit_random_p05_paise=low,
        profit_random_p50_paise=middle,
        profit_random_p95_paise=high,
        p_value=float((1 + np.count_nonzero(profits >= real)) / (rounds + 1)),
    )


class _Market:
    """One symbol's bars, and where a trade of some length may begin."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._days = session_days(columns.timestamps)
        self._starts: dict[tuple[int, bool], npt.NDArray[np.int64]] = {}

    def moved(self, trade: HeldTrade, chance: np.random.Generator, rounds: int) -> npt.NDArray[np.float64]:
        """Give the profits of the trade at random bars."""
        columns = self._columns
        entry, left = np.searchsorted(columns.timestamps, [trade.opened_us, trade.closed_us], side="right") - 1
        if entry < 0:
            raise Refused(f"a trade in {trade.symbol} opened at {trade.opened_us} us, before its first bar")
        held = int(left - entry)
        starts = self._possible(held, within_day=bool(self._days[left] == self._days[entry]))
        begin = starts[chance.integers(0, starts.size, rounds)]
        bought = columns.open[begin]
        sold = columns.open[begin + held] if held else columns.close[begin]
        side = 1.0 if trade.is_long else -1.0
        gained: npt.NDArray[np.float64] = side * trade.value_paise * (sold / bought - 1.0)
        return gained

    def _possible(self, held: int, *, within_day: bool) -> npt.NDArray[np.int64]:
        known = self._starts.get((held, within_day))
        if known is None:
            size = len(self._columns)
            ends = np.arange(held, size)
            fits = self._days[ends] == self._days[: size - held] if within_day else np.ones(size - held, np.bool_)
            known = self._starts[held, within_day] = np.flatnonzero(fits)
        return known


def _falls(net: npt.NDArray[np.float64], cash_paise: int) -> npt.NDArray[np.float64]:
    equity = cash_paise + np.cumsum(net, axis=1)
    best = np.maximum(np.maximum.accumulate(equity, axis=1), cash_paise)
    worst: npt.NDArray[np.float64] = np.max(1.0 - equity / best, axis=1)
    return np.maximum(worst, 0.0)


def _check(rounds: int) -> None:
    if rounds < 1:
        raise Refused(f"{rounds} rounds; at least 1")
