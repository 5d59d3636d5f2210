"""F6: the engine is killed at its crash points against the exchange simulator, with every fault, over real sockets."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from libs.core.faults import POINTS
from services.exchange_sim.faults.kinds import IMMEDIATE
from services.exchange_sim.market.instruments import Listing
from tests.kit.engine_lives import Lives, engine_lives
from tests.kit.engine_process import SIM_SEED, SIM_SYMBOLS
from tests.kit.exchange_sim import Simulator, running_simulator
from tests.kit.roots import make_stores

#: Where it dies, along the paths of submit, answer, fill, modify, cancel, exit and command; "+": it dies again.
#: The script makes nine requests: two entries, a limit order, its change, cancel, replacement and cancel, two exits.
DEATHS = [
    "engine.intent.before:1", "engine.intent.after:1", "engine.place.sending:1", "engine.place.sent:1",
    "engine.answer.before:1", "engine.answer.commit:1", "engine.answer.after:1", "engine.report.before:2",
    "engine.report.commit:2", "engine.report.after:2", "engine.reconcile.before:3", "engine.reconcile.after:3",
    "engine.place.sent:3", "engine.change.before:1", "engine.change.sending:1", "engine.change.sent:1",
    "engine.answer.before:4", "engine.cancel.before:1", "engine.cancel.sending:1", "engine.cancel.sent:1",
    "engine.answer.after:5", "engine.intent.after:3", "engine.command.accepted:1", "engine.exit.before:1",
    "engine.exit.after:1", "engine.replace.before:1", "engine.replace.after:1", "engine.place.sent:4",
    "engine.place.sent:6", "engine.place.sent:1+engine.recovery.step:1",
]  # fmt: skip
#: Points of the engine that lie on none of these paths, and the test that kills it there.
ELSEWHERE = {"engine.lock.sent": "test_upstox_engine.py::test_the_brokers_own_switch_is_thrown_last"}
_EVERY_HALF_SECOND = [number / 2 + 0.1 for number in range(40)]
#: What goes wrong meanwhile: kind and options of the simulator's faults.
FAULTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "none": [],
    "accept_then_time_out": [("order_timeout", {"op": "place", "delay_s": 1.0, "count": 1})],
    "modify_times_out": [("order_timeout", {"op": "modify", "delay_s": 1.0, "count": 1})],
    "cancel_times_out": [("order_timeout", {"op": "cancel", "delay_s": 1.0, "count": 1})],
    "fill_before_answer": [("fill_before_ack", {"delay_s": 0.2, "count": 2})],
    "events_lost": [("portfolio_lost", {})],
    "events_repeated": [("portfolio_duplicate", {}), ("portfolio_delay", {"probability": 0.5, "delay_s": 0.2})],
    "too_many_requests": [
        ("rate_limit", {"path": "/v3/order", "count": 1}), ("rate_limit", {"path": "/v2", "count": 3}),
    ],
    "reset_after": [("rest_reset", {"path": "/v3/order", "when": "after", "count": 2})],
    "server_error": [("http_error", {"path": "/v3/order", "status": 500, "count": 1})],
    "rejected": [("order_reject", {"count": 1})],
    # The streams drop, again and again; requests go through.
    "disconnect": [("disconnect", {"duration_s": 0.2, "after_s": at}) for at in _EVERY_HALF_SECOND],
    # Nothing at all goes through for a while, and what was open is gone: as when the broker's front restarts.
    "connection_restarts": [
        ("disconnect", {"duration_s": 0.15, "after_s": at, "rest": True}) for at in _EVERY_HALF_SECOND
    ],
}  # fmt: skip
#: Where the kill takes away the only request the fault could meet: nothing is modified twice, nor before the broker
#: itself has named every order that came of an intent, which it does not after a lost answer.
MEETS_NOTHING = {("engine.change.sending:1", "modify_times_out"), ("engine.place.sent:3", "modify_times_out")}
#: Told by lot from a fixed seed: a sample on every run, all of them in the matrix.
CASES = list(product(DEATHS, FAULTS))
SAMPLE = random.Random(5).sample(CASES, 3)

LIMITS = {
    f"TRADEFLEET_EXCHANGE_SIM_{name}": "100000"
    for name in (
        "REQUESTS_PER_SECOND_MAX", "REQUESTS_PER_MINUTE_MAX", "REQUESTS_PER_HALF_HOUR_MAX",
        "ORDERS_PER_SECOND_MAX", "ORDERS_PER_MINUTE_MAX", "ORDERS_PER_HALF_HOUR_MAX",
    )
}  # fmt: skip


class Exchanges:
    """Simulators one after the other. Each case trades two shares nobody else touched, as if alone in its account."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._shares: list[str] = []
        self._sim: Simulator | None = None

    def next(self) -> tuple[Simulator, list[str]]:
        """Give a simulator without faults, and two of its shares."""
        if len(self._shares) < 2 or self._sim is None:
            self._stack.close()
            self._sim = self._stack.enter_context(
                running_simulator(symbols=SIM_SYMBOLS, record_ticks=False, **LIMITS)
            )  # fmt: skip
            self._shares = [each.symbol for each in Listing(SIM_SYMBOLS, SIM_SEED).instruments if not each.is_index]
        self._sim.clear_faults()
        taken, self._shares = self._shares[:2], self._shares[2:]
        return self._sim, taken


@pytest.fixture(scope="module")
def exchanges() -> Iterator[Exchanges]:
    with ExitStack() as stack:
        yield Exchanges(stack)


@pytest.fixture(scope="module")
def lives(tmp_path_factory) -> Iterator[Lives]:
    with engine_lives(tmp_path_factory.mktemp("lives")) as made:
        yield made


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores") / "data"
    root.mkdir(mode=0o700)
    make_stores(root)
    return root


def check(root: Path, sim: Simulator, symbols: list[str]) -> None:
    """The store against the simulator's own truth."""
    keys = {each.key for each in Listing(SIM_SYMBOLS, SIM_SEED).instruments if each.symbol in symbols}
    theirs = [order for order in sim.state()["orders"] if order["request"]["instrument"] in keys]
    with sqlite3.connect(root / "trading" / "trading.db") as store:
        ours = {row[0]: row[1:] for row in store.execute("SELECT order_id, status, quantity_traded FROM orders")}
        trades = {row[0]: row[1] for row in store.execute("SELECT trade_id, quantity FROM trades")}
        positions = dict(store.execute("SELECT symbol, sum(quantity) FROM positions GROUP BY symbol").fetchall())
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    tags = Counter(order["request"]["tag"] for order in theirs)
    assert all(count == 1 for count in tags.values()), f"an order is there twice: {tags}"
    assert tags.keys() <= ours.keys(), "an order left that was not written"
    fills = {fill["trade_id"]: fill["quantity"] for order in theirs for fill in order["fills"]}
    assert trades == fills, "a fill was lost, or invented"
    net = Counter[str]()
    for order in theirs:
        sign = 1 if order["request"]["is_buy"] else -1
        net[order["request"]["instrument"]] += sign * order["filled_quantity"]
    assert sorted(filter(None, net.values())) == sorted(filter(None, positions.values())), "positions differ"
    final = {"filled", "cancelled", "rejected", "expired"}
    unexplained = [name for name, row in ours.items() if row[0] not in final and (row[0] != "unknown" or name in tags)]
    assert not unexplained, f"neither over nor explained: {[ours[name] for name in unexplained]}"


def play(case: tuple[str, str], exchanges: Exchanges, lives: Lives, template: Path, root: Path) -> int:
    """Let lives die and another go on, then compare, and see that the fault struck; say how many were killed."""
    deaths, fault = case
    sim, symbols = exchanges.next()
    shutil.copytree(template, root)
    before = Counter(sim.state()["faults_struck"])
    for kind, options in FAULTS[fault]:
        sim.add_fault(kind, **options)
    killed = 0
    for point in deaths.split("+"):
        ended = lives.live(root, sim.url, symbols, point)
        killed += ended.returncode == -9
        # A fault may keep the engine from ever coming to the point; then it ended well by itself.
        assert ended.returncode in ({-9} if fault == "none" else {-9, 0}), f"{point}: {ended}"
    ended = lives.live(root, sim.url, symbols)
    assert ended.returncode == 0, ended
    struck = Counter(sim.state()["faults_struck"]) - before
    meets = {kind for kind, _ in FAULTS[fault]} <= set(struck)
    assert meets == (case not in MEETS_NOTHING), f"of {FAULTS[fault][:2]} only {dict(struck)} struck"
    check(root, sim, symbols)
    return killed


def test_every_point_of_the_engine_is_in_the_matrix():
    """A new crash point without its row would be a kill nobody tried; and every fault of the orders has its column."""
    tried = {point.partition(":")[0] for death in DEATHS for point in death.split("+")}
    ours = {name for name in POINTS if name.startswith("engine.")}
    assert ours == tried | set(ELSEWHERE)
    assert not tried & set(ELSEWHERE)

    struck = {kind for faults in FAULTS.values() for kind, _ in faults}
    scripted = {"order_timeout", "fill_before_ack", "order_reject", "rate_limit", "http_error", "rest_reset"}
    assert struck == scripted | {"portfolio_lost", "portfolio_duplicate", "portfolio_delay", "disconnect"}
    assert "disconnect" in IMMEDIATE, "it drops what is open"


@pytest.mark.timeout(1000)
@pytest.mark.parametrize("case", SAMPLE, ids="-".join)
def test_a_kill_makes_no_second_order_and_loses_no_fill(case, exchanges, lives, template, tmp_path):
    """A sample of the matrix."""
    play(case, exchanges, lives, template, tmp_path / "data")


@pytest.mark.matrix
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_kill(case, exchanges, lives, template, tmp_path, record_property):
    """Every death with every fault."""
    record_property("killed", play(case, exchanges, lives, template, tmp_path / "data"))
