"""The whole fleet under the profile live, trading at the simulator by the broker's protocol, from NO-GO to GO."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.kit.exchange_sim import ANALYTICS_TOKEN, TRADING_TOKEN
from tests.kit.fleet import SERVICES, WholeFleet, whole_fleet
from tests.kit.paths import PROJECT
from tests.kit.processes import fleet as command
from tests.kit.processes import wait_until
from tests.system.test_fleet import DAY, FAST, rows, started

SPEED = "6"
OWN = {
    "TRADEFLEET_PROFILE": "live", "TRADEFLEET_EXECUTION_BROKER": "upstox",
    "TRADEFLEET_EXCHANGE_SIM_START": f"{DAY}T13:00:00", "TRADEFLEET_EXCHANGE_SIM_SPEED": SPEED,
    "TRADEFLEET_WATCHDOG_HUNG_S": "60",
}  # fmt: skip
LIVE = "TRADEFLEET_EXECUTION_I_UNDERSTAND_THIS_TRADES_REAL_MONEY"


def dressed(fleet: WholeFleet) -> None:
    """Tokens in private files, the simulator as the broker, and every service behind `as_live`."""
    here = f"127.0.0.1:{fleet.port}"
    for name, token in (("access", TRADING_TOKEN), ("analytics", ANALYTICS_TOKEN)):
        path = fleet.home / f"{name}.token"
        path.write_text(token)
        path.chmod(0o600)
        fleet.environment[f"TRADEFLEET_UPSTOX_{name.upper()}_TOKEN_FILE"] = str(path)
    for name, scheme in (("API", "http"), ("ORDER", "http"), ("STREAM", "ws"), ("ASSETS", "http")):
        fleet.environment[f"TRADEFLEET_UPSTOX_{name}_URL"] = f"{scheme}://{here}"
    conf = fleet.home / "supervisord.conf"
    text = conf.read_text("utf-8").replace("-m services.", "-m tests.kit.as_live services.")
    text = text.replace("-m tests.kit.as_live services.exchange_sim", "-m services.exchange_sim")
    simulated = "[program:exchange_sim]"
    before, after = text.split(simulated)
    conf.write_text(before + simulated + after.replace("environment=", 'environment=TRADEFLEET_PROFILE="demo",', 1))


def preflight(fleet: WholeFleet, *words: str, **environment: str) -> tuple[int, dict]:
    """Run it as an operator does, by the exchange's clock."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.as_live", "cli", "preflight", "--json", *words], cwd=PROJECT, text=True,
        env=os.environ | fleet.environment | environment, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def account(fleet: WholeFleet) -> tuple[str, str]:
    """The engine's state and who set it."""
    status = fleet.wait_for("execution_engine", lambda _: True, "the engine")
    return str(status["state"]), str(status["cause"])


def entries(fleet: WholeFleet) -> int:
    """Orders that were sent to the broker."""
    return len(fleet.market.state()["orders"])


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_live_trades_after_a_go_and_not_before():
    with whole_fleet(**FAST | OWN) as fleet:
        dressed(fleet)
        refused = command("up", **fleet.environment)
        assert (refused.returncode, "real-money" in refused.stderr) == (1, True), refused.stderr
        fleet.environment[LIVE] = "true"
        started(fleet)
        fleet.wait_for("execution_engine", lambda status: status["reconciled_us"], "the broker's books to be read")
        assert account(fleet) == ("reducing", "preflight")

        code, found = preflight(fleet, TRADEFLEET_RISK_ACCOUNT_LOSS_DAY_MAX_RUPEES="0")
        assert (code, found["failed"]) == (1, ["limits"]), found
        signals = fleet.wait_for("scanner", lambda status: status["signals"] >= 2, "signals")["signals"]
        wait_until(lambda: rows(fleet, "SELECT count(*) FROM processed_signals")[0][0] >= 2, "them to be decided on")
        assert account(fleet) == ("reducing", "preflight")
        assert entries(fleet) == 0, "an order before a GO"

        code, found = preflight(fleet)
        assert (code, found["verdict"], found["failed"]) == (0, "GO", []), found
        assert account(fleet)[0] == "active"
        fleet.wait_for(
            "scanner",
            lambda status: status["signals"] > signals + 1,
            "signals after the GO",
        )
        try:
            wait_until(lambda: rows(fleet, "SELECT count(*) FROM trades")[0][0] >= 1, "a fill at the broker")
        except AssertionError as e:
            refusals = rows(fleet, "SELECT * FROM risk_events ORDER BY rowid DESC LIMIT 9")
            raise AssertionError(f"{e}; refused: {refusals}; {fleet.log('execution_engine')}") from e
        assert entries(fleet) >= 1

        code, found = preflight(fleet, TRADEFLEET_RISK_ACCOUNT_LOSS_DAY_MAX_RUPEES="0")
        assert (code, account(fleet)) == (1, ("reducing", "preflight")), "a NO-GO in the middle of a day counts, too"
        code, found = preflight(fleet, "--override", "a drill", TRADEFLEET_RISK_ACCOUNT_LOSS_DAY_MAX_RUPEES="0")
        assert (code, found["failed"]) == (0, ["limits"])
        assert account(fleet)[0] == "active"
        (answer,) = rows(fleet, "SELECT reason FROM trading_state_changes ORDER BY at_us DESC, rowid DESC LIMIT 1")[0]
        assert answer == "NO-GO (limits) overridden: a drill"
        assert set(fleet.pids()) == {*SERVICES, "exchange_sim"}
        assert all(fleet.pids().values())
