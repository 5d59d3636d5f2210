"""The simulator as a process: starts, says where it is, stops when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.kit.exchange_sim import IN_SESSION, running_simulator
from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.exchange_sim", *arguments],
        cwd=PROJECT, env=os.environ | {"TRADEFLEET_RUNTIME_START_SECONDS": "0"} | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_works():
    done = run("--help")

    assert done.returncode == 0
    assert "--port-file" in done.stdout


def test_sigterm_stops_it_cleanly_and_sighup_does_not():
    """Whoever sends SIGHUP to all of the fleet restarts nobody."""
    with running_simulator() as sim:
        sim.process.send_signal(signal.SIGHUP)
        assert sim.clock()["speed"] == 1.0
        sim.process.send_signal(signal.SIGTERM)

        assert sim.process.wait(30) == 0


def test_live_profile_is_refused():
    """Invented prices must never be taken for real ones."""
    done = run("--port", "0", TRADEFLEET_PROFILE="live")

    assert done.returncode == 78
    assert "live" in done.stderr


def test_host_beyond_this_machine_is_refused():
    done = run("--port", "0", "--host", "192.0.2.1")

    assert done.returncode == 78
    assert "192.0.2.1" in done.stderr


def test_killed_it_goes_on_where_it_was(data_root):
    """A broker does not forget what time it is: the fleet is shown no minute twice."""
    (data_root / "run").mkdir()
    own = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_EXCHANGE_SIM_START": IN_SESSION}
    with running_simulator(start=None, speed=60, symbols=1, **own) as sim:
        wait_until(lambda: "10:03" in sim.clock()["now"], "three minutes of the market")
        sim.clock(speed=1)
        before = sim.clock()["played_ms"]  # killed at the end of the block

    with running_simulator(start=None, speed=1, symbols=1, **own) as sim:
        assert before <= sim.clock()["played_ms"] < before + 120_000
