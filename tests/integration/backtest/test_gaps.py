"""A split or a bonus stands out in a run's log and report; what was held over it is said to be doubtful."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from libs.strategies import BaseStrategy, register
from libs.strategies.registry import forget
from services.backtest import BacktestRunner, reading
from services.backtest.report import render
from tests.kit.backtest import runner_manager
from tests.kit.market_days import OPEN_MINUTE, at_us, close_day
from tests.kit.roots import copy_stores

DAYS = [date(2026, 2, day) for day in (2, 3, 4)]
#: Symbol: what Wednesday opens at, of Tuesday's close of 1,000.
OPENS = {"SPLIT2": 503.0, "SPLIT5": 198.0, "BONUS": 500.0, "JOINED": 5_010.0, "FALLEN": 940.0, "RISEN": 1_060.0}
#: What is likely a change of the shares, and not of their worth.
CORPORATE = {"SPLIT2": -0.497, "SPLIT5": -0.802, "BONUS": -0.5, "JOINED": 4.01}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    root = tmp_path_factory.mktemp("gaps") / "data"
    copy_stores(root)
    for day in DAYS:
        rows = []
        for symbol, opens in OPENS.items():
            price = 1_000.0 if day < DAYS[2] else opens
            rows += [{"symbol": symbol, "timeframe": "1m", "timestamp": at_us(day, OPEN_MINUTE + n), "open": price,
                      "high": price, "low": price, "close": price, "volume": 100} for n in range(6)]  # fmt: skip
        close_day(root, day, rows)
    return runner_manager(root)


@pytest.fixture(autouse=True)
def held():
    """Buys as soon as it may and holds; the one with the bonus when that is over."""

    @register
    class Held(BaseStrategy):
        strategy_id = "held"
        purpose = "For tests."
        warmup_bars = 2

        def process_bar(self, bar, context):
            too_early = bar.symbol == "BONUS" and bar.timestamp_us < at_us(DAYS[2], OPEN_MINUTE)
            return None if too_early or not context.position.is_flat else context.enter_long()

    yield
    forget("held")


def told(db, run_id, event):
    log = reading.describe(db, run_id)["log"]
    return [msgspec.json.decode(row["detail_json"]) for row in log if row["event"] == event]


def run(db, first=DAYS[0], symbols=tuple(OPENS)):
    return BacktestRunner(db).run(
        "held", list(symbols), first, DAYS[-1], daily_anchor=False, product="delivery", exits={"square_off": False},
        sizing={"type": "fixed_quantity", "quantity": 1},
    )  # fmt: skip


def test_a_split_is_told_and_an_ordinary_gap_is_not(db):
    """1:2, 1:5, a bonus of 1:1 and shares put together; 6 % down or up is a bad or a good night."""
    run_id = run(db)
    gaps, over = told(db, run_id, "data.corporate_gap"), told(db, run_id, "position.over_gap")
    page = render(db, run_id)

    assert {each["symbol"]: each["ratio"] for each in gaps} == CORPORATE
    assert {each["day"] for each in gaps} == {DAYS[2].isoformat()}
    assert {(each["symbol"], each["quantity"]) for each in over} == {(name, 1) for name in CORPORATE if name != "BONUS"}
    for symbol, ratio in CORPORATE.items():
        doubtful = "no" if symbol == "BONUS" else "yes: its profit is doubtful"
        assert f"<td>{symbol}</td><td>{DAYS[2]}</td><td>{ratio:+.2%}</td><td>{doubtful}</td>" in page
    assert "<td>FALLEN</td><td>2026" not in page


def test_a_split_before_the_first_bar_is_told_too(db):
    """The averages of the first day are worked out of prices before the split."""
    run_id = run(db, first=DAYS[2], symbols=["SPLIT2", "FALLEN"])

    gaps = told(db, run_id, "data.corporate_gap")
    assert gaps == [{"symbol": "SPLIT2", "day": "2026-02-04", "ratio": -0.497}]
    assert told(db, run_id, "position.over_gap") == []
