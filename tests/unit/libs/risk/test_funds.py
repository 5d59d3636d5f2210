"""F2: the broker's money is spent once, whatever order readings, orders and answers come in."""

from __future__ import annotations

import random

from libs.contracts.orders import OrderStatus
from libs.orders.model import Child, Product, Purpose
from libs.risk.funds import Funds
from tests.kit.orders import make_order

UNITS = 100 * 10_000
#: Ten shares at a hundred rupees, a quarter of it.
MARGIN = 250_00


def order(name="a", **changes):
    return make_order(order_id=f"tf{name * 32}"[:34], **({"quantity": 10} | changes))


def answered(name="a", **changes):
    return order(name, children=(Child("b1"),), status=OrderStatus.OPEN, **changes)


def funds(paise=10_000_00):
    made = Funds()
    made.read(paise)
    return made


def test_an_order_is_held_back_until_a_reading_knows_it():
    """A reading under way when the answer came may or may not have it: it counts on top until the next one."""
    made = funds()
    made.on_order(order(), UNITS)
    made.asked()
    made.on_order(answered(), UNITS)
    made.read(10_000_00)
    held_after_first = made.held_paise(25)
    made.asked()
    made.read(9_750_00)

    assert (held_after_first, made.held_paise(25)) == (MARGIN, 0)


def test_an_unknown_order_stays_held_over_every_reading():
    """It may be alive at the broker and block money there at any moment, or never."""
    made = funds()
    made.on_order(order(status=OrderStatus.UNKNOWN), UNITS)
    for _ in range(3):
        made.asked()
        made.read(10_000_00)

    assert made.held_paise(25) == MARGIN


def test_what_came_to_nothing_gives_its_money_back_at_once():
    for status in (OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED):
        made = funds()
        made.on_order(order(), UNITS)
        made.on_order(order(status=status), UNITS)

        assert made.held_paise(25) == 0, status


def test_a_fill_is_held_until_it_is_read():
    made = funds()
    made.on_order(order(), UNITS)
    made.on_order(order(status=OrderStatus.FILLED, quantity_traded=10), UNITS)

    assert made.held_paise(25) == MARGIN


def test_exits_hold_nothing_and_delivery_holds_all():
    made = funds()
    made.on_order(order("x", purpose=Purpose.EXIT), UNITS)
    made.on_order(order("d", product=Product.DELIVERY), UNITS)

    assert made.held_paise(25) == 1_000_00


def test_money_is_never_spent_twice():
    """Whatever the interleaving: free money plus what the broker blocked never exceeds what there was."""
    for seed in range(200):
        rng = random.Random(seed)
        made, cash, blocked = funds(100_000_00), 100_000_00, 0
        sent, known = [], []
        reading = None
        for step in range(60):
            action = rng.choice(["send", "answer", "ask", "read"])
            if action == "send" and made.available_paise - made.held_paise(25) >= MARGIN:
                sent.append(f"{step:02d}")
                made.on_order(order(sent[-1]), UNITS)
            elif action == "answer" and sent:
                # The broker blocks the money at some moment before its answer is here.
                name = sent.pop(rng.randrange(len(sent)))
                blocked += MARGIN
                known.append(name)
                made.on_order(answered(name), UNITS)
            elif action == "ask":
                made.asked()
                reading = cash - blocked
            elif action == "read" and reading is not None:
                made.read(reading)
                reading = None
            free = made.available_paise - made.held_paise(25)
            assert free + blocked + len(sent) * MARGIN <= cash, f"seed {seed}, step {step}"
