"""B5, C2: candles and ticks of closed days, archived days and today, read as one; bounds and names are checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.dbaccess import MarketDataQuery, UnsafeName
from libs.dbaccess.queries import BadBounds
from tests.kit.market_days import (
    CANDLE_COLUMNS,
    MONDAY,
    OPEN_MINUTE,
    TICK_COLUMNS,
    archive_day,
    at_us,
    candle,
    capture,
    close_day,
    minutes,
    moments,
    stores,
    tick,
)

TUESDAY, WEDNESDAY, THURSDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2), MONDAY + timedelta(days=3)


@pytest.fixture
def query(data_root):
    with MarketDataQuery(stores(data_root)) as query:
        yield query


def test_history_archive_and_today_are_one(data_root, query):
    """The caller need not know where a day lies."""
    archive_day(data_root, MONDAY, minutes("INFY", MONDAY, 4) + minutes("TCS", MONDAY, 2), parts=3)
    close_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 3))
    capture(data_root, minutes("INFY", WEDNESDAY, 2) + minutes("TCS", WEDNESDAY, 1))

    found = query.get_candles("INFY", "nse", "1m", MONDAY, THURSDAY)

    expected = [
        at_us(day, OPEN_MINUTE + n) for day, count in ((MONDAY, 4), (TUESDAY, 3), (WEDNESDAY, 2)) for n in range(count)
    ]
    assert moments(found) == expected
    assert list(found.columns) == CANDLE_COLUMNS
    assert set(found["symbol"]) == {"INFY"}
    assert list(found["volume"]) == [1, 2, 3, 4, 1, 2, 3, 1, 2]


def test_columns_hold_what_frames_do(data_root, query):
    """Runs read columns, screens frames: of archived, closed, corrected and captured days, and of longer bars."""
    archive_day(data_root, MONDAY, minutes("INFY", MONDAY, 4) + minutes("TCS", MONDAY, 2), parts=3)
    close_day(data_root, TUESDAY, minutes("TCS", TUESDAY, 3) + minutes("INFY", TUESDAY, 7))
    capture(data_root, minutes("INFY", WEDNESDAY, 2) + minutes("TCS", WEDNESDAY, 1))

    for symbols in (["INFY"], ["TCS", "INFY", "NONE"]):
        for timeframe in ("1m", "5m"):
            asked = (symbols, "nse", timeframe, MONDAY, THURSDAY)
            frame = query.get_candles(*asked, output="polars")
            columns = query.candle_columns(*asked)
            assert [each.symbol for each in columns] == sorted({*frame["symbol"]})
            for symbol, *values in columns:
                own = frame.filter(pl.col("symbol") == symbol).select(pl.col("timestamp").dt.epoch("us"), *_NUMBERS)
                assert [value.tolist() for value in values] == [own[name].to_list() for name in own.columns]
            for count in (0, 1, 5, 50):
                last = query.last_candles("INFY", "nse", timeframe, count, before=WEDNESDAY, output="polars")
                told = query.last_candle_columns("INFY", "nse", timeframe, count, before=WEDNESDAY)
                assert [at for each in told for at in each.close.tolist()] == last["close"].to_list()


_NUMBERS = ("open", "high", "low", "close", "volume")


def test_several_symbols_come_sorted_by_symbol_and_time(data_root, query):
    for day in (MONDAY, TUESDAY):
        close_day(data_root, day, minutes("TCS", day, 3) + minutes("INFY", day, 2) + minutes("A&B", day, 1))

    found = query.get_candles_many(["TCS", "INFY", "TCS"], "nse", "1m", MONDAY, WEDNESDAY)

    assert list(zip(found["symbol"], moments(found), strict=True)) == sorted(
        (symbol, at_us(day, OPEN_MINUTE + n))
        for day in (MONDAY, TUESDAY)
        for symbol, count in (("TCS", 3), ("INFY", 2))
        for n in range(count)
    )


def test_a_date_that_is_in_both_is_read_from_history(data_root, query):
    """Between the rename of the closed day and the reset of the buffer both hold it."""
    close_day(data_root, MONDAY, [candle("INFY", at_us(MONDAY, OPEN_MINUTE), 111.0)])
    capture(data_root, [candle("INFY", at_us(day, OPEN_MINUTE), 222.0) for day in (MONDAY, TUESDAY)])

    found = query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)

    assert list(found["close"]) == [111.0, 222.0]


def test_another_exchange_sees_nothing_of_this_ones_buffer(data_root, query):
    capture(data_root, minutes("INFY", MONDAY, 2))

    assert query.get_candles("INFY", "bse", "1m", MONDAY, TUESDAY).empty


@pytest.mark.parametrize("output", ["pandas", "arrow", "polars"])
def test_columns_and_types_are_the_same_when_there_is_nothing(data_root, query, output):
    """Code that runs on a full day must not fail on an empty one."""
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 3))
    close_day(data_root, MONDAY, [tick("INFY", at_us(MONDAY, OPEN_MINUTE), 1)], None)

    def types(start, symbol="INFY"):
        candles = query.get_candles(symbol, "nse", "1m", start, WEDNESDAY, output=output)
        ticks = query.get_ticks(symbol, "nse", start, WEDNESDAY, output=output)
        if output == "pandas":
            return [(list(frame.columns), [str(kind) for kind in frame.dtypes]) for frame in (candles, ticks)]
        return [candles.schema, ticks.schema]

    full = types(MONDAY)
    assert full == types(TUESDAY) == types(MONDAY, "NONE")
    if output == "pandas":
        assert full[0] == (
            CANDLE_COLUMNS, ["str", "str", "datetime64[us, UTC]", *["float64"] * 4, "int64"],
        )  # fmt: skip
        assert full[1] == (
            TICK_COLUMNS, ["str", "datetime64[us, UTC]", "float64", "int64", "float64", "float64", "int64", "int64"],
        )  # fmt: skip
    elif output == "polars":
        assert full[0]["timestamp"] == pl.Datetime("us", "UTC")
    else:
        assert full[0].field("timestamp").type == pa.timestamp("us", "UTC")


NINE_THIRTY_US = at_us(MONDAY, 570)


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 2, 2, 9, 30),  # noqa: DTZ001  naive means IST
        datetime(2026, 2, 2, 4, 0, tzinfo=UTC),
        datetime(2026, 2, 1, 23, 0, tzinfo=timezone(timedelta(hours=-5))),
        "2026-02-02T09:30:00",
        "2026-02-02 04:00:00Z",
        NINE_THIRTY_US,
        np.int64(NINE_THIRTY_US),
        np.datetime64("2026-02-02T09:30"),
        pd.Timestamp("2026-02-02 09:30", tz="Asia/Kolkata"),
        pd.Timestamp("2026-02-02 09:30"),
    ],
    ids=str,
)
def test_bounds_may_be_spelled_in_many_ways(data_root, query, start):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 30))

    found = query.get_candles("INFY", "nse", "1m", start, TUESDAY)

    assert moments(found)[0] == NINE_THIRTY_US
    assert len(found) == 15
    assert len(query.get_candles("INFY", "nse", "1m", MONDAY, start)) == 15


def test_the_interval_is_half_open_and_may_be_open_sided(data_root, query):
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 5))
    first, third = at_us(MONDAY, OPEN_MINUTE), at_us(MONDAY, OPEN_MINUTE + 2)

    assert moments(query.get_candles("INFY", "nse", "1m", first, third)) == [first, first + US_PER_MINUTE]
    assert query.get_candles("INFY", "nse", "1m", third, third).empty
    assert len(query.get_candles("INFY", "nse", "1m", None, None)) == 5
    assert len(query.get_candles("INFY", "nse", "1m", "0001-01-01", "9999-12-31")) == 5


def test_an_interval_that_ends_before_it_starts_is_refused_with_both_ends(query):
    with pytest.raises(BadBounds, match=r"2026-02-04.*2026-02-03"):
        query.get_candles("INFY", "nse", "1m", "2026-02-04", "2026-02-03")


@pytest.mark.parametrize("start", ["yesterday", 1.5, True, pd.NaT, np.datetime64("NaT"), b"2026", [1]], ids=repr)
def test_what_is_no_time_is_refused(query, start):
    with pytest.raises(BadBounds, match="expected a datetime"):
        query.get_candles("INFY", "nse", "1m", start, None)


@pytest.mark.parametrize("symbol", ["../etc", "A'B", 'A"; DROP', "A\0B", "", "A" * 65, "A/B"])
def test_a_symbol_no_exchange_lists_is_refused(query, symbol):
    with pytest.raises(UnsafeName, match="symbol"):
        query.get_candles(symbol, "nse", "1m", MONDAY, TUESDAY)


def test_exchange_timeframe_output_and_root_are_checked(data_root, query, tmp_path):
    with pytest.raises(UnsafeName, match="exchange"):
        query.get_candles("INFY", "../x", "1m", MONDAY, TUESDAY)
    with pytest.raises(UnsafeName, match="timeframe"):
        query.get_candles("INFY", "nse", "2m", MONDAY, TUESDAY)
    with pytest.raises(Refused, match="output 'csv'"):
        query.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY, output="csv")
    with MarketDataQuery(stores(tmp_path / "nowhere")) as lost, pytest.raises(FileNotFoundError, match="nowhere"):
        lost.get_candles("INFY", "nse", "1m", MONDAY, TUESDAY)


def test_ticks_of_one_instant_stay_apart_and_in_order(data_root, query):
    moment = at_us(MONDAY, OPEN_MINUTE)
    close_day(data_root, MONDAY, [tick("INFY", moment, seq, 100.0 + seq) for seq in (3, 1, 2)], None)
    capture(data_root, ticks=[tick("INFY", at_us(TUESDAY, OPEN_MINUTE), seq) for seq in (5, 4, 5)])

    found = query.get_ticks("INFY", "nse", MONDAY, WEDNESDAY)

    assert list(found.columns) == TICK_COLUMNS
    assert list(found["seq"]) == [1, 2, 3, 4, 5]  # the repeat in the buffer counts once
    assert found["ask"].isna().all()
