"""The subscriber: messages of one or several owners, in order and once, live and replayed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from libs.contracts.topics import FAMILIES
from libs.core.clock import Clock, SystemClock
from libs.core.waiting import wait_a_while
from libs.messaging.codec import Received
from libs.messaging.errors import BusRefused, GapUnrecoverable
from libs.messaging.follower import Follower
from libs.messaging.latest import LatestFollower
from libs.messaging.metrics import SubscriberMetrics
from libs.messaging.wires import SubscriberWire
from libs.settings.bus import Bus
from libs.settings.model import Settings

#: Messages read from one owner before the next gets its turn; few, because what waits decoded costs memory and time.
_MESSAGES_A_TURN, _BYTES_A_TURN = 32, 32_768
_WAIT_S = 0.05


class Subscriber:
    """Reads streams; belongs to one thread or event loop.

    `positions` resumes each stream after a seq; without one a stream begins where it is when the join is answered, or,
    with `backfill`, with the first message of today. What was lost for good is handed to `on_gap` and counted; with
    `strict` it is raised from `poll` instead. With `latest` only the newest message of each topic is kept, and nothing
    is replayed.
    """

    def __init__(
        self,
        topics: Sequence[str],
        connect: Callable[[str], SubscriberWire],
        wait: Callable[[Sequence[SubscriberWire], float], None],
        *,
        settings: Bus,
        clock: Clock,
        backfill: bool = False,
        positions: Mapping[str, int] | None = None,
        latest: bool = False,
        strict: bool = False,
        on_gap: Callable[[GapUnrecoverable], None] | None = None,
    ) -> None:
        if latest and (backfill or positions):
            raise BusRefused("latest keeps only the newest of each topic: it goes with neither backfill nor positions")
        self.metrics = SubscriberMetrics()
        self.gaps: deque[GapUnrecoverable] = deque(maxlen=100)
        self._wait = wait
        self._clock = clock
        self._strict = strict
        self._on_gap = on_gap
        self._raise: deque[GapUnrecoverable] = deque()
        self._ready: deque[Received] = deque()
        self._latest: dict[str, Received] | None = {} if latest else None
        self._links: list[tuple[SubscriberWire, Follower | LatestFollower]] = []
        try:
            for owner, streams in by_owner(topics, list(settings.ports)).items():
                wire = connect(owner)
                follower: Follower | LatestFollower
                if latest:
                    follower = LatestFollower(wire, streams, metrics=self.metrics, deliver=self._keep_latest)
                else:
                    follower = Follower(
                        owner, wire, streams, settings=settings, metrics=self.metrics, deliver=self._ready.append,
                        report=self._report, positions=positions or {}, backfill=backfill,
                    )  # fmt: skip
                self._links.append((wire, follower))
                follower.start(clock.monotonic_ns())
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        topics: Sequence[str],
        *,
        settings: Settings,
        clock: Clock | None = None,
        backfill: bool = False,
        positions: Mapping[str, int] | None = None,
        latest: bool = False,
        strict: bool = False,
        on_gap: Callable[[GapUnrecoverable], None] | None = None,
    ) -> Self:
        """Connect to the owners of these topics; they need not be there yet, and may come and go."""
        from libs.messaging.sockets import FollowerSockets, Waiter

        return cls(
            topics, lambda owner: FollowerSockets(owner, settings), Waiter(), settings=settings.bus,
            clock=clock or SystemClock(), backfill=backfill, positions=positions, latest=latest, strict=strict,
            on_gap=on_gap,
        )  # fmt: skip

    @property
    def joined(self) -> bool:
        """Whether every owner answered and nothing is being caught up on."""
        return all(follower.joined for _, follower in self._links)

    def joined_to(self, owner: str) -> bool:
        """Whether one owner answered and nothing of its is being caught up on; others may not be there at all."""
        return all(each.joined for _, each in self._links if isinstance(each, Follower) and each.owner == owner)

    def positions(self) -> dict[str, int]:
        """Up to where each stream is complete in what `poll` has handed out.

        To resume from here loses nothing, and repeats what came since the last head.
        """
        complete = {stream: seq for _, follower in self._links for stream, seq in follower.positions().items()}
        for message in self._ready:
            complete[message.stream] = min(complete.get(message.stream, message.seq), message.seq - 1)
        return complete

    def poll(self, timeout_s: float = 0.0) -> Received | None:
        """Give the next message, or None when none came in time."""
        if self._ready:
            return self._ready.popleft()
        end_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while True:
            self._read()
            if self._raise:
                raise self._raise.popleft()
            if self._latest:
                return self._latest.pop(next(iter(self._latest)))
            if self._ready:
                return self._ready.popleft()
            left_s = (end_ns - self._clock.monotonic_ns()) / 1e9
            if left_s <= 0:
                return None
            self._wait([wire for wire, _ in self._links], min(left_s, _WAIT_S))

    def __iter__(self) -> Iterator[Received]:
        """Give messages for ever."""
        while True:
            message = self.poll(_WAIT_S)
            if message is not None:
                yield message

    async def __aiter__(self) -> AsyncGenerator[Received, None]:
        """Give messages for ever, inside an event loop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        descriptors = [descriptor for wire, _ in self._links for descriptor in wire.descriptors()]
        for descriptor in descriptors:
            loop.add_reader(descriptor, woken.set)
        try:
            while True:
                woken.clear()
                message = self.poll()
                if message is not None:
                    yield message
                    continue
                # ZeroMQ's descriptor tells of edges only, and joining has its own timers: hence the timeout.
                await wait_a_while(woken, _WAIT_S)
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def close(self) -> None:
        for wire, _ in self._links:
            wire.close()
        self._links.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        for wire, follower in self._links:
            while (reply := wire.reply()) is not None:
                follower.on_reply(reply)
            now_us, size = self._clock.now_us(), 0
            receive, take = wire.message, follower.on_message
            for _ in range(_MESSAGES_A_TURN):
                message = receive()
                if message is None:
                    break
                take(message[0], message[1], now_us)
                size += len(message[1])
                if size > _BYTES_A_TURN:
                    break
            follower.on_time(self._clock.monotonic_ns())

    def _keep_latest(self, message: Received) -> None:
        if self._latest is not None:
            self._latest[message.topic] = message

    def _report(self, gap: GapUnrecoverable) -> None:
        self.gaps.append(gap)
        if self._strict:
            self._raise.append(gap)
        if self._on_gap is not None:
            self._on_gap(gap)


def by_owner(topics: Sequence[str], services: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Sort topic prefixes by the service that publishes them, and there by stream."""
    owners: dict[str, dict[str, list[str]]] = {}
    for text in topics:
        family = text.partition(".")[0]
        if family not in FAMILIES or "." not in text:
            raise BusRefused(
                f"{text!r} names no topics: begin with a family and a dot, e.g. 'candle.1m.'; families are "
                f"{', '.join(FAMILIES)}"
            )
        _, stream, owner = FAMILIES[family]
        for name in services if owner == "every service" else [owner]:
            prefixes = owners.setdefault(name, {}).setdefault(stream, [])
            if text not in prefixes:
                prefixes.append(text)
    if not owners:
        raise BusRefused("a subscription needs at least one topic")
    return owners


def unpacked(message: Received) -> Sequence[Any]:
    """Give what one message says: one payload, or each tick of a batch."""
    payload = message.payload
    return payload.ticks if hasattr(payload, "ticks") else (payload,)
