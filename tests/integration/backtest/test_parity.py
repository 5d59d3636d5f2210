"""What differs between the fleet and a backtest is found, the first of it first, and its cause is named."""

from __future__ import annotations

import errno
import tomllib
from datetime import date

import msgspec
import numpy as np
import pytest

from cli import parity_day
from cli.parity_plan import settings_tree
from cli.parity_sides import candle_rows, run_rows, span_of
from cli.parity_stage import stage_environment
from libs.core.errors import Refused
from libs.core.version import CODE_VERSION
from libs.dbaccess import DatabaseManager
from libs.trading.parity import Kind, Row, What, differences
from libs.trading.parity_causes import Evidence, Mishap, explained, settings_that_differ
from services.backtest import BacktestRunner
from services.backtest.request import make_request
from tests.kit.backtest import make_history, runner_manager, walk
from tests.kit.market_days import close_day
from tests.kit.roots import copy_stores, settings

DAY = date(2026, 2, 2)
SYMBOLS = ("ACME", "BETA")
#: What the engine is given by its settings, here by hand.
FLEET = {"exits": {"stop_percent": 1.0}, "sizing": {"type": "equity_percent", "percent": 5.0}, "form": "event"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_history(tmp_path_factory.mktemp("parity") / "data", SYMBOLS, last=DAY)


@pytest.fixture(scope="module")
def usual(root):
    return ran(root)


def ran(root, **changes):
    """Run, and give the request with the rows of candles and of the run."""
    request = make_request("sma_cross", SYMBOLS, DAY, DAY, **FLEET | changes)
    db = runner_manager(root)
    run_id = BacktestRunner(db).execute(request)
    candles, _ = candle_rows(DatabaseManager(root), "nse", DAY, SYMBOLS)
    return request, [*candles, *run_rows(db, run_id, span_of(DAY, DAY), to_the_minute=False)]


def told(one, two, **evidence):
    (ours, fleet), (theirs, backtest) = one, two
    trees = [settings_tree(each, each.risk(settings().risk), CODE_VERSION) for each in (ours, theirs)]
    return explained(differences(fleet, backtest), Evidence(settings=settings_that_differ(*trees), **evidence))


def test_the_same_twice_differs_in_nothing(root, usual):
    one, two = usual, ran(root)

    assert len([row for row in one[1] if row.kind is Kind.TRADE]) > 10
    assert told(one, two) == []


@pytest.mark.parametrize(
    ("changes", "kind", "cause"),
    [
        (
            {"parameters": {"fast": 5}},
            Kind.SIGNAL,
            "sma_cross.parameters.fast is 10 in the fleet and 5 in the backtest",
        ),
        ({"fills": {"slippage_ticks": 2}}, Kind.TRADE, "fills.slippage_ticks is 0 in the fleet and 2 in the backtest"),
        ({"exits": {"stop_percent": 0.2}}, Kind.ORDER, "sma_cross.exits.stop_percent is 1.0 in the fleet and 0.2 in"),
        ({"sizing": {"type": "fixed_quantity", "quantity": 7}}, Kind.ORDER, "sma_cross.sizing.percent is 5.0 in the"),
        ({"costs": False}, Kind.TRADE, "costs is True in the fleet and False in the backtest"),
        ({"limits": {"symbol_trades_day_max": 4}}, Kind.SIGNAL, "risk.symbol_trades_day_max is 50 in the fleet and 4"),
    ],
)
def test_another_setting_is_named(root, usual, changes, kind, cause):
    """Whatever it leads to later, the first difference is of the kind the setting decides, and names it."""
    found = told(usual, ran(root, **changes))

    assert found[0].kind is kind
    assert cause in found[0].cause
    assert all(each.cause for each in found), "each has a cause or follows from one that has"


def test_one_bar_less_is_named_and_everything_else_follows(usual, tmp_path):
    """History that lacks one minute of one share: the candle is named, and what it led to is said to follow."""
    request, rows = usual
    bar = next(row for row in rows if row.kind is Kind.SIGNAL and row.symbol == "BETA")
    other = tmp_path / "data"
    copy_stores(other)
    rng = np.random.default_rng(1)
    kept = [row for symbol in SYMBOLS for row in walk(symbol, DAY, rng)]
    kept = [row for row in kept if (row["symbol"], row["timestamp"]) != ("BETA", bar.at_us)]
    close_day(other, DAY, kept)
    found = told((request, rows), ran(other))

    assert (found[0].kind, found[0].what, found[0].symbol, found[0].at_us) == (
        Kind.CANDLE, What.ONLY_FLEET, "BETA", bar.at_us,
    )  # fmt: skip
    assert found[0].cause == "the history the backtest reads lacks it"
    assert found[1].follows
    assert "the candle of BETA" in found[1].cause
    assert {each.symbol for each in found if each.kind in {Kind.CANDLE, Kind.SIGNAL} and not each.follows} == {"BETA"}


def test_what_went_wrong_in_the_fleet_is_named(usual):
    """A strategy that was suspended, a candle that came after a gap, a signal that came too late."""
    request, rows = usual
    at = next(number for number, row in enumerate(rows) if row.kind is Kind.SIGNAL and row.symbol == "ACME")
    lost = [*rows[:at], *rows[at + 1 :]]
    late = [*rows]
    late[at] = msgspec.structs.replace(rows[at], values=rows[at].values | {"decision": "rejected: stale_signal"})

    at_us = rows[at].at_us
    mishap = Mishap(strategy_id="sma_cross", symbol="ACME", from_us=at_us, until_us=None, why="slow: 80 ms a bar")
    later = msgspec.structs.replace(mishap, from_us=at_us + 1)

    suspended = told((request, lost), (request, rows), mishaps=[mishap])
    not_yet = told((request, lost), (request, rows), mishaps=[later])
    held = told((request, lost), (request, rows), carried={("sma_cross", "ACME"): "held 10"})
    filled = told((request, lost), (request, rows), backfilled=frozenset({("ACME", rows[at].at_us)}))
    unexplained = told((request, lost), (request, rows))
    assert suspended[0].cause.startswith("the fleet suspended the strategy at 2026-02-02 ")
    assert suspended[0].cause.endswith(": slow: 80 ms a bar")
    assert not_yet[0].cause == "", "a suspension explains nothing that came before it"
    assert held[0].cause.startswith("the fleet held 10 from before")
    assert "it came after a gap of the feed" in filled[0].cause
    assert unexplained[0].cause == "", "what nothing explains is not explained away"
    assert "too late" in told((request, late), (request, rows))[0].cause


def test_two_rows_about_the_same_are_told_apart():
    row = Row(kind=Kind.TRADE, strategy_id="s", symbol="A", at_us=1, name="exit sell", values={"price": 1.0})
    other = msgspec.structs.replace(row, values={"price": 2.0})

    found = differences([row, row], [row, other])
    assert [(each.name, each.fields) for each in found] == [("exit sell 2", {"price": (1.0, 2.0)})]


@pytest.mark.parametrize(
    ("fill", "step", "exit_source"), [("next_bar_open", False, "bar"), ("next_tick", True, "tick")]
)
def test_the_stage_runs_what_the_recording_ran(root, usual, tmp_path, fill, step, exit_source):
    """Its user's own strategies, whatever root the command's settings name; and the fills that were asked for."""
    request = msgspec.structs.replace(usual[0], fill=fill)
    stage_environment(tmp_path, DatabaseManager(root, settings=settings()), DAY, request, "ticks")
    made = tomllib.loads((tmp_path / "stage.toml").read_text())

    assert made["strategies"]["user_directory"] == str(root / "strategies")
    assert (made["replay"]["root"], made["replay"]["step"]) == (str(root), step)
    assert (made["execution"]["paper_fill"], made["execution"]["exit_source"]) == (fill, exit_source)


def test_a_live_day_on_a_read_only_root_says_what_it_needs(root, tmp_path, monkeypatch):
    """Whoever reads the live buffer pins its segments, in the root itself."""

    def nothing_can_be_written(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(parity_day, "candle_rows", nothing_can_be_written)
    asked = parity_day.Asked(start=DAY, end=DAY, strategies=("sma_cross",), symbols=SYMBOLS)

    with pytest.raises(Refused, match="fleet rollover --date 2026-02-02"):
        parity_day.compare_days(root, settings(), asked, tmp_path / "into")
    assert not (tmp_path / "into").exists()
