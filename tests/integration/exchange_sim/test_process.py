"""The simulator as a process: starts, says where it is, stops when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.exchange_sim.options import given_options
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


@pytest.mark.parametrize(
    ("words", "profile", "said"),
    [("--port 0", "live", "does not run under the live profile"), ("--port 0 --host 192.0.2.1", "demo", "192.0.2.1")],
)
def test_what_it_must_never_do_is_a_wrong_configuration(monkeypatch, capsys, words, profile, said):
    """Invented prices must never be taken for real ones, and nobody beyond this machine is to see them."""
    monkeypatch.setenv("TRADEFLEET_PROFILE", profile)
    monkeypatch.setenv("TRADEFLEET_RUNTIME_START_SECONDS", "0")
    monkeypatch.setattr(sys, "argv", ["exchange_sim", *words.split()])

    assert launch("exchange_sim", "services.exchange_sim.service", SystemClock(), given_options()) == 78
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("profile", ["paper", "live"])
def test_under_the_supervisor_it_has_nothing_to_do_outside_the_demo(monkeypatch, profile):
    """It ends with 0, which the supervisor does not try again and the watchdog does not complain of."""
    own = {"TRADEFLEET_PROFILE": profile, "TRADEFLEET_RUNTIME_START_SECONDS": "0", "SUPERVISOR_ENABLED": "1"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["exchange_sim"])

    assert launch("exchange_sim", "services.exchange_sim.service", SystemClock(), given_options()) == 0


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
