"""DESIGN §7: the order of events of a minute, on the same desk that trades live."""

from __future__ import annotations

import random

import pytest

from libs.contracts.orders import OrderStatus, Side
from libs.core.money import value_paise
from libs.orders.charges import ChargeBook
from libs.orders.fills import FillSettings
from libs.orders.model import Product
from libs.orders.positions import PositionBook, PositionKey
from libs.settings.charges import read_charges
from libs.trading.decisions import CancelWanted, Ignored, Placed, Refusal
from libs.trading.exits import ExitRules
from tests.kit.orders import MINUTE_US, OPEN_US
from tests.kit.trading import CASH_PAISE, bar, fills_of, make_loop, run, signal

KEY = PositionKey("trend", "ACME")


def placed(events):
    return [event for event in events if isinstance(event, Placed)]


def test_signal_of_a_minute_fills_at_the_next_open():
    """What is decided on T knows T's close, so it can trade at T+1's open at the earliest."""
    loop = make_loop()
    events = run(loop, {0: ([bar(0, 100, 101, 99, 100.5)], [signal(0, "enter_long")]), 1: ([bar(1, 102)], [])})
    (fill,) = fills_of(events)

    assert (fill.price, fill.quantity, fill.timestamp_us) == (102, 10, OPEN_US + MINUTE_US)
    assert loop.desk.positions.get(KEY).quantity == 10
    assert loop.desk.orders.get(placed(events)[0].order.order_id).is_settled


def test_no_bar_no_trade():
    """A symbol that does not trade fills nothing; its order waits for the bar it gets."""
    loop = make_loop()
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 50, symbol="BETA")], []),
        2: ([bar(2, 104)], []),
    }
    (fill,) = fills_of(run(loop, minutes))

    assert (fill.price, fill.timestamp_us) == (104, OPEN_US + 2 * MINUTE_US)


def test_fill_then_exit_then_signal_within_one_minute():
    """Filled at the open, stopped out in the same bar, and free to enter again on that bar's signal."""
    loop = make_loop(rules=ExitRules(stop_percent=1, square_off=False))
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 100, 100, 98, 98.5)], [signal(1, "enter_long")]),
        2: ([bar(2, 98.5)], []),
    }
    fills = fills_of(run(loop, minutes))

    assert [(f.side, f.price) for f in fills] == [(Side.BUY, 100), (Side.SELL, 99.0), (Side.BUY, 98.5)]


def test_gap_through_the_stop_leaves_at_the_open():
    loop = make_loop(rules=ExitRules(stop_percent=1, square_off=False))
    minutes = {0: ([bar(0, 100)], [signal(0, "enter_long")]), 1: ([bar(1, 100)], []), 2: ([bar(2, 95, 99, 94, 96)], [])}
    fills = fills_of(run(loop, minutes))

    assert (fills[-1].price, fills[-1].timestamp_us) == (95, OPEN_US + 2 * MINUTE_US)
    assert loop.desk.equity_paise == CASH_PAISE - 50_00


def test_entry_against_a_position_closes_it_and_turns():
    loop = make_loop()
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 100)], [signal(1, "enter_short")]),
        2: ([bar(2, 103)], []),
    }
    run(loop, minutes)
    position = loop.desk.positions.get(KEY)

    assert (position.quantity, position.realised_paise, position.price_average) == (-10, 30_00, 103.0)


def test_signals_that_change_nothing_are_said_to():
    loop = make_loop()
    minutes = {
        0: ([bar(0, 100)], [signal(0, "exit_long"), signal(0, "enter_long")]),
        1: ([bar(1, 100)], [signal(1, "enter_long"), signal(1, "exit_short")]),
    }
    events = run(loop, minutes)

    reasons = [event.reason for event in events if isinstance(event, Ignored)]
    assert reasons == ["there is no such position", "there is no such position", "the position is 10 already"]


def test_exit_signal_cancels_an_entry_that_still_waits():
    loop = make_loop()
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 50, symbol="BETA")], [signal(1, "exit_long")]),
        2: ([bar(2, 100)], []),
    }
    events = run(loop, minutes)
    (wanted,) = [event for event in events if isinstance(event, CancelWanted)]

    assert loop.desk.orders.get(wanted.order_id).status is OrderStatus.CANCELLED
    assert fills_of(events) == []


def test_sequence_of_bars_and_signals_does_not_matter():
    """Deterministic: the same minute in any sequence gives the same events."""
    bars = [[bar(m, 100 + m % 3, 103, 98, 100 + (m * 7) % 3, symbol=s) for s in ("ACME", "BETA")] for m in range(40)]
    kinds = ["enter_long", "exit_long", "enter_short", "exit_short"]
    told = [
        [
            signal(m, kinds[(m + k) % 4], strategy_id=name, symbol=symbol)
            for k, name in enumerate(("trend", "revert"))
            for symbol in ("ACME", "BETA")
        ]
        for m in range(40)
    ]  # fmt: skip
    rules = ExitRules(stop_percent=2, target_percent=2, trail_percent=1, time_min=7)
    first = run(make_loop(rules=rules), {m: (bars[m], told[m]) for m in range(40)})
    second = run(make_loop(rules=rules), {m: (bars[m][::-1], told[m][::-1]) for m in range(40)})

    assert len(fills_of(first)) > 20
    assert [repr(e) for e in first] == [repr(e) for e in second]


def test_day_ends_flat_and_orders_expire():
    loop = make_loop(rules=ExitRules(), square_off_before_close_min=15, last_entry_before_close_min=15)
    minutes = {m: ([bar(m, 100 + m * 0.05)], []) for m in range(375)}
    minutes[0][1].append(signal(0, "enter_long"))
    minutes[359][1].append(signal(359, "enter_long", strategy_id="revert"))
    events = run(loop, minutes)
    squared = fills_of(events)[-1]
    assert (squared.timestamp_us - OPEN_US) // MINUTE_US == 360
    assert [e.rejected.check for e in events if isinstance(e, Refusal)] == ["market_hours"]
    assert loop.desk.positions.open() == []

    waiting = make_loop()
    run(waiting, {0: ([bar(0, 100)], [signal(0, "enter_long")])})
    (name,) = [event.order_id for event in waiting.end(OPEN_US + 375 * MINUTE_US)]
    assert waiting.desk.orders.get(name).status is OrderStatus.EXPIRED


def test_losses_beyond_the_limit_lock_entries_and_not_exits():
    loop = make_loop(account_loss_day_max_rupees=50)
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 100, 100, 90, 90)], [signal(1, "enter_long", strategy_id="revert"), signal(1, "exit_long")]),
        2: ([bar(2, 110)], [signal(2, "enter_long")]),
    }
    events = run(loop, minutes)

    assert [e.rejected.check for e in events if isinstance(e, Refusal)] == ["daily_loss", "daily_loss"]
    assert loop.desk.positions.open() == []


def test_charges_are_paid_and_depository_once_a_day():
    charges = ChargeBook.from_documents(read_charges())
    loop = make_loop(charges=charges)
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long")]),
        1: ([bar(1, 100)], [signal(1, "exit_long")]),
        2: ([bar(2, 100)], []),
    }
    fills = fills_of(run(loop, minutes))
    table = charges.table("intraday", session_day(loop))
    value = value_paise(100.0, 10)
    due = table.order("nse", Side.BUY, value).total + table.order("nse", Side.SELL, value).total

    assert sum(fill.fees_paise for fill in fills) == due
    assert loop.desk.equity_paise == CASH_PAISE - due
    assert {fill.product for fill in fills} == {Product.INTRADAY}


def session_day(loop):
    return loop.desk.gate.state.day


@pytest.mark.parametrize("seed", range(10))
def test_books_agree_after_any_day(seed):
    """Partial fills, exits and reversals at random: positions are the fills, equity is cash and positions."""
    rng = random.Random(seed)
    rules = ExitRules(stop_percent=0.5, target_percent=1, trail_percent=0.7, time_min=20)
    settings = FillSettings(slippage_ticks=1, participation_percent_max=0.7)
    loop = make_loop(rules=rules, fills=settings, charges=ChargeBook.from_documents(read_charges()))
    price, minutes = {"ACME": 100.0, "BETA": 100.0}, {}
    for m in range(375):
        bars = []
        for symbol in ("ACME", "BETA"):
            if rng.random() < 0.9:
                path = [price[symbol] + rng.randint(-8, 8) * 0.05 for _ in range(4)]
                first, *_, last = path = [round(p, 2) for p in path]
                bars.append(bar(m, first, max(path), min(path), last, symbol=symbol))
                price[symbol] = last
        kinds = ["enter_long", "exit_long", "enter_short", "exit_short"]
        names = [(n, s) for n in ("trend", "revert") for s in price if rng.random() < 0.2]
        minutes[m] = (bars, [signal(m, rng.choice(kinds), strategy_id=n, symbol=s) for n, s in names])
    fills = fills_of(run(loop, minutes))
    desk = loop.desk
    refolded = PositionBook(fills)

    assert len(fills) > 50
    assert {p.key: p for p in refolded} == {p.key: p for p in desk.positions}
    assert desk.positions.open() == []
    assert desk.equity_paise == CASH_PAISE + sum(p.realised_paise - p.fees_paise for p in desk.positions)
    assert all(order.is_settled for order in desk.orders if order.purpose == "exit")
    assert desk.gate.state.account_exposure == 0


def test_restored_desk_knows_what_the_first_one_knew():
    """A restart: orders, fills and guards out of the store give the same positions, risk and exits."""
    rules = ExitRules(stop_percent=1, trail_percent=1, square_off=False)
    first = make_loop(rules=rules)
    minutes = {
        0: ([bar(0, 100)], [signal(0, "enter_long"), signal(0, "enter_short", strategy_id="revert")]),
        1: ([bar(1, 100, 100.5, 100, 100.5)], [signal(1, "exit_short", strategy_id="revert")]),
    }
    fills = fills_of(run(first, minutes))
    second = make_loop(rules=rules)
    second.desk.on_price("nse", "ACME", 100.5, OPEN_US + 2 * MINUTE_US)
    second.desk.restore(list(first.desk.orders), fills)
    second.desk.guards.update(first.desk.guards)

    assert list(second.desk.positions) == list(first.desk.positions)
    assert second.desk.guards == first.desk.guards
    assert second.desk.equity_paise == first.desk.equity_paise
    a, b = first.desk.gate.state, second.desk.gate.state
    assert (a.account_exposure, a.strategy_exposure, a.trades_account, a.holdings) == (
        b.account_exposure, b.strategy_exposure, b.trades_account, b.holdings,
    )  # fmt: skip
