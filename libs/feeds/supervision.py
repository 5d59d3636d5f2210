"""The one layer that keeps a source alive: reconnects with growing waits, and tells a quiet market from a dead feed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from libs.contracts.feed import FeedConnected, FeedEnded, FeedEvent, FeedLost, FeedPong, Frame
from libs.core.clock import Clock
from libs.core.errors import FleetError, RetryLater
from libs.feeds.interface import Feed
from libs.settings.feed import Feed as Settings


class LinkState(StrEnum):
    """Where the connection is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(slots=True)
class SupervisorFigures:
    """What the supervision counted."""

    connects: int = 0
    losses: int = 0
    stalls: int = 0
    overflows: int = 0
    refusals: int = 0
    frames: int = 0
    pongs: int = 0
    damaged: int = 0


class FeedSupervisor:
    """Polls a source and mends it. Every `poll` also looks at the time; nothing here waits.

    `is_open` says whether the session is open: only then is silence a stall. A loss is passed on as the source gave it,
    or made here when the source went silent.
    """

    def __init__(
        self, feed: Feed, settings: Settings, clock: Clock, rng: random.Random, is_open: Callable[[], bool]
    ) -> None:
        self.feed = feed
        self.figures = SupervisorFigures()
        self.state = LinkState.IDLE
        self.last_error = ""
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._is_open = is_open
        self._failures = 0
        self._since_ns = 0  # when the state was entered
        self._wait_ns = 0
        self._life_ns = 0  # last frame or pong
        self._frame_ns = 0  # last frame, or when the session opened
        self._was_open = False

    def start(self) -> None:
        """Connect for the first time."""
        self._connect(self._clock.monotonic_ns())

    def poll(self, limit: int) -> list[FeedEvent]:
        """Give what happened since the last call."""
        events = self.feed.poll(limit)
        now_ns = self._clock.monotonic_ns()
        for event in events:
            self._note(event, now_ns)
        # While there is a backlog its frames are life too, and older than they look.
        if not events or self.state is not LinkState.LIVE:
            lost = self._watch(now_ns)
            if lost is not None:
                events.append(lost)
        return events

    def close(self) -> None:
        self.feed.close()
        self.state = LinkState.ENDED

    def _note(self, event: FeedEvent, now_ns: int) -> None:
        if isinstance(event, Frame):
            self.figures.frames += 1
            self._life_ns = self._frame_ns = now_ns
            self._failures = 0
        elif isinstance(event, FeedPong):
            self.figures.pongs += 1
            self._life_ns = now_ns
        elif isinstance(event, FeedConnected):
            self.figures.connects += 1
            self._enter(LinkState.LIVE, now_ns)
            self._life_ns = self._frame_ns = now_ns
        elif isinstance(event, FeedLost):
            self._lost(event, now_ns)
        elif isinstance(event, FeedEnded):
            self._enter(LinkState.ENDED, now_ns)
        else:
            self.figures.damaged += 1
            self._life_ns = now_ns

    def _watch(self, now_ns: int) -> FeedLost | None:
        if self.state is LinkState.WAITING and now_ns - self._since_ns >= self._wait_ns:
            self._connect(now_ns)
        elif self.state is LinkState.CONNECTING and now_ns - self._since_ns >= self._settings.open_timeout_ms * 10**6:
            return self._given_up(now_ns, "disconnect", f"no answer within {self._settings.open_timeout_ms} ms")
        elif self.state is LinkState.LIVE:
            return self._watch_silence(now_ns)
        return None

    def _watch_silence(self, now_ns: int) -> FeedLost | None:
        is_open = self._is_open()
        if is_open and not self._was_open:
            self._frame_ns = now_ns
        self._was_open = is_open
        silent_s = (now_ns - self._life_ns) / 1e9
        if silent_s >= self._settings.pong_timeout_s:
            self.figures.stalls += 1
            return self._given_up(now_ns, "stall", f"neither frame nor pong for {silent_s:.0f} s")
        quiet_s = (now_ns - self._frame_ns) / 1e9
        if is_open and quiet_s >= self._settings.stall_timeout_s:
            self.figures.stalls += 1
            return self._given_up(now_ns, "stall", f"no frame for {quiet_s:.0f} s while the session is open")
        return None

    def _given_up(self, now_ns: int, cause: str, detail: str) -> FeedLost:
        self.feed.disconnect()
        lost = FeedLost(self._clock.now_us(), cause, detail)
        self._lost(lost, now_ns)
        return lost

    def _lost(self, event: FeedLost, now_ns: int) -> None:
        self.figures.losses += 1
        self.figures.overflows += event.cause == "overflow"
        self.figures.refusals += event.refused
        self.last_error = event.detail
        self._back_off(now_ns)

    def _connect(self, now_ns: int) -> None:
        self._enter(LinkState.CONNECTING, now_ns)
        try:
            self.feed.connect()
        except FleetError as e:
            # Credentials that are missing at the start will be missing later; those that were there may come back.
            if not (isinstance(e, RetryLater) or self.figures.connects):
                raise
            self.last_error = str(e)
            self._back_off(now_ns)

    def _back_off(self, now_ns: int) -> None:
        self._wait_ns = self.wait_ms(self._failures) * 1_000_000
        self._failures += 1
        self._enter(LinkState.WAITING, now_ns)

    def wait_ms(self, failures: int) -> int:
        """How long to wait after so many failures in a row: doubling, bounded, part of it drawn by lot."""
        longest = min(self._settings.backoff_max_ms, self._settings.backoff_min_ms * 2 ** min(failures, 30))
        drawn = longest * self._settings.backoff_jitter_percent / 100
        return int(longest - drawn + self._rng.random() * drawn)

    def _enter(self, state: LinkState, now_ns: int) -> None:
        self.state = state
        self._since_ns = now_ns
