"""G3: a sweep gives what single runs give, survives a kill, and goes on where it was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise

import psutil
import pytest

from cli.main import main
from libs.core.errors import Refused
from services.backtest import BacktestRunner, reading
from services.backtest.bars import begin_to_read
from services.backtest.request import make_request
from services.backtest.sweep import point as points
from services.backtest.sweep import workers as team
from services.backtest.sweep.grid import make_grid, parse_axis, parse_space
from services.backtest.sweep.judge import judge
from services.backtest.sweep.point import point_key
from services.backtest.sweep.report import render_sweep
from services.backtest.sweep.results import SweepResults
from services.backtest.sweep.sweeping import run_sweep, sweep_head
from services.backtest.sweep.workers import Cluster, Team, in_this_process
from services.backtest.wanted import Wanted
from tests.kit.backtest import FIRST, LAST, make_history, runner_manager
from tests.kit.paths import PROJECT
from tests.kit.processes import run_code, wait_until
from tests.kit.roots import settings

GRID = ["fast=5:15:5", "slow=10,30"]
#: A day before it warms up.
FIRST_SWEPT = FIRST + timedelta(days=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("sweep") / "data", symbols=("ACME",), count=120)


def swept(root, path, texts=GRID, workers=in_this_process, start=FIRST, **options):
    request = make_request("sma_cross", "ACME", start, LAST, **options)
    grid = make_grid("sma_cross", {}, texts)
    head = sweep_head("sweep", request, {"axes": grid.axes, "points": len(grid.points)}, grid.refused)
    results = SweepResults.begin(path, head)
    return run_sweep(settings(), str(root), request, grid, results, workers)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast=5:20:5", ("5", "10", "15", "20")),
        ("fast=5:18:5", ("5", "10", "15")),
        ("x=0.1:0.3:0.1", ("0.1", "0.2", "0.3")),
        ("x=10:100:10", ("10", "20", "30", "40", "50", "60", "70", "80", "90", "100")),
        ("side=a, b,a", ("a", "b")),
    ],
)
def test_an_axis_has_both_its_ends_and_no_rounding(text, expected):
    assert parse_axis(text)[1] == expected


@pytest.mark.parametrize("text", ["fast", "fast=", "fast=5:1:1", "fast=1:5:0", "fast=1:5", "fast=1:nan:1", "=1"])
def test_an_axis_that_makes_no_sense_is_refused(text):
    with pytest.raises(Refused, match="--grid"):
        parse_axis(text)


def test_what_the_strategy_does_not_take_is_counted():
    """Fast must be below slow: the corner of the grid where it is not is no failure."""
    grid = make_grid("sma_cross", {}, GRID)

    assert [(point["fast"], point["slow"]) for point in grid.points] == [(5, 10), (5, 30), (10, 30), (15, 30)]
    assert grid.refused == 2
    with pytest.raises(Refused, match="none of the 1 points"):
        make_grid("sma_cross", {}, ["fast=50"])
    with pytest.raises(Refused, match="no parameter 'speed'"):
        make_grid("sma_cross", {}, ["speed=5"])
    with pytest.raises(Refused, match="upper end"):
        parse_space("sma_cross", ["fast=9..5"])


@pytest.mark.parametrize("options", [{}, {"daily_anchor": False, "sizing": {"type": "fixed_quantity", "quantity": 30}}])
def test_a_point_is_the_run_of_the_same_parameters(root, tmp_path, options):
    """Random pairs, every figure, every day's return: each point has a warm-up of its own, and they share averages."""
    chance = random.Random(len(options))
    axes = [",".join(map(str, chance.sample(range(*span), 2))) for span in ((2, 12), (12, 40))]
    found = swept(root, tmp_path / "s.jsonl", [f"fast={axes[0]}", f"slow={axes[1]}"], start=FIRST_SWEPT, **options).all
    runner, manager = BacktestRunner(runner_manager(root)), runner_manager(root)
    for result in found:
        run_id = runner.run("sma_cross", "ACME", FIRST_SWEPT, LAST, parameters=result.parameters, **options)
        run = reading.describe(manager, run_id)["metrics"][""]
        with manager.backtest_reader(run_id) as connection:
            evenings = connection.execute(
                "SELECT max_by(equity_paise, timestamp) FROM equity_curve "
                "GROUP BY timestamp::DATE ORDER BY timestamp::DATE"
            ).fetchall()
        worth = [100_000_000, *(row[0] for row in evenings)]

        assert result.figures == {name: run[name] for name in result.figures}
        assert list(result.returns) == [round(b / a - 1.0, 10) for a, b in pairwise(worth)]
        assert result.figures["trades"] > 0
        assert result.form == "outright"


def test_finished_points_are_not_run_again(root, tmp_path, monkeypatch):
    """A torn last line, as a kill leaves it, costs its point and nothing else."""
    path = tmp_path / "s.jsonl"
    before = swept(root, path).all
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    run = []
    real = points.Bench.evaluate
    monkeypatch.setattr(points.Bench, "evaluate", lambda self, given: run.append(given) or real(self, given))

    after = swept(root, path).all

    assert run == [before[-1].parameters]
    assert [(r.parameters, r.figures, r.returns) for r in after] == [
        (r.parameters, r.figures, r.returns) for r in before
    ]


def test_results_of_another_sweep_or_other_data_do_not_mix(root, tmp_path):
    path = tmp_path / "s.jsonl"
    swept(root, path)
    with pytest.raises(Refused, match="another sweep"):
        swept(root, path, costs=False)
    lines = path.read_text().splitlines()
    old = json.loads(lines[1]) | {"data_fingerprint": "0123"}
    path.write_text("\n".join([lines[0], json.dumps(old)]) + "\n")

    with pytest.raises(Refused, match="the data changed"):
        swept(root, path)


def test_a_point_that_breaks_does_not_end_the_sweep(root, tmp_path, monkeypatch):
    real = points.Bench._run

    def run(self, parameters):
        if parameters["fast"] == 10:
            raise ZeroDivisionError("no variance")
        return real(self, parameters)

    monkeypatch.setattr(points.Bench, "_run", run)
    results = swept(root, tmp_path / "s.jsonl")
    verdict = judge(results.all, "sharpe")
    page = render_sweep(results, verdict)

    assert (verdict.points, verdict.failed) == (4, 1)
    assert "ZeroDivisionError: no variance" in page
    assert page.count('class="gain"') + page.count('class="loss"') == 3
    assert "http" not in page


#: The command as ever, but that processes cost nothing to start, and that there is always something left to kill.
WITH_PROCESSES = """
import sys, time
from cli.main import main
from services.backtest.sweep import workers
workers.START_S = -1e9
run = workers.Pool.__call__

def run_a_few(pool, plan, points):
    for number, result in enumerate(run(pool, plan, points), 1):
        yield result
        if number == 4:
            time.sleep(600)

workers.Pool.__call__ = run_a_few
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("form", ["auto", "event"])
def test_a_team_starts_processes_only_where_they_are_worth_it(root, tmp_path, monkeypatch, form):
    """Columns go to threads of this process, whatever a process costs; the loop's points to processes once they pay."""
    pools = []

    class Counted:
        def __init__(self, count):
            pools.append(count)

        def __enter__(self):
            return in_this_process

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(team, "Pool", Counted)
    alone = swept(root, tmp_path / "a.jsonl", form=form).all
    with Team(3) as workers:
        here = swept(root, tmp_path / "b.jsonl", workers=workers, form=form).all
    monkeypatch.setattr(team, "START_S", -1e9)
    with Team(3) as workers:
        there = swept(root, tmp_path / "c.jsonl", workers=workers, form=form).all

    assert pools == ([] if form == "auto" else [3])
    expected = {r.key: (r.figures, r.returns, r.form) for r in alone}
    assert {r.key: (r.figures, r.returns, r.form) for r in here} == expected
    assert {r.key: (r.figures, r.returns, r.form) for r in there} == expected


def test_forks_do_what_is_worked_out_of_columns(root, tmp_path):
    """They have the bars, and give what this process gives; beside a thread, who may hold a lock, nothing is forked."""
    done = run_code(
        """
        import sys
        import threading
        from cli.main import main
        from services.backtest import forking
        from services.backtest.sweep import workers

        workers.FORKS_S = -1e9  # always worth it
        run, forked = workers.Forks.__call__, []

        def noted(forks, plan, points):
            for result in run(forks, plan, points):
                forked.append(result.form)
                yield result

        workers.Forks.__call__ = noted
        words = ["backtest", "sweep", "--strategy", "sma_cross", "--symbols", "ACME", "--from", sys.argv[2], "--to",
                 sys.argv[3], "--data-root", sys.argv[1], "--grid", "fast=5,9", "--grid", "slow=20,30", "--json",
                 "--workers", "2"]
        forking.GONE_S = 60.0
        codes = [main([*words, "--out", sys.argv[4]])]
        forking.GONE_S = 0.0
        stays = threading.Event()
        threading.Thread(target=stays.wait).start()
        codes.append(main([*words, "--out", sys.argv[5]]))
        stays.set()
        print(codes, forked, file=sys.stderr)
        """,
        root, FIRST, LAST, tmp_path / "forked.jsonl", tmp_path / "beside.jsonl", OPENBLAS_NUM_THREADS="1",
    )  # fmt: skip
    alone = swept(root, tmp_path / "a.jsonl", ["fast=5,9", "slow=20,30"]).all

    assert done.stderr.strip() == "[0, 0] ['outright', 'outright']"
    for name in ("forked", "beside"):
        found = SweepResults.read(tmp_path / f"{name}.jsonl").all
        assert {r.key: (r.figures, r.returns) for r in found} == {r.key: (r.figures, r.returns) for r in alone}


def test_a_killed_sweep_goes_on(root, tmp_path, capsys):
    """SIGKILL to the command: workers die with it, its file is readable, and the same command does the rest."""
    out = tmp_path / "s.jsonl"
    words = ["backtest", "sweep", "--data-root", str(root), "--strategy", "sma_cross", "--symbols", "ACME",
             "--from", str(FIRST), "--to", str(LAST), "--form", "event", "--out", str(out), "--json",
             "--grid", "fast=5:9:1", "--grid", "slow=20:23:1"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", WITH_PROCESSES, *words, "--workers", "2"], cwd=PROJECT)
    workers = []
    try:
        wait_until(lambda: out.exists() and len(out.read_bytes().splitlines()) >= 5, "four points")
        workers = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
        left = psutil.wait_procs(workers, timeout=60)[1]
        for worker in left:
            worker.kill()
    finished = len(SweepResults.read(out).all)

    assert len(workers) >= 2
    assert left == []
    assert 4 <= finished < 20
    assert main([*words, "--workers", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["points"]) == 20
    assert answer["forms"] == {"event": 20}
    never_killed = swept(root, tmp_path / "whole.jsonl", ["fast=5:9:1", "slow=20:23:1"]).all
    assert {point_key(each["parameters"]): each["figures"] for each in answer["points"]} == {
        point_key(each.parameters): each.figures for each in never_killed
    }
    assert answer["strict"]["trials"] == 20
    assert out.with_suffix(".html").read_text("utf-8").startswith("<!doctype html>")


def test_bars_of_another_request_are_not_taken(root, tmp_path):
    """A team has its plan's own bars, whatever somebody began to read."""
    others = Wanted(("ACME",), "nse", "1m", FIRST, FIRST)
    with begin_to_read(settings(), str(root), others) as bars, Team(2, bars) as workers:
        found = swept(root, tmp_path / "s.jsonl", workers=workers).all

    alone = swept(root, tmp_path / "a.jsonl").all
    assert {r.key: (r.bars, r.data_fingerprint) for r in found} == {r.key: (r.bars, r.data_fingerprint) for r in alone}


def test_what_reading_ahead_finds_wrong_is_said(root, tmp_path, capsys):
    """What went wrong on the reader's thread is said as if it had been read in turn."""
    words = ["backtest", "sweep", "--data-root", str(root), "--strategy", "sma_cross", "--from", str(FIRST),
             "--to", str(LAST), "--out", str(tmp_path / "s.jsonl"), "--json", "--grid", "fast=5:9:1"]  # fmt: skip

    assert main([*words, "--symbols", "NOBODY"]) != 0
    assert "no 1m candles of NOBODY" in capsys.readouterr().err
    assert main([*words, "--symbols", "ACME", "--to", "tomorrow"]) == 2
    assert "'tomorrow' is no date" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.matrix)])
def test_a_cluster_gives_the_same(root, tmp_path, count):
    """On a real scheduler with worker processes: one already has everything sent to it and back."""
    from distributed import LocalCluster  # a second of imports for this test alone

    with LocalCluster(
        n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local, Cluster(local.scheduler_address) as cluster:  # fmt: skip
        theirs = swept(root, tmp_path / "c.jsonl", workers=cluster).all
    ours = swept(root, tmp_path / "s.jsonl").all

    assert {r.key: r.figures for r in theirs} == {r.key: r.figures for r in ours}
    assert len(theirs) == 4
