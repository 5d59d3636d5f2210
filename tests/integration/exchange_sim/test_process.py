"""The simulator as a process: starts, says where it is, stops when told."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.kit.exchange_sim import running_simulator
from tests.kit.paths import PROJECT


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "services.exchange_sim", *arguments],
        cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_works():
    done = run("--help")

    assert done.returncode == 0
    assert "--port-file" in done.stdout


def test_sigterm_stops_it_cleanly():
    with running_simulator() as sim:
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
