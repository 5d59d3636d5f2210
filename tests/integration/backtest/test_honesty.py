"""G3: who knows the future is caught, who does not is not; luck is judged by the run's own trades."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest

from cli.main import main
from libs.core.errors import Refused
from libs.strategies import registry
from libs.strategies.sma_cross import SmaCross
from services.backtest import BacktestRunner, reading
from services.backtest.lookahead import look_ahead, warm_up_check
from services.backtest.luck import held_trades, judge_luck
from services.backtest.request import make_request
from tests.kit.backtest import FIRST, LAST, make_history, runner_manager

SECOND = date(2026, 2, 3)


class Peeks(SmaCross):
    """Its vectorised form decides by the close three bars ahead."""

    strategy_id = "peeks"

    def wishes(self, columns):
        ahead = dict(columns) | {"close": np.append(columns["close"][3:], columns["close"][-3:])}
        return super().wishes(ahead if len(columns["close"]) > 3 else columns)


class Remembers(SmaCross):
    """Goes with the next close wherever an earlier run in this process has told it."""

    strategy_id = "remembers"
    seen: dict[int, float] = {}  # noqa: RUF012 - that it is shared is the cheat

    def wishes(self, columns):
        return None

    def decide(self, bar, context):
        self.seen[bar.timestamp_us] = bar.close
        known = self.seen.get(bar.timestamp_us + 60_000_000)
        return super().decide(bar, context) if known is None else self.go(1 if known > bar.close else -1, context)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("honesty") / "data", symbols=("ACME",), count=150)


@pytest.fixture(autouse=True)
def cheats():
    for kind in (Peeks, Remembers):
        registry.register(kind)
    yield
    registry.forget(__name__)
    Remembers.seen.clear()


def checked(root, strategy, **options):
    return look_ahead(runner_manager(root), make_request(strategy, "ACME", FIRST, LAST, **options), cuts=6)


@pytest.mark.parametrize("strategy", ["sma_cross", "opening_range"])
def test_an_honest_strategy_passes(root, strategy):
    """In both of its forms, and not for want of signals."""
    found = checked(root, strategy)

    assert found.signals > 0
    assert (found.differing, found.repeats, found.knows_future) == (0, True, False)
    assert ("vectorised" in found.forms) == (strategy == "sma_cross")


def test_a_form_that_peeks_is_caught_and_the_other_is_not(root):
    found = checked(root, "peeks", daily_anchor=False)

    assert found.knows_future
    assert {each.form for each in found.differences} == {"vectorised"}
    assert all(each.bar_us <= each.cut_us for each in found.differences)
    assert {"vanished"} <= {each.what for each in found.differences}


def test_memory_between_runs_is_caught(root):
    found = checked(root, "remembers")

    assert found.knows_future
    assert not found.repeats


def test_warm_up_that_is_enough_is_said_to_be(root):
    """An average of 30 forgets what is older: from 31 bars on nothing differs, and half of them miss signals."""
    found = warm_up_check(runner_manager(root), make_request("sma_cross", "ACME", SECOND, LAST))

    assert [row.warmup_bars for row in found.rows] == [15, 31, 62, 124]
    assert found.enough_bars == 31
    assert not found.proves_nothing
    assert found.rows[0].share > 0
    with pytest.raises(Refused, match=f"0 bars before {FIRST}"):
        warm_up_check(runner_manager(root), make_request("sma_cross", "ACME", FIRST, LAST))


def test_luck_is_judged_by_the_trades_of_the_run(root, capsys):
    """The trades folded out of the file are those the run counted, to the paisa; the seed decides the rest."""
    db = runner_manager(root)
    run_id = BacktestRunner(db).run("sma_cross", "ACME", FIRST, LAST)
    figures = reading.describe(db, run_id)["metrics"][""]
    trades = held_trades(reading.trades(db, run_id))
    found = judge_luck(db, run_id, rounds=200, seed=7)

    assert len(trades) == figures["trades"] > 5
    assert sum(t.profit_paise - t.fees_paise for t in trades) == figures["profit_trades_paise"]
    assert found == judge_luck(db, run_id, rounds=200, seed=7)
    assert found != judge_luck(db, run_id, rounds=200, seed=8)
    assert found.order.profit_real_paise == figures["profit_trades_paise"]
    assert 0 < found.entries.p_value <= 1
    capsys.readouterr()
    assert main(["backtest", "luck", run_id, "--data-root", str(root), "--rounds", "200", "--seed", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"]["p_value"] == found.entries.p_value


def test_a_fill_that_turns_a_position_over_ends_one_trade_and_begins_the_next():
    def fill(minute, side, quantity, price, profit, fees):
        at = datetime(2026, 2, 2, 4, minute, tzinfo=UTC)
        return {"symbol": "ACME", "timestamp": at, "side": side, "quantity": quantity, "price": price,
                "profit_paise": profit, "fees_paise": fees}  # fmt: skip

    long, short = held_trades([
        fill(0, "buy", 10, 100.0, None, 5), fill(1, "buy", 10, 102.0, None, 5),
        fill(2, "sell", 30, 103.0, 4000, 9), fill(3, "buy", 10, 101.0, 2000, 3),
    ])  # fmt: skip

    assert (long.is_long, long.value_paise, long.profit_paise, long.fees_paise) == (True, 202_000, 4000, 19)
    assert (short.is_long, short.value_paise, short.profit_paise, short.fees_paise) == (False, 103_000, 2000, 3)
    assert (short.closed_us - short.opened_us) == 60_000_000


def test_the_command_says_it_and_exits_with_1(root, capsys):
    words = ["--symbols", "ACME", "--from", str(SECOND), "--to", str(LAST), "--data-root", str(root), "--cuts", "4"]
    honest = main(["backtest", "lookahead", "--strategy", "sma_cross", *words])
    said = capsys.readouterr().out
    cheats = main(["backtest", "lookahead", "--strategy", "peeks", "--run-on", "--json", *words])
    answer = json.loads(capsys.readouterr().out)

    assert (honest, cheats) == (0, 1)
    assert "sma_cross does not look ahead" in said
    assert "31 bars are enough" in said
    assert answer["knows_future"]
