"""`fleet kill-switch` against an engine that lives: over its socket, down to its store."""

from __future__ import annotations

import getpass
import json
import threading
from typing import Any

import pytest

from cli.main import main
from libs.brokers.switch import Segment
from libs.dbaccess import DatabaseManager
from libs.messaging import CommandServer
from services.execution_engine.last_lock import CONFIRMATION
from tests.kit.engine import engine_rig
from tests.kit.engine_commands import handlers
from tests.kit.processes import DEADLINE_S, wait_until

OK, FAILED, USAGE = 0, 1, 2


class Switched:
    """The paper exchange with a switch of its own, as a broker has; it answers when asked again."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.is_locked = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def read_switch(self, then: Any) -> None:
        then((Segment("NSE_EQ", is_locked=self.is_locked),))

    def lock(self, then: Any) -> None:
        self.is_locked = True
        self.read_switch(then)


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine in a thread of its own that holds ten shares and serves its commands."""
    root = tmp_path / "data"
    monkeypatch.setenv("TRADEFLEET_DATA", str(root))
    stop, started = threading.Event(), threading.Event()

    def live() -> None:
        with engine_rig(root) as rig:
            rig.engine.wire = Switched(rig.wire)
            rig.tick(100.0)
            rig.signal("enter_long")
            rig.tick(100.0)
            with CommandServer.open("execution_engine", handlers(rig).handle, settings=rig.settings) as server:
                started.set()
                while not stop.wait(0.002):
                    server.pump()
                    rig.tick(100.0, seconds=0.002)

    thread = threading.Thread(target=live)
    thread.start()
    assert started.wait(DEADLINE_S)
    yield root
    stop.set()
    thread.join()


def rows(root: Any, sql: str) -> list[Any]:
    with DatabaseManager(root).trading_reader() as connection:
        return [tuple(row) for row in connection.execute(sql).fetchall()]


def test_halt_flatten_and_the_brokers_own_lock(engine, capsys):
    """F5, layer by layer: each step is refused until the one before it is done, and all of it is on record."""

    def fleet(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main(["kill-switch", *arguments, "--json"])
        lines = capsys.readouterr().out.splitlines(keepends=True)
        # Beside it the engine's thread logs, a line an event.
        told = "".join(line for line in lines if line[:1] in '[{]} "')
        return code, json.loads(told) if told else None

    words = ("--reason", "stolen token", "--confirm", CONFIRMATION)
    assert fleet("status")[1][0]["state"] == "active"
    code, found = fleet("broker-status")
    assert (code, found["segments"]) == (OK, {"NSE_EQ": "open"})
    assert found["in_the_way"] == ["trading is active, not halted", "ACME: 10 of trend"]
    assert fleet("broker-lock", *words)[0] == FAILED
    with pytest.raises(SystemExit) as usage:
        fleet("broker-lock", "--reason", "no words")
    assert usage.value.code == USAGE
    with pytest.raises(SystemExit) as usage:
        fleet("resume")
    assert usage.value.code == USAGE

    assert fleet("halt", "--flatten", "--reason", "stolen token")[1]["positions"] == 1
    wait_until(lambda: fleet("broker-status")[1]["in_the_way"] == [], "to be flat")
    assert fleet("broker-lock", "--reason", "x", "--confirm", "yes")[0] == FAILED
    assert fleet("broker-lock", *words) == (OK, {"segments": {"NSE_EQ": "locked"}})
    assert fleet("status")[1][0]["reason"] == "stolen token"
    assert fleet("resume", "--reason", "found it")[0] == OK

    assert rows(engine, "SELECT state FROM commands WHERE kind = 'broker_lock' ORDER BY received_at_us") == [
        ("refused",), ("refused",), ("done",)
    ]  # fmt: skip
    assert rows(engine, "SELECT quantity FROM positions") == [(0,)]
    assert rows(engine, "SELECT state_to, reason FROM trading_state_changes ORDER BY rowid") == [
        ("halted", "stolen token"), ("active", "found it")
    ]  # fmt: skip
    senders = {row[0] for row in rows(engine, "SELECT sender FROM commands")}
    assert senders == {getpass.getuser()}


def test_without_an_engine_the_state_is_written_under_its_lock(tmp_path, monkeypatch, capsys):
    """A drawdown is measured anew from what the account was worth last, as when the engine itself resumes."""
    root = tmp_path / "data"
    monkeypatch.setenv("TRADEFLEET_DATA", str(root))
    monkeypatch.setenv("TRADEFLEET_BUS_COMMAND_TIMEOUT_MS", "200")  # nobody will answer
    with engine_rig(root, account_drawdown_max_percent=0.005) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        rig.tick(90.0, seconds=61)
        rig.close_minute()
        assert rig.rows("SELECT state, cause FROM trading_states") == [("reducing", "drawdown")]
        rig.rounds.snapshot("minute")
        clock = rig.clock
    assert main(["kill-switch", "halt", "--flatten", "--reason", "x"]) == FAILED
    assert main(["kill-switch", "resume", "--reason", "looked at it"]) == OK
    with engine_rig(root, clock=clock, account_drawdown_max_percent=0.005) as rig:
        rig.tick(90.0)
        rig.tick(90.0, seconds=61)

        assert rig.rows("SELECT state, cause, set_by FROM trading_states") == [("active", "command", getpass.getuser())]
        assert rig.rows("SELECT cleared_by IS NOT NULL FROM risk_locks") == [(1,)]
    capsys.readouterr()
