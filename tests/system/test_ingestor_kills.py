"""C3: the ingestor is killed again and again under load, and nothing that it acknowledged is missing or there twice."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from services.exchange_sim.market.instruments import Listing
from tests.kit.capture_checks import Stored, Witness, check
from tests.kit.exchange_sim import Simulator, running_simulator
from tests.kit.ingestor import Ingestor, ingestor
from tests.kit.processes import DEADLINE_S, wait_until

SYMBOLS, SEED = 8, 7
#: Where it kills itself, and at which hit; between the pieces of the path and inside each of them.
POINTS = [
    "journal.write.before:30", "journal.write.after:60", "ingestor.publish.before:45", "ingestor.candle.before:5",
    "journal.sync.after:4", "ingestor.ledger.after:3", "live.commit.after:5", "live.manifest.before:3",
]  # fmt: skip
FAST = {"TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "150", "TRADEFLEET_JOURNAL_SYNC_INTERVAL_MS": "50"}


def die_at(captured: Ingestor, point: str) -> None:
    """Let it run until it kills itself at a crash point."""
    captured.environment["TRADEFLEET_CRASH_AT"] = point
    captured.start()
    assert captured.process is not None
    assert captured.process.wait(DEADLINE_S) == -9, captured.log.read_text()[-3000:]
    del captured.environment["TRADEFLEET_CRASH_AT"]


def die_after(captured: Ingestor, seconds: float) -> None:
    """Kill it at an instant, which may lie in its start."""
    captured.start()
    time.sleep(seconds)
    captured.kill()


def finish(captured: Ingestor, sim: Simulator, witness: Witness) -> None:
    """Let it live for a while, stop it, and compare everything with everything."""
    captured.start()
    captured.wait_for(lambda status: status["capture"]["minutes"] >= 2, "bars after the last start")
    sim.clock(paused=True)
    status = captured.wait_for(lambda status: _took_in(status) == _sent(sim), "the ingestor to take in what was sent")
    for stream, told in status["told"].items():
        wait_until(
            lambda stream=stream, told=told: witness.position(stream) >= told, f"the witness to have all {stream}"
        )
    assert captured.stop() == 0, captured.log.read_text()[-3000:]
    stored = Stored(captured.data_root)
    symbol_of = {instrument.key: instrument.symbol for instrument in Listing(SYMBOLS, SEED).instruments}
    check(stored, sim.ticks(), symbol_of, witness)


def _took_in(status: dict[str, Any]) -> int:
    """Ticks of the living connection, whatever became of them."""
    return sum(status["capture"][kind] for kind in ("ticks", "late", "quarantined", "earlier_day"))


def _sent(sim: Simulator) -> int:
    sent = sim.ticks()
    return len(sent[max(sent, key=int)])


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_doubled_by_kills(data_root):
    """At every crash point of the path, and at seeded instants, start included."""
    rng = random.Random(SEED)
    with (
        running_simulator(speed=60, symbols=SYMBOLS, TRADEFLEET_EXCHANGE_SIM_SEED=str(SEED)) as sim,
        ingestor(data_root, sim, **FAST) as captured,
        Witness(captured.settings()) as witness,
    ):
        for point in POINTS:
            die_at(captured, point)
        for _ in range(2):
            die_after(captured, rng.uniform(0.3, 2.0))
        finish(captured, sim, witness)


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_or_doubled_by_twenty_kills(data_root, seed):
    """200 seeded instants in all."""
    rng = random.Random(seed)
    with (
        running_simulator(speed=60, symbols=SYMBOLS, TRADEFLEET_EXCHANGE_SIM_SEED=str(SEED)) as sim,
        ingestor(data_root, sim, **FAST) as captured,
        Witness(captured.settings()) as witness,
    ):
        for _ in range(20):
            die_after(captured, rng.uniform(0.3, 3.0))
        finish(captured, sim, witness)
