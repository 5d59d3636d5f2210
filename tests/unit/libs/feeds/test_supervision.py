"""Supervision: a dead feed is noticed and connected anew, with growing waits; a quiet one is left alone."""

from __future__ import annotations

import random

import pytest

from libs.contracts.feed import FeedConnected, FeedEvent, FeedLost, FeedPong, Frame
from libs.core.errors import Refused, RetryLater
from libs.feeds import FeedSupervisor
from libs.feeds.supervision import LinkState
from libs.settings.feed import Feed as Settings
from tests.kit.clock import ManualClock

SETTINGS = Settings(ping_interval_s=10, pong_timeout_s=25, stall_timeout_s=60)


class ScriptedFeed:
    """Says what the test puts into `events`."""

    symbols_max = 10

    def __init__(self) -> None:
        self.events: list[FeedEvent] = []
        self.connects = self.disconnects = 0
        self.error: Exception | None = None

    def connect(self) -> None:
        self.connects += 1
        if self.error:
            raise self.error

    def poll(self, limit: int) -> list[FeedEvent]:
        given, self.events = self.events[:limit], self.events[limit:]
        return given

    def disconnect(self) -> None:
        self.disconnects += 1

    def close(self) -> None:
        self.disconnects += 1


class Bench:
    def __init__(self, *, is_open: bool = True) -> None:
        self.clock = ManualClock()
        self.feed = ScriptedFeed()
        self.is_open = is_open
        self.supervisor = FeedSupervisor(
            self.feed, SETTINGS, self.clock, random.Random(1), lambda: self.is_open
        )  # fmt: skip
        self.supervisor.start()
        self.say(FeedConnected(0))

    def say(self, *events: FeedEvent) -> list[FeedEvent]:
        self.feed.events += events
        return self.supervisor.poll(100)

    def pass_time(self, seconds: float, *, pongs: bool = False, frames: bool = False) -> list[FeedEvent]:
        """Let so many seconds go by, five at a time, and give the losses."""
        losses = []
        for _ in range(int(seconds / 5)):
            self.clock.sleep(5)
            said = self.say(*([FeedPong(0)] if pongs else []), *([Frame(1, 1, [])] if frames else []))
            losses += [event for event in said + self.supervisor.poll(100) if isinstance(event, FeedLost)]
            if self.supervisor.state is LinkState.CONNECTING:
                self.say(FeedConnected(0))
        return losses


def test_live_feed_is_left_alone():
    bench = Bench()

    assert bench.pass_time(600, frames=True) == []
    assert bench.feed.connects == 1


def test_mute_peer_is_noticed_though_the_market_is_closed():
    """Neither frame nor pong: it is dead at any hour."""
    bench = Bench(is_open=False)

    assert [loss.cause for loss in bench.pass_time(30)] == ["stall"]
    assert bench.feed.disconnects == 1


def test_pongs_are_life_outside_the_session():
    """Nothing trades at night; that is no stall."""
    assert Bench(is_open=False).pass_time(3600, pongs=True) == []


def test_pongs_do_not_excuse_silence_in_the_session():
    """A server that answers pings and sends no quotes is of no use."""
    losses = Bench().pass_time(90, pongs=True)

    assert [loss.cause for loss in losses] == ["stall"]
    assert "session is open" in losses[0].detail


def test_silence_counts_from_the_opening():
    """An hour without quotes before the open is no stall at the open."""
    bench = Bench(is_open=False)
    bench.pass_time(3600, pongs=True)
    bench.is_open = True

    assert bench.pass_time(55, pongs=True) == []
    assert len(bench.pass_time(30, pongs=True)) == 1


def test_lost_feed_is_connected_anew_after_a_wait_that_grows():
    bench = Bench()
    waits = []
    for _ in range(10):
        bench.say(FeedLost(0, "disconnect"))
        before_ns = bench.clock.monotonic_ns()
        connects = bench.feed.connects
        while bench.feed.connects == connects:
            bench.clock.sleep(0.05)
            bench.supervisor.poll(1)
        waits.append((bench.clock.monotonic_ns() - before_ns) / 1e6)

    assert waits[0] <= SETTINGS.backoff_min_ms + 50
    assert waits[4] > waits[0]
    assert max(waits) <= SETTINGS.backoff_max_ms + 50
    assert waits[-1] >= SETTINGS.backoff_max_ms * 0.4


def test_a_frame_makes_the_next_wait_short_again():
    bench = Bench()
    for _ in range(8):
        bench.say(FeedLost(0, "disconnect"))
    bench.say(FeedConnected(0), Frame(1, 1, []))
    bench.say(FeedLost(0, "disconnect"))
    before = bench.feed.connects
    bench.clock.sleep(SETTINGS.backoff_min_ms / 1000)
    bench.supervisor.poll(1)

    assert bench.feed.connects == before + 1


def test_waits_differ_between_processes():
    """A hundred clients that lost the same server do not come back in the same instant."""
    waits = {Bench().supervisor.wait_ms(5) for _ in range(3)}
    other = FeedSupervisor(ScriptedFeed(), SETTINGS, ManualClock(), random.Random(2), lambda: True)

    assert other.wait_ms(5) not in waits


def test_connection_that_never_opens_is_given_up():
    bench = Bench()
    bench.say(FeedLost(0, "disconnect"))
    bench.clock.sleep(1)
    bench.supervisor.poll(1)
    assert bench.supervisor.state is LinkState.CONNECTING
    bench.clock.sleep(SETTINGS.open_timeout_ms / 1000)
    lost = bench.supervisor.poll(1)

    assert [type(event) for event in lost] == [FeedLost]
    assert bench.supervisor.state is LinkState.WAITING


def test_connect_that_fails_is_tried_again():
    bench = Bench()
    bench.feed.error = RetryLater("no route")
    bench.say(FeedLost(0, "disconnect"))
    for _ in range(3):
        bench.clock.sleep(40)
        bench.supervisor.poll(1)

    assert bench.feed.connects == 4
    assert bench.supervisor.last_error == "no route"


def test_missing_token_stops_a_start_but_not_a_running_capture():
    """At night the token file is being replaced; the bars of the day must not die of it."""
    bench = Bench()
    bench.feed.error = Refused("no token")
    bench.say(FeedLost(0, "disconnect"))
    bench.clock.sleep(40)
    bench.supervisor.poll(1)
    assert bench.supervisor.state is LinkState.WAITING
    fresh = FeedSupervisor(bench.feed, SETTINGS, bench.clock, random.Random(1), lambda: True)
    with pytest.raises(Refused):
        fresh.start()
