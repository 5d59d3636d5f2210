"""What an admin does on the dashboard, done over HTTP to a fleet that lives; and what a viewer may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx

from tests.kit.api import PASSWORD, log_in
from tests.kit.fleet import WholeFleet
from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until

_SOLD = {"instance": "shown", "strategy": "sma_cross", "timeframe": "1m", "symbols": ["RELIANCE"], "parameters": {}}
_ACTIONS = {
    "/api/engine/halt": {"arguments": {"reason": "looked at"}},
    "/api/engine/resume": {"arguments": {"reason": "looked at"}},
    "/api/engine/modify": {"arguments": {"order_id": "tf-1", "quantity": 1}},
    "/api/engine/replace": {"arguments": {"order_id": "tf-1", "price": 1.0}},
    "/api/config/strategy.save": {"arguments": {**_SOLD, "is_enabled": True}},
    "/api/backtests": {"arguments": {}},
    "/api/services/backtest/restart": None,
}


def check_actions(fleet: WholeFleet) -> None:
    """Halt, resume, switch a strategy on and off, queue a backtest, restart a service; the audit log has it all."""
    add_users(fleet)
    with httpx.Client(base_url=f"http://127.0.0.1:{fleet.settings.api.port}", timeout=60) as client:
        log_in(client, "vik")
        check_viewer_is_refused(client)
        log_in(client, "asha")
        _trading(fleet, client)
        _strategy(client)
        _backtest(client)
        _restart(fleet, client)
        check_audit(client)


def add_users(fleet: WholeFleet) -> None:
    """Make asha the admin and vik the viewer."""
    for name, role in (("asha", "admin"), ("vik", "viewer")):
        made = _user(fleet, name, role)
        assert made == 0


def check_viewer_is_refused(client: httpx.Client) -> None:
    """What an admin does, a viewer may not; no page has to offer it for that."""
    refused = {path: client.post(path, json=body).status_code for path, body in _ACTIONS.items()}
    assert set(refused.values()) == {403}, refused


def check_audit(client: httpx.Client) -> None:
    """Say that the audit log has all of it, and whose it was."""
    audit = client.get("/api/audit?limit=200").json()["rows"]
    done = {(line["action"], line["actor"]) for line in audit}
    expected = ("execution_engine.halt", "execution_engine.resume", "strategy.save", "backtest.submit",
                "service.restart")  # fmt: skip
    assert {(action, "asha") for action in expected} <= done, sorted(done)
    assert "vik" not in {actor for action, actor in done if action != "session.begin"}
    halt = next(line for line in audit if line["action"] == "execution_engine.halt")
    assert (halt["reason"], json.loads(halt["after_json"])["outcome"]) == ("looked at", "done")


def _user(fleet: WholeFleet, name: str, role: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "user", "add", name, "--role", role, "--password-stdin"], cwd=PROJECT,
        env=os.environ | fleet.environment, input=PASSWORD + "\n", text=True, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.returncode


def _trading(fleet: WholeFleet, client: httpx.Client) -> None:
    """The kill switch over HTTP is the engine's own state."""
    for name, state in (("halt", "halted"), ("resume", "active")):
        answer = client.post(f"/api/engine/{name}", json={"arguments": {"reason": "looked at"}})
        assert answer.status_code == 200, answer.text
        fleet.wait_for("execution_engine", lambda status, state=state: status["state"] == state, f"trading {state}")


def _strategy(client: httpx.Client) -> None:
    for is_on in (True, False):
        saved = client.post("/api/config/strategy.save", json={"arguments": {**_SOLD, "is_enabled": is_on}})
        assert saved.status_code == 200, saved.text
        row = client.get("/api/strategy-configs?filter_by=instance&equals=shown").json()["rows"][0]
        assert bool(row["is_enabled"]) is is_on


def _backtest(client: httpx.Client) -> None:
    day = client.get("/api/risk").json()["trading_date"]
    asked = {"strategy": "sma_cross", "symbols": ["RELIANCE"], "timeframe": "1m", "start": day, "end": day}
    queued = client.post("/api/backtests", json={"arguments": asked})
    assert queued.status_code == 202, queued.text

    def ended() -> bool:
        jobs = client.get("/api/jobs").json()["rows"]
        return bool(jobs) and jobs[0]["state"] not in {"queued", "running"}

    wait_until(ended, "the backtest to end")
    job = client.get("/api/jobs").json()["rows"][0]
    assert job["state"] == "done", job
    run_id = client.get("/api/runs").json()["rows"][0]["run_id"]
    assert client.get(f"/api/runs/{run_id}/report").status_code == 200


def _restart(fleet: WholeFleet, client: httpx.Client) -> None:
    before = fleet.pids()
    answer = client.post("/api/services/backtest/restart")
    assert answer.status_code == 200, answer.text
    fleet.back("backtest", before)
    rows = {row["service"]: row for row in client.get("/api/services").json()["rows"]}
    assert rows["backtest"]["program"]["state"] in {"RUNNING", "STARTING"}
