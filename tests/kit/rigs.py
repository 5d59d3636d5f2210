"""One face for both buses, so that a test of the bus runs over sockets and in memory."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import msgspec

from libs.messaging import Publisher, Received, Subscriber
from libs.settings import load_settings
from libs.simulation.bus import Faults, MemoryBus
from tests.kit.journals import ListJournal, Owner
from tests.kit.processes import DEADLINE_S


class Rig:
    """An ingestor with its journal, and its readers."""

    def __init__(self, data_root: Path, **bus: int) -> None:
        settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
        bus = {"head_interval_ms": 100, "sync_timeout_ms": 100, "replay_timeout_ms": 300} | bus
        self.settings = msgspec.structs.replace(settings, bus=msgspec.structs.replace(settings.bus, **bus))
        self.journal = ListJournal()
        self.readers: list[tuple[Subscriber, list[Received]]] = []
        self.owner = self._open_owner()

    def restart_owner(self) -> None:
        """Kill the owner and start it on the same journal."""
        self.owner.publisher.close()
        self.owner = self._open_owner()
        for stream in self.journal.streams[:2]:
            self.owner.publisher.prime(stream, self.journal.last_by_topic(stream), self.journal.head(stream))

    def reader(self, *topics: str, **options) -> tuple[Subscriber, list[Received]]:
        self.readers.append((self._open_reader(topics, options), []))
        return self.readers[-1]

    def turn(self) -> None:
        """Give everybody a turn and let a little time pass."""
        self.owner.publisher.pump()
        for subscriber, got in self.readers:
            while (message := subscriber.poll()) is not None:
                got.append(message)
        self._pass_time()

    def until(self, condition, what: str) -> None:
        """Take turns until it holds; fail after a generous time."""
        started = self._elapsed_s()
        while not condition():
            if self._elapsed_s() - started > DEADLINE_S:
                metrics = [subscriber.metrics.snapshot() for subscriber, _ in self.readers]
                raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}: {metrics}")
            self.turn()

    def all_live(self) -> None:
        self.until(lambda: all(subscriber.joined for subscriber, _ in self.readers), "every reader to be live")

    def close(self) -> None:
        for subscriber, _ in self.readers:
            subscriber.close()
        self.owner.publisher.close()


class SocketRig(Rig):
    """Over ZeroMQ, ipc."""

    def _open_owner(self) -> Owner:
        return Owner(self.journal, Publisher.open("ingestor", settings=self.settings, source=self.journal))

    def _open_reader(self, topics, options) -> Subscriber:
        return Subscriber.open(topics, settings=self.settings, **options)

    def _pass_time(self) -> None:
        time.sleep(0.001)

    def _elapsed_s(self) -> float:
        return time.monotonic()


class MemoryRig(Rig):
    """In memory, over wires as bad as `faults` says."""

    def __init__(self, data_root: Path, *, seed: int = 1, faults: Faults | None = None, **bus: int) -> None:
        settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
        self.bus = MemoryBus(settings.bus, random=Random(seed), faults=faults)
        super().__init__(data_root, **bus)

    def _open_owner(self) -> Owner:
        self.bus.settings = self.settings.bus
        return Owner(self.journal, self.bus.publisher("ingestor", source=self.journal))

    def _open_reader(self, topics, options) -> Subscriber:
        return self.bus.subscriber(topics, **options)

    def _pass_time(self) -> None:
        self.bus.clock.advance(0.01)

    def _elapsed_s(self) -> float:
        return self.bus.clock.monotonic_ns() / 1e9
