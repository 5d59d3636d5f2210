"""I1: the fleet under supervisord, as people type it: start, look, tail, restart one, stop without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until

Control = Callable[..., str]


@pytest.fixture
def home(tmp_path):
    """A checkout of its own (by links), so that a running demo is not disturbed. Socket paths are short: 99 bytes."""
    for name in ("cli", "libs", "services", "config", "pyproject.toml"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "supervisord.conf").write_text((PROJECT / "supervisord.conf").read_text("utf-8"))
    (tmp_path / "data" / "run").mkdir(parents=True, mode=0o700)
    return tmp_path


@pytest.fixture
def control(home):
    """`supervisorctl` on a fleet that is up; the fleet is gone when the test ends."""
    environment = os.environ | {
        "TRADEFLEET_EXCHANGE_SIM_PORT": "0", "TRADEFLEET_DATA": str(home / "data"),
        "PYTHONPATH": os.pathsep.join([str(home), *sys.path]),
    }  # fmt: skip

    def run(program: str, *words: str) -> str:
        command = [sys.executable, "-m", f"supervisor.{program}", "-c", str(home / "supervisord.conf"), *words]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    def ctl(*words: str) -> str:
        return run("supervisorctl", *words)

    run("supervisord")
    pid = int(wait_until(lambda: (text := ctl("pid").strip()).isdigit() and text, "supervisord to answer"))
    yield ctl
    ctl("shutdown")
    wait_until(lambda: not psutil.pid_exists(pid), "supervisord to end")


def test_fleet_starts_is_tailed_restarted_and_stopped(control, home):
    wait_until(lambda: "RUNNING" in control("status", "exchange_sim"), "the simulator to run")
    wait_until(lambda: "exchange_sim.ready" in control("tail", "exchange_sim"), "its log to say so")
    first = control("pid", "exchange_sim").strip()
    control("restart", "exchange_sim")
    second = control("pid", "exchange_sim").strip()

    assert first != second
    assert second.isdigit()
    assert not psutil.pid_exists(int(first))
    assert (home / "data/run/s.sock").stat().st_mode & 0o777 == 0o700


def test_wrong_configuration_is_said_and_not_tried_again(home):
    """Exit 78 tells the supervisor that a restart cannot help."""
    done = subprocess.run(
        [sys.executable, "-m", "services.exchange_sim"], cwd=PROJECT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"TRADEFLEET_EXCHANGE_SIM_SEED": "not a number"}, check=False,
    )  # fmt: skip

    assert done.returncode == 78
    assert "exchange_sim.seed" in done.stderr
