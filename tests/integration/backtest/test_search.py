"""G3: a search is the same twice, goes on where it was, and shows apart what it was found on and judged on."""

from __future__ import annotations

import json
from datetime import date

import pytest

from cli.main import main
from libs.core.errors import Refused
from services.backtest import BacktestRunner, reading
from services.backtest.request import make_request
from services.backtest.sweep import point as points
from services.backtest.sweep.search import joined_figures, make_folds
from tests.kit.backtest import FIRST, make_history, runner_manager

LAST = date(2026, 2, 13)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("search") / "data", symbols=("ACME",), last=LAST, count=100)


def test_folds_judge_on_days_they_were_not_searched_on(tmp_path):
    """Ten trading days, two folds, three days searched for each judged."""
    folds = make_folds(tmp_path, make_request("sma_cross", "ACME", FIRST, LAST), 2, 3)

    assert [(f.start.day, f.end.day, f.judged_start.day, f.judged_end.day) for f in folds] == [
        (2, 9, 10, 11), (4, 11, 12, 13),
    ]  # fmt: skip
    assert make_folds(tmp_path, make_request("sma_cross", "ACME", FIRST, LAST), 0, 3)[0].judged_start is None
    with pytest.raises(Refused, match="too few"):
        make_folds(tmp_path, make_request("sma_cross", "ACME", FIRST, LAST), 9, 3)
    assert joined_figures([]) == ({}, {})


def search(root, out, capsys):
    words = ["backtest", "optimize", "--data-root", str(root), "--strategy", "sma_cross", "--symbols", "ACME",
             "--from", str(FIRST), "--to", str(LAST), "--space", "fast=3..20", "--space", "slow=15..40",
             "--trials", "4", "--walk-forward", "2", "--seed", "3", "--workers", "1",
             "--out", str(out), "--json"]  # fmt: skip
    assert main(words) == 0
    return json.loads(capsys.readouterr().out)


def test_a_search_is_the_same_twice_and_goes_on(root, tmp_path, capsys, monkeypatch):
    """Also after a kill in its middle; and the judged figures are those of a run over the days behind."""
    whole = tmp_path / "whole.jsonl"
    first = search(root, whole, capsys)
    lines = whole.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:4]))
    run = []
    real = points.Bench.evaluate
    monkeypatch.setattr(points.Bench, "evaluate", lambda self, given: run.append(given) or real(self, given))
    again = search(root, cut, capsys)
    judged = first["folds"][0]["judged"]
    run_id = BacktestRunner(runner_manager(root)).run(
        "sma_cross", "ACME", "2026-02-10", "2026-02-11", parameters=judged["parameters"]
    )
    alone = reading.describe(runner_manager(root), run_id)["metrics"][""]

    assert [each["found"]["parameters"] for each in again["folds"]] == [
        each["found"]["parameters"] for each in first["folds"]
    ]
    assert again["out_of_sample"] == first["out_of_sample"]
    assert len(run) < len(lines) - 1
    assert judged["figures"]["profit_paise"] == alone["profit_paise"]
    assert first["in_sample"] != first["out_of_sample"]


def test_without_optuna_it_says_what_to_install(root, tmp_path, capsys, monkeypatch):
    from services.backtest.sweep import search as searching

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(searching, "import_module", missing)
    code = main(["backtest", "optimize", "--data-root", str(root), "--strategy", "sma_cross", "--symbols", "ACME",
                 "--from", str(FIRST), "--to", str(LAST), "--space", "fast=3..9", "--workers", "1",
                 "--out", str(tmp_path / "o.jsonl")])  # fmt: skip

    assert code == 1
    assert "pip install 'tradefleet[optimize]'" in capsys.readouterr().err


def test_folds_too_short_for_the_figure_say_so(root, tmp_path, capsys):
    """One day has no Sharpe: nothing is found, and the reader is told why, not to walk forward, which was asked for."""
    words = ["backtest", "optimize", "--data-root", str(root), "--strategy", "sma_cross", "--symbols", "ACME",
             "--from", str(FIRST), "--to", "2026-02-03", "--space", "fast=3..5", "--trials", "1",
             "--walk-forward", "1", "--in-sample", "1", "--workers", "1",
             "--out", str(tmp_path / "one.jsonl")]  # fmt: skip

    assert main(words) == 1
    said = capsys.readouterr().out
    assert "no trial has a sharpe" in said
    assert "--walk-forward N" not in said
