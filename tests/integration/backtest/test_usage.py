"""Words that cannot be meant end a command with 2, before a store is looked for; what is not there ends it with 4."""

from __future__ import annotations

import os

import pytest

from libs.dbaccess import WriterLock
from tests.kit.backtest import FIRST, LAST, index_manager, make_history
from tests.kit.commands import fleet_here

OF = ("--strategy", "sma_cross", "--symbols", "ACME", "--from", FIRST, "--to", LAST)
COMMANDS = {
    "run": (), "sweep": ("--grid", "fast=3,5"), "optimize": ("--space", "fast=3..5"), "lookahead": (),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_strategy_nobody_knows_is_wrong_usage_everywhere(tmp_path, command):
    """The four read their words with the same function; what else it refuses is tried on one."""
    nosuch = ("--strategy", "nosuch", "--data-root", tmp_path / "data")
    done = fleet_here("backtest", command, *OF, *COMMANDS[command], *nosuch)

    assert (done.returncode, done.stdout) == (2, "")
    assert "no strategy 'nosuch'; there are sma_cross" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-22-02"), "'2026-22-02' is no date; expected one such as 2026-02-02"),
        (("--to", "2026-01-02"), "before it begins on 2026-02-02"),
        (("--symbols", ","), "no symbols"),
        (("--symbols", "../x"), "symbol '../x': expected letters"),
        (("--to", "9999-12-31"), "a run is between 1900-01-01 and 2199-12-31"),
        (("--param", "fast=3", "--param", "fast=5"), "fast is given twice"),
        (("--param", "nope=1"), "has no parameter 'nope'; it takes"),
        (("--param", "fast=abc"), "Expected `int`"),
        (("--param", "fast"), "expected NAME=VALUE"),
        (("--param", "fast=40"), "fast (40) must be below slow (30)"),
        (("--limit", "nope=1"), "unknown field `nope`"),
        (("--limit", "order_rate_max=much"), "expected a number"),
        (("--exit", "nope=1"), "there are stop_percent"),
        (("--timeframe", "7m"), "expected one of 1m, 5m"),
        (("--exchange", "mars"), "mars"),
        (("--cash", "0"), ">= 1"),
        (("--participation", "0"), "> 0"),
        (("--fill", "yesterday"), "invalid choice"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(tmp_path, words, said):
    """Where there is no store at all, so that nothing can have been opened, nor left behind."""
    done = fleet_here("backtest", "run", *OF, *words, "--data-root", tmp_path / "data")

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sweep", *OF, "--grid", "fast=1:2"), "expected three numbers"),
        (("sweep", *OF, "--grid", "nope=1,2"), "has no parameter 'nope'"),
        (("sweep", *OF, "--grid", "fast=3,5", "--workers", "0"), "expected a whole number, 1 at least"),
        (("optimize", *OF, "--space", "fast=9..3"), "the upper end must be above the lower"),
        (("optimize", *OF, "--space", "fast=3..9", "--trials", "0"), "1 at least"),
        (("optimize", *OF, "--space", "fast=3..9", "--walk-forward", "9"), "3 trading days are too few for 9 folds"),
        (("lookahead", *OF, "--cuts", "1"), "2 at least"),
        (("luck", "run_20260202_101010_0123456789", "--rounds", "-4"), "1 at least"),
        (("list", "--last", "-1"), "0 at least"),
        (("run", *OF, "--queue", "--param", "nope=1"), "has no parameter 'nope'"),
    ],
)
def test_a_number_or_a_grid_that_is_none_is_wrong_usage(tmp_path, words, said):
    done = fleet_here("backtest", *words, "--data-root", tmp_path / "data")

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_candles_that_are_not_there_are_not_found(tmp_path):
    """The words are good, and the same command works once they were imported. A run says in its file what it lacked."""
    root = make_history(tmp_path / "data", ("ACME",), last=FIRST)
    for command, words in COMMANDS.items():
        done = fleet_here("backtest", command, *OF, *words, "--symbols", "ACME,NOSUCH", "--data-root", root)

        assert done.returncode == 4, (command, done.stderr)
        assert "no 1m candles of NOSUCH on nse" in done.stderr
        assert "`fleet coverage --symbols NOSUCH` shows what there is" in done.stderr
        if command == "run":
            done = fleet_here(
                "backtest", command, *OF, "--from", "2026-02-07", "--to", "2026-02-08", "--data-root", root
            )
            assert (done.returncode, "it does not trade then" in done.stderr) == (4, True), done.stderr
    with index_manager(root).backtest_index_reader() as connection:
        rows = connection.execute("SELECT state FROM runs").fetchall()
    assert [tuple(row) for row in rows] == [("failed",), ("failed",)]


@pytest.mark.parametrize("command", ["sweep", "optimize"])
def test_two_do_not_write_the_same_results(tmp_path, command):
    """Both would do every point, and one might cut off the line the other is writing."""
    out = tmp_path / "results.jsonl"
    with WriterLock(tmp_path / ".results.jsonl.lock"):
        done = fleet_here("backtest", command, *OF, *COMMANDS[command], "--out", out, "--data-root", tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert f"{os.getpid()}" in done.stderr
    assert not out.exists()


def test_what_a_run_lacks_is_said_where_it_is_looked_for(tmp_path):
    """No data root is no empty list; a run without a file may be one that was killed."""
    listed = fleet_here("backtest", "list", "--data-root", tmp_path / "nowhere")
    shown = fleet_here("backtest", "show", "run_20260202_101010_0123456789", "--data-root", tmp_path)

    assert (listed.returncode, shown.returncode) == (4, 4)
    assert "the data root is missing" in listed.stderr
    assert "one that was killed leaves no file" in shown.stderr
