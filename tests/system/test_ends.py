"""I1: whoever is asked to end does so by itself, whenever the word comes: its supervisor never has to kill it."""

from __future__ import annotations

import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.kit.fleet import free_port
from tests.kit.processes import DEADLINE_S, wait_until
from tests.kit.roots import ROOMY, copy_stores
from tests.kit.service import service
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths

#: All that can be asked alone; the watchdog is a part of its supervisor.
ALONE = ("ingestor", "scanner", "execution_engine", "backtest", "api", "ops", "exchange_sim")


def takes(number: signal.Signals, pid: int) -> bool:
    """Whether a process has said what to do with a signal."""
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text("ascii"))
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("name", ALONE)
def test_asked_to_end_in_the_middle_of_its_start_it_ends_well(tmp_path, name):  # noqa: F811  # the short one
    """While it loads, opens, recovers, waits for a broker that is not there, or already works."""
    root, rng = tmp_path / "d", random.Random(name)
    copy_stores(root)
    own = {"TRADEFLEET_DATA": str(root), "TRADEFLEET_API_PORT": str(free_port()), **ROOMY}
    with service(name, own | {"TRADEFLEET_EXCHANGE_SIM_PORT": str(free_port())}) as asked:
        for longest_s in (0.05, 0.5):
            asked.start()
            assert asked.process is not None
            pid = asked.process.pid
            wait_until(lambda pid=pid: takes(signal.SIGTERM, pid), "it to have begun")
            time.sleep(rng.uniform(0, longest_s))  # any instant will do
            asked.process.terminate()

            assert asked.process.wait(DEADLINE_S) == 0, asked.log.read_text()[-3000:]
