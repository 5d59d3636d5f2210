"""Seeded schedules of an unreliable broker: position = sum of fills after every event, nothing lost at the end."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

import pytest

from libs.contracts.orders import OrderStatus, Side
from libs.core.clock import trading_date
from libs.orders import evidence as ev
from libs.orders.book import OrderBook
from libs.orders.lifecycle import IllegalCommand
from libs.orders.model import FINAL, Fill, Order
from libs.orders.news import FillRecorded, Transition
from libs.orders.positions import PositionBook, PositionKey
from tests.kit.orders import MINUTE_US, OPEN_US, make_order, random_split, unreliable

SCHEDULES = 2_000
BATCH = 100


class Exchange:
    """The truth: what was placed, what traded. Its messages are shuffled, repeated, and some answers never come."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.ids = count(1)
        self.traded: Counter[str] = Counter()

    def live_through(self, order: Order) -> list[tuple[str, ev.AnyEvidence]]:
        """Place an order and give everything that will ever be said about it, tagged with how it travels."""
        rng, at_us = self.rng, OPEN_US + rng_minute(self.rng)
        if rng.random() < 0.1:
            answer = ev.PlaceRefused(at_us=at_us, reason="margin") if rng.random() < 0.7 else timed_out(at_us)
            return [("answer", answer)]
        quantities = random_split(rng, order.quantity, 3)
        children = [(f"b{next(self.ids)}", quantity) for quantity in quantities]
        answered = rng.random() < 0.6
        ids = tuple(name for name, _ in children)
        said: list[tuple[str, ev.AnyEvidence]] = [
            ("answer", ev.Accepted(at_us=at_us, broker_order_ids=ids) if answered else timed_out(at_us))
        ]
        for name, quantity in children:
            said += self._child(order, name, quantity, at_us)
        return said

    def _child(self, order: Order, name: str, quantity: int, at_us: int) -> list[tuple[str, ev.AnyEvidence]]:
        rng = self.rng
        filled = rng.choice([0, quantity, quantity, rng.randint(0, quantity)])
        end = OrderStatus.FILLED if filled == quantity else rng.choice([OrderStatus.CANCELLED, OrderStatus.EXPIRED])
        self.traded[order.order_id] += filled
        said: list[tuple[str, ev.AnyEvidence]] = []
        done = 0
        for part in random_split(rng, filled) if filled else []:
            done += part
            fill = Fill(
                exchange="nse", broker_order_id=name, trade_id=f"t{next(self.ids)}", symbol=order.symbol,
                side=order.side, quantity=part, price=rng.randint(9_000, 11_000) / 100,
                timestamp_us=at_us + done * MINUTE_US // 100,
            )  # fmt: skip
            said.append(("trade", ev.TradeReport(at_us=fill.timestamp_us, fill=fill)))
            if rng.random() < 0.5:
                said.append(("report", row(order, name, quantity, OrderStatus.OPEN, done, at_us + done)))
        said.append(("report", row(order, name, quantity, end, filled, at_us + MINUTE_US)))
        return said


def rng_minute(rng: random.Random) -> int:
    return rng.randint(0, 300) * MINUTE_US


def timed_out(at_us: int) -> ev.NoAnswer:
    return ev.NoAnswer(at_us=at_us, reason="read timed out")


def row(order: Order, name: str, quantity: int, status: OrderStatus, filled: int, at_us: int) -> ev.BrokerReport:
    return ev.BrokerReport(
        at_us=at_us, broker_order_id=name, status=status, quantity=quantity, quantity_filled=filled, tag=order.order_id
    )


class Desk:
    """Our side: the order book and the positions, moved by evidence only."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.orders = OrderBook()
        self.positions = PositionBook()
        self.recorded: list[Fill] = []
        self.transitions: Counter[str] = Counter()

    def take(self, order_id: str, how: str, evidence: ev.AnyEvidence) -> None:
        """Let one message in, the way it travels: an answer knows its order, reports and trades must find theirs."""
        news = self.orders.apply(order_id, evidence) if how == "answer" else self.orders.route(evidence)  # type: ignore[arg-type]
        for item in news:
            if isinstance(item, FillRecorded):
                self.recorded.append(item.fill)
                self.positions.apply(item.fill)
            if isinstance(item, Transition):
                self.transitions[item.order_id] += 1
        self.check()

    def check(self) -> None:
        sums: Counter[PositionKey] = Counter()
        for fill in self.recorded:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            sums[PositionKey(fill.strategy_id, fill.symbol)] += signed
        for position in self.positions:
            assert position.quantity == sums[position.key], f"seed {self.seed}: position is not the sum of its fills"
            cash = position.sold_paise - position.bought_paise
            assert position.realised_paise - position.cost_paise == cash, f"seed {self.seed}: money appeared"
        for order in self.orders:
            in_book = sum(fill.quantity for fill in order.fills)
            recorded = sum(f.quantity for f in self.recorded if f.order_id == order.order_id)
            assert in_book == recorded == order.quantity_traded, f"seed {self.seed}: {order.order_id} lost a fill"
            assert 0 <= order.quantity_traded <= order.quantity, f"seed {self.seed}: {order.order_id} overfilled"
            worst = order.quantity_traded + order.quantity_reserved
            assert worst <= order.quantity, f"seed {self.seed}: {order.order_id} reserves {order.quantity_reserved}"
            assert order.sequence == self.transitions[order.order_id], (
                f"seed {self.seed}: a transition without its event"
            )


def simulate(seed: int) -> Desk:
    """Run one schedule: a few orders of two strategies, everything the exchange says, late, twice and out of order."""
    rng = random.Random(seed)
    desk, exchange = Desk(seed), Exchange(rng)
    coming: list[tuple[str, str, ev.AnyEvidence]] = []
    for i in range(rng.randint(1, 4)):
        order = make_order(
            order_id=f"tf{i:032x}", strategy_id=rng.choice(["trend", "revert"]), quantity=rng.randint(2, 200),
            side=rng.choice([Side.BUY, Side.SELL]), symbol=rng.choice(["ACME", "BETA"]),
        )  # fmt: skip
        desk.orders.add(order)
        desk.take(order.order_id, "answer", ev.Sending(at_us=OPEN_US))
        coming += [(order.order_id, how, item) for how, item in exchange.live_through(order)]
    for order_id, how, item in unreliable(rng, coming):
        cancel_now_and_then(rng, desk, order_id)
        desk.take(order_id, how, item)
    for order in desk.orders:
        assert order.quantity_traded == exchange.traded[order.order_id], f"seed {seed}: {order.order_id} lost a fill"
        explained = order.status in FINAL or (order.status is OrderStatus.UNKNOWN and not order.children)
        assert explained, f"seed {seed}: {order.order_id} ended {order.status}"
    assert not desk.orders.waiting_trades(), f"seed {seed}: trades nobody claimed"
    return desk


def cancel_now_and_then(rng: random.Random, desk: Desk, order_id: str) -> None:
    order = desk.orders.get(order_id)
    if rng.random() < 0.15 and order.has_live_child:
        number = order.cancel_number + 1
        desk.take(order_id, "answer", ev.CancelSending(at_us=OPEN_US, number=number))
        if rng.random() < 0.5:
            desk.take(order_id, "answer", ev.CancelRefused(at_us=OPEN_US, number=number, reason="being filled"))


@pytest.mark.parametrize("first", range(0, SCHEDULES, BATCH))
def test_no_schedule_loses_or_invents_a_share(first):
    """F6: whatever the sequence, repeats and missing answers, positions are the trades and nothing but the trades."""
    statuses: Counter[OrderStatus] = Counter()
    for seed in range(first, first + BATCH):
        desk = simulate(seed)
        statuses.update(order.status for order in desk.orders)

    assert set(statuses) >= {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.UNKNOWN}


def test_a_schedule_replays():
    """One seed, one story: a failure's seed is all that is needed to see it again."""
    first, second = simulate(41), simulate(41)

    assert [f.key for f in first.recorded] == [f.key for f in second.recorded]
    assert list(first.orders) == list(second.orders)
    assert trading_date(OPEN_US).isoformat() == "2026-02-02"


def test_the_books_positions_do_not_depend_on_the_sequence():
    """The same fills in another sequence give the same average price and profit, not only the same quantity."""
    for seed in range(50):
        fills = simulate(seed).recorded
        shuffled = list(fills)
        random.Random(seed).shuffle(shuffled)
        assert sorted(PositionBook(fills), key=lambda p: p.key) == sorted(
            PositionBook(shuffled), key=lambda p: p.key
        ), f"seed {seed}"


def test_commands_are_refused_once_nothing_lives():
    desk = simulate(7)
    over = [order for order in desk.orders if order.is_settled]
    for order in over:
        with pytest.raises(IllegalCommand):
            desk.orders.apply(order.order_id, ev.CancelSending(at_us=OPEN_US, number=order.cancel_number + 1))

    assert over
