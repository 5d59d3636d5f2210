"""G3, G4: the service runs what it is asked for in processes of their own, says how far they are, keeps the index."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys

import pytest

from services.backtest.index import listed_runs
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
