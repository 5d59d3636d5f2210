"""A bad morning of the whole fleet: the token dies, the disk fills; it is said, and nothing is lost by it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.kit.capture_checks import Witness
from tests.kit.fleet import SERVICES, WholeFleet, whole_fleet
from tests.kit.fleet_checks import check_certificates, check_history, check_signals, check_trading
from tests.kit.processes import fleet as command
from tests.kit.processes import wait_until
from tests.system.test_fleet import DAY, FAST, answers_again, end_the_day, signals_and_fills, started

SYMBOLS = 5
OWN = {
    "TRADEFLEET_EXCHANGE_SIM_START": f"{DAY}T13:30:00", "TRADEFLEET_EXCHANGE_SIM_SPEED": "6",
    "TRADEFLEET_WATCHDOG_HUNG_S": "30", "TRADEFLEET_WATCHDOG_RESTARTS_MAX": "3",
    "TRADEFLEET_OPS_HEALTH_INTERVAL_MIN": "1", "TRADEFLEET_HEALTH_DISK_FREE_ERROR_GIB": "1",
    "TRADEFLEET_HEALTH_DISK_FREE_WARNING_GIB": "1",
}  # fmt: skip
#: States in which a supervisor tries no more.
GIVEN_UP = {"FATAL", "STOPPED"}
#: Room for a fleet, and for the gibibyte below which it must complain.
_DISK_MIB = 1500


@contextmanager
def small_disk(at: Path) -> Iterator[None]:
    """Mount a file system of its own where the data root will be, if this machine lets us."""
    at.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m,mode=0700", "tmpfs", str(at)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def said(fleet: WholeFleet, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command that gives a verdict."""
    done = command(*words, "--json", **fleet.environment)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def alerted(fleet: WholeFleet, words: str) -> None:
    """Wait until ops says so."""
    fleet.wait_for("ops", lambda status: any(words in each for each in status["alerts"]), f"the alert {words!r}")


def calm(fleet: WholeFleet, words: str) -> None:
    """Wait until ops says it no more."""
    fleet.wait_for("ops", lambda status: not any(words in each for each in status["alerts"]), f"{words!r} to be over")


def token_dies(fleet: WholeFleet) -> None:
    """401 everywhere: nobody ends, the ingestor says it, preflight refuses; a new token is all it takes."""
    before = fleet.pids()
    fleet.market.add_fault("token_death")
    alerted(fleet, "ingestor is unwell")
    code, verdict = said(fleet, "preflight")
    assert (code, verdict["verdict"]) == (1, "NO-GO"), verdict
    assert {"feed", "ingestor"} & set(verdict["failed"]), verdict
    assert "401" in fleet.log("ingestor") or "UDAPI1000" in fleet.log("ingestor"), fleet.log("ingestor")

    fleet.market.clear_faults()
    fleet.wait_for("ingestor", lambda status: status["feed"]["state"] == "live", "the feed to be back")
    calm(fleet, "ingestor is unwell")
    assert fleet.pids() == before, "a dead token is no reason to die"


def disk_fills(fleet: WholeFleet) -> None:
    """What cannot write stops rather than go on untold; room and a start are all it takes."""
    filler = fleet.data_root / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1_048_576)):
            pass
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    alerted(fleet, "disk")
    code, health = said(fleet, "health")
    assert (code, health["state"]) == (1, "error"), health
    wait_until(lambda: states(fleet)["ingestor"] in GIVEN_UP, "the ingestor to be given up", 240, every_s=0.2)
    fleet.wait_for("watchdog", lambda status: any("ingestor" in each for each in status["alerts"]), "that to be told")
    assert "No space left on device" in fleet.log("ingestor")
    sys.stdout.write(f"full: {states(fleet)}\n")

    filler.unlink()
    for service, state in states(fleet).items():
        if state in GIVEN_UP:
            fleet.control("supervisorctl", "start", service)
    answers_again(fleet, *SERVICES)
    fleet.wait_for("ingestor", lambda status: status["feed"]["state"] == "live", "the feed to be back")
    calm(fleet, "disk")


def states(fleet: WholeFleet) -> dict[str, str]:
    """Every program's state."""
    return {name: each.state for name, each in (fleet.programs() or {}).items()}


@pytest.mark.matrix
@pytest.mark.timeout(1800)
def test_dead_token_and_full_disk_are_said_and_lose_nothing():
    with whole_fleet(**FAST | OWN) as fleet, small_disk(fleet.data_root):
        (fleet.data_root / "run").mkdir(mode=0o700)
        try:
            started(fleet)
            with Witness(fleet.settings) as witness:
                signals_and_fills(fleet)
                token_dies(fleet)
                disk_fills(fleet)
                signals_and_fills(fleet)
                end_the_day(fleet)
                sys.stdout.write(f"{check_history(fleet.settings, DAY, witness)}\n")
            sys.stdout.write(f"{check_signals(fleet.settings, DAY)} {check_trading(fleet.settings)}\n")
            sys.stdout.write(f"{check_certificates(fleet.settings, DAY, SYMBOLS + 1)}\n")
        finally:
            fleet.stop()
