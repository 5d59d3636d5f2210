"""The bus in memory: the publisher and subscriber of `libs.messaging` over wires that lose, repeat and delay by seed.

Everything above the wire is the real thing. What the wire does is what ZeroMQ may do and worse: a subscriber misses
messages while its queue is full, a network repeats nothing but we let it, subscriptions and requests take their time.
Order within one connection is kept, as ZeroMQ keeps it. Time is the bus's own clock, which moves when a reader waits.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Generic, TypeVar

import msgspec

from libs.messaging import GapUnrecoverable, Publisher, ReplaySource, Subscriber
from libs.messaging.wires import SubscriberWire
from libs.settings.bus import Bus
from libs.simulation.clock import ManualClock


class Faults(msgspec.Struct, frozen=True):
    """How unreliable the wires are; each figure is a probability a message, the delay a maximum in seconds."""

    loss: float = 0.0
    repetition: float = 0.0
    delay_max_s: float = 0.0


T = TypeVar("T")


class _Line(Generic[T]):
    """One direction of one connection: in order, each item there after its delay."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._items: deque[tuple[int, T]] = deque()
        self._last_ns = 0

    def put(self, item: T) -> None:
        due_ns = self._bus.clock.monotonic_ns() + self._bus.delay_ns()
        self._last_ns = max(self._last_ns, due_ns)  # what is sent later never overtakes
        self._items.append((self._last_ns, item))

    def take(self) -> T | None:
        if self._items and self._items[0][0] <= self._bus.clock.monotonic_ns():
            return self._items.popleft()[1]
        return None


class _PublisherWire:
    """An owner's end. Subscribers find it by the service's name; a restarted owner takes its place."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.readers: list[_ReaderWire] = []
        self.upstream: _Line[tuple[_ReaderWire, bytes]] = _Line(bus)
        self.asked: _Line[tuple[_ReaderWire, bytes]] = _Line(bus)
        self._counts: Counter[bytes] = Counter()
        self._prefixes: dict[_ReaderWire, set[bytes]] = {}

    def send(self, topic_bytes: bytes, body: bytes) -> bool:
        reached = True
        for reader in self.readers:
            if topic_bytes.startswith(tuple(self._prefixes.get(reader, ()))):
                reached &= reader.offer(topic_bytes, body)
        return reached

    def subscriptions(self, limit: int) -> Iterator[bytes]:
        for _ in range(limit):
            event = self.upstream.take()
            if event is None:
                return
            reader, change = event
            wanted, prefix = change[0] == 1, change[1:]
            prefixes = self._prefixes.setdefault(reader, set())
            if wanted == (prefix in prefixes):
                continue
            (prefixes.add if wanted else prefixes.discard)(prefix)
            self._counts[prefix] += 1 if wanted else -1
            # Like XPUB: only the first and the last of a kind are told.
            if self._counts[prefix] == int(wanted):
                yield change

    def requests(self, limit: int) -> Iterator[tuple[bytes, bytes]]:
        for _ in range(limit):
            request = self.asked.take()
            if request is None:
                return
            reader, body = request
            if reader in self.readers:
                yield str(self.readers.index(reader)).encode(), body

    def reply(self, identity: bytes, body: bytes) -> None:
        self.readers[int(identity)].answers.put(body)

    def descriptors(self) -> list[int]:
        return []

    def forget(self, reader: _ReaderWire) -> None:
        """A reader is gone: its subscriptions end, and its place stays empty so that the others keep theirs."""
        for prefix in list(self._prefixes.get(reader, ())):
            self.upstream.put((reader, b"\0" + prefix))

    def close(self) -> None:
        self._bus.remove(self)


class _ReaderWire:
    """A subscriber's end of the connection to one owner; keeps its subscriptions across the owner's restarts."""

    def __init__(self, bus: MemoryBus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._prefixes: dict[bytes, None] = {}
        self.inbox: _Line[tuple[bytes, bytes]] = _Line(bus)
        self.answers: _Line[bytes] = _Line(bus)

    def connected(self, owner: _PublisherWire) -> None:
        for prefix in self._prefixes:
            owner.upstream.put((self, b"\1" + prefix))

    def offer(self, topic_bytes: bytes, body: bytes) -> bool:
        faults, random = self._bus.faults, self._bus.random
        if random.random() < faults.loss:
            return False
        self.inbox.put((topic_bytes, body))
        if random.random() < faults.repetition:
            self.inbox.put((topic_bytes, body))
        return True

    def subscribe(self, prefix: str) -> None:
        self._prefixes[prefix.encode()] = None
        self._tell(b"\1" + prefix.encode())

    def unsubscribe(self, prefix: str) -> None:
        self._prefixes.pop(prefix.encode(), None)
        self._tell(b"\0" + prefix.encode())

    def request(self, body: bytes) -> None:
        owner = self._bus.owner(self._service)
        if owner is not None and self._bus.random.random() >= self._bus.faults.loss:
            owner.asked.put((self, body))

    def message(self) -> tuple[bytes, bytes] | None:
        return self.inbox.take()

    def reply(self) -> bytes | None:
        return self.answers.take()

    def descriptors(self) -> list[int]:
        return []

    def close(self) -> None:
        self._bus.disconnect(self._service, self)

    def _tell(self, change: bytes) -> None:
        owner = self._bus.owner(self._service)
        if owner is not None:
            owner.upstream.put((self, change))


class MemoryBus:
    """Owners and readers in one process and one thread, without sockets."""

    def __init__(
        self, settings: Bus, *, random: Random, clock: ManualClock | None = None, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.random = random
        self.clock = clock or ManualClock()
        self.faults = faults or Faults()
        self._owners: dict[str, _PublisherWire] = {}
        self._readers: dict[str, list[_ReaderWire]] = {}

    def publisher(self, service: str, *, source: ReplaySource | None = None, epoch: str = "") -> Publisher:
        """Open a service's publisher; one that was open before is dead from now on."""
        wire = _PublisherWire(self)
        self._owners[service] = wire
        for reader in self._readers.get(service, []):
            wire.readers.append(reader)
            reader.connected(wire)
        return Publisher(service, wire, source=source, settings=self.settings, clock=self.clock, epoch=epoch)

    def subscriber(
        self,
        topics: Sequence[str],
        *,
        backfill: bool = False,
        positions: Mapping[str, int] | None = None,
        latest: bool = False,
        strict: bool = False,
        on_gap: Callable[[GapUnrecoverable], None] | None = None,
    ) -> Subscriber:
        """Open a subscriber; the owners need not be there yet."""
        return Subscriber(
            topics, self._connect, self._wait, settings=self.settings, clock=self.clock, backfill=backfill,
            positions=positions, latest=latest, strict=strict, on_gap=on_gap,
        )  # fmt: skip

    def owner(self, service: str) -> _PublisherWire | None:
        return self._owners.get(service)

    def delay_ns(self) -> int:
        return int(self.random.uniform(0, self.faults.delay_max_s) * 1e9)

    def remove(self, wire: _PublisherWire) -> None:
        self._owners = {service: owner for service, owner in self._owners.items() if owner is not wire}

    def disconnect(self, service: str, reader: _ReaderWire) -> None:
        """Forget a reader that closed; its owner sees its subscriptions end."""
        self._readers.get(service, []).remove(reader)
        owner = self.owner(service)
        if owner is not None:
            owner.forget(reader)

    def _connect(self, service: str) -> _ReaderWire:
        reader = _ReaderWire(self, service)
        self._readers.setdefault(service, []).append(reader)
        owner = self.owner(service)
        if owner is not None:
            owner.readers.append(reader)
        return reader

    def _wait(self, _wires: Sequence[SubscriberWire], timeout_s: float) -> None:
        self.clock.advance(timeout_s)
