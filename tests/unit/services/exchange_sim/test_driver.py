"""The feed as it is played: the same day however it is played, and conflated as the broker's is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from libs.upstox.feed_messages import feed_messages
from services.exchange_sim.faults.plan import FaultPlan
from services.exchange_sim.feed.driver import Driver
from services.exchange_sim.feed.market_stream import MarketStream
from services.exchange_sim.feed.subscriptions import Subscriptions
from services.exchange_sim.market.market import Market
from tests.unit.services.exchange_sim.conftest import DAY, HandClock, at, make_desk, make_market


class Listener:
    """Stands where a connection would, and decodes what it is sent with the broker's own schema."""

    closed = ""

    def __init__(self, market: Market, mode: str, keys: list[str]) -> None:
        self.subscriptions = Subscriptions(market.listing)
        self.subscriptions.modes = dict.fromkeys(keys, mode)
        self.responses: list[Any] = []
        self.sent: list[tuple[str, int, float, int]] = []

    def push(self, payload: bytes, ticks: Any = ()) -> None:
        self.responses.append(feed_messages().FeedResponse.FromString(payload))
        self.sent.extend(ticks)


@dataclass
class Stage:
    """A driver with one listener."""

    market: Market
    driver: Driver
    listener: Listener
    faults: FaultPlan
    days: list[int] = field(default_factory=list)

    def play_to(self, instant_ms: int) -> None:
        asyncio.run(self.driver.play_to(instant_ms))

    def full(self, key: str) -> list[Any]:
        """The key's full feeds in the order they were sent."""
        return [response.feeds[key].fullFeed.marketFF for response in self.listener.responses if key in response.feeds]


def stage(
    clock: HandClock, mode: str = "full", *, start_ms: int | None = None, conflation_ms: int = 500, **shares: float
) -> Stage:
    market = make_market(clock, start_ms=start_ms)
    faults = FaultPlan(clock, 7)
    stream = MarketStream(market, faults, ticks_per_frame_max=3)
    listener = Listener(market, mode, [instrument.key for instrument in market.listing.instruments])
    stream.connections.append(listener)
    desk = make_desk(market)
    staged = Stage(market, None, listener, faults)
    staged.driver = Driver(
        market, desk.engine, stream, faults, conflation_ms=conflation_ms, skip_closed=False,
        depth_only_share=shares.get("depth_only", 0.1), missing_depth_share=shares.get("missing_depth", 0.02),
        new_day=lambda: staged.days.append(market.now_ms()), before_window=lambda _: None, after_window=lambda _: None,
    )  # fmt: skip
    return staged


def test_the_day_is_the_same_however_it_is_played(clock):
    """Speed, pauses and requests in between change when a tick is sent, never what it says."""
    straight, halting = stage(clock), stage(HandClock())
    straight.play_to(at(10, 3))
    for seconds in (1, 17, 17.3, 60, 61, 100, 180):
        halting.play_to(at(10) + int(seconds * 1000))

    assert straight.listener.sent == halting.listener.sent
    assert len(straight.listener.sent) > 500


def test_ticks_are_conflated_snapshots_of_the_trades(clock):
    """Several trades make one tick; volume is cumulative and exact, however few ticks there are."""
    staged = stage(clock, conflation_ms=1000)
    share = staged.market.listing.instruments[0]
    staged.play_to(at(10, 5))
    path = staged.market.path(share, DAY)
    sent = [row for row in staged.listener.sent if row[0] == share.key]
    trades = path.last_index(at(10, 5)) - path.last_index(at(10))
    volumes = [row[3] for row in sent]

    assert len(set(sent)) < trades
    assert volumes == sorted(volumes)
    assert volumes[-1] == path.volume[path.last_index(at(10, 5))]
    truth = set(zip(path.times_ms.tolist(), path.prices.tolist(), path.volume.tolist(), strict=True))
    assert {(row[1], row[2], row[3]) for row in sent} <= truth


def test_some_ticks_change_only_the_book(clock):
    staged = stage(clock, depth_only=0.5)
    quiet = staged.market.listing.instruments[4].key
    staged.play_to(at(10, 3))
    feeds = staged.full(quiet)
    repeats = [(a, b) for a, b in pairwise(feeds) if (a.ltpc.ltt, a.vtt) == (b.ltpc.ltt, b.vtt)]

    assert repeats
    assert any(a.marketLevel != b.marketLevel for a, b in repeats)


def test_some_full_ticks_lack_their_book_and_no_other_part(clock):
    staged = stage(clock, missing_depth=0.3)
    key = staged.market.listing.instruments[0].key
    staged.play_to(at(10, 2))
    bare = [feed for feed in staged.full(key) if not feed.HasField("marketLevel")]

    assert 0 < len(bare) < len(staged.full(key))
    assert all(feed.vtt and feed.ltpc.ltp and len(feed.marketOHLC.ohlc) == 2 for feed in bare)


def test_i1_is_the_last_complete_minute_and_equals_history(clock):
    staged = stage(clock)
    share = staged.market.listing.instruments[0]
    staged.play_to(at(10, 4))
    minutes = {candle.start_ms: candle for candle in staged.market.minutes(share, DAY, at(16))}
    seen = set()
    for response in staged.listener.responses:
        if share.key not in response.feeds or response.type != 1:
            continue
        day, minute = response.feeds[share.key].fullFeed.marketFF.marketOHLC.ohlc
        candle = minutes[minute.ts]
        seen.add(minute.ts)

        assert minute.ts == response.currentTs // 60_000 * 60_000 - 60_000
        assert (minute.open, minute.high, minute.low, minute.close, minute.vol) == (
            candle.open, candle.high, candle.low, candle.close, candle.volume,
        )  # fmt: skip
        assert (day.interval, day.ts) == ("1d", at(0))
    assert len(seen) >= 4


def test_a_frame_has_at_most_so_many_ticks_and_no_key_twice(clock):
    staged = stage(clock)
    staged.play_to(at(10, 1))
    sizes = [len(response.feeds) for response in staged.listener.responses]

    assert max(sizes) == 3
    assert sum(sizes) == len(staged.listener.sent)


def test_session_opens_and_closes_with_messages(clock):
    staged = stage(clock, start_ms=at(8, 59), conflation_ms=60_000)
    staged.play_to(at(16, 1))
    phases = [
        response.marketInfo.segmentStatus["NSE_EQ"] for response in staged.listener.responses if response.type == 2
    ]
    during_auction = [
        response.feeds[key].fullFeed.marketFF
        for response in staged.listener.responses if response.currentTs < at(9, 15)
        for key in response.feeds if key.startswith("NSE_EQ")
    ]  # fmt: skip
    share = staged.market.listing.instruments[0]
    last = staged.full(share.key)[-1]

    assert phases == [0, 1, 2, 4, 5, 3]
    assert all(feed.vtt == 0 and feed.ltpc.ltp == feed.ltpc.cp and feed.iep > 0 for feed in during_auction)
    assert during_auction
    assert last.marketOHLC.ohlc[1].ts == at(15, 29)
    assert last.vtt == staged.market.path(share, DAY).volume[-1]


def test_next_day_begins_with_nothing_traded(clock):
    staged = stage(clock, start_ms=at(15, 29), conflation_ms=60_000)
    tomorrow = 86_400_000
    staged.play_to(at(9, 17) + tomorrow)
    share = staged.market.listing.instruments[0]
    volumes = [row[3] for row in staged.listener.sent if row[0] == share.key]

    assert len(staged.days) == 1
    assert volumes[0] > volumes[-1] > 0
    assert 0 in volumes


def test_a_halted_share_sends_nothing(clock):
    staged = stage(clock)
    key = staged.market.listing.instruments[0].key
    staged.faults.add("halt", {"instrument_key": key})
    staged.play_to(at(10, 1))

    assert key not in {row[0] for row in staged.listener.sent}
    assert len({row[0] for row in staged.listener.sent}) == 5


BENT = {
    "price_spike": {"factor": 2.0},
    "stale_tick": {"age_s": 120.0},
    "out_of_order": {},
    "repeat_tick": {},
    "missing_depth": {},
}


@pytest.mark.parametrize("kind", BENT)
def test_price_faults_bend_the_feed_and_only_that(clock, kind):
    bent, straight = stage(clock, missing_depth=0.0), stage(HandClock(), missing_depth=0.0)
    key = bent.market.listing.instruments[0].key
    bent.faults.add(kind, {"instrument_key": key, "count": 1, **BENT[kind]})
    bent.play_to(at(10, 0, 20))
    straight.play_to(at(10, 0, 20))
    mine = [row for row in bent.listener.sent if row[0] == key]
    true = [row for row in straight.listener.sent if row[0] == key]
    others = [row for row in bent.listener.sent if row[0] != key]

    assert others == [row for row in straight.listener.sent if row[0] != key]
    if kind == "price_spike":
        assert [row for row in mine if row not in true] == [(key, true[0][1], round(true[0][2] * 2, 2), true[0][3])]
    elif kind == "stale_tick":
        assert len(mine) == len(true) + 1
        assert mine[1][1] <= mine[0][1] - 119_000
        assert mine[1][3] < mine[0][3]
    elif kind == "out_of_order":
        assert mine[:2] == [true[1], true[0]]
        assert mine[2:] == true[2:]
    elif kind == "repeat_tick":
        assert mine == [true[0], *true]
    else:
        assert mine == true
        assert [feed.HasField("marketLevel") for feed in bent.full(key)][:2] == [False, True]


def test_skewed_clock_is_wrong_everywhere(clock):
    skewed, straight = stage(clock), stage(HandClock())
    skewed.faults.add("clock_skew", {"offset_ms": -7000})
    skewed.play_to(at(10, 0, 10))
    straight.play_to(at(10, 0, 10))

    assert [row[1] for row in skewed.listener.sent] == [row[1] - 7000 for row in straight.listener.sent]
    assert {
        a.currentTs - b.currentTs for a, b in zip(skewed.listener.responses, straight.listener.responses, strict=True)
    } == {-7000}


def test_a_slow_machine_gets_a_slower_market_not_another_one(clock):
    """An hour passes while nobody plays: the clock is put back to what was played, and no window is left out."""
    staged = stage(clock)

    async def run_a_little() -> None:
        running = asyncio.create_task(staged.driver.run())
        clock.pass_s(3600)
        while staged.driver.windows_played < 2:  # noqa: ASYNC110  # nothing signals a window
            await asyncio.sleep(0.001)
        running.cancel()

    asyncio.run(run_a_little())

    assert staged.market.now_ms() <= at(10, 0, 3)
    assert staged.market.clock.held_back_ms > 3_500_000
    assert staged.driver.played_ms == at(10) + 500 * staged.driver.windows_played
