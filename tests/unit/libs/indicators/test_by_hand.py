"""Indicators without a TA-Lib counterpart, against values worked out by hand or by the plainest definition."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.indicators import averages, registry
from tests.property.indicators.cases import Bar, random_columns

OPEN_US = day_start_us(date(2026, 2, 2)) + 555 * US_PER_MINUTE


def bar(minute, high, low, close, *, first=None, volume=10.0, day=0):
    return Bar(
        OPEN_US + day * US_PER_DAY + minute * US_PER_MINUTE, close if first is None else first, high, low, close, volume
    )


def test_vwap_starts_anew_each_session():
    vwap = registry.create("vwap")

    assert vwap.update(bar(0, 12.0, 9.0, 12.0, volume=2.0)) == 11.0
    assert vwap.update(bar(1, 21.0, 21.0, 21.0, volume=3.0)) == pytest.approx((11 * 2 + 21 * 3) / 5)
    assert np.isnan(vwap.update(bar(0, 5.0, 5.0, 5.0, volume=0.0, day=1)))
    assert vwap.update(bar(1, 7.0, 7.0, 7.0, volume=1.0, day=1)) == 7.0


def test_opening_range_is_known_after_its_minutes():
    """The bar of 09:29 belongs to the range, the bar of 09:30 is the first that may know it."""
    opening = registry.create("opening_range", minutes=15)
    for minute, high, low in ((0, 10.0, 9.0), (7, 12.0, 9.5), (14, 11.0, 8.0)):
        assert np.isnan(opening.update(bar(minute, high, low, 9.5)))

    assert opening.update(bar(15, 99.0, 1.0, 50.0)) == 12.0
    assert opening.lower == 8.0
    assert np.isnan(opening.update(bar(0, 20.0, 19.0, 19.5, day=1)))


def test_a_date_without_opening_bars_has_no_range():
    """An evening session, or a feed that came late: no range is better than a wrong one."""
    opening = registry.create("opening_range", minutes=15)

    assert np.isnan(opening.update(bar(200, 10.0, 9.0, 9.5)))
    assert np.isnan(opening.update(bar(201, 10.0, 9.0, 9.5)))


def test_pivots_come_from_the_date_before():
    pivots = registry.create("pivots")
    for minute, high, low, close in ((0, 110.0, 100.0, 105.0), (1, 120.0, 104.0, 106.0)):
        assert np.isnan(pivots.update(bar(minute, high, low, close)))

    assert pivots.update(bar(0, 300.0, 1.0, 50.0, day=1)) == pytest.approx((120 + 100 + 106) / 3)
    assert pivots.r1 == pytest.approx(2 * pivots.pivot - 100)
    assert pivots.s1 == pytest.approx(2 * pivots.pivot - 120)
    assert (pivots.r2, pivots.s2) == pytest.approx((pivots.pivot + 20, pivots.pivot - 20))


def test_heikin_ashi_averages():
    candles = registry.create("heikin_ashi")
    candles.update(bar(0, 12.0, 8.0, 11.0, first=9.0))
    assert (candles.open, candles.high, candles.low, candles.close) == (10.0, 12.0, 8.0, 10.0)
    candles.update(bar(1, 15.0, 10.5, 14.0, first=11.0))

    assert (candles.open, candles.close) == (10.0, 12.625)
    assert (candles.high, candles.low) == (15.0, 10.0)


def test_keltner_is_an_ema_and_atrs():
    columns = random_columns(2, size=200)
    keltner = registry.compute("keltner", columns, period=20, atr_period=10, multiplier=1.5)
    middle = registry.compute("ema", columns, period=20)["value"]
    width = 1.5 * registry.compute("atr", columns, period=10)["value"]

    np.testing.assert_allclose(keltner["upper"], middle + width)
    np.testing.assert_allclose(keltner["lower"], middle - width)


def test_supertrend_follows_and_turns():
    """The line only rises in an up-trend, only falls in a down-trend, and turns when the close crosses it."""
    columns = random_columns(4, size=2000)
    found = registry.compute("supertrend", columns, period=7, multiplier=2.0)
    line, direction, close = found["line"], found["direction"], columns["close"]
    turns = 0
    for i in range(8, 2000):
        if direction[i] == direction[i - 1]:
            assert (line[i] - line[i - 1]) * direction[i] >= 0
            assert (close[i] - line[i]) * direction[i] >= 0
        else:
            turns += 1
            assert (close[i] - line[i - 1]) * direction[i] > 0

    assert turns > 20


def test_regression_channel_of_a_straight_line_has_no_width():
    columns = {"close": 20_000.0 + 0.05 * np.arange(300)}
    found = registry.compute("linear_regression_channel", columns, period=50)

    np.testing.assert_allclose(found["slope"][49:], 0.05, rtol=1e-9)
    np.testing.assert_allclose(found["upper"][49:] - found["lower"][49:], 0.0, atol=1e-8)


def test_bollinger_holds_its_width_at_high_prices():
    """The textbook sum of squares loses all digits here; TA-Lib's does."""
    close = 1e8 + np.tile([0.0, 0.05], 500)
    found = registry.compute("bollinger", {"close": close}, period=20, multiplier=2.0)

    np.testing.assert_allclose(found["upper"][19:] - found["middle"][19:], 0.05, rtol=1e-6)


@pytest.mark.parametrize("many", [0, 16], ids=["side by side", "window by window"])
def test_a_long_column_is_averaged_piece_by_piece_to_the_bit(monkeypatch, many):
    """Where a piece ends, inside a window or at its edge, decides nothing: the streaming form knows no pieces."""
    monkeypatch.setattr(averages, "_ROWS_AT_A_TIME", 16)
    monkeypatch.setattr(averages, "_WINDOWS_A_PLACE", many)
    chance = np.random.default_rng(0)
    for size in (0, 1, 6, 7, 13, 14, 15, 21, 22, 35, 36, 100):
        column = chance.normal(size=size) * 100
        for period in (1, 2, 7, 20):
            streaming = averages.SMA(period)

            expected = np.array([streaming.update(value) for value in column.tolist()])
            np.testing.assert_array_equal(averages.sma_dense(column, period), expected, f"{size} rows, {period}")
