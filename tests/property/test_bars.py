"""C2: bars are a pure function of the stored ticks, whatever the feed did; streaming and vectorised agree."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import groupby

import msgspec
import polars as pl
import pytest

from libs.bars import BarAggregator, Resampler
from libs.bars.aggregator import LONG_TIMEFRAMES
from libs.bars.vectorised import resample
from libs.contracts import MinuteClosed, OHLCVBar, Tick
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND
from tests.kit.market import SYMBOLS, conflated_feed, random_bars, session
from tests.kit.sql_bars import bars_by_sql

GRACE_US = 2 * US_PER_SECOND
SHAPES = [{}, {"break_minutes": 13}, {"auction_minutes": 7}, {"minutes": 33}]


def run(aggregator, feed, journal):
    """What the ingestor does: close what is due, then book; keep a record of everything in order."""
    for arrived_us, quote in feed:
        journal += aggregator.advance(arrived_us)
        outcome, volume = aggregator.on_tick(quote)
        tick = msgspec.structs.replace(quote, volume=volume, seq=len(journal) + 1)
        journal.append((outcome, tick))
    journal += aggregator.advance(aggregator.session.last_us + GRACE_US + US_PER_MINUTE)
    return journal


def bars_of(journal, timeframe):
    return sorted(
        (r for r in journal if isinstance(r, OHLCVBar) and r.timeframe == timeframe),
        key=lambda bar: (bar.symbol, bar.timestamp_us),
    )


def ticks_of(journal):
    return [record[1] for record in journal if isinstance(record, tuple) and not record[0].is_late]


def tick_frame(ticks):
    columns = ("symbol", "timestamp_us", "price", "volume", "seq")
    schema = {"symbol": pl.String, "timestamp_us": pl.Int64, "price": pl.Float64, "volume": pl.Int64, "seq": pl.Int64}
    return pl.DataFrame([[getattr(t, name) for name in columns] for t in ticks], schema=schema, orient="row")


def bar_frame(bars):
    columns = ("symbol", "timestamp_us", "open", "high", "low", "close", "volume")
    schema = dict.fromkeys(columns, pl.Float64) | dict.fromkeys(("timestamp_us", "volume"), pl.Int64)
    rows = [[getattr(bar, name) for name in columns] for bar in bars]
    return pl.DataFrame(rows, schema=schema | {"symbol": pl.String}, orient="row")


@pytest.mark.parametrize("seed", range(40))
def test_bars_are_those_of_the_stored_ticks(seed):
    """Late, stale, repeated, conflated and stray frames included: a plain group-by gives the same bars."""
    rng = random.Random(seed)
    day = session(**SHAPES[seed % len(SHAPES)])
    aggregator = BarAggregator(day, grace_us=GRACE_US)
    aggregator.on_connect(day.pre_open_us - 1)
    journal = run(aggregator, conflated_feed(rng, day), [])

    streamed = bar_frame(bars_of(journal, "1m"))
    assert streamed.height > 50
    assert streamed.equals(bars_by_sql(tick_frame(ticks_of(journal)), day))
    for timeframe in LONG_TIMEFRAMES:
        assert bar_frame(bars_of(journal, timeframe)).equals(resample(streamed, timeframe, lambda _: day))


@pytest.mark.parametrize("seed", range(20))
def test_no_volume_is_lost_or_doubled(seed):
    """On one connection from before the open, what the ticks add is what the exchange counted."""
    rng = random.Random(seed)
    day = session()
    aggregator = BarAggregator(day, grace_us=GRACE_US)
    aggregator.on_connect(day.pre_open_us - 1)
    journal = run(aggregator, conflated_feed(rng, day), [])

    ticks = [record[1] for record in journal if isinstance(record, tuple)]
    for symbol in SYMBOLS:
        mine = [tick for tick in ticks if tick.symbol == symbol]
        assert sum(tick.volume for tick in mine) == max(tick.volume_day for tick in mine)
        assert all(tick.volume >= 0 for tick in mine)


@pytest.mark.parametrize("seed", range(12))
def test_each_minute_closes_once_with_its_bars_before_it(seed):
    """A subscriber that waits for MinuteClosed has every bar of that minute, in byte order within a timeframe."""
    rng = random.Random(seed)
    day = session(**SHAPES[seed % len(SHAPES)])
    aggregator = BarAggregator(day, grace_us=GRACE_US)
    aggregator.on_connect(day.pre_open_us - 1)
    records = [r for r in run(aggregator, conflated_feed(rng, day), []) if not isinstance(r, tuple)]

    closed, bars = [], []
    for record in records:
        if isinstance(record, MinuteClosed):
            assert record.count == len(bars)
            assert [t for t, _ in groupby(bars, lambda b: b.timeframe)] == [
                t for t in ("1m", *LONG_TIMEFRAMES) if any(b.timeframe == t for b in bars)
            ]
            for _, group in groupby(bars, lambda b: b.timeframe):
                symbols = [bar.symbol.encode() for bar in group]
                assert symbols == sorted(symbols)
            assert all(b.timestamp_us == record.timestamp_us for b in bars if b.timeframe == "1m")
            closed.append(record.timestamp_us)
            bars = []
        else:
            bars.append(record)
    assert closed == list(day.minutes)
    assert not bars


@pytest.mark.parametrize("how", ["journal", "state"])
@pytest.mark.parametrize("seed", range(25))
def test_a_restart_anywhere_changes_no_bar(seed, how):
    """Killed after any record, even between two bars of a minute: the bars go on exactly, none is made twice.

    A restart is a new connection, so the one that never died reconnects at that instant.
    """
    rng = random.Random(seed)
    day = session(**SHAPES[seed % len(SHAPES)])
    feed = list(conflated_feed(rng, day))
    cut = rng.randrange(len(feed))

    steady = BarAggregator(day, grace_us=GRACE_US)
    steady.on_connect(day.pre_open_us - 1)
    before: list = []
    for arrived_us, quote in feed[:cut]:
        before += steady.advance(arrived_us)
        outcome, volume = steady.on_tick(quote)
        before.append((outcome, msgspec.structs.replace(quote, volume=volume, seq=len(before) + 1)))
    reborn = BarAggregator(day, grace_us=GRACE_US)
    dead = list(before)
    if how == "state":
        reborn.restore(steady.state())
    else:
        if rng.random() < 0.5:  # die somewhere in the output of a closing
            before += steady.advance(feed[cut][0])
            dead = before[: rng.randrange(len(dead), len(before) + 1)]
        for record in dead:
            replay(reborn, record)
    steady.on_connect(feed[cut][0])
    reborn.on_connect(feed[cut][0])

    uninterrupted = run(steady, feed[cut:], list(before))
    recovered = run(reborn, feed[cut:], list(dead))
    for timeframe in ("1m", *LONG_TIMEFRAMES):
        assert bars_of(recovered, timeframe) == bars_of(uninterrupted, timeframe)
    closed = [r for r in recovered if isinstance(r, MinuteClosed)]
    assert closed == [r for r in uninterrupted if isinstance(r, MinuteClosed)]


def replay(aggregator, record):
    match record:
        case OHLCVBar():
            aggregator.replay_bar(record)
        case MinuteClosed():
            aggregator.replay_closed(record)
        case (outcome, Tick() as tick) if not outcome.is_late:
            aggregator.replay_tick(tick)


@pytest.mark.parametrize("timeframe", ["5m", "15m", "1h", "4h", "1d"])
@pytest.mark.parametrize("seed", range(6))
def test_resampling_bar_by_bar_is_resampling_columns(seed, timeframe):
    rng = random.Random(seed)
    days = {d.date: d for d in (session(date(2026, 2, 2) + timedelta(days=n), **SHAPES[n % 4]) for n in range(5))}
    bars = [bar for day in days.values() for bar in random_bars(rng, day, "ACC", density=rng.choice((0.05, 0.5, 1)))]
    resampler = Resampler(timeframe, days.get)
    streamed = [longer for bar in bars for longer in resampler.add(bar)] + resampler.flush()

    assert {bar.timeframe for bar in streamed} == {timeframe}
    assert bar_frame(streamed).equals(resample(bar_frame(bars), timeframe, days.get))
