"""Positions are exact functions of the set of their fills."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.orders import Side
from libs.core.errors import Corrupt
from libs.orders.model import Product
from libs.orders.positions import Position, PositionBook, PositionKey, after_fill
from tests.kit.orders import OPEN_US, make_fill

KEY = PositionKey("", "ACME")


def book(*rows):
    """Rows of (side, quantity, price), one second apart."""
    fills = [
        make_fill(quantity, f"t{i}", side=Side(side), price=price, timestamp_us=OPEN_US + i * 1_000_000)
        for i, (side, quantity, price) in enumerate(rows)
    ]
    return PositionBook(fills)


@pytest.mark.parametrize(
    ("rows", "quantity", "average", "realised_paise"),
    [
        ([("buy", 100, 100.0)], 100, 100.0, 0),
        ([("buy", 100, 100.0), ("buy", 100, 110.0)], 200, 105.0, 0),
        ([("buy", 100, 100.0), ("sell", 40, 101.5)], 60, 100.0, 6_000),
        ([("buy", 100, 100.0), ("sell", 100, 99.0)], 0, 0.0, -10_000),
        ([("sell", 100, 100.0), ("buy", 100, 99.0)], 0, 0.0, 10_000),
        ([("sell", 50, 200.0), ("buy", 80, 190.0)], 30, 190.0, 50_000),
        ([("buy", 50, 200.0), ("sell", 80, 210.0)], -30, 210.0, 50_000),
        ([("buy", 3, 100.05), ("buy", 4, 100.1), ("sell", 7, 100.1)], 0, 0.0, 15),
    ],
)
def test_positions_of_known_fills(rows, quantity, average, realised_paise):
    position = book(*rows).get(KEY)

    assert (position.quantity, position.price_average, position.realised_paise) == (quantity, average, realised_paise)


def test_unrealised_profit_of_a_short():
    position = book(("sell", 100, 100.0)).get(KEY)

    assert position.unrealised_paise(98.75) == 12_500
    assert position.profit_paise(101.0) == -10_000


ROWS = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 500), st.integers(1, 10**7).map(lambda u: u / 10_000)),
    max_size=30,
)


@given(ROWS)
def test_no_money_appears_or_vanishes(rows):
    """Realised less cost is the cash that moved, after every single fill; once flat, realised *is* the cash."""
    position = Position(KEY)
    cash = Fraction(0)
    for i, (side, quantity, price) in enumerate(rows):
        position = after_fill(position, make_fill(quantity, f"t{i}", side=Side(side), price=price))
        cash += (1 if side == "sell" else -1) * quantity * Fraction(round(price * 10_000), 100)
        moved = position.sold_paise - position.bought_paise
        assert position.realised_paise - position.cost_paise == moved
        assert abs(moved - cash) <= Fraction(i + 1, 2)
        assert position.quantity == position.bought_quantity - position.sold_quantity
        assert (position.cost_paise == 0) if position.quantity == 0 else True
        assert position.quantity >= 0 or position.cost_paise <= 0


@given(ROWS, st.randoms(use_true_random=False))
def test_sequence_and_repeats_do_not_matter(rows, rng):
    fills = [make_fill(q, f"t{i}", side=Side(s), price=p, timestamp_us=OPEN_US + i) for i, (s, q, p) in enumerate(rows)]
    arriving = fills + rng.sample(fills, len(fills) // 2)
    rng.shuffle(arriving)

    assert PositionBook(arriving).get(KEY) == PositionBook(fills).get(KEY)


def test_net_sums_strategies_as_the_broker_does():
    fills = [
        make_fill(100, "t1", strategy_id="trend"),
        make_fill(30, "t2", strategy_id="revert", side=Side.SELL),
        make_fill(5, "t3", strategy_id="revert", product=Product.DELIVERY),
    ]
    positions = PositionBook(fills)

    assert positions.net() == {("nse", "ACME", Product.INTRADAY): 70, ("nse", "ACME", Product.DELIVERY): 5}
    assert [(p.key.strategy_id, p.quantity) for p in positions.open()] == [
        ("revert", 5),
        ("revert", -30),
        ("trend", 100),
    ]


def test_carried_positions_are_the_base_of_late_fills():
    """A delivery position of yesterday is folded under today's fills, also when one of them comes late."""
    yesterday = book(("buy", 100, 100.0)).get(KEY)
    positions = PositionBook(carried=[yesterday])
    late, early = (
        make_fill(50, t, side=Side.SELL, price=p, timestamp_us=OPEN_US + at)
        for t, p, at in [("l", 102.0, 9), ("e", 101.0, 5)]
    )
    positions.apply(late)
    positions.apply(early)

    assert (positions.get(KEY).quantity, positions.get(KEY).realised_paise) == (0, 15_000)


def test_reversed_trade_leaves_the_position_and_stays_out():
    fill = make_fill(100)
    positions = PositionBook([fill, make_fill(50, "t2")])
    positions.reverse(fill.key)
    positions.reverse(fill.key)
    positions.apply(fill)

    assert positions.get(KEY).quantity == 50
    with pytest.raises(Corrupt, match="no position holds it"):
        positions.reverse(make_fill(1, "nobody").key)


def test_one_trade_with_two_faces_is_corrupt():
    positions = PositionBook([make_fill(100)])
    with pytest.raises(Corrupt, match="is now"):
        positions.apply(make_fill(101))
