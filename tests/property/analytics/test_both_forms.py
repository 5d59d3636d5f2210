"""E2: what is said of a bar is the same live, over a range and after a restart, and never depends on later bars."""

from __future__ import annotations

import random

import numpy as np
import pytest

from libs.analytics.bars import bar_columns, longer
from libs.analytics.patterns import PatternCache
from libs.analytics.study import AnalyticsSettings, LiveAnalytics, analyse
from libs.bars import Resampler
from libs.contracts import OHLCVBar
from libs.strategies.context import regular_session
from tests.kit.regimes import market, minutes
from tests.property.indicators.cases import random_columns

SYMBOLS = ("ALFA", "BETA")
EVERYTHING = AnalyticsSettings(patterns_none=True)


def bars_of(columns, symbol="ALFA", timeframe="1m"):
    names = ("timestamp_us", "open", "high", "low", "close", "volume")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return [OHLCVBar(symbol, timeframe, *row) for row in rows]


def analysed(bars, timeframe="1m", **how):
    parts = [
        analyse([bar for bar in bars if bar.symbol == symbol], symbol=symbol, timeframe=timeframe,
                sessions=regular_session, settings=EVERYTHING, **how)
        for symbol in SYMBOLS
    ]  # fmt: skip
    return [in_order(row for part in parts for row in part[kind]) for kind in range(4)]


def streamed(bars, timeframe="1m"):
    live = LiveAnalytics(timeframe=timeframe, sessions=regular_session, settings=EVERYTHING)
    parts = [live.update(minute) for minute in minutes(bars)]
    return [in_order(row for part in parts for row in part[kind]) for kind in range(4)]


def in_order(rows):
    return sorted(rows, key=lambda row: (row.timestamp_us, row.symbol))


@pytest.mark.parametrize("timeframe", ["1m", "5m"])
def test_forms_agree_on_a_market(timeframe):
    """Every row of every kind is equal to the bit, with minutes that did not trade, over some days."""
    bars = market(SYMBOLS, days=2 if timeframe == "1m" else 3, seed=5, missing=0.08)
    if timeframe != "1m":
        resamplers = {symbol: Resampler(timeframe, regular_session) for symbol in SYMBOLS}
        bars = in_order(long for bar in bars for long in resamplers[bar.symbol].add(bar))
    ours, theirs = analysed(bars, timeframe), streamed(bars, timeframe)

    assert all(ours), "an empty equal result proves nothing"
    assert ours == theirs
    if timeframe == "1m":
        assert {row.regime for row in ours[1]} == {"trend_up", "trend_down", "range", "volatile"}
        assert {row.direction for row in ours[0]} == {"bullish", "bearish", "neutral"}


@pytest.mark.parametrize("seed", range(12))
def test_forms_agree_on_hostile_columns(seed):
    """Nothing at all, single bars, constant prices, missing and infinite values."""
    chance = random.Random(seed)
    columns = random_columns(
        seed,
        size=chance.choice([0, 1, 2, 14, 140, 260]),
        scale=chance.choice([0.1, 100.0, 80_000.0]),
        missing=chance.choice([0.0, 0.05, 0.3]),
        flat=chance.choice([0.0, 0.3, 1.0]),
        per_day=60,
    )
    bars = bars_of(columns)

    assert analysed(bars) == streamed(bars)


def test_no_row_depends_on_a_later_bar():
    """A prefix of the bars gives a prefix of the rows, wherever it is cut."""
    bars = market(SYMBOLS, days=2, seed=9)
    whole = analysed(bars)
    for cut in (1, 40, 377, 741, len(bars) - 1):
        part, last_us = analysed(bars[:cut]), bars[cut - 1].timestamp_us

        for rows, all_rows in zip(part, whole, strict=True):
            known = [row for row in all_rows if row.timestamp_us < last_us]
            assert [row for row in rows if row.timestamp_us < last_us] == known


def test_range_is_warmed_up_by_the_bars_before_it():
    bars = market(SYMBOLS, days=2, seed=9)
    since_us = bars[len(bars) // 2].timestamp_us

    later = [[row for row in rows if row.timestamp_us >= since_us] for rows in analysed(bars)]
    assert analysed(bars, since_us=since_us) == later


@pytest.mark.parametrize("timeframe", ["5m", "15m", "1h", "1d"])
def test_longer_bars_are_those_of_the_resampler(timeframe):
    """Which longer bar is complete at each short one: as the streaming form says, holes at the edges included."""
    bars = list(market(("ALFA",), days=2, seed=4, missing=0.3))
    resampler, complete, seen = Resampler(timeframe, regular_session), [], []
    for bar in bars:
        complete += resampler.add(bar)
        seen.append(len(complete) - 1)
    columns, newest = longer(bar_columns(bars), timeframe, regular_session)

    assert newest.tolist() == seen
    for name in ("timestamp_us", "open", "high", "low", "close", "volume"):
        ours = columns.timestamp_us if name == "timestamp_us" else columns.columns[name]
        assert ours[: len(complete)].tolist() == [getattr(bar, name) for bar in complete]


def test_cache_gives_what_looking_gives():
    """Bars are appended, dropped from the front and corrected; the cache looks again only where it must."""
    chance, cache = random.Random(1), PatternCache(entries_max=2)
    bars = list(market(("ALFA",), days=2, seed=2))
    begin = 0
    for end in sorted(chance.sample(range(1, len(bars)), 25)):
        if chance.random() < 0.3:
            at = chance.randrange(begin, end)
            bars[at] = OHLCVBar("ALFA", "1m", bars[at].timestamp_us, 100.0, 101.0, 99.0, 100.5, 10)
        if chance.random() < 0.2:
            begin = min(begin + 5, end - 1)
        columns = bar_columns(bars[begin:end])
        fresh = PatternCache().strengths(("nse", "ALFA", "1m"), columns)

        np.testing.assert_array_equal(cache.strengths(("nse", "ALFA", "1m"), columns), fresh)
    assert cache.spared > cache.looked
