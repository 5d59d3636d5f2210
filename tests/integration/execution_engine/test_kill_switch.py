"""F5: every automatic cause of the kill switch, alone and through the real engine; and how a state ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from libs.brokers.interface import Answer
from libs.contracts.market import Tick
from libs.contracts.orders import OrderStatus
from libs.contracts.risk import TradingState
from libs.core.errors import Refused
from libs.dbaccess.trading.control import StateChange
from libs.orders import evidence as ev
from libs.orders.reconcile import BrokerBook
from services.execution_engine.states import ACCOUNT
from tests.kit.engine import Rig, engine_rig
from tests.kit.engine_commands import LostWire, ask
from tests.kit.paths import PROJECT

REDUCING, HALTED, ACTIVE = TradingState.REDUCING, TradingState.HALTED, TradingState.ACTIVE
#: What makes each cause come quickly; each test has one of them.
QUICK: dict[str, dict[str, Any]] = {
    "daily_loss": {"account_loss_day_max_rupees": 50},
    "drawdown": {"account_drawdown_max_percent": 0.005},
    "reject_storm": {"reject_storm_max": 3},
    "stale_feed": {"feed_stale_s": 90},
    "lost_heartbeat": {"heartbeat_lost_s": 30},
    "clock_skew": {"skew_max_us": 2_000_000},
    "reconciliation": {},
    "contradiction": {},
    "file": {},
}


class Refusing:
    """The wire, once the broker refuses every new order."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def place(self, order: Any, _approved: Any) -> None:
        evidence = ev.PlaceRefused(at_us=order.created_us, reason="margin")
        self._wire.answered(Answer(order_id=order.order_id, request="place", evidence=evidence, outcome="rejected"))


def _lose(rig: Rig) -> None:
    rig.tick(90.0, seconds=61)
    rig.close_minute()


def _storm(rig: Rig) -> None:
    rig.engine.wire = Refusing(rig.wire)
    for number in range(3):
        rig.signal("enter_long", strategy_id=f"storm{number}", signal_id=f"storm{number}")


def _fall_silent(rig: Rig) -> None:
    rig.clock.advance(91)


def _lose_heartbeat(rig: Rig) -> None:
    rig.engine.watch.heartbeat()
    rig.tick(100.0, seconds=31)


def _skew(rig: Rig) -> None:
    rig.engine.on_tick(Tick("ACME", rig.clock.now_us() + 3_000_000, 100.0, volume=1))


def _differ(rig: Rig) -> None:
    book = rig.wire.book()
    (key,) = [key for key, quantity in book.positions.items() if quantity]
    other = msgspec.structs.replace(book, positions={key: 3})
    for _ in range(2):  # seen twice: trading went on between three requests
        rig.reconciler.take(other, "timer", 0)


def _contradict(rig: Rig) -> None:
    order = next(each for each in rig.engine.desk.orders if each.symbol == "ACME")
    name = order.children[0].broker_order_id
    fill = msgspec.structs.replace(order.fills[0], price=55.5)  # the same trade, told otherwise
    rig.engine.reported([ev.TradeReport(at_us=rig.clock.now_us(), fill=fill)])
    assert name == fill.broker_order_id


def _write_file(rig: Rig) -> None:
    rig.rounds._kill_file.parent.mkdir(exist_ok=True)
    rig.rounds._kill_file.write_text("fat finger\n")


PROVOKED: dict[str, tuple[Callable[[Rig], None], TradingState]] = {
    "daily_loss": (_lose, REDUCING), "drawdown": (_lose, REDUCING), "reject_storm": (_storm, REDUCING),
    "stale_feed": (_fall_silent, REDUCING), "lost_heartbeat": (_lose_heartbeat, REDUCING),
    "clock_skew": (_skew, HALTED), "reconciliation": (_differ, REDUCING), "contradiction": (_contradict, HALTED),
    "file": (_write_file, HALTED),
}  # fmt: skip


def state_of(rig: Rig) -> tuple[TradingState, str]:
    stored = rig.engine.states.find(ACCOUNT)
    return stored.state, stored.cause


@pytest.mark.parametrize("cause", PROVOKED)
def test_an_automatic_cause_stops_entries_until_somebody_resumes(cause, tmp_path):
    """It comes by itself, lets cancels pass, outlives the engine, and ends with a reason that is kept."""
    provoke, expected = PROVOKED[cause]
    root = tmp_path / "data"
    with engine_rig(root, **QUICK[cause]) as rig:
        rig.tick(100.0)
        rig.tick(100.0, "BETA")
        rig.signal("enter_long")
        rig.tick(100.0)
        rig.signal("enter_long", "BETA", strategy_id="rests")  # no price of it comes any more
        resting = next(order for order in rig.engine.desk.orders if order.symbol == "BETA")
        assert state_of(rig) == (ACTIVE, "none")

        provoke(rig)
        rig.rounds.on_time()

        assert state_of(rig) == (expected, cause)
        orders = len(rig.rows("SELECT 1 FROM orders"))
        rig.signal("enter_long", "BETA", strategy_id="late", signal_id="late")
        assert len(rig.rows("SELECT 1 FROM orders")) == orders, "an entry went out"
        assert rig.rows("SELECT decision FROM processed_signals WHERE signal_id = 'late'") == [("rejected",)]
        assert rig.engine.cancel(resting.order_id, "not wanted any more")
        assert rig.engine.desk.orders.get(resting.order_id).status is OrderStatus.CANCELLED
        _is_on_record(rig, cause, expected)
        clock, skew = rig.clock, {"skew_max_us": 0} if cause == "clock_skew" else {}
    with engine_rig(root, clock=clock, **QUICK[cause] | skew) as rig:
        rig.rounds.on_time()
        assert state_of(rig) == (expected, cause), "a restart is no reason to trade"
        with pytest.raises(Refused):
            ask(rig, "resume", "no reason")
        _is_refused_while_the_file_is_there(rig, cause)
        assert ask(rig, "resume", reason="looked at it") == {"state": "active"}
        assert state_of(rig) == (ACTIVE, "command")
        assert rig.rows(
            "SELECT c.sender, s.state_from, s.reason FROM trading_state_changes s JOIN commands c USING (command_id) "
            "WHERE s.state_to = 'active'"
        ) == [("tester", expected.value, "looked at it")]


def _is_on_record(rig: Rig, cause: str, expected: TradingState) -> None:
    changes = rig.rows(
        "SELECT state_to, cause FROM trading_state_changes WHERE scope_kind = 'account' ORDER BY rowid DESC LIMIT 1"
    )
    assert changes == [(expected.value, cause)]
    assert any(cause in row[0] for row in rig.rows("SELECT reason FROM risk_events WHERE kind = 'halt'"))
    told = [
        msgspec.msgpack.decode(row[0]) for row in rig.rows("SELECT payload FROM outbox WHERE topic LIKE 'risk.state%'")
    ]
    assert expected.value in {each.get("trading_state") for each in told}


def _is_refused_while_the_file_is_there(rig: Rig, cause: str) -> None:
    if cause == "file":
        with pytest.raises(Refused, match="remove it first"):
            ask(rig, "resume", "too early", reason="looked at it")
        rig.rounds._kill_file.unlink()


def test_every_cause_of_the_page_is_tried():
    """A cause that is added without its proof fails here."""
    page = (PROJECT / "docs" / "services" / "execution_engine.md").read_text()
    rows = page.partition("| cause | state | ends |")[2].partition("\n\n")[0].splitlines()[2:]
    causes = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    # Asked for, not automatic; a verdict of preflight has tests of its own in test_commands.py.
    assert causes - {"preflight", "live"} == set(PROVOKED) - {"file"}


def test_a_kill_file_holds_from_the_first_moment(tmp_path):
    """It was put there while the engine was down: not even a signal that waits at the door gets through."""
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        clock = rig.clock
    (root / "run").mkdir(exist_ok=True)
    (root / "run" / "KILL").write_text("put there over night\n")
    with engine_rig(root, clock=clock) as rig:
        rig.engine.on_tick(Tick("ACME", clock.now_us(), 100.0, volume=1))
        rig.signal("enter_long")

        assert rig.rows("SELECT count(*) FROM orders") == [(0,)]
        assert state_of(rig) == (HALTED, "file")


@pytest.mark.parametrize("cause", ["stale_feed", "lost_heartbeat"])
def test_what_ends_by_itself_ends_only_when_it_is_heard_of_again(cause, tmp_path):
    """A start is silent at first, which is no sign that the feed or the ingestor is back."""
    root = tmp_path / "data"
    with engine_rig(root, **QUICK[cause]) as rig:
        rig.tick(100.0)
        PROVOKED[cause][0](rig)
        rig.rounds.on_time()
        clock = rig.clock
    with engine_rig(root, clock=clock, **QUICK[cause]) as rig:
        rig.rounds.on_time()
        assert state_of(rig) == (REDUCING, cause)
        rig.engine.watch.heartbeat()
        rig.tick(100.0)

        assert state_of(rig) == (ACTIVE, cause)


@pytest.mark.parametrize(
    ("first", "then", "holds"),
    [
        ("daily_loss", "reconciliation", "reconciliation"), ("preflight", "reject_storm", "reject_storm"),
        ("reconciliation", "daily_loss", "reconciliation"), ("stale_feed", "daily_loss", "daily_loss"),
        ("drawdown", "stale_feed", "drawdown"),
    ],
)  # fmt: skip
def test_the_cause_that_lasts_longest_holds(first, then, holds, tmp_path):
    """The next day lifts a day's loss: what came meanwhile and needs a person must not be lifted with it."""
    with engine_rig(tmp_path / "data") as rig:
        rig.tick(100.0)
        for cause in (first, then):
            rig.engine.states.tighten(
                StateChange(state=REDUCING, cause=cause, reason="a test", set_by="rule", at_us=rig.clock.now_us())
            )
        assert state_of(rig) == (REDUCING, holds)
        rig.engine.watch.heartbeat()
        rig.tick(100.0, seconds=86_400)

        assert state_of(rig)[0] is (ACTIVE if holds == "daily_loss" else REDUCING)


def test_a_position_that_differs_halts_its_instrument(tmp_path):
    """What we would exit may not be there: a resume of the account does not reopen the instrument."""
    with engine_rig(tmp_path / "data") as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        rig.tick(100.0)
        _differ(rig)
        rig.rounds.on_time()
        ask(rig, "resume", "account", reason="looked at it")
        rig.signal("exit_long")
        assert rig.positions() == {("trend", "ACME"): 10}
        assert [row[0] for row in rig.rows("SELECT state FROM trading_states WHERE scope = 'nse:ACME'")] == ["halted"]

        ask(rig, "resume", "instrument", reason="the broker was wrong", scope_kind="instrument", scope="nse:ACME")
        rig.signal("exit_long", signal_id="again", leg=1)
        rig.tick(100.0)
        assert rig.positions() == {}


def test_an_unknown_order_halts_when_its_day_is_over(tmp_path):
    """The book lives one day: afterwards nobody but a person can say, though it was raised the day before."""
    wire = LostWire()
    with engine_rig(tmp_path / "data", wire=wire) as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        _look_twice(rig)
        assert state_of(rig) == (ACTIVE, "none"), "today only its instrument is blocked, for its strategy"
        rig.tick(100.0, seconds=86_400)
        _look_twice(rig)

        assert state_of(rig) == (HALTED, "reconciliation")
        raised = rig.rows("SELECT rule, resolution FROM reconciliation_differences")
        assert raised == [("still_unknown", "raised")] * 2


def _look_twice(rig: Rig) -> None:
    for _ in range(2):
        rig.reconciler.take(BrokerBook(orders=(), trades=(), positions={}), "timer", 0)
    rig.rounds.on_time()
