"""One seeded life of an engine: a faulty broker, crashes anywhere, and what must be true after every event."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from libs.brokers.answers import cancel_evidence, change_evidence, place_evidence
from libs.brokers.interface import Answer
from libs.contracts.orders import OrderStatus
from libs.core.errors import FleetError, RetryLater
from libs.core.faults import crash_point
from libs.orders.lifecycle import IllegalCommand
from libs.orders.model import FINAL, Change, Order
from libs.simulation.broker import BrokerFaults, FaultyBroker
from libs.simulation.clock import ManualClock
from services.execution_engine.replacing import Replacement
from tests.kit.crashes import Crash, crashing_at
from tests.kit.engine import START_US, SYMBOLS, Rig, engine_rig

STEPS = 60
#: Where a life may end: all points of the engine, and before and after every commit.
POINTS = [
    "engine.intent.before", "engine.intent.after", "engine.exit.before", "engine.exit.after", "engine.place.sending",
    "engine.place.sent", "engine.cancel.before", "engine.cancel.sending", "engine.cancel.sent", "engine.change.before",
    "engine.change.sending", "engine.change.sent", "engine.replace.before", "engine.replace.after",
    "engine.answer.before", "engine.answer.commit", "engine.answer.after", "engine.report.before",
    "engine.report.commit", "engine.report.after", "engine.reconcile.before", "engine.reconcile.after",
    "engine.recovery.step", "sqlite.commit.before", "sqlite.commit.after",
]  # fmt: skip


class FaultyWire:
    """Carries the engine's requests to the faulty broker, in one thread."""

    def __init__(self, broker: FaultyBroker, clock: ManualClock) -> None:
        self.answered: Callable[[Answer], None]
        self.reported: Callable[..., int]
        self._broker = broker
        self._clock = clock

    def place(self, order: Order, approved: Any) -> None:
        def call() -> tuple[str, ...]:
            try:
                return (
                    self._broker.place(
                        tag=order.order_id, symbol=order.symbol, side=order.side, quantity=order.quantity,
                        price=order.price, price_trigger=order.price_trigger, product=order.product,
                    ),
                )  # fmt: skip
            finally:
                crash_point("engine.place.sent")

        evidence, outcome = place_evidence(call, self._clock.now_us())
        self._maybe_events()
        self.answered(Answer(order_id=order.order_id, request="place", evidence=evidence, outcome=outcome))

    def cancel(self, order: Order, number: int) -> None:
        def call() -> None:
            for child in order.children:
                if child.status not in FINAL:
                    self._broker.cancel(child.broker_order_id)
            crash_point("engine.cancel.sent")

        evidence, outcome = cancel_evidence(call, number, self._clock.now_us())
        self.answered(Answer(order_id=order.order_id, request="cancel", evidence=evidence, outcome=outcome))

    def change(self, order: Order, change: Change) -> None:
        def call() -> None:
            name = order.children[0].broker_order_id
            self._broker.modify(name, change.quantity, change.price, change.price_trigger)
            crash_point("engine.change.sent")

        evidence, outcome = change_evidence(call, change, self._clock.now_us())
        self.answered(Answer(order_id=order.order_id, request="change", evidence=evidence, outcome=outcome))

    def _maybe_events(self) -> None:
        """Now and then the stream is quicker than the answer."""
        if self._broker.random.random() < 0.3:
            self.reported(self._broker.events())


class Schedule:
    """One seed's story over several lives of the engine."""

    def __init__(self, seed: int, template: Path, root: Path) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.root = root
        shutil.copytree(template, root)
        self.clock = ManualClock(START_US)
        rng = self.rng

        def often(most: float) -> float:
            return rng.choice([0.0, rng.uniform(0, most)])

        self.broker = FaultyBroker(
            rng,
            BrokerFaults(
                refused=often(0.1), rate_limited=often(0.1), answer_lost=often(0.4), request_lost=often(0.1),
                fill_before_answer=often(0.5), event_lost=often(0.5), event_repeated=often(0.5),
                event_delayed=often(0.5), unreachable=often(0.2),
            ),
        )  # fmt: skip
        self.counts: Counter[str] = Counter()
        self._signals = 0

    def run(self) -> Counter[str]:
        """Live and die until the steps are used up; then let everything settle, and compare all there is."""
        steps = STEPS
        while steps > 0:
            with suppress(Crash), self._life() as rig:
                while steps > 0:
                    steps -= 1
                    self._step(rig)
        self._settle()
        return self.counts

    @contextmanager
    def _life(self) -> Iterator[Rig]:
        point = self.rng.choice(POINTS)
        hit = self.rng.randint(1, 6)
        self.counts["lives"] += 1
        wire = FaultyWire(self.broker, self.clock)
        with crashing_at(point, hit), engine_rig(self.root, clock=self.clock, wire=wire, exit_retry_s=1) as rig:
            rig.engine.market.heard(self.clock.now_us())
            self._reconcile(rig)
            self.check(rig)
            try:
                yield rig
            except Crash:
                self.counts["crashes"] += 1
                raise

    def _step(self, rig: Rig) -> None:
        rng = self.rng
        self.clock.advance(rng.uniform(0.5, 20))
        self.broker.now_us = self.clock.now_us()
        symbol = rng.choice(SYMBOLS)
        actions = ["tick", "tick", "signal", "signal", "fill", "fill", "events", "cancel", "change", "replace", "books"]
        action = rng.choice(actions)
        if action == "tick":
            rig.tick(rng.randrange(9_700, 10_300, 5) / 100, symbol, seconds=0.0)
        elif action == "signal":
            for each in SYMBOLS:
                rig.engine.desk.on_price("nse", each, 100.0, self.clock.now_us())
            self._signals += 1
            kind = rng.choice(["enter_long", "enter_long", "exit_long", "enter_short", "exit_short"])
            rig.signal(
                kind, symbol, strategy_id=rng.choice(["trend", "revert"]), signal_id=f"s{self._signals}",
                leg=self._signals, stop=98.0 if kind == "enter_long" else None,
            )  # fmt: skip
        elif action == "fill":
            self.broker.play()
        elif action == "events":
            rig.engine.reported(self.broker.events())
        elif action == "books":
            self._reconcile(rig)
        else:
            self._touch_order(rig, action)
        self.counts[action] += 1
        self.check(rig)

    def _touch_order(self, rig: Rig, action: str) -> None:
        alive = [order for order in rig.engine.desk.orders if order.has_live_child]
        if not alive:
            return
        order = self.rng.choice(alive)
        with suppress(IllegalCommand):
            if action == "cancel":
                rig.engine.cancel(order.order_id, "the test wants it")
            elif action == "replace":
                price = self.rng.randrange(9_900, 10_100, 5) / 100
                rig.closing.replacing.begin(Replacement(order.order_id, order.order_id, price))
            else:
                rig.engine.change(order.order_id, self.rng.randint(1, order.quantity), None, None)

    def _reconcile(self, rig: Rig) -> None:
        try:
            book = self.broker.book()
        except RetryLater as e:
            rig.reconciler.failed("timer", self.clock.now_us(), e)
            return
        rig.reconciler.take(book, "timer", self.clock.now_us())

    def check(self, rig: Rig) -> None:
        """What must be true at any moment."""
        where = f"seed {self.seed}"
        signed = "CASE side WHEN 'buy' THEN quantity ELSE -quantity END"
        sums = rig.rows(f"SELECT strategy_id, symbol, sum({signed}) FROM trades GROUP BY 1, 2")
        stored = {(row[0], row[1]): row[2] for row in rig.rows("SELECT strategy_id, symbol, quantity FROM positions")}
        assert {(row[0], row[1]): row[2] for row in sums} == stored, f"{where}: a position is not its trades"
        held = {key: quantity for key, quantity in stored.items() if quantity}
        assert held == rig.positions(), f"{where}: memory and store differ"
        tags = Counter(order.tag for order in self.broker.orders.values())
        doubled = [tag for tag, count in tags.items() if count > 1]
        assert not doubled, f"{where}: orders at the broker twice: {doubled}"
        sent = {row[0] for row in rig.rows("SELECT order_id FROM orders WHERE sending_at_us IS NOT NULL")}
        assert tags.keys() <= sent, f"{where}: an order left that was not written"
        truth = {fill.key for fill in self.broker.fills}
        ours = {tuple(row) for row in rig.rows("SELECT trading_date, exchange, broker_order_id, trade_id FROM trades")}
        assert ours <= truth, f"{where}: a trade that never was"

    def _settle(self) -> None:
        """Faults end, the market finishes what is open, and both sides must agree."""
        self.broker.faults = BrokerFaults()
        wire = FaultyWire(self.broker, self.clock)
        with engine_rig(self.root, clock=self.clock, wire=wire) as rig:
            rig.engine.market.heard(self.clock.now_us())
            for _ in range(3):
                self._reconcile(rig)
                for order in list(rig.engine.desk.orders):
                    if order.has_live_child:
                        with suppress(FleetError):
                            rig.engine.cancel(order.order_id, "the day is over")
                rig.engine.reported(self.broker.events())
            for broker_order in self.broker.open_orders():
                self.broker.fill(broker_order.broker_order_id, broker_order.quantity - broker_order.filled)
            self._reconcile(rig)
            self.check(rig)
            where = f"seed {self.seed}"
            ours = len(rig.rows("SELECT 1 FROM trades"))
            assert ours == len(self.broker.fills), f"{where}: {len(self.broker.fills) - ours} fills were lost"
            net = {key: quantity for key, quantity in rig.engine.desk.positions.net().items() if quantity}
            theirs = {key: quantity for key, quantity in self.broker.positions().items() if quantity}
            assert net == theirs, f"{where}: positions differ"
            placed = {order.tag for order in self.broker.orders.values()}
            for order in rig.engine.desk.orders:
                explained = order.is_settled or (
                    order.status is OrderStatus.UNKNOWN and order.order_id not in placed
                )  # fmt: skip
                assert explained, f"{where}: {order.order_id} ended {order.status}"
                self.counts[str(order.status)] += 1
