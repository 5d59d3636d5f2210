"""B5: whatever days there are, wherever they lie, a query gives what a plain filter of all rows would give."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.dbaccess.candles import CandleColumns
from libs.dbaccess.queries import MarketDataQuery
from tests.kit.market_days import MONDAY, OPEN_MINUTE, archive_day, at_us, candle, capture, close_day, stores, tick

SYMBOLS = ("A", "B&C", "ZED")
DAYS = [MONDAY + timedelta(days=n) for n in range(5)]
#: Where a date may lie; in two places during a rollover or an archiving.
PLACES = ("hot", "archive", "live", "hot+live", "hot+archive", "nowhere")
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

bar_of_day = st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 374), st.integers(1, 400))
days = st.dictionaries(
    st.sampled_from(DAYS), st.tuples(st.sampled_from(PLACES), st.lists(bar_of_day, min_size=1, max_size=40))
)
bounds = st.tuples(
    st.integers(day_start_us(DAYS[0]) - US_PER_DAY, day_start_us(DAYS[-1]) + 2 * US_PER_DAY),
    st.integers(0, 8 * US_PER_DAY),
)
asked = st.lists(st.sampled_from((*SYMBOLS, "NONE")), min_size=1, max_size=4)


def store_candles(root: Path, plan: dict[date, tuple[str, list[tuple[str, int, int]]]]) -> pd.DataFrame:
    """Put each day where the plan says, and give all rows a reader must see."""
    visible, live = [], []
    for day, (place, bars) in plan.items():
        unique = {(symbol, minute): price for symbol, minute, price in bars}
        rows = [candle(symbol, at_us(day, OPEN_MINUTE + m), float(p)) for (symbol, m), p in unique.items()]
        if "hot" in place:
            close_day(root, day, rows)
        if "archive" in place:
            archive_day(root, day, rows, parts=1 + len(rows) % 3)
        if "live" in place:
            live += rows
        visible += [] if place == "nowhere" else rows
    if live:
        capture(root, live)
    return pd.DataFrame(visible, columns=list(candle("A", 0)))


def expected(
    rows: pd.DataFrame, symbols: list[str], start: int, end: int, order: list[str]
) -> list[tuple[object, ...]]:
    inside = rows[rows["symbol"].isin(symbols) & (rows["timestamp"] >= start) & (rows["timestamp"] < end)]
    return list(inside.sort_values(order).itertuples(index=False, name=None))


def given_back(frame: pd.DataFrame, columns: list[str]) -> list[tuple[object, ...]]:
    frame = frame.assign(timestamp=frame["timestamp"].astype("int64"))
    return list(frame[columns].itertuples(index=False, name=None))


def by_row(columns: CandleColumns) -> list[tuple[object, ...]]:
    symbol, *values = columns
    return [(symbol, "1m", *row) for row in zip(*(value.tolist() for value in values), strict=True)]


@FEW
@given(plan=days, bounds=bounds, symbols=asked)
def test_candles_equal_a_filter_of_all_rows(plan, bounds, symbols):
    start, end = bounds[0], sum(bounds)
    with tempfile.TemporaryDirectory() as root, MarketDataQuery(stores(Path(root))) as query:
        rows = store_candles(Path(root), plan)

        found = query.get_candles(symbols, "nse", "1m", start, end)
        again = query.get_candles(symbols, "nse", "1m", start, end, output="arrow")

        wanted = expected(rows, symbols, start, end, ["symbol", "timestamp"])
        assert given_back(found, list(rows.columns)) == wanted
        # The first time a day is read once, together with others, the second time it is attached.
        assert given_back(again.to_pandas(), list(rows.columns)) == wanted
        with MarketDataQuery(stores(Path(root)), days_at_once=2) as passing:
            columns = passing.candle_columns(symbols, "nse", "1m", start, end)
            assert passing.days_attached == 0
        assert [row for each in columns for row in by_row(each)] == wanted


@FEW
@given(plan=days, bounds=bounds, symbols=asked, timeframe=st.sampled_from(["5m", "15m", "1h", "4h"]))
def test_longer_bars_equal_a_fold_of_all_minutes(plan, bounds, symbols, timeframe):
    """Of closed days; what is still open today is another test."""
    plan = {day: (place.replace("live", "hot"), bars) for day, (place, bars) in plan.items()}
    start, end = bounds[0], sum(bounds)
    with tempfile.TemporaryDirectory() as root, MarketDataQuery(stores(Path(root))) as query:
        rows = store_candles(Path(root), plan).sort_values(["symbol", "timestamp"])
        since_open = rows["timestamp"] - (day_start_us(MONDAY) + OPEN_MINUTE * US_PER_MINUTE)
        bar = rows["timestamp"] - since_open % US_PER_DAY % (TIMEFRAMES[timeframe] * US_PER_MINUTE)
        fold = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
        bars = rows.assign(timestamp=bar, timeframe=timeframe)
        bars = bars.groupby(["symbol", "timeframe", "timestamp"], as_index=False).agg(fold)

        found = query.get_candles(symbols, "nse", timeframe, start, end)

        assert given_back(found, list(bars.columns)) == expected(bars, symbols, start, end, ["symbol", "timestamp"])


@FEW
@given(plan=days, bounds=bounds, symbols=asked)
def test_ticks_equal_a_filter_of_all_rows(plan, bounds, symbols):
    """Many ticks in one instant are many rows."""
    start, end = bounds[0], sum(bounds)
    with tempfile.TemporaryDirectory() as root, MarketDataQuery(stores(Path(root))) as query:
        visible, live, seq = [], [], 0
        for day, (place, quotes) in plan.items():
            rows = [
                tick(symbol, at_us(day, OPEN_MINUTE + minute % 7), seq + n, float(price))
                for n, (symbol, minute, price) in enumerate(quotes)
            ]
            seq += len(rows)
            if "hot" in place:
                close_day(Path(root), day, rows, None)
            if "archive" in place:
                archive_day(Path(root), day, rows, "ticks")
            live += rows if "live" in place else []
            visible += [] if place == "nowhere" else rows
        if live:
            capture(Path(root), ticks=live)
        frame = pd.DataFrame(visible, columns=list(tick("A", 0, 0))).drop(columns="ask")

        found = query.get_ticks(symbols, "nse", start, end)

        assert given_back(found, list(frame.columns)) == expected(
            frame, symbols, start, end, ["symbol", "timestamp", "seq"]
        )
