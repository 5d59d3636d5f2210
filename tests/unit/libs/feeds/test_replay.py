"""A recording is a source like any other, and builds the bars it was made from."""

from __future__ import annotations

import random

from libs.bars import BarAggregator
from libs.contracts import OHLCVBar, Tick
from libs.contracts.feed import FeedConnected, FeedEnded, Frame
from libs.feeds.replay import ReplayFeed, ticks_of
from tests.kit.clock import ManualClock
from tests.kit.market import random_bars, session


def play(feed: ReplayFeed, limit: int = 7) -> list[object]:
    feed.connect()
    events: list[object] = []
    while not (events and isinstance(events[-1], FeedEnded)):
        events += feed.poll(limit)
    return events


def recording() -> list[Tick]:
    start = session().open_us
    return [Tick(f"S{n % 3}", start + n * 200_000, 100.0 + n, volume=9, volume_day=n, seq=n + 1) for n in range(100)]


def test_every_tick_is_played_once_in_order():
    ticks = [
        tick
        for event in play(ReplayFeed(recording(), ManualClock()))
        if isinstance(event, Frame)
        for tick in event.ticks
    ]

    assert [tick.price for tick in ticks] == [tick.price for tick in recording()]
    assert {(tick.volume, tick.seq) for tick in ticks} == {(9, 0)}


def test_it_connects_first_and_ends_once():
    events = play(ReplayFeed(recording(), ManualClock()))

    assert isinstance(events[0], FeedConnected)
    assert [type(event) for event in events].count(FeedEnded) == 1


def test_only_subscribed_symbols_are_played():
    feed = ReplayFeed(recording(), ManualClock())
    feed.subscribe(["S1"])
    symbols = {tick.symbol for event in play(feed) if isinstance(event, Frame) for tick in event.ticks}

    assert symbols == {"S1"}


def test_speed_is_kept():
    """At ten times the speed, twenty seconds of market take two."""
    clock = ManualClock()
    feed = ReplayFeed(recording(), clock, speed=10)
    feed.connect()
    feed.poll(1000)
    clock.sleep(1)
    half = sum(len(event.ticks) for event in feed.poll(1000) if isinstance(event, Frame))
    clock.sleep(1.1)
    rest = feed.poll(1000)

    assert 40 <= half <= 55
    assert isinstance(rest[-1], FeedEnded)


def test_candles_are_built_again_from_their_ticks():
    """Prices and volume of every bar come out as they went in."""
    day = session(minutes=40)
    bars: list[OHLCVBar] = sorted(
        (bar for symbol in ("ACC", "TCS") for bar in random_bars(random.Random(3), day, symbol)),
        key=lambda bar: (bar.timestamp_us, bar.symbol),
    )
    aggregator = BarAggregator(day, grace_us=0)
    aggregator.on_connect(day.pre_open_us)
    made = []
    for tick in sorted(ticks_of(bars), key=lambda tick: tick.timestamp_us):
        made += aggregator.advance(tick.timestamp_us)
        aggregator.on_tick(tick)
    made += aggregator.advance(day.close_us + 60_000_000)
    minutes = [bar for bar in made if isinstance(bar, OHLCVBar) and bar.timeframe == "1m"]

    assert minutes == bars


def test_it_waits_at_each_pause_and_shows_the_time():
    """Whoever trades on ticks is done with a minute before the next tick of the market comes."""
    start = session().open_us
    pauses = [start + 4_000_000, start + 4_300_000, start + 90_000_000]
    feed = ReplayFeed(recording(), ManualClock(), pauses=pauses)
    feed.connect()
    heard: list[list[int]] = []
    while not (events := feed.poll(1000)) or not isinstance(events[-1], FeedEnded):
        heard.append([tick.timestamp_us for event in events if isinstance(event, Frame) for tick in event.ticks])
        last = events[-1]
        assert feed.is_held
        assert isinstance(last, Frame)
        assert (last.exchange_us, last.ticks) == (pauses[len(heard) - 1], [])
        assert not [event for event in feed.poll(1000) if isinstance(event, Frame)], "it is held"
        feed.is_held = False
    heard.append([tick.timestamp_us for event in events if isinstance(event, Frame) for tick in event.ticks])

    assert [tick for part in heard for tick in part] == [tick.timestamp_us for tick in recording()]
    assert [len(part) for part in heard] == [20, 2, 78], "none is played across a pause; none is waited for at the end"
