"""E3: a market's indicators, kept up bar by bar, are those each symbol has over its own day, to the bit."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from libs.core.errors import Refused
from libs.indicators import registry
from libs.scanners.expression import Expression
from libs.scanners.panel import Panel
from libs.scanners.running import IDLE_BARS_MAX, Running
from tests.property.indicators.cases import random_columns, random_parameters

FIELDS = ("open", "high", "low", "close", "volume")
SYMBOLS = tuple(f"S{number}" for number in range(7))
BARS = 70
EXPRESSIONS = (
    "close > sma(9) and volume > sma(volume, 5)",
    "crosses_above(close, bollinger(8, 1).middle)",
    "crosses_below(ema(3), ema(9)[2]) or not rsi(5)[4] > 50",
    "macd(3, 7, 4).histogram > 0 and close[3] < open[1]",
    "1 > 0",
    "close / 0 > 1 or vwap() > close[12]",
)


def whole_day(seed: int) -> Panel:
    """Bars with gaps and missing or infinite values; the last symbols begin late, one never trades."""
    chance = random.Random(seed)
    rows = [random_columns(seed * 100 + number, size=BARS, missing=0.08, flat=0.1) for number in range(len(SYMBOLS))]
    values = {name: np.array([row[name] for row in rows]) for name in FIELDS}
    for number in range(len(SYMBOLS)):
        gone = [bar for bar in range(BARS) if chance.random() < 0.1 or bar < 13 * (number - 3)]
        for each in values.values():
            each[number, gone] = np.nan
    for each in values.values():
        each[2, :] = np.nan
    return Panel(SYMBOLS, rows[0]["timestamp_us"], **values)


def cut(panel: Panel, symbols: int, bars: int, running: Running) -> Panel:
    return replace(
        panel, symbols=panel.symbols[:symbols], timestamp_us=panel.timestamp_us[:bars], running=running,
        **{name: getattr(panel, name)[:symbols, :bars] for name in FIELDS},
    )  # fmt: skip


def growing(panel: Panel) -> list[Panel]:
    """The panel as it was seen in the course of the day; symbols came when they first traded."""
    running = Running()
    seen = ((4, 1), (4, 2), (4, 11), (4, 12), (4, 13), (5, 25), (7, 50), (7, 51), (7, 52), (7, 53), (7, BARS))
    return [cut(panel, symbols, bars, running) for symbols, bars in seen]


def newest_of(name: str, output: str, parameters: dict[str, float]):
    return lambda columns: float(registry.compute(name, columns, **parameters)[output][-1])


@pytest.mark.parametrize("name", sorted(registry.INDICATORS))
def test_kept_up_is_computed_over_the_day(name):
    known = 0
    for seed in (1, 2):
        parameters = random_parameters(name, random.Random(f"{name}/{seed}"))
        for panel in growing(whole_day(seed)):
            for output in registry.describe(name).outputs:
                over_the_day = panel.each(newest_of(name, output, parameters))
                found = panel.indicator(name, output, **parameters)
                np.testing.assert_array_equal(found, over_the_day, err_msg=f"{output} after {panel.bars} bars")
                known += int(np.isfinite(found).sum())

    assert known or name == "pivots", "an equal nothing proves nothing"


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_condition_on_the_market_is_that_on_each_symbol(text):
    expression = Expression(text)
    held = set()
    for panel in [each for seed in (1, 2, 3, 4) for each in growing(whole_day(seed))]:
        each = panel.each(lambda columns: float(expression.holds_now(columns)))
        found = expression.newest(panel)
        held |= set(found.tolist())

        assert found.tolist() == (each == 1.0).tolist(), f"after {panel.bars} bars"
    assert held == {True, False}


def test_another_panel_is_begun_anew():
    """An earlier minute, other symbols, another day: what was kept of one panel says nothing of another."""
    day = whole_day(1)
    running = Running()
    other = replace(day, timestamp_us=day.timestamp_us + 86_400_000_000, close=day.close + 1.0, running=running)
    views = [cut(day, 7, 40, running), cut(day, 7, 20, running), cut(day, 5, 40, running), other]
    found = [view.indicator("sma", period=5) for view in views]
    alone = [replace(view, running=Running()).indicator("sma", period=5) for view in views]

    for one, expected in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_deeper_looks_see_what_shallow_ones_did_not_keep():
    day, running = whole_day(1), Running()
    shallow = running.newest(cut(day, 7, 50, running), "ema", {"period": 4})["value"]
    deep = running.newest(cut(day, 7, 50, running), "ema", {"period": 4}, bars=6)["value"]

    np.testing.assert_array_equal(shallow[:, 0], deep[:, -1])
    assert np.isfinite(deep[0]).all()


def test_what_nobody_asks_for_is_let_go():
    """Scans are configured anew all day long."""
    day, running = whole_day(1), Running()
    for period in range(2, 30):
        cut(day, 7, 2 * period, running).indicator("sma", period=period)

    assert len(running._lines) <= IDLE_BARS_MAX / 2 + 1


def test_what_is_no_indicator_is_refused():
    day = whole_day(1)
    with pytest.raises(Refused, match="no output 'top'; there are value"):
        day.indicator("sma", "top")
    with pytest.raises(Refused, match="reads high, low, close"):
        day.indicator("atr", source="volume")
    with pytest.raises(Refused, match="no indicator 'smaa'"):
        day.indicator("smaa")


def test_looks_back_and_forward_skip_what_did_not_trade():
    nan = np.nan
    close = np.array([[1.0, nan, 3.0, nan], [nan, nan, nan, nan], [nan, 5.0, 6.0, 7.0]])
    panel = Panel(("A", "B", "C"), np.arange(4), close, close, close, close, close)

    np.testing.assert_array_equal(panel.newest("close", 2), [[1.0, 3.0], [nan, nan], [6.0, 7.0]])
    np.testing.assert_array_equal(panel.first("open"), [1.0, nan, 5.0])
    assert panel.have_traded(2).tolist() == [True, False, True]
    assert panel.have_traded(3).tolist() == [False, False, True]
