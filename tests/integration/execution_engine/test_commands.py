"""Commands to the engine: typed, done once, written down, finished after a crash."""

from __future__ import annotations

import json
import threading

import pytest

from cli.main import main
from libs.contracts.bus import CommandRequest
from libs.contracts.risk import TradingState
from libs.core.errors import Refused
from libs.messaging import CommandServer
from tests.kit.engine import Rig, engine_rig
from tests.kit.engine_commands import LostWire, ask, handlers, rest
from tests.kit.processes import wait_until
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths


@pytest.fixture
def rig(tmp_path):  # noqa: F811
    with engine_rig(tmp_path / "data") as made:
        made.tick(100.0)
        made.tick(100.0, symbol="BETA")
        yield made


def test_a_halt_with_flatten_closes_everything(rig):
    """F5: nothing new goes in, what is open goes out, what works is cancelled."""
    rig.signal("enter_long")
    rig.tick(100.0)
    rig.signal("enter_short", symbol="BETA")  # rests: no price came since

    answer = ask(rig, "halt", reason="fire drill", flatten=True)
    rig.tick(100.0, symbol="BETA")
    rig.tick(100.0)
    rig.rounds.on_time()

    assert answer == {"state": "halted", "orders": 1, "positions": 1}
    assert rig.positions() == {}
    assert {row[0] for row in rig.rows("SELECT status FROM orders")} == {"filled", "cancelled"}
    assert rig.rows("SELECT state, sender FROM commands") == [("done", "tester")]
    assert rig.rows("SELECT state_to, cause, command_id FROM trading_state_changes") == [
        ("halted", "command", "id of halt")
    ]


def test_a_repeat_gets_the_first_answer_and_does_nothing(rig):
    """Idempotent by command id, over restarts too: the id is in the store."""
    ask(rig, "halt", "same", reason="first")
    ask(rig, "resume", reason="over")
    again = ask(rig, "halt", "same", reason="first")

    assert again == {"state": "halted"}
    assert rig.engine.states.account is TradingState.ACTIVE


def test_what_makes_no_sense_is_refused(rig):
    for name, arguments in (
        ("resume", {}), ("halt", {"reason": "x", "speed": 3}), ("fly", {}), ("cancel", {"order_id": "tf-nobody"}),
        ("halt", {"reason": "x", "scope_kind": "strategy"}),
    ):  # fmt: skip
        with pytest.raises(Refused):
            ask(rig, name, f"{name}{arguments}", **arguments)

    assert rig.engine.states.account is TradingState.ACTIVE


def test_a_strategy_is_halted_alone(rig):
    ask(rig, "halt", reason="it misbehaves", scope_kind="strategy", scope="trend")
    rig.signal("enter_long")
    rig.signal("enter_long", strategy_id="revert", signal_id="r1")

    assert rig.rows("SELECT strategy_id FROM orders") == [("revert",)]
    assert rig.rows("SELECT check_name, strategy_id FROM risk_events WHERE kind = 'rejected'") == [
        ("trading_state", "trend")
    ]


def test_a_flatten_that_was_cut_off_goes_on(tmp_path):  # noqa: F811
    """A crash after the command was taken does not leave the position open."""
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        ask(rig, "flatten", reason="over")
        clock = rig.clock
        assert rig.rows("SELECT state FROM commands") == [("accepted",)]
    with engine_rig(root, clock=clock) as rig:
        rig.tick(100.0)
        handlers(rig).resume_unfinished()
        rig.tick(100.0)
        rig.rounds.on_time()

        assert rig.positions() == {}
        assert rig.rows("SELECT state FROM commands") == [("done",)]
        assert len(rig.rows("SELECT 1 FROM orders WHERE purpose = 'flatten'")) == 1


def test_an_operator_settles_what_nobody_can_know(tmp_path):  # noqa: F811
    """An unknown order blocks its strategy there until evidence comes, or a person who looked says so."""
    root = tmp_path / "data"
    wire = LostWire()
    with engine_rig(root, wire=wire) as rig:
        rig.tick(100.0)

        rig.signal("enter_long")
        order_id = rig.rows("SELECT order_id FROM orders WHERE status = 'unknown'")[0][0]
        rig.signal("enter_short", signal_id="blocked")
        assert rig.rows("SELECT check_name FROM risk_events WHERE kind = 'rejected'") == [("unknown_order",)]

        assert ask(rig, "settle", order_id=order_id, reason="the broker's screen shows nothing") == {
            "status": "expired"
        }
        rig.signal("enter_short", signal_id="free", leg=1)
        assert wire.sent == 2


def preflight(rig: Rig, command_id: str, **found):
    request = CommandRequest(command_id, "preflight", found | {"sender": "tester"})
    return handlers(rig, real_money=True).handle(request)


def test_real_money_is_not_traded_before_the_day_is_cleared(rig):
    """Exits only until GO; the verdict outlives the engine, and the next day needs its own."""
    handlers(rig, real_money=True).resume_unfinished()
    assert (rig.engine.states.account, rig.engine.states.find(("account", "")).cause) == ("reducing", "preflight")
    rig.signal("enter_long")
    assert rig.rows("SELECT count(*) FROM orders") == [(0,)]

    assert preflight(rig, "p1", verdict="NO-GO", failed=["feed"]) == {"cleared": False}
    assert rig.engine.states.account is TradingState.REDUCING
    assert preflight(rig, "p2", verdict="GO") == {"cleared": True}
    assert rig.engine.states.account is TradingState.ACTIVE
    handlers(rig, real_money=True).resume_unfinished()
    assert rig.engine.states.account is TradingState.ACTIVE, "the verdict is of today, whoever was restarted"

    rig.clock.advance(86_400)
    handlers(rig, real_money=True).resume_unfinished()
    assert rig.engine.states.account is TradingState.REDUCING, "yesterday's GO is no clearance"


def test_no_go_is_overridden_on_record_only(rig):
    """Who did it and why is in the store; a resume alone is not enough, and a halt of another cause stays."""
    ours = handlers(rig, real_money=True)
    ours.resume_unfinished()
    ask(rig, "resume", reason="I want to trade")
    ours.resume_unfinished()
    assert rig.engine.states.account is TradingState.REDUCING

    answer = preflight(rig, "p1", verdict="NO-GO", failed=["limits"], override="limits are the broker's today")
    assert answer == {"cleared": True}
    assert rig.engine.states.account is TradingState.ACTIVE
    (reason,) = rig.rows("SELECT reason FROM trading_state_changes ORDER BY at_us DESC, rowid DESC LIMIT 1")[0]
    assert reason == "NO-GO (limits) overridden: limits are the broker's today"
    assert ("preflight", "tester", "done") in rig.rows("SELECT kind, sender, state FROM commands")

    ask(rig, "halt", "id of another halt", reason="fire")
    assert preflight(rig, "p2", verdict="GO") == {"cleared": True}
    assert rig.engine.states.account is TradingState.HALTED


def test_play_money_needs_no_clearance(rig):
    handlers(rig).resume_unfinished()
    assert rig.engine.states.account is TradingState.ACTIVE


# -- orders at work, from a terminal -----------------------------------------------------------------------------------


@pytest.fixture
def fleet(rig, monkeypatch, capsys):
    """`fleet` in a thread, with the rig's engine behind its socket in this one."""
    monkeypatch.setenv("TRADEFLEET_DATA", rig.settings.data_root)
    handle = handlers(rig).handle

    def fleet(*words):
        codes = []
        with CommandServer.open("execution_engine", handle, settings=rig.settings) as server:
            thread = threading.Thread(target=lambda: codes.append(main(words)))
            thread.start()

            def ended():
                server.pump()
                rig.rounds.on_time()
                return not thread.is_alive()

            wait_until(ended, "the command to end", every_s=0.01)
        shown = capsys.readouterr()
        return codes[0], shown.out + shown.err

    return fleet


def answer_in(text):
    """The engine logs into the same output, a line each; the answer is the document at its end."""
    return json.loads(text[text.index("\n{") :] if not text.startswith("{") else text)


def test_an_order_at_work_is_changed_from_a_terminal(rig, fleet):
    """Another price and fewer shares reach the broker, nothing that risk would not let out does, and it is replaced."""
    first = rest(rig)
    modified = fleet("orders", "modify", first, "--price", "98.5", "--quantity", "6", "--json")
    terms = "SELECT quantity, price, change_number FROM orders WHERE order_id = ?"
    changed = rig.rows(terms, first)
    refused = [
        fleet("orders", "modify", first, *words)
        for words in (("--price", "150"), ("--price", "98.501"), ("--quantity", "11"), ())
    ]
    ask(rig, "halt", reason="drill")
    halted = fleet("orders", "modify", first, "--price", "98.4")
    ask(rig, "resume", reason="over")
    stranger = fleet("orders", "modify", "tf-nobody", "--price", "98.4")
    unchanged = rig.rows(terms, first)
    replaced = fleet("orders", "replace", first, "--price", "98", "--json")
    assert replaced[0] == 0, replaced[1]
    second = answer_in(replaced[1])["order_id"]
    over = fleet("orders", "modify", first, "--price", "98.4")
    far = fleet("orders", "replace", second, "--price", "150")
    cancelled = fleet("orders", "cancel", second)

    assert (modified[0], answer_in(modified[1])) == (0, {"state": "sent"})
    assert changed == unchanged == [(6, 98.5, 1)]
    assert [code for code, _ in (*refused, halted, over, far)] == [1, 1, 1, 2, 1, 1, 1]
    for (_, text), word in zip(
        (*refused, halted, over, far),
        ("price_band", "grid", "would add to it", "nothing is to change", "halted", "cancelled", "price_band"),
        strict=True,
    ):
        assert word in text.lower()
    assert stranger[0] == 4
    assert replaced[0] == 0
    assert rig.rows("SELECT quantity, price, replaces FROM orders WHERE order_id = ?", second) == [(6, 98.0, first)]
    assert (cancelled[0], "nothing of it is left" in cancelled[1]) == (0, True)
