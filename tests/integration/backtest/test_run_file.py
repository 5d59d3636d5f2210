"""G2, A5: a run's file is written table by table, whole or not at all; memory tells of it what it says."""

from __future__ import annotations

import signal

import msgspec
import pytest

from libs.dbaccess import DiskRefused
from libs.trading import replay as replaying
from services.backtest import BacktestRunner, reading
from services.backtest.index import listed_runs
from services.backtest.recorder import LogRow
from services.backtest.request import make_request
from tests.kit.backtest import FIRST, LAST, index_manager, make_history, runner_manager
from tests.kit.processes import running_code, wait_until


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("backtest") / "data")


@pytest.fixture(scope="module")
def run_id(root):
    return BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME", "BETA"], FIRST, LAST)


@pytest.mark.parametrize("costs", [True, False])
def test_what_a_run_tells_from_memory_is_what_its_file_says(root, monkeypatch, costs):
    """To the byte of its JSON: signals of every fate, and a log with and without moments."""
    from services.backtest import simulation

    def doubtful(*given):
        return [LogRow(None, "warning", "no.moment", {"b": 1, "a": None}), LogRow(1, "info", "a.moment", {})]

    monkeypatch.setattr(simulation, "doubts_of_data", doubtful)
    request = make_request("sma_cross", ["ACME", "BETA"], FIRST, LAST, costs=costs)
    ran = BacktestRunner(runner_manager(root)).simulate(request)
    found = reading.describe(runner_manager(root), ran.run_id)

    assert msgspec.json.encode(ran.described()) == msgspec.json.encode(found)
    assert {row["reason_of"] for row in found["decisions"]} > {""}


def test_a_run_that_failed_tells_from_memory_what_its_file_says(root, monkeypatch):
    from services.backtest.bars import BarsReader
    from services.backtest.simulation import Simulation
    from services.backtest.stopping import Stopping

    db = runner_manager(root)
    request = make_request("sma_cross", ["ACME"], FIRST, LAST)
    ran = Simulation(db, request, "run_20260204_120000_0123456789", None)
    with BarsReader(db, request) as bars, db.backtest_writer(ran.run_id) as connection:
        ran.begin(connection, 1)
        monkeypatch.setattr(replaying, "days_of", lambda columns: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ran.go(bars, Stopping())
        ran.write(connection, "failed", "it broke", 2)

    assert msgspec.json.encode(ran.described()) == msgspec.json.encode(reading.describe(db, ran.run_id))


def test_a_full_disk_is_said_and_leaves_nothing(root, monkeypatch):
    """What DuckDB says of a full disk as it commits is one of our errors, with the path; no half file is listed."""
    import duckdb

    from services.backtest import run_file

    def full(*_):
        raise duckdb.FatalException("Failed to create checkpoint because of error: Could not write file: No space left")

    before = sorted(index_manager(root).layout.runs.iterdir())
    monkeypatch.setattr(run_file, "write_results", full)
    with pytest.raises(DiskRefused, match=r"run_\w+.duckdb: the disk refused the write"):
        BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, FIRST)

    assert sorted(index_manager(root).layout.runs.iterdir()) == before


def test_long_tables_are_committed_one_by_one_to_the_same_file(root, run_id, monkeypatch):
    from services.backtest import run_file

    committed = []
    honest = run_file.commit_so_far
    monkeypatch.setattr(run_file, "ROWS_ALONE", 50)
    monkeypatch.setattr(run_file, "commit_so_far", lambda connection: committed.append(honest(connection)))
    again = BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME", "BETA"], FIRST, LAST)

    assert len(committed) > 3  # the first row's, and tables'
    assert reading.compare(runner_manager(root), run_id, again)["equal"]


def test_a_disk_that_fills_between_two_tables_leaves_nothing(root, monkeypatch):
    import duckdb

    from services.backtest import run_file

    asked = []
    honest = run_file.commit_so_far

    def full(connection):
        asked.append(honest(connection))
        if len(asked) == 3:
            raise duckdb.FatalException("Failed to commit: Could not write file: No space left")

    before = sorted(index_manager(root).layout.runs.iterdir())
    monkeypatch.setattr(run_file, "ROWS_ALONE", 1)
    monkeypatch.setattr(run_file, "commit_so_far", full)
    with pytest.raises(DiskRefused, match=r"run_\w+.duckdb: the disk refused the write"):
        BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, FIRST)

    assert sorted(index_manager(root).layout.runs.iterdir()) == before


KILLED_BETWEEN_TABLES = """
    import os, signal, sys
    from tests.kit.backtest import *
    from services.backtest import BacktestRunner, run_file

    committed, honest = [], run_file.commit_so_far

    def die(connection):
        committed.append(honest(connection))
        if len(committed) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    run_file.ROWS_ALONE, run_file.commit_so_far = 1, die
    BacktestRunner(runner_manager(sys.argv[1])).run("sma_cross", ["ACME"], FIRST, LAST)
"""


def test_a_run_killed_between_two_tables_is_no_run_but_a_killed_one(tmp_path):
    """Signals and orders are on disk, trades and figures are not: nobody takes it for a run."""
    root = make_history(tmp_path / "data", ("ACME",))
    index = index_manager(root)
    with running_code(KILLED_BETWEEN_TABLES, root) as process:
        process.wait()

    assert process.returncode == -signal.SIGKILL
    assert not list(index.layout.runs.glob("run_*.duckdb"))
    wait_until(lambda: [row.state for row in listed_runs(index)] == ["killed"], "the killed run to be seen")
