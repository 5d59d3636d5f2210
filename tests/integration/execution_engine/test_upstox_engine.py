"""The engine with the broker's real SDK and sockets against the simulator: its stream, its money, its own switch."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager

import pytest

from libs.brokers.spelling import Speller
from libs.contracts.bus import CommandRequest
from libs.core.clock import SystemClock
from libs.core.errors import Refused
from libs.risk.limits import LimitTree
from libs.settings.risk import Risk
from libs.simulation.clock import ManualClock
from libs.upstox.orders import Ask
from services.exchange_sim.market.instruments import Listing
from services.execution_engine.clearance import Clearance
from services.execution_engine.comparing import Comparing
from services.execution_engine.handlers import Handlers
from services.execution_engine.last_lock import CONFIRMATION, LastLock
from tests.kit.broker_bench import upstox_broker
from tests.kit.crashes import Crash, crashing_at
from tests.kit.engine import START_US, engine_rig
from tests.kit.exchange_sim import TRADING_TOKEN, running_simulator

_GENEROUS = {
    f"TRADEFLEET_EXCHANGE_SIM_{name}": "100000"
    for name in ("ORDERS_PER_SECOND_MAX", "ORDERS_PER_MINUTE_MAX", "REQUESTS_PER_SECOND_MAX", "REQUESTS_PER_MINUTE_MAX")
}
#: Each test trades a share of its own, so that what others left is somebody else's.
KEYS = iter([each.key for each in Listing(50, 7).instruments if not each.is_index])
SWITCH = "/v2/user/kill-switch"
_EVENTS = "SELECT kind, check_name, reason FROM risk_events ORDER BY event_id DESC LIMIT 5"


@pytest.fixture(scope="module")
def sim():
    with running_simulator(record_ticks=False, **_GENEROUS) as running:
        yield running


class Trader:
    """An engine in ACME at the simulator; `turn` does what the service's loops do."""

    def __init__(self, rig, broker, sim, key) -> None:
        self.rig, self.broker, self.sim, self.key = rig, broker, sim, key
        self.comparing = Comparing(broker, rig.reconciler, SystemClock(), interval_s=1)
        self.handlers = Handlers(
            rig.engine, rig.closing, rig.clock, kill_file=rig.rounds._kill_file, status=dict, reconcile=lambda: None,
            last_lock=LastLock(rig.engine, rig.clock), clearance=Clearance(rig.engine, rig.clock, is_needed=False),
        )  # fmt: skip
        rows = sim.ask("GET", f"/v3/market-quote/ltp?instrument_key={key.replace('|', '%7C')}", token=TRADING_TOKEN)[1]
        self.price = round(next(iter(rows["data"].values()))["last_price"], 1)

    def turn(self, seconds: float = 0.01) -> None:
        self.rig.tick(self.price, seconds=seconds)
        self.broker.deliver()
        self.comparing.on_time()

    def until(self, condition, what: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self.rows(_EVENTS)}"
            time.sleep(0.01)
            self.turn()

    def compare(self) -> None:
        before = self.broker.readings
        self.comparing.begin("command")
        self.until(lambda: self.broker.readings > before and not self.comparing._is_under_way, "the comparison")

    def settled(self) -> bool:
        return not self.rig.engine.in_flight and not self.rig.engine.desk.orders.unsettled()

    def ask(self, name: str, command_id: str, **arguments):
        """Ask until the answer is there, as the command line does."""
        request = CommandRequest(command_id, name, arguments | {"sender": "tester"})
        found = [self.handlers.handle(request)]

        def is_answered() -> bool:
            found.append(self.handlers.handle(request))
            return found[-1] != {"state": "under way"}

        self.until(is_answered, name)
        return found[-1]

    def rows(self, sql: str):
        return self.rig.rows(sql)


@contextmanager
def trader(root, sim, key, *, with_stream=False, **changes):
    clock = ManualClock(START_US)
    broker = upstox_broker(
        sim.port, key, with_stream=with_stream, market_us=clock.now_us, is_alone=False,
        poll_interval_ms=200,
    )  # fmt: skip
    try:
        with engine_rig(root, clock=clock, wire=broker, **changes) as rig:
            made = Trader(rig, broker, sim, key)
            if with_stream:
                made.until(lambda: broker.status()["link"] == "open", "the order stream")
            made.compare()
            yield made
    finally:
        broker.close()
        sim.clear_faults()


def test_names_that_came_after_the_start_are_learned(tmp_path, sim):
    """On a new machine the engine may begin before the ingestor has kept the broker's instruments."""
    with trader(tmp_path / "data", sim, next(KEYS)) as trading:
        trading.broker._speller = Speller("nse", {})
        trading.rig.signal("enter_long")
        trading.until(lambda: trading.rows("SELECT 1 FROM trades"), "a fill")
        trading.ask("flatten", "flat")  # the other tests share the account


#: What becomes of the stream's messages.
STREAMS = {
    "lost": [("portfolio_lost", {"probability": 0.7})],
    "repeated": [("portfolio_duplicate", {"probability": 0.7})],
    "reordered": [("portfolio_delay", {"probability": 0.7, "delay_s": 0.3})],
    "all": [
        ("portfolio_lost", {"probability": 0.3}), ("portfolio_duplicate", {"probability": 0.4}),
        ("portfolio_delay", {"probability": 0.4, "delay_s": 0.3}),
    ],
}  # fmt: skip


#: All at once on every run; each alone in the matrix.
_KINDS = [pytest.param(kind, marks=[] if kind == "all" else [pytest.mark.matrix]) for kind in STREAMS]


@pytest.mark.parametrize("kind", _KINDS)
def test_a_bad_order_stream_makes_no_second_order_and_loses_no_fill(kind, sim, tmp_path):
    """The stream is a hint: whatever it loses, repeats or reorders, the books are what counts."""
    before = {order["request"]["tag"] for order in sim.state()["orders"]}
    made_before = sum(sim.state()["events_made"].values())
    with trader(tmp_path / "data", sim, next(KEYS), with_stream=True, sizing_amount=1.0) as made:
        for fault, options in STREAMS[kind]:
            sim.add_fault(fault, **options)
        for number in range(12):
            made.rig.signal("enter_long", strategy_id=f"s{number}", signal_id=f"{kind}-{number}")
            made.turn(0.5)  # by the market's time: the broker's limits on orders a second hold
        made.until(made.settled, "every order to be over")
        made.until(lambda: sum(made.rig.positions().values()) == 12, "every fill")
        for number in range(12):
            made.rig.signal("exit_long", strategy_id=f"s{number}", signal_id=f"{kind}-x{number}")
            made.turn(0.5)
        made.until(lambda: made.settled() and not made.rig.positions(), "to be flat")
        sim.clear_faults()
        made.compare()
        theirs = [order for order in sim.state()["orders"] if order["request"]["tag"] not in before]
        ours = Counter(dict(made.rows("SELECT trade_id, quantity FROM trades")))
        states = made.rows("SELECT state, cause FROM trading_states")
        hints = made.broker.hints

    assert Counter(order["request"]["tag"] for order in theirs).most_common(1)[0][1] == 1
    assert len(theirs) == 24
    assert ours == {fill["trade_id"]: fill["quantity"] for order in theirs for fill in order["fills"]}
    assert states == [], "a bad stream is no reason to stop"
    assert hints > 0, "nothing of the stream arrived: it was not tried"
    assert sum(sim.state()["events_made"].values()) - made_before >= 24


def test_entries_are_held_against_the_money_the_broker_shows(sim, tmp_path):
    """F2: a rejection names the broker's own figure; exits need no money."""
    shown = sim.ask("GET", "/v3/user/get-funds-and-margin", token=TRADING_TOKEN)[1]["data"]["available_to_trade"]
    with trader(tmp_path / "data", sim, next(KEYS), account_funds_reserve_rupees=int(shown["total"])) as made:
        made.rig.signal("enter_long")
        [(check, figures)] = made.rows("SELECT check_name, figures_json FROM risk_events WHERE kind = 'rejected'")
        stored = made.rows("SELECT funds_paise FROM broker_sync_state")

    assert check == "funds"
    assert f'"available":{shown["total"]}' in figures
    assert stored == [(round(shown["total"] * 100),)]


def test_what_was_sent_since_the_reading_is_not_spent_again(sim, tmp_path):
    """Between two readings of the funds every entry counts against the money the last one showed."""
    shown = sim.ask("GET", "/v3/user/get-funds-and-margin", token=TRADING_TOKEN)[1]["data"]["available_to_trade"]
    with trader(tmp_path / "data", sim, next(KEYS)) as made:
        made.comparing.on_time = lambda: None
        reserve = int(shown["total"] - 1.5 * 10 * made.price * 0.25)  # room for one entry and a half
        made.rig.engine.desk.gate.use_limits(LimitTree(Risk(account_funds_reserve_rupees=reserve)))
        made.rig.signal("enter_long", strategy_id="first", signal_id="f1")
        made.rig.signal("enter_long", strategy_id="second", signal_id="f2")
        rejected = made.rows("SELECT strategy_id FROM risk_events WHERE check_name = 'funds'")
        made.until(made.settled, "the first to fill")
        made.compare()
        held = made.rig.engine.desk.gate.state.funds.held_paise(25)
        made.ask("flatten", "flat")

    assert rejected == [("second",)]
    assert held == 0, "what the broker's figure knows of is not held a second time"


def test_the_brokers_own_switch_is_thrown_last(sim, tmp_path):
    """F5: only halted, only flat on both sides, only in so many words; then nobody trades, and all of it is written."""
    root, key, words = tmp_path / "data", next(KEYS), {"reason": "stolen token", "confirm": CONFIRMATION}
    with trader(root, sim, key) as made:
        calls = made.broker._calls

        def refusal(command_id: str, **changes) -> str:
            with pytest.raises(Refused) as refused:
                made.ask("broker_lock", command_id, **(words | changes))
            return str(refused.value)

        def stranger(side: str) -> None:
            ask = Ask(quantity=5, order_type="MARKET", instrument_key=key, transaction_type=side, product="I", tag="me")
            calls.place(ask)
            made.until(lambda: all(each["status"] == "complete" for each in sim.state()["orders"]), "the fill")

        sim.clear_faults()
        assert CONFIRMATION in refusal("1", confirm="yes")
        assert "not halted" in refusal("2")
        assert made.ask("broker_switch", "3") == {
            "segments": {"NSE_EQ": "open"}, "in_the_way": ["trading is active, not halted"]
        }  # fmt: skip
        made.ask("halt", "4", reason="stolen token")
        stranger("BUY")
        assert "at the broker ACME: 5" in refusal("5")  # not ours, and nobody could close it afterwards
        assert not calls.kill_switch()[0].kill_switch_enabled
        stranger("SELL")
        with pytest.raises(Crash), crashing_at("engine.lock.sent", 1):
            made.ask("broker_lock", "6", **words)
    sim.add_fault("rest_reset", path=SWITCH, when="after", count=1)  # taken, and the answer lost
    with trader(root, sim, key) as made:
        made.handlers.resume_unfinished()
        with pytest.raises(Refused, match="ended before"):
            made.ask("broker_lock", "6", **words)
        done = made.ask("broker_lock", "7", **words)
        again = made.ask("broker_lock", "7", **words)
        shown = {row.segment: row.kill_switch_enabled for row in made.broker._calls.kill_switch()}
        events = made.rows("SELECT kind, severity FROM risk_events WHERE kind = 'broker_lock' ORDER BY event_id")
        audit = made.rows("SELECT command_id, state, sender FROM commands WHERE kind = 'broker_lock' ORDER BY 1")
        told = made.rows("SELECT topic FROM outbox WHERE topic LIKE 'risk.broker_lock%'")
        with pytest.raises(Refused, match="kill switch"):
            made.broker._calls.place(
                Ask(quantity=5, order_type="MARKET", instrument_key=key, transaction_type="BUY", product="I", tag="x")
            )

    assert done == again == {"segments": {"NSE_EQ": "locked"}}
    assert [name for name, is_locked in shown.items() if is_locked] == ["NSE_EQ"]
    assert events[-1] == ("broker_lock", "error")
    assert audit == [(str(n), state, "tester") for n, state in ((1, "refused"), (2, "refused"), (5, "refused"),
                                                                (6, "failed"), (7, "done"))]  # fmt: skip
    assert len(told) == len(events)
