"""Fills on captured ticks and trading on day bars, through the whole runner, against what a hand works out."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

import pytest

from libs.core.clock import US_PER_MINUTE, US_PER_SECOND
from libs.core.errors import Refused
from libs.strategies import BaseStrategy, register
from libs.strategies.registry import forget
from services.backtest import BacktestRunner, reading
from services.backtest.request import make_request
from tests.kit.backtest import FIRST, make_history, runner_manager
from tests.kit.market_days import OPEN_MINUTE, at_us, candle, close_day
from tests.kit.roots import copy_stores

#: Monday to Friday, and the Monday behind.
DAYS = [date(2026, 2, day) for day in (2, 3, 4, 5, 6, 9)]
PLAIN = {"costs": False, "sizing": {"type": "fixed_quantity", "quantity": 10}, "form": "event"}


@pytest.fixture(autouse=True)
def scripted():
    """A strategy that says what it is told, on the bars it is told: `{bar number: what}`."""

    @register
    class Scripted(BaseStrategy):
        strategy_id = "scripted"
        purpose = "For tests."
        script: ClassVar = {}

        def start(self, context):
            self.seen = -1

        def process_bar(self, bar, context):
            self.seen += 1
            what = Scripted.script.get(self.seen)
            return getattr(context, what)() if what else None

    yield Scripted
    forget("scripted")


def day_bar(day, open_, high, low, close, symbol="ACME"):
    return {"symbol": symbol, "timeframe": "1d", "timestamp": at_us(day, 0), "open": open_, "high": high, "low": low,
            "close": close, "volume": 1000}  # fmt: skip


@pytest.fixture(scope="module")
def daily(tmp_path_factory):
    """Six days of day bars: 100 to 106, then a gap down over the weekend."""
    root = tmp_path_factory.mktemp("daily") / "data"
    copy_stores(root)
    prices = [(100, 102, 99, 101), (101.5, 103, 101, 102), (102, 104, 101.5, 103), (103.5, 105, 103, 104),
              (104, 106, 103, 105), (98, 99, 95, 96)]  # fmt: skip
    for day, (o, h, low, c) in zip(DAYS, prices, strict=True):
        close_day(root, day, [day_bar(day, float(o), float(h), float(low), float(c))], timeframe="1d")
    return runner_manager(root)


def run_daily(daily, **changes):
    return BacktestRunner(daily).run(
        "scripted", "ACME", DAYS[0], DAYS[-1], timeframe="1d", daily_anchor=False, **PLAIN | changes
    )


def test_day_bars_are_decided_at_the_close_and_held_through_the_nights(daily, scripted):
    """Said on Monday's close, bought at Tuesday's open of 101.50; held for three days; sold at Friday's open of 104."""
    scripted.script = {0: "enter_long", 3: "exit_long"}
    run_id = BacktestRunner(daily).run(
        "scripted", "ACME", DAYS[0], DAYS[-1], timeframe="1d", daily_anchor=False, **PLAIN
    )
    found = reading.describe(daily, run_id)
    rows = reading.trades(daily, run_id)

    assert [(row["side"], row["price"], row["reason"]) for row in rows] == [
        ("buy", 101.5, "enter_long"), ("sell", 104.0, "signal")
    ]  # fmt: skip
    opens = [at_us(day, OPEN_MINUTE) for day in (DAYS[1], DAYS[4])]
    assert [row["timestamp"].timestamp() * 1e6 for row in rows] == opens
    assert rows[1]["profit_paise"] == 10 * 250
    assert found["metrics"][""]["bars_held_average"] == 3
    assert found["run"]["settings"]["request"]["product"] == "delivery"
    assert found["run"]["settings"]["request"]["exits"]["square_off"] is False
    assert found["metrics"][""]["equity_paise"] == 1_000_000_00 + 10 * 250


def test_a_weekend_gap_goes_through_the_stop_and_fills_at_the_open(daily, scripted):
    """Bought at 101.50 on Tuesday with a stop 4 % below, 97.45; Monday opens at 98 and falls to 95: out at 97.45.

    With a stop of 3 %, 98.50, Monday's open of 98.00 is beyond it: that is all there is.
    """
    scripted.script = {0: "enter_long"}
    prices = []
    for percent in (4, 3):
        run_id = run_daily(daily, exits={"stop_percent": percent})
        prices.append([(row["side"], row["price"], row["reason"]) for row in reading.trades(daily, run_id)])

    assert prices == [
        [("buy", 101.5, "enter_long"), ("sell", 97.45, "stop")], [("buy", 101.5, "enter_long"), ("sell", 98.0, "stop")]
    ]  # fmt: skip


def test_shares_are_not_sold_short_through_a_night(daily, scripted):
    """Delivery has no short side: the signal is there, and is ignored with its reason."""
    scripted.script = {0: "enter_short"}
    run_id = BacktestRunner(daily).run(
        "scripted", "ACME", DAYS[0], DAYS[-1], timeframe="1d", daily_anchor=False, **PLAIN
    )

    with daily.backtest_reader(run_id) as connection:
        assert connection.execute("SELECT decision, reason FROM signals").fetchall() == [
            ("ignored", "shares cannot be sold short for delivery")
        ]
    assert reading.trades(daily, run_id) == []


@pytest.fixture
def captured(tmp_path):
    """A day of minutes, and ticks of minutes 1 and 3 with quotes of their own."""
    root = make_history(tmp_path / "data", ("ACME",), last=FIRST, count=10)
    at = at_us(FIRST, OPEN_MINUTE)
    quotes = [(60.5, 100.1, 100.0, 100.1, 400), (62.0, 100.1, 100.0, 100.25, 40), (63.0, 100.1, 100.0, 100.3, 40),
              (182.0, 101, 100.9, 101.1, 500)]  # fmt: skip
    ticks = [
        {"symbol": "ACME", "timestamp": at + round(s * US_PER_SECOND), "price": float(p), "volume": v, "bid": b,
         "ask": a, "volume_day": 0, "seq": n}
        for n, (s, p, b, a, v) in enumerate(quotes, 1)
    ]  # fmt: skip
    close_day(root, FIRST, ticks, timeframe=None)
    return runner_manager(root)


def test_a_run_fills_on_the_ticks_that_were_captured(captured, scripted):
    """Half of 40 may be taken: 20 of 30 at the ask of 100.25, 10 at the next one's 100.30; all out at the bid.

    The better ask at 60.5 s was gone when the ingestor closed the bar, two seconds after its end.
    """
    scripted.script = {0: "enter_long", 2: "exit_long"}
    options = PLAIN | {"sizing": {"type": "fixed_quantity", "quantity": 30}}
    runs = [
        BacktestRunner(captured).run(
            "scripted", "ACME", FIRST, FIRST, fill="next_tick", fills={"participation_percent_max": 50}, **options
        )
        for _ in range(2)
    ]
    rows = reading.trades(captured, runs[0])

    assert [(row["side"], row["quantity"], row["price"]) for row in rows] == [
        ("buy", 20, 100.25), ("buy", 10, 100.3), ("sell", 30, 100.9)
    ]  # fmt: skip
    assert rows[2]["profit_paise"] == 30 * 100_90 - 20 * 100_25 - 10 * 100_30
    assert reading.compare(captured, *runs)["equal"]
    log = reading.describe(captured, runs[0])["log"]
    assert [row["event"] for row in log if row["event"] == "data.ticks"] == ["data.ticks"]


def test_two_symbols_that_trade_across_a_minutes_end_are_valued_by_the_minute(tmp_path, scripted):
    """ACME is first by name and fills last, in the grace of the minute in which BETA fills: the third bar knows both.

    Both are bought at 100 and close at 101 and 102 from then on: 10 and 20 rupees.
    """
    root, at = tmp_path / "data", at_us(FIRST, OPEN_MINUTE)
    copy_stores(root)
    prices = {"ACME": 101.0, "BETA": 102.0}
    close_day(root, FIRST, [candle(name, at + n * US_PER_MINUTE, price) for name, price in prices.items()
                            for n in range(4)])  # fmt: skip
    close_day(root, FIRST, [
        {"symbol": name, "timestamp": at + int(s * US_PER_SECOND), "price": 100.0, "volume": 50, "bid": 100.0,
         "ask": 100.0, "volume_day": 0, "seq": n}
        for n, (name, s) in enumerate([("BETA", 90), ("ACME", 121.5)], 1)
    ], timeframe=None)  # fmt: skip
    scripted.script = {0: "enter_long"}
    db = runner_manager(root)
    run_id = BacktestRunner(db).run("scripted", "ACME,BETA", FIRST, FIRST, fill="next_tick", **PLAIN)

    with db.backtest_reader(run_id) as connection:
        curve = connection.execute("SELECT equity_paise FROM equity_curve ORDER BY timestamp").fetchall()
    assert [row[0] - 1_000_000_00 for row in curve] == [0, 20_00, 30_00, 30_00]


def test_a_run_on_ticks_there_are_none_of_is_refused(tmp_path):
    root = make_history(tmp_path / "data", ("ACME",), last=date(2026, 2, 3), count=10)
    with pytest.raises(Exception, match="needs captured ticks of all 2 days; there are none of 2026-02-02, 2026-02-03"):
        BacktestRunner(runner_manager(root)).run("sma_cross", "ACME", FIRST, date(2026, 2, 3), fill="next_tick")

    with pytest.raises(Refused, match="next session's open"):
        make_request("sma_cross", "ACME", FIRST, FIRST, fill="next_tick", timeframe="1d")
