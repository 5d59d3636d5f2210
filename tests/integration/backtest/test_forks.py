"""Forks of a sweep take turns at its points; one that is killed costs its point, and is told of."""

from __future__ import annotations

import os
import signal

import pytest

from libs.core.errors import RetryLater
from services.backtest.sweep import forks
from services.backtest.sweep.forks import Forks
from services.backtest.sweep.point import DONE, PointResult

HERE = os.getpid()
FIGURES = {"fills": 7, "sharpe": 1.0, "calmar": None, "sortino": -0.0}


def point_of(_plan, parameters):
    """Do what a point asks for: give its number and who ran it, with a lot to tell, or be killed."""
    number = parameters["number"]
    if number == parameters.get("fatal"):
        os.kill(os.getpid(), signal.SIGKILL)
    return PointResult(
        parameters=parameters, state=DONE, bars=os.getpid(), figures=FIGURES, returns=(float(number),) * 50_000
    )


@pytest.fixture(autouse=True)
def _points(monkeypatch):
    monkeypatch.setattr(forks, "evaluate", point_of)


@pytest.mark.parametrize(("count", "points", "turns"), [(2, 7, 1000), (3, 2, 1000), (2, 0, 1000), (2, 25, 4)])
def test_every_point_is_run_once(count, points, turns, monkeypatch):
    """By fewer forks than there may be, or more points than turns."""
    monkeypatch.setattr(forks, "_TURNS_MAX", turns)
    with Forks(count) as workers:
        found = list(workers(None, [{"number": number} for number in range(points)]))

    assert sorted(each.parameters["number"] for each in found) == list(range(points))
    assert all(each.returns == (float(each.parameters["number"]),) * 50_000 for each in found)
    assert {repr(each.figures) for each in found} <= {repr(FIGURES)}  # whole ones stay whole
    assert HERE not in {each.bars for each in found}


def test_what_the_others_finished_is_kept_when_one_is_killed():
    finished = []
    with pytest.raises(RetryLater, match="a worker of the sweep was killed"), Forks(2) as workers:
        for result in workers(None, [{"number": number, "fatal": 3} for number in range(9)]):
            finished.append(result.parameters["number"])

    assert sorted(finished) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_an_interrupt_ends_them():
    """They are gone with the block, whatever they had left to do."""
    with pytest.raises(KeyboardInterrupt), Forks(2) as workers:
        for _ in workers(None, [{"number": number} for number in range(500)]):
            raise KeyboardInterrupt
    with pytest.raises(ChildProcessError):
        os.waitpid(workers._forks[0], 0)
