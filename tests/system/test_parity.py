"""`fleet parity`: recorded days through ingestor, scanner and engine give what the backtest gives, fill for fill."""

from __future__ import annotations

import json
import os
import signal
from datetime import date

import psutil
import pytest

from cli import parity_play
from cli.main import main
from cli.parity_sides import carried, span_of
from libs.core.clock import US_PER_MINUTE
from libs.dbaccess import DatabaseManager, EODRollover, Role
from services.backtest import BacktestRunner
from tests.kit.backtest import make_history
from tests.kit.captured_days import capture_days
from tests.kit.market_days import at_us, candle, close_day
from tests.kit.roots import copy_stores, settings
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths

DAY, NEXT, LATER = date(2026, 2, 3), date(2026, 2, 4), date(2026, 2, 5)
SYMBOLS = "ACME,BETA,CITY,DUNE,ECHO"
STRATEGIES = "sma_cross,rsi_reversion,bollinger_breakout"
#: One strategy keeps its shares through the night; the others would leave at a square-off these days have no bar for.
OVERNIGHT = """
[execution.plans]
sma_cross = { product = "delivery", square_off = false, stop_percent = 0.6, trail_percent = 0.9 }
"""


@pytest.fixture
def history(tmp_path):  # noqa: F811  # the short one
    """Three days of an hour, the last two of which are to be played."""
    return make_history(tmp_path / "h", tuple(SYMBOLS.split(",")), last=NEXT, count=60)


def parity(*words: object) -> int:
    """Run the command in this process; the fleet's processes are real ones."""
    return main(["parity", *map(str, words)])


@pytest.mark.timeout(600)
def test_the_fleet_does_what_the_backtest_says(history, tmp_path, monkeypatch, capsys):  # noqa: F811  # the short one
    """Live is a backtest with real money: five symbols, three strategies, one account; ids, prices, fees, profits.

    Through a night: what is held is carried by the stores, the processes start anew in the morning.
    Then a day by the fleet's own stores, against a run with another parameter: the parameter is what is named.
    """
    into, overlay = tmp_path / "p", tmp_path / "overlay.toml"
    overlay.write_text(OVERNIGHT)
    monkeypatch.setenv("TRADEFLEET_CONFIG", str(overlay))
    code = parity(
        "--from", DAY, "--to", NEXT, "--strategy", STRATEGIES, "--symbols", SYMBOLS, "--root", history, "--into", into,
        "--timeout", 250, "--json",
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    counts = {name: found["fleet"][name] for name in ("signals", "orders", "trades", "exits")}
    assert (code, found["differences"]) == (0, [])
    assert counts == {name: found["backtest"][name] for name in counts}
    assert found["fleet"]["candles"] == 2 * 5 * 60
    assert min(counts.values()) >= 20, counts

    with DatabaseManager(into / "fleet").trading_reader() as trading:
        causes = dict(trading.execute("SELECT cause, count(*) FROM order_events WHERE kind = 'intent' GROUP BY 1"))
        traded = {row[0] for row in trading.execute("SELECT DISTINCT strategy_id FROM trades")}
        misses = trading.execute("SELECT count(*) FROM barrier_misses").fetchone()[0]
    night = carried(DatabaseManager(into / "fleet"), span_of(NEXT, NEXT)[0])
    assert {name for (name, _), had in night.items() if had.startswith("held")} == set(STRATEGIES.split(","))
    assert traded == set(STRATEGIES.split(","))
    assert causes.keys() >= {"enter_long", "signal", "stop", "square_off"}, "exits on the bar itself must be among them"
    assert misses == 0

    stage = into / "fleet"
    monkeypatch.setenv("TRADEFLEET_CONFIG", str(stage / "stage.toml"))
    monkeypatch.setenv("TRADEFLEET_DATA", str(stage))
    EODRollover(DatabaseManager(stage, Role.INGESTOR, settings=settings())).execute(NEXT)
    other = BacktestRunner(DatabaseManager(stage, Role.BACKTEST, settings=settings())).run(
        "sma_cross", SYMBOLS, DAY, DAY, parameters={"fast": 5}
    )
    assert parity("--date", DAY, "--strategy", "sma_cross", "--traded", "--run", other) == 1
    assert "its cause: sma_cross.parameters.fast is 10 in the fleet and 5 in the backtest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--date", LATER, "--symbols", "ACME"], 4, "no candles of ACME on 2026-02-05"),
        (["--date", "2026-02-06", "--symbols", "ACME"], 4, "no candles of ACME on 2026-02-06"),
        (["--date", "2026-02-07", "--symbols", "ACME"], 4, "nse does not trade then"),
        (["--from", NEXT, "--to", DAY, "--symbols", "ACME"], 2, "--to 2026-02-03 is before --from 2026-02-04"),
        (["--date", DAY, "--symbols", "ACME", "--fill", "next_tick"], 1, "no ticks of 2026-02-03"),
        (["--date", DAY, "--symbols", "ACME", "--source", "ticks"], 1, "no ticks of 2026-02-03 to play"),
        (["--date", DAY, "--symbols", "ACME,NOBODY"], 4, "no candles of NOBODY"),
        (["--date", DAY, "--symbols", "ACME", "--into", "{root}/p"], 2, "inside the recording"),
        (["--date", DAY, "--strategy", "donchian_turtle"], 2, "name its symbols: --symbols A,B"),
        (["--date", DAY, "--symbols", "ACME", "--run", "run_20260203_101010_abcd"], 4, "run_20260203_101010_abcd"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(history, capsys, options, code, words):
    close_day(history, LATER, [candle("OTHER", at_us(LATER, 600))])
    given = [str(each).format(root=history) for each in options]
    if "--run" in given:
        given.append("--traded")  # no process is needed to find that the run is not there

    assert parity("--strategy", "sma_cross", "--root", history, *given) == code
    assert words in capsys.readouterr().err


def test_whoever_ends_it_leaves_no_process_behind(history, monkeypatch):
    """A SIGTERM of whatever started it is taken as Ctrl-C is: the processes and the data roots of the day go, too."""
    met, others = [], set(psutil.Process().children())

    def interrupt(stage, *_):
        met.extend([stage._logs, *(set(psutil.Process().children()) - others)])
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(parity_play._Stage, "ask", interrupt)
    assert parity("--date", DAY, "--strategy", "sma_cross", "--symbols", "ACME", "--root", history) == 130
    logs, *processes = met
    assert len(processes) == 3
    assert not [each for each in processes if each.is_running()]
    assert not logs.exists()


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fill", ["next_bar_open", "next_tick"])
def test_full_days_of_ticks_are_traded_as_the_backtest_says(tmp_path, monkeypatch, capsys, fill):  # noqa: F811  # the short one
    """Two days of 375 minutes, as captured; INFY is silent for half an hour, TCS begins at noon; a night between.

    On ticks the paper broker and the engine fill and leave on each of them, as they run by default.
    """

    def was_captured(tick):
        minute = tick.timestamp_us // US_PER_MINUTE % 1440 + 330  # the session is within one date of UTC
        return not (660 <= minute < 690 if tick.symbol == "INFY" else tick.symbol == "TCS" and minute < 720)

    root, overlay = tmp_path / "h", tmp_path / "overlay.toml"
    copy_stores(root)
    capture_days(root, [DAY, NEXT], count=5, keep=was_captured)
    overlay.write_text(OVERNIGHT)
    monkeypatch.setenv("TRADEFLEET_CONFIG", str(overlay))
    code = parity(
        "--from", DAY, "--to", NEXT, "--strategy", STRATEGIES, "--symbols", "RELIANCE,HDFCBANK,ICICIBANK,INFY,TCS",
        "--root", root, "--fill", fill, "--timeout", 1500, "--json",
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)

    assert (code, found["differences"]) == (0, [])
    assert found["fleet"]["candles"] == 2 * (5 * 375 - 30 - 165)
    assert min(found["fleet"][name] for name in ("signals", "orders", "trades", "exits")) >= 100
