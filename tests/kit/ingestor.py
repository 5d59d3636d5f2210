"""The ingestor as a process beside the test, fed by a simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.exchange_sim import Simulator
from tests.kit.service import Service, service

Ingestor = Service


@contextmanager
def ingestor(data_root: Path, sim: Simulator | None, **environment: str) -> Iterator[Ingestor]:
    """Give an ingestor that is not started yet; killed at the end of the block at the latest."""
    own = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_PROFILE": "demo"} | environment
    if sim is not None:
        own["TRADEFLEET_UPSTOX_API_URL"] = sim.url
    with service("ingestor", own) as made:
        made.log = data_root.parent / "ingestor.log"  # the environment may name a root that is not there
        yield made
