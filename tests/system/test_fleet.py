"""I1, I2, J7: the whole fleet under supervisord, every process killed in its turn, through to the end of the day."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Self

import psutil
import pytest

from libs.dbaccess import DatabaseManager
from libs.dbaccess.backup import list_copies
from libs.messaging import Subscriber
from libs.settings.storage import Sqlite
from tests.kit.acting import check_actions
from tests.kit.browser import Dashboard
from tests.kit.fleet import SERVICES, WholeFleet, whole_fleet
from tests.kit.operating import check_after_the_day, check_trading_day
from tests.kit.paths import PROJECT
from tests.kit.processes import fleet as command
from tests.kit.processes import wait_until
from tests.system.test_thread import FLIPPER

DAY = date(2026, 2, 2)
#: A small and quick market; a service that is silent for some seconds hangs.
FAST = {
    "TRADEFLEET_EXCHANGE_SIM_SYMBOLS": "5", "TRADEFLEET_EXCHANGE_SIM_START": f"{DAY}T14:20:00",
    "TRADEFLEET_EXCHANGE_SIM_SPEED": "20",
    "TRADEFLEET_SCANNER_STRATEGIES": "flipper", "TRADEFLEET_SCANNER_SYMBOLS": "RELIANCE",
    "TRADEFLEET_INGESTOR_ROLLOVER_DELAY_S": "60", "TRADEFLEET_WATCHDOG_HUNG_S": "15",
    "TRADEFLEET_WATCHDOG_RESTARTS_MAX": "100", "TRADEFLEET_EXCHANGE_SIM_SKIP_CLOSED": "false",
    "UPSTOX_ACCESS_TOKEN": "not for everybody",
}  # fmt: skip


#: The market waits for nobody: slow while processes come and go, so that a busy machine has time enough before the
#: close, and quick only where its minutes are what is waited for.
SLOW, QUICK = 4, 15
OWN = {
    "TRADEFLEET_EXCHANGE_SIM_SYMBOLS": "3", "TRADEFLEET_EXCHANGE_SIM_START": f"{DAY}T14:10:30",
    "TRADEFLEET_EXCHANGE_SIM_SPEED": str(SLOW),
}  # fmt: skip


class Listener:
    """Reads the minutes of one symbol for the whole day, over every death of their owner."""

    def __init__(self, fleet: WholeFleet) -> None:
        self.seqs: list[int] = []
        self._stop = threading.Event()
        self.subscriber = Subscriber.open(["candle.1m.nse.RELIANCE|"], settings=fleet.settings, backfill=True)
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while not self._stop.is_set():
            if (message := self.subscriber.poll(0.1)) is not None:
                self.seqs.append(message.seq)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.subscriber.close()


def started(fleet: WholeFleet) -> None:
    """Start it with one strategy whose every signal is known beforehand."""
    (fleet.data_root / "strategies").mkdir()
    (fleet.data_root / "strategies" / "flipper.py").write_text(FLIPPER)
    fleet.start()
    for service in SERVICES:
        fleet.wait_for(service, lambda _status: True, f"{service} to answer")
    fleet.wait_for("ingestor", lambda status: status["capture"]["minutes"] >= 1, "a minute")


def kill(fleet: WholeFleet, service: str) -> None:
    """`kill -9`; it is another process at once, and nobody else noticed."""
    before = fleet.pids()
    fleet.signal(service, signal.SIGKILL)
    fleet.back(service, before)


def answers_again(fleet: WholeFleet, *services: str) -> None:
    """What was killed works."""
    for service in services:
        fleet.wait_for(service, lambda _status: True, f"{service} to answer again")


@contextmanager
def hung(fleet: WholeFleet, service: str) -> Iterator[None]:
    """SIGSTOP: it lives and does nothing, and only the watchdog can tell; by the end of the block it is back."""
    kills = fleet.wait_for("watchdog", lambda _status: True, "the watchdog")["kills"]
    before = fleet.pids()
    fleet.signal(service, signal.SIGSTOP)
    yield
    fleet.back(service, before)

    fleet.wait_for("watchdog", lambda status: status["kills"] == kills + 1, "the watchdog to have done it")
    answers_again(fleet, service)


def signals_and_fills(fleet: WholeFleet) -> None:
    """Whoever died, strategies go on, and the engine trades what they say."""
    fleet.wait_for("scanner", lambda status: status["signals"] >= 2, "signals after the deaths")
    wait_until(lambda: rows(fleet, "SELECT count(*) FROM trades")[0][0] >= 1, "a fill")


def end_the_day(fleet: WholeFleet) -> None:
    """Play on past the close; the day is in history and `fleet eod` and `fleet health --deep` are content."""
    fleet.market.clock(speed=300)
    wait_until(lambda: fleet.market.clock()["now"] > f"{DAY}T15:31", "the close", deadline_s=300)
    fleet.wait_for("execution_engine", lambda status: not status["positions"], "positions to be squared off")
    fleet.market.clock(play_to=f"{DAY}T16:05")  # nothing trades any more
    fleet.market.clock(speed=1)
    wait_until(lambda: '"rollover.done"' in fleet.log("ingestor"), "the day in history", deadline_s=300)
    closed = command("eod", "--date", DAY, "--json", **fleet.environment)
    assert closed.returncode == 0, closed.stdout + closed.stderr + fleet.log("ingestor")
    health = command("health", "--deep", "--json", **fleet.environment)
    assert health.returncode == 0, health.stdout
    assert json.loads(health.stdout)["state"] == "green", health.stdout


def check_metrics(fleet: WholeFleet) -> None:
    """The dashboard asks for nothing that the services do not export."""
    with urllib.request.urlopen(f"http://127.0.0.1:{fleet.settings.api.port}/metrics", timeout=30) as page:
        exported = set(
            re.findall(r'^(\w+)(?:\{service="(\w+)"(?:,name="(\w+)")?\})? \S+$', page.read().decode(), re.MULTILINE)
        )
    board = json.loads((PROJECT / "docs" / "grafana" / "tradefleet.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(expressions) > 10
    for expression in expressions:
        (metric,) = re.findall(r"tradefleet_\w+", expression)
        labels = dict(re.findall(r'(\w+)=~?"([^"]+)"', expression))
        services = labels["service"].split("|") if "service" in labels else list(SERVICES)
        for name in labels.get("name", "").split("|"):
            found = [(metric, service, name) in exported for service in services]
            # What one service has never done yet, such as a message, it does not export.
            assert any(found), f"the dashboard asks for {expression}; nobody exports {metric} {name}"
    assert {service for metric, service, _ in exported if metric == "tradefleet_process_memory_bytes"} == set(SERVICES)


def check_copy_before_new_code(fleet: WholeFleet) -> None:
    """The supervisor started the engine again with code that had not run on its store: no command was there to copy."""
    log = (fleet.data_root / "run" / "execution_engine.log").read_text()
    (made,) = [json.loads(line)["copy"] for line in log.splitlines() if '"deployment.copied"' in line]
    copies = {each.path: each.state for each in list_copies(fleet.data_root / "backups", Sqlite(), verify=True)}
    assert copies[made] == "whole"


def rows(fleet: WholeFleet, sql: str) -> list[tuple]:
    with DatabaseManager(fleet.data_root, settings=fleet.settings).trading_reader() as trading:
        return [tuple(row) for row in trading.execute(sql).fetchall()]


def twice(fleet: WholeFleet) -> list[tuple]:
    """Signals that became more than one entry."""
    return rows(
        fleet,
        "SELECT signal_id_reference, count(*) FROM orders WHERE purpose = 'entry' AND replaces IS NULL "
        "GROUP BY signal_id_reference HAVING count(*) > 1",
    )


def check_what_is_left(fleet: WholeFleet, listener: Listener) -> None:
    """No gap for who followed, no order twice, positions the sum of their fills."""
    db = DatabaseManager(fleet.data_root, settings=fleet.settings)
    with db.historical_reader("nse", "candles", "1m", DAY) as history:
        published = [
            row[0]
            for row in history.execute(
                "SELECT seq FROM candles WHERE symbol = 'RELIANCE' AND seq IS NOT NULL ORDER BY seq"
            ).fetchall()
        ]
    assert len(published) > 30
    wait_until(lambda: len(listener.seqs) >= len(published), "the listener to have the last minute")

    assert listener.seqs == published, "a minute was lost or told twice"
    assert twice(fleet) == []
    held = rows(
        fleet,
        "SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) FROM trades "
        "WHERE status = 'filled' GROUP BY symbol",
    )
    assert held
    assert all(quantity == 0 for _, quantity in held), "square-off left something"


@pytest.mark.timeout(600)
def test_fleet_survives_its_processes_through_to_the_end_of_the_day(chromium):
    with whole_fleet(**FAST | OWN) as fleet:
        started(fleet)
        board = Dashboard(chromium, f"http://127.0.0.1:{fleet.settings.api.port}") if chromium else None
        tokens = {name: psutil.Process(pid).environ()["UPSTOX_ACCESS_TOKEN"] for name, pid in fleet.pids().items()}
        assert {name for name, token in tokens.items() if token} == {"ingestor", "execution_engine", "api", "ops"}
        socket = fleet.data_root / "run" / "s.sock"
        assert socket.stat().st_mode & 0o777 == 0o700
        with Listener(fleet) as listener:
            killed = ("ingestor", "scanner", "execution_engine", "watchdog")
            note = fleet.data_root / "backups" / ".deployed_code_trading"
            code = note.read_text()
            note.write_text("other code")
            for service in killed:
                kill(fleet, service)
            answers_again(fleet, *killed)
            check_copy_before_new_code(fleet)
            assert note.read_text() == code
            before = fleet.pids()
            assert "scanner: started" in fleet.control("supervisorctl", "restart", "scanner")
            fleet.back("scanner", before)
            answers_again(fleet, "scanner")  # until it does, SIGHUP ends it
            before = fleet.pids()
            fleet.signal("scanner", signal.SIGHUP)
            with hung(fleet, "ops"):
                wait_until(lambda: '"process.reloaded"' in fleet.log("scanner"), "the scanner's settings read again")
                assert fleet.pids() == before, "a reload is no restart"
                fleet.market.clock(speed=QUICK)
                signals_and_fills(fleet)
                if board:
                    check_trading_day(fleet, board)
            end_the_day(fleet)
            check_what_is_left(fleet, listener)
        check_metrics(fleet)
        if board:
            check_after_the_day(fleet, board, DAY.isoformat())
        else:  # the same, as a program does it
            check_actions(fleet)
        assert '"service": "ingestor"' in fleet.control("supervisorctl", "tail", "-2000", "ingestor")
        supervisord = psutil.Process(int(fleet.control("supervisorctl", "pid").strip()))
        everybody = supervisord.children(recursive=True)
        fleet.stop()

    assert [each for each in everybody if each.is_running()] == []


def test_wrong_configuration_is_said_and_not_tried_again():
    """Exit 78 tells the supervisor that a restart cannot help."""
    done = subprocess.run(
        [sys.executable, "-m", "services.exchange_sim"], cwd=PROJECT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"TRADEFLEET_EXCHANGE_SIM_SEED": "not a number", "TRADEFLEET_RUNTIME_START_SECONDS": "0"},
        check=False,
    )  # fmt: skip

    assert done.returncode == 78
    assert "exchange_sim.seed" in done.stderr
