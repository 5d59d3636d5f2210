"""Issue 4: the candles of a date as the import closes, folds and certifies them are those a plain loop gives."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date

import duckdb
import numpy as np
import pytest

from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.core.errors import Refused
from libs.dbaccess.buffers import texts
from libs.dbaccess.coverage import count_imported
from libs.dbaccess.coverage.certificates import _count
from libs.dbaccess.importing.candles import Candles, figures_by_symbol, fold, sorted_once, starts_of

DAY = date(2026, 2, 2)
SESSION = Calendar.load("nse").session(DAY)
#: From 3 August 2026 some shares take part in a closing auction.
AUCTION = Calendar.load("nse").session(date(2026, 8, 4))
SYMBOLS = ["A", "B&C", "TCS"]


def candles(seed: int, count: int = 400, *, minutes: int = 60) -> Candles:
    """A seeded handful in no order, of few minutes and fewer prices, so that many share theirs."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        opened, close = rng.choice((100.0, 100.5)), rng.choice((100.0, 99.5))
        high, low = max(opened, close) + rng.choice((0, 0.5)), min(opened, close) - rng.choice((0, 0.5))
        ts_us = SESSION.open_us + rng.randrange(-5, minutes) * US_PER_MINUTE
        rows.append((rng.randrange(len(SYMBOLS)), ts_us, opened, high, low, close, rng.randrange(3)))
    kinds = (np.int32, np.int64, *(np.float64,) * 4, np.int64)
    return Candles(*(np.array(cells, kind) for cells, kind in zip(zip(*rows, strict=True), kinds, strict=True)))


def rows_of(found: Candles) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in found), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_of_two_of_one_minute_the_one_of_more_trade_stays(seed):
    """Sorted by symbol and time; of those that traded as much the wider, then the higher of high, close and open."""
    taken = candles(seed)
    best: dict[tuple[int, int], tuple[float, ...]] = {}
    for row in rows_of(taken):
        rank = (row[6], row[3] - row[4], row[3], row[5], row[2])
        key = (int(row[0]), int(row[1]))
        if key not in best or rank > best[key][0]:
            best[key] = (rank, row)

    assert rows_of(sorted_once(taken, DAY)) == [best[key][1] for key in sorted(best)]


@pytest.mark.parametrize("minutes", [5, 60])
@pytest.mark.parametrize("timeframe", ["5m", "15m", "1d"])
def test_longer_bars_begin_where_the_session_says(timeframe, minutes):
    """Also of minutes before the open, and of symbols that have the same one bar or two."""
    once = sorted_once(candles(7, minutes=minutes), DAY)
    bars: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for row in rows_of(once):
        start = SESSION.bar_start(int(row[1]), timeframe) if timeframe != "1d" else day_start_us(DAY)
        bars.setdefault((int(row[0]), start), []).append(row)
    expected = [
        (*key, rows[0][2], max(row[3] for row in rows), min(row[4] for row in rows), rows[-1][5],
         sum(row[6] for row in rows))
        for key, rows in bars.items()
    ]  # fmt: skip

    assert rows_of(fold(once, timeframe, SESSION)) == expected


def test_a_volume_that_would_run_over_is_refused():
    """A sum of whole numbers of 64 bits goes round without a word."""
    once = sorted_once(candles(1), DAY)
    once.volume[0] = 1 << 60

    with pytest.raises(Refused, match=f"a candle of {SYMBOLS[once.symbol[0]]} .* more than 64 bits hold"):
        figures_by_symbol(once, SYMBOLS)


def test_imported_minutes_are_counted_as_those_of_a_file():
    """Certificates are the same whether drawn up by columns in memory or by the closed file, auction or not."""
    rng = random.Random(3)
    rows = []
    for place in range(len(SYMBOLS)):
        minutes = range(-5, (AUCTION.last_us - AUCTION.open_us) // US_PER_MINUTE + 5)
        others_only = set(AUCTION.bar_starts("1m")) - set(AUCTION.bar_starts("1m", closing_auction=True))
        for minute in minutes:
            ts_us = AUCTION.open_us + minute * US_PER_MINUTE
            if rng.random() < 0.8 and not (place == 1 and ts_us in others_only):
                rows.append((place, ts_us))
    symbol, ts_us = (np.array(cells) for cells in zip(*rows, strict=True))
    found = count_imported(SYMBOLS, starts_of(symbol), ts_us, AUCTION)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Kolkata'")
        connection.register("rows", {"place": symbol, "ts_us": ts_us})
        names = ", ".join(f"'{each}'" for each in SYMBOLS)
        stored = (
            f"SELECT [{names}][place + 1] AS symbol, make_timestamptz(ts_us) AS timestamp, 'import' AS origin FROM rows"
        )
        by_file = _count(connection, stored, AUCTION)

    assert AUCTION.auction_close_us
    assert found == by_file
    assert Counter(each.in_auction for each in found.values()) == {False: 2, True: 1}


def test_the_engine_reads_columns_as_they_are_stored():
    """Symbols as their texts, instants as aware timestamps, in the order they have."""
    once = sorted_once(candles(2), DAY)
    with duckdb.connect() as connection:
        connection.register("rows", once.table(texts(SYMBOLS)))
        found = connection.execute(
            "SELECT symbol, epoch_us(timestamp), open, high, low, close, volume, typeof(timestamp) FROM rows"
        ).fetchall()

    assert [row[:-1] for row in found] == [(SYMBOLS[int(row[0])], *row[1:]) for row in rows_of(once)]
    assert {row[-1] for row in found} == {"TIMESTAMP WITH TIME ZONE"}
