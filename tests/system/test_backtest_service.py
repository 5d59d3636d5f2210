"""G3, G4: the service runs what it is asked for in processes of their own, says how far they are, keeps the index."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from services.backtest.index import listed_runs
from tests.kit.api import add_users, log_in, running_api
from tests.kit.backtest import FIRST, LAST, index_manager, make_history
from tests.kit.paths import PROJECT
from tests.kit.processes import fleet, wait_until
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths


@pytest.fixture
def root(tmp_path):  # noqa: F811  # the short one
    return make_history(tmp_path / "d", ("ACME",))


@pytest.fixture
def start(root):
    """Start processes of the fleet on the root; none is left."""
    started = []

    def run(*words, **how):
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, words)], cwd=PROJECT,
            env=os.environ | {"TRADEFLEET_DATA": str(root)}, text=True, **how,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def jobs(root):
    with index_manager(root).backtest_index_reader() as connection:
        return connection.execute("SELECT state, run_id, error FROM jobs ORDER BY requested_at_us").fetchall()


#: Its second day waits until the test was told of the first.
PATIENT = """
import os, time
from pathlib import Path
from libs.strategies import BaseStrategy, register


@register
class Patient(BaseStrategy):
    strategy_id = "patient"
    purpose = "Holds a run up."
    days = set()

    def process_bar(self, bar, context):
        self.days.add(bar.timestamp_us // 86_400_000_000)
        for _ in range(6000):  # nobody waits for ever, whatever became of the test
            if len(self.days) != 2 or (Path(os.environ["TRADEFLEET_DATA"]) / "go").exists():
                break
            time.sleep(0.02)
        return None
"""


def in_time(lines):
    """Give what a stream says that never ends by itself, for so long."""
    end_s = time.monotonic() + 180
    for line in lines:
        assert time.monotonic() < end_s, "the stream told nothing of the run"
        yield line


def progress_of(lines):
    """Give what server-sent events say of a backtest, as it comes."""
    for line in lines:
        if line.startswith("data: ["):
            for news in json.loads(line.removeprefix("data: ")):
                if news["topic"].startswith("backtest."):
                    yield news["payload"]


def test_progress_grows_in_the_api(root, start):
    """Asked for by POST: a page that watches is told after the first day, and of the end."""
    (root / "strategies").mkdir(exist_ok=True)
    (root / "strategies" / "patient.py").write_text(PATIENT)
    add_users(root, asha="admin")
    start("services.backtest", stdout=subprocess.DEVNULL)
    wait_until((root / "run" / "backtest.command").exists, "the service's socket")
    request = {"strategy": "patient", "symbols": ["ACME"], "start": str(FIRST), "end": str(LAST)}
    with running_api(root) as api:
        log_in(api.client, "asha")
        with api.client.stream("GET", "/api/live", params={"families": "backtest,telemetry"}) as stream:
            lines = in_time(stream.iter_lines())
            next(line for line in lines if "telemetry.health.backtest|" in line)  # from here on it hears the service
            asked = api.client.post("/api/backtests", json={"arguments": request})
            told = progress_of(lines)
            seen = [next(told)]
            (root / "go").touch()
            while seen[-1]["state"] == "running":
                seen.append(next(told))
        run_id = seen[-1]["run_id"]
        wait_until(
            lambda: {row["run_id"]: row["state"] for row in api.client.get("/api/runs").json()["rows"]}
            == {run_id: "complete"}, "the list of runs",
        )  # fmt: skip

    assert asked.status_code == 202, asked.text
    assert {news["job_id"] for news in seen} == {asked.json()["result"]["job_id"]}
    assert (seen[0]["state"], seen[0]["bars_done"]) == ("running", 375)
    assert (seen[-1]["state"], seen[-1]["bars_done"]) == ("complete", 1125)
    assert [news["bars_done"] for news in seen] == sorted(news["bars_done"] for news in seen)
    assert {news["bars"] for news in seen} == {1125}


def test_a_job_is_run_told_of_and_indexed(root, start):
    """Asked for while a subscriber watches: progress on the bus, the run in the index, the lock held, a clean end."""
    service = start("services.backtest", stdout=subprocess.DEVNULL)
    wait_until((root / "run" / "backtest.command").exists, "the service's socket")
    watcher = start("cli", "feed", "backtest", "--json", "--count", "1", stdout=subprocess.PIPE)
    words = ("--strategy", "sma_cross", "--symbols", "ACME", "--from", FIRST, "--to", LAST)
    asked = fleet("backtest", "run", *words, "--queue", "--json", TRADEFLEET_DATA=str(root))
    wait_until(lambda: jobs(root) and jobs(root)[0][0] == "done", "the job to be done")
    run_id = jobs(root)[0][1]
    listed = [(run_id, "complete")]
    wait_until(lambda: [(r.run_id, r.state) for r in listed_runs(index_manager(root))] == listed, "the index")
    while not select.select([watcher.stdout], [], [], 1.0)[0]:
        # The watcher may have joined too late for the jobs before.
        fleet("backtest", "run", *words, "--queue", TRADEFLEET_DATA=str(root))
    told = json.loads(watcher.stdout.readline())
    wait_until(lambda: {state for state, _, _ in jobs(root)} == {"done"}, "the other jobs")
    deleted = fleet("backtest", "delete", run_id, TRADEFLEET_DATA=str(root))  # asks the service, which holds the lock
    service.send_signal(signal.SIGTERM)

    assert json.loads(asked.stdout)["job_id"]
    assert told["run_id"].startswith("run_")
    assert told["bars"] == 375 * 3
    assert deleted.returncode == 0, deleted.stderr
    assert run_id not in {row.run_id for row in listed_runs(index_manager(root))}
    assert service.wait(60) == 0
