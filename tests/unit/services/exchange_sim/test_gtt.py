"""GTT orders: an entry that triggers, exits that cancel each other, a stop that trails."""

from __future__ import annotations

from typing import Any

import pytest

from services.exchange_sim.exchange.gtt import GttBook, GttOrder, gtt_problem
from tests.unit.services.exchange_sim.conftest import DAY, Desk, at

NOW = at(10)


@pytest.fixture
def gtt(desk: Desk) -> GttBook:
    return GttBook(desk.market, desk.engine, lambda _: None)


def place(gtt: GttBook, desk: Desk, *rules: dict[str, Any], side: str = "BUY") -> GttOrder:
    body = {"type": "SINGLE" if len(rules) == 1 else "MULTIPLE", "quantity": 3, "product": "I",
            "transaction_type": side, "rules": list(rules)}  # fmt: skip
    assert gtt_problem(body) is None
    return gtt.place(body, desk.market.listing.instruments[0], NOW)


def rule(strategy: str, price: float, trigger: str = "IMMEDIATE", gap: float = 0.0) -> dict[str, Any]:
    return {"strategy": strategy, "trigger_type": trigger, "trigger_price": price, "trailing_gap": gap}


def play(gtt: GttBook, desk: Desk, until_ms: int, step_ms: int = 1000) -> None:
    """Let market time pass as the driver does."""
    for moment in range(NOW, until_ms, step_ms):
        desk.engine.play(moment, moment + step_ms)
        gtt.play(moment + step_ms)


def prices(desk: Desk) -> list[tuple[int, float]]:
    path = desk.market.path(desk.market.listing.instruments[0], DAY)
    return [(t, p) for t, p in zip(path.times_ms.tolist(), path.prices.tolist(), strict=True) if t > NOW]


def test_entry_triggers_when_its_price_is_reached_and_not_before(gtt, desk):
    level = max(price for _, price in prices(desk)[:2000])
    reached = next(moment for moment, price in prices(desk) if price >= level)
    order = place(gtt, desk, rule("ENTRY", level, "ABOVE"))
    play(gtt, desk, reached // 1000 * 1000 - 1000)
    before = order.rules[0].status
    play(gtt, desk, reached + 120_000)

    assert before == "OPEN"
    assert order.rules[0].status == "COMPLETED"
    assert desk.book.orders[order.rules[0].order_id].gtt_order_id == order.gtt_order_id


def test_one_exit_cancels_the_other(gtt, desk):
    now = desk.market.price(desk.market.listing.instruments[0], NOW)
    order = place(gtt, desk, rule("ENTRY", now), rule("TARGET", now * 1.0005), rule("STOPLOSS", now * 0.95))
    play(gtt, desk, NOW + 1_800_000)
    statuses = {one.strategy: one.status for one in order.rules}

    assert statuses == {"ENTRY": "COMPLETED", "TARGET": "COMPLETED", "STOPLOSS": "CANCELLED"}
    assert desk.account.quantity(order.instrument.key, "I") == 0


def test_trailing_stop_follows_a_rise_and_never_a_fall(gtt, desk):
    now = desk.market.price(desk.market.listing.instruments[0], NOW)
    order = place(gtt, desk, rule("ENTRY", now), rule("STOPLOSS", now * 0.9, gap=now * 0.05))
    stop = order.rules[1]
    seen = []
    for minute in range(30):
        gtt.play(NOW + minute * 60_000)
        seen.append((stop.trigger_price, desk.market.price(order.instrument, NOW + minute * 60_000)))
    levels = [level for level, _ in seen]

    assert levels == sorted(levels)
    assert levels[-1] > now * 0.9
    assert levels[-1] == pytest.approx(max(price for _, price in seen) - now * 0.05, abs=0.11)


def test_entry_that_is_refused_takes_its_exits_along(gtt, desk):
    desk.account.cash = 0.0
    now = desk.market.price(desk.market.listing.instruments[0], NOW)
    order = place(gtt, desk, rule("ENTRY", now), rule("TARGET", now * 1.1))
    play(gtt, desk, NOW + 3000)

    assert [one.status for one in order.rules] == ["FAILED", "CANCELLED"]
    assert "funds" in order.rules[0].message


@pytest.mark.parametrize(
    "body",
    [
        {"type": "TRIPLE"},
        {"quantity": 0},
        {"rules": []},
        {"rules": [rule("TARGET", 10)]},
        {"rules": [rule("ENTRY", 10), rule("STOPLOSS", 9)]},  # two rules are not SINGLE
        {"rules": [rule("ENTRY", -1)]},
        {"rules": [rule("ENTRY", 1, "SIDEWAYS")]},
        {"type": "MULTIPLE", "rules": [rule("ENTRY", 10), rule("TARGET", 11), rule("TARGET", 12)]},
    ],
)
def test_words_that_make_no_sense_are_refused(body):
    good = {"type": "SINGLE", "quantity": 1, "product": "I", "transaction_type": "BUY", "rules": [rule("ENTRY", 10)]}

    assert gtt_problem(good) is None
    assert gtt_problem(good | body) is not None
