"""Averages of prices on the tick grid are often equal: a cross is then what whole numbers say, in every form."""

from __future__ import annotations

from itertools import product

import msgspec
import numpy as np
import pytest

from bench.backtest import _ACCOUNT, request_of, ties
from bench.sweep import by_whole_numbers
from libs.indicators.sides import ROUNDING, side_of, sides_of
from libs.settings.risk import Risk
from libs.strategies.sma_cross import SmaCross
from libs.strategies.wishes import at_turns
from libs.trading.columns import Columns
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.form import EVENT, VECTORISED, run_form
from services.backtest.outright import Outright
from services.backtest.recorder import RunRecorder
from tests.kit.columns import CALENDAR, columns

PAIRS = list(product(range(3, 23, 2), range(25, 75, 5)))
#: Those that are also run bar by bar.
RUN = PAIRS[::17]


def on_the_grid() -> Columns:
    """Eight days that move by a tick of 0.05 a minute, or not at all."""
    stamps = columns("AAA", 0).timestamps
    ticks = 20_000 + np.cumsum(np.random.default_rng(5).integers(-1, 2, len(stamps)))
    close = np.round(ticks * 0.05, 2)
    opens = np.concatenate([close[:1], close[:-1]])
    volume = np.full(len(stamps), 1000, dtype=np.int64)
    return Columns("AAA", stamps, opens, np.maximum(opens, close), np.minimum(opens, close), close, volume)


BARS = on_the_grid()
UNITS = np.rint(BARS.close * 20).astype(np.int64)


def sides_of_whole_numbers(fast: int, slow: int) -> np.ndarray:
    """Both averages times both lengths, in ticks; no side before the slow one is there."""
    total = np.concatenate([[0], np.cumsum(UNITS)])
    fasts, slows = (total[length:] - total[:-length] for length in (fast, slow))
    return np.concatenate([np.zeros(slow - 1, int), np.sign(slow * fasts[slow - fast :] - fast * slows)])


def test_wishes_are_those_of_whole_numbers():
    """Sliding sums of floats are higher or lower on some of these bars, and would turn where nothing crossed."""
    for fast, slow in PAIRS:
        strategy = SmaCross(SmaCross.parameters_type(fast=fast, slow=slow))
        wished = strategy.wishes({"close": BARS.close}).side

        assert wished.tolist() == at_turns(sides_of_whole_numbers(fast, slow)).side.tolist(), (fast, slow)
    assert sum(len(ties(UNITS, *pair)) for pair in PAIRS) > 300


def test_every_form_comes_to_the_profit_of_whole_numbers():
    """Bar by bar, by the vectorised form, and a sweep's short way: the same fills, and the whole numbers' profit."""
    data = RunData((BARS,), (), (), ())
    expected = by_whole_numbers(BARS, RUN)
    base = request_of([BARS.symbol], **dict.fromkeys(_ACCOUNT, 0))
    for fast, slow in RUN:
        request = msgspec.structs.replace(base, parameters=base.parameters | {"fast": fast, "slow": slow})
        found = []
        for form in (EVENT, VECTORISED):
            recorder = RunRecorder(desk := make_desk(request, data, request.risk(Risk())))
            run_form(form, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
            found.append((recorder.fills, desk.equity_paise - request.cash_paise))

        assert found[0] == found[1], (fast, slow)
        assert found[0][1] == expected[fast, slow], (fast, slow)
        worth = Outright(request, data, request.risk(Risk()), CALENDAR).run(request, data).worth
        assert worth.evenings[-1] - request.cash_paise == expected[fast, slow], (fast, slow)


@pytest.mark.parametrize("price", [0.05, 100.0, 130_000.0, -40.0])
def test_both_forms_leave_the_same_room(price):
    """A difference of a few last bits is none; a tick between two averages of hundreds of bars is one."""
    others = price + np.array([0.0, 0.3, -0.3, 3.0, -3.0]) * abs(price) * ROUNDING
    others = np.append(others, [price + 2e-7, price - 2e-7, np.nan])
    found = [side_of(price, other) for other in others.tolist()]

    assert found == [0, 0, 0, -1, 1, -1, 1, 0]
    assert sides_of(np.full(len(others), price), others).tolist() == found
