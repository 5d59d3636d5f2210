"""G1 to G4: a run's file is complete, repeatable and exact, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import threading

import msgspec
import pytest

from libs.core.errors import Refused
from libs.dbaccess import OwnershipError, StoreCorrupt
from libs.dbaccess.queries import reader
from libs.dbaccess.runs import unfinished_runs
from libs.trading import replay as replaying
from services.backtest import BacktestRunner, RunInterrupted, reading
from services.backtest.cleanup import clean_up, delete
from services.backtest.index import listed_runs, put, read_run, rebuild, reconcile
from services.backtest.runner import RunFailed
from tests.kit.backtest import FIRST, LAST, index_manager, make_history, runner_manager
from tests.kit.clock import ManualClock
from tests.kit.commands import fleet_here
from tests.kit.processes import first_line, run_code, running_code, wait_until


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("backtest") / "data")


@pytest.fixture(scope="module")
def run_id(root):
    return BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME", "BETA"], FIRST, LAST)


def test_only_the_runners_role_may_run(root):
    """A8: the role that writes the index does not write runs."""
    with pytest.raises(OwnershipError, match="backtest_run"):
        BacktestRunner(index_manager(root))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"symbols": []}, "no symbols"),
        ({"symbols": "NONE"}, "no 1m candles of NONE"),
        ({"strategy": "nothing"}, "no strategy 'nothing'"),
        ({"end": "2026-01-01"}, "before it begins"),
        ({"parameters": {"fast": 40}}, "must be below slow"),
        ({"cash_rupees": 0}, "cash_rupees"),
        ({"limits": {"no_such": 1}}, "no_such"),
        ({"colour": "red"}, "colour"),
        ({"cash_rupees": 10**18}, "cash_rupees"),
        ({"start": "2026-02-02 or so"}, "'2026-02-02 or so' is no date"),
        ({"fills": {"slippage_ticks": -1}}, "slippage_ticks"),
        ({"fills": {"slippage_basis_points": -0.1}}, "slippage_basis_points"),
        ({"fills": {"slippage_basis_points": float("nan")}}, "slippage_basis_points"),
        ({"fills": {"spread_ticks": -1}}, "spread_ticks"),
        ({"fills": {"limit_through_ticks": -1}}, "limit_through_ticks"),
        ({"fills": {"latency_ms": -1}}, "latency_ms"),
        ({"fills": {"participation_percent_max": 0}}, "participation_percent_max"),
        ({"sizing": {"type": "fixed_quantity", "quantity": 10**9}}, "sizing"),
        ({"coverage_min_percent": 101}, "coverage_min_percent"),
        (
            {"coverage_min_percent": 100, "symbols": ["ACME", "NONE"]},
            r"3 symbol-days have less than 100 %.*: NONE on 2026-02-02 with 0.0 %, NONE on 2026-02-03 with",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(root, changes, words):
    options = {"strategy": "sma_cross", "symbols": ["ACME"], "start": FIRST, "end": LAST} | changes

    with pytest.raises(Exception, match=words):
        BacktestRunner(runner_manager(root)).run(**options)


def test_a_minimum_of_data_is_demanded_and_what_there_was_is_recorded(tmp_path):
    """One absent minute of 375 is 99.7 %: enough for 99, too little for 99.9, and no run is left of the latter."""
    root = make_history(tmp_path / "data", ("ACME",), last=FIRST, count=374)
    given = ("--strategy", "sma_cross", "--symbols", "ACME", "--from", FIRST, "--to", FIRST, "--data-root", root)
    refused = fleet_here("backtest", "run", *given, "--min-coverage", "99.9")
    assert refused.returncode == 1
    assert "ACME on 2026-02-02 with 99.7 %" in refused.stderr
    assert not list((root / "backtest").rglob("run_*"))

    run_id = BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, FIRST, coverage_min_percent=99)
    found = reading.describe(runner_manager(root), run_id)["run"]
    assert found["data"]["completeness"] == pytest.approx(374 / 375, abs=1e-6)


#: Together they take longer to import than most runs take. numba comes with the first long column.
HEAVY = ("pandas", "numba", "scipy", "polars", "zmq", "asyncio", "psutil", "pyarrow", "optuna", "plotly")


def test_a_short_run_imports_nothing_heavy(root):
    """What is loaded, from the command line to the printed figures, is a fact; what it takes the bench says."""
    done = run_code(
        """
        import sys
        from cli.main import main
        code = main(["backtest", "run", "--strategy", "sma_cross", "--symbols", "ACME,BETA", "--from", sys.argv[2],
                     "--to", sys.argv[3], "--data-root", sys.argv[1], "--json", "--quiet"])
        print("loaded:", code, *(name for name in sys.argv[4:] if name in sys.modules), file=sys.stderr)
        """,
        root, FIRST, LAST, *HEAVY,
    )  # fmt: skip

    assert done.stderr.strip() == "loaded: 0"
    assert json.loads(done.stdout)["run"]["state"] == "complete"


def test_a_run_tells_one_story(root, run_id):
    """Signals lead to orders, orders to trades, trades to the equity, and every reference resolves."""
    found = reading.describe(runner_manager(root), run_id)
    fills = reading.trades(runner_manager(root), run_id)
    with runner_manager(root).backtest_reader(run_id) as connection:
        signals = dict(connection.execute("SELECT signal_id, decision FROM signals").fetchall())
        orders = dict(connection.execute("SELECT order_id, quantity_filled FROM orders").fetchall())
        last = connection.execute("SELECT max_by(equity_paise, timestamp) FROM equity_curve").fetchall()[0][0]

    assert found["run"]["state"] == "complete"
    assert found["run"]["bars"] == 2 * 375 * 3
    assert found["run"]["data"]["completeness"] == 1.0
    assert len(fills) > 20
    assert {fill["order_id"] for fill in fills} == set(orders)
    assert all(signals[fill["signal_id_reference"]] == "approved" for fill in fills)
    assert "rejected" in signals.values()  # entries too late in the session
    cash = sum((1 if f["side"] == "sell" else -1) * round(f["price"] * f["quantity"] * 100) for f in fills)
    fees = sum(fill["fees_paise"] for fill in fills)
    assert last == 1_000_000_00 + cash - fees  # flat at the end
    assert found["metrics"][""]["fees_paise"] == fees > 0


def test_the_curve_is_the_desks_own(root):
    """The curve is worked out at the end, not bar by bar: the paisa must agree with the account that traded."""
    seen = []
    run_id = BacktestRunner(runner_manager(root)).run(
        "sma_cross", ["ACME", "BETA"], FIRST, LAST, parameters={"flat_before_close_minutes": 0},
        exits={"square_off": False}, product="delivery", progress=seen.append,
    )  # fmt: skip
    with runner_manager(root).backtest_reader(run_id) as connection:
        days = connection.execute(
            "SELECT max_by(equity_paise, timestamp), max_by(exposure_paise, timestamp) FROM equity_curve "
            "GROUP BY timestamp::DATE ORDER BY 1 * epoch_us(max(timestamp))"
        ).fetchall()

    assert [equity for equity, _ in days] == [p.equity_paise for p in seen if p.state == "running"]
    assert any(exposure for _, exposure in days)  # held over a night, so that marks count


def test_two_runs_are_equal_but_for_id_and_times(root, run_id):
    again = BacktestRunner(runner_manager(root)).run("sma_cross", ["BETA", "ACME"], FIRST, LAST)
    other = BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME", "BETA"], FIRST, LAST, costs=False)

    assert reading.compare(runner_manager(root), run_id, again) == {"equal": True, "run": {}, "tables": {}}
    difference = reading.compare(runner_manager(root), run_id, other)
    assert not difference["equal"]
    assert "trades" in difference["tables"]
    assert list(difference["run"]) == ["settings_json"]


def test_ctrl_c_leaves_a_readable_partial_run(root):
    def stop_after_a_day(progress):
        if progress.state == "running":
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted) as caught:
        BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, LAST, progress=stop_after_a_day)
    found = reading.describe(runner_manager(root), caught.value.run_id)

    assert (found["run"]["state"], found["run"]["bars"]) == ("partial", 375)
    assert found["rows"]["trades"] > 0


def figures_of(db, run_id):
    found = reading.describe(db, run_id)
    found["rows"].pop("log")  # which names the days the data lack
    return found["run"]["bars"], found["metrics"], found["rows"]


def test_a_partial_runs_figures_are_those_of_what_was_run(root):
    """One Ctrl-C lets the day end, and then nothing behind it counts: as if only that day had been asked for."""
    db = runner_manager(root)

    def interrupt(progress):
        if progress.state == "running":
            os.kill(os.getpid(), signal.SIGINT)

    one_day = BacktestRunner(db).run("sma_cross", ["ACME", "BETA"], FIRST, FIRST)
    with pytest.raises(RunInterrupted) as caught:
        BacktestRunner(db).run("sma_cross", ["ACME", "BETA"], FIRST, LAST, progress=interrupt)

    assert figures_of(db, caught.value.run_id) == figures_of(db, one_day)


def test_ctrl_c_in_mid_day_counts_no_bar_behind(root, monkeypatch):
    """The second one ends it where it is: equity, exposure and benchmark stop there as well."""
    from libs.strategies.sma_cross import SmaCross

    db, decide, seen = runner_manager(root), SmaCross.decide, []

    def interrupting(self, bar, context):
        seen.append(bar.timestamp_us)
        if len(seen) == 500:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return decide(self, bar, context)

    monkeypatch.setattr(SmaCross, "decide", interrupting)
    with pytest.raises(RunInterrupted) as caught:
        BacktestRunner(db).run("sma_cross", ["ACME"], FIRST, LAST, form="event")
    found = reading.describe(db, caught.value.run_id)

    assert (found["run"]["state"], len(seen)) == ("partial", 500)
    assert 375 <= found["run"]["bars"] == found["metrics"][""]["bars"] == found["rows"]["equity_curve"] <= 500
    assert found["metrics"][""]["days"] <= 2


@pytest.mark.parametrize("moment", ["begin", "load", "write_results"])
def test_ctrl_c_never_loses_what_there_is(root, monkeypatch, moment):
    """Not before the first row is written, not while results are; and the engine that reads makes it its own error."""
    from services.backtest import run_file, simulation

    where = simulation if moment == "load" else run_file
    honest = getattr(where, moment)

    def interrupted(*given, **named):
        try:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None
        return honest(*given, **named)

    monkeypatch.setattr(where, moment, interrupted)
    before = signal.getsignal(signal.SIGINT)
    given = ("sma_cross", ["ACME"], FIRST, FIRST)
    if moment == "write_results":  # all is done: there is nothing left to interrupt
        run_id, state = BacktestRunner(runner_manager(root)).run(*given), "complete"
    else:
        with pytest.raises(RunInterrupted) as caught:
            BacktestRunner(runner_manager(root)).run(*given)
        run_id, state = caught.value.run_id, "partial"

    assert reading.describe(runner_manager(root), run_id)["run"]["state"] == state
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_the_reading_beside_the_start(root, monkeypatch):
    """Bars are read on a thread of their own, to which no signal comes: it is told, and the run is marked partial."""

    def endless(connection, sql, parameters):
        os.kill(os.getpid(), signal.SIGINT)
        return connection.execute("SELECT count(*) FROM range(1000000000000000)").fetchnumpy()

    monkeypatch.setattr(reader, "fetch_columns", endless)
    with pytest.raises(RunInterrupted) as caught:
        BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, LAST)

    assert reading.describe(runner_manager(root), caught.value.run_id)["run"]["state"] == "partial"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("bars", "query"))]


def test_what_the_reading_finds_is_the_runs_error(tmp_path):
    make_history(tmp_path / "data")
    db = runner_manager(tmp_path / "data")
    path = db.layout.day("nse", "candles", "1m", FIRST)
    path.chmod(0o600)
    path.write_bytes(b"no day" * 4096)

    with pytest.raises(RunFailed, match=rf"failed: StoreCorrupt: {path}: not a readable day") as caught:
        BacktestRunner(db).run("sma_cross", ["ACME"], FIRST, LAST)
    assert isinstance(caught.value.__cause__, StoreCorrupt)


def test_a_strategy_that_raises_is_in_the_log(root, monkeypatch):
    from libs.strategies.sma_cross import SmaCross

    def broken(self, bar, context):
        raise ZeroDivisionError("in my strategy")

    monkeypatch.setattr(SmaCross, "decide", broken)
    run_id = BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, FIRST)
    log = [row for row in reading.describe(runner_manager(root), run_id)["log"] if row["level"] == "warning"]

    assert [row["event"] for row in log] == ["strategy.raised"]
    assert "in my strategy" in log[0]["detail_json"]


def test_a_run_that_breaks_says_so_in_its_file(root, monkeypatch):
    monkeypatch.setattr(replaying, "days_of", lambda columns: 1 / 0)

    with pytest.raises(Exception, match="failed: ZeroDivisionError") as caught:
        BacktestRunner(runner_manager(root)).run("sma_cross", ["ACME"], FIRST, LAST)
    run_id = str(caught.value).split()[0]

    assert reading.describe(runner_manager(root), run_id)["run"]["state"] == "failed"


KILLED = """
    import sys, time
    from tests.kit.backtest import *
    from services.backtest import BacktestRunner

    def hang(progress):
        print(progress.run_id, flush=True)
        time.sleep(600)

    BacktestRunner(runner_manager(sys.argv[1])).run("sma_cross", ["ACME"], FIRST, LAST, progress=hang)
"""


def test_a_killed_run_is_marked_and_cleaned_up(tmp_path):
    """While it runs it is listed as running; after kill -9 as killed, with what was asked; clean-up takes its file."""
    root = make_history(tmp_path / "data", ("ACME",))
    index = index_manager(root)
    with running_code(KILLED, root) as process:
        run_id = first_line(process)
        running = [(row.run_id, row.state) for row in listed_runs(index)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    assert running == [(run_id, "running")]
    wait_until(lambda: listed_runs(index)[0].state == "killed", "the killed run to be seen")
    with index.backtest_index_writer() as connection:
        assert reconcile(index, connection, index.clock).killed == 1
        clean_up(index, connection, index.clock)
    assert unfinished_runs(index.layout.runs) == []
    row = listed_runs(index)[0]
    assert (row.run_id, row.state, row.strategy) == (run_id, "killed", "sma_cross")
    with index.backtest_index_writer() as connection:
        delete(index, connection, run_id)
    assert listed_runs(index) == []


def test_the_index_is_rebuilt_from_the_files(root, run_id):
    index = index_manager(root)
    with index.backtest_index_writer() as connection:
        reconcile(index, connection, index.clock)
        before = connection.execute("SELECT * FROM runs ORDER BY run_id").fetchall()
        rebuild(index, connection, index.clock)
        after = connection.execute("SELECT * FROM runs ORDER BY run_id").fetchall()

    assert before == after
    assert run_id in {row[0] for row in after}


def test_cleanup_keeps_whichever_is_more(tmp_path):
    """A5: the last two runs or the last day, whichever keeps more; a run that is kept by name stays."""
    root = make_history(tmp_path / "data", ("ACME",), last=FIRST)
    clock = ManualClock()
    db = runner_manager(root)
    db.clock = clock
    names = []
    for _ in range(5):
        names.append(BacktestRunner(db).run("sma_cross", ["ACME"], FIRST, FIRST))
        clock.sleep(86_400)
    (root / "backtest" / ".cleanup_policy.json").write_text('{"runs_keep": 2, "days_keep": 1}')
    index = index_manager(root)
    with index.backtest_index_writer() as connection:
        reconcile(index, connection, clock)
        connection.execute("UPDATE runs SET is_kept = 1 WHERE run_id = ?", (names[0],))
        # One that was killed lately is told of, one long ago is not, and neither takes a place among the two.
        for name, like in (("run_20260203_120000_dead", names[4]), ("run_20260202_120000_dead", names[0])):
            put(connection, msgspec.structs.replace(read_run(index, like), run_id=name, state="killed"))
        gone = clean_up(index, connection, clock)
    (root / "backtest" / ".cleanup_policy.json").write_text('{"days": 1}')

    assert gone == ["run_20260202_120000_dead", *names[1:3]]
    assert {row.run_id for row in listed_runs(index)} == {"run_20260203_120000_dead", names[0], *names[3:]}
    assert {path.stem for path in index.layout.runs.glob("run_*")} == {names[0], *names[3:]}
    with index.backtest_index_writer() as connection, pytest.raises(Refused, match="days"):
        clean_up(index, connection, clock)


def test_the_command_line_runs_lists_compares_and_deletes(root, run_id):
    """One pass through the commands people type, on real stores."""
    words = ("--strategy", "sma_cross", "--symbols", "ACME,BETA", "--from", FIRST, "--to", LAST, "--data-root", root)

    def typed(*given):
        done = fleet_here("backtest", *given)
        return done.returncode, done.stdout, done.stderr

    made = json.loads(typed("run", *words, "--json")[1])["run"]["run_id"]
    limits = ("--limit", "symbol_trades_day_max=1", "--limit", "order_rate_max=20,600,2000")
    few = json.loads(typed("run", *words, *limits, "--json")[1])["run"]["run_id"]

    assert typed("compare", run_id, made, "--data-root", root)[:2] == (0, "equal but for their ids and times\n")
    code, told, _ = typed("compare", made, few, "--data-root", root)
    assert code == 1
    assert "settings.request.limits.symbol_trades_day_max: None | 1\n" in told, "a limit of whole numbers is one"
    assert "settings.risk.order_rate_max: [10, 500, 2000] | [20, 600, 2000]\n" in told, "several where there are some"
    assert re.search(r"^trades +\d+ +\d+$", told, re.MULTILINE), "figures stand side by side"
    assert re.search(r"^trades: \d+ rows differ", told, re.MULTILINE)
    assert "{" not in told.partition("log:")[0], "what differs, and no whole row"
    assert {made, few} <= {row["run_id"] for row in json.loads(typed("list", "--json", "--data-root", root)[1])}
    assert made in typed("delete", made, "--data-root", root)[1]
    assert typed("show", made, "--data-root", root)[0] == 4
    for nothing in ("--quantity", "--value", "--equity-percent"):
        code, _, wrong = typed("run", *words, nothing, "0")
        assert (code, "sizing" in wrong) == (2, True), "what is 0 is not what was left out"
