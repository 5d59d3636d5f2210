"""The order's state machine: what each piece of evidence does, what it may not do, and that order does not matter."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from libs.contracts.orders import OrderStatus as S
from libs.contracts.orders import Side
from libs.orders import evidence as ev
from libs.orders.lifecycle import ContradictoryEvidence, IllegalCommand, apply
from libs.orders.model import FINAL, Order
from libs.orders.news import Anomaly, FillRecorded, TermsChanged, Transition
from libs.orders.status import TRANSITIONS
from tests.kit.orders import ACCEPTED, NO_ANSWER, OPEN_US, SENDING, make_order, report, trade

CANCEL = ev.CancelSending(at_us=OPEN_US, number=1)
OPEN = report(S.OPEN)


def run(*evidence, order=None):
    order = order or make_order()
    news = []
    for item in evidence:
        order, happened = apply(order, item)
        news += happened
    return order, news


PATHS = [
    ((), S.INTENT),
    ((ev.Lapsed(at_us=1, reason="found at restart"),), S.EXPIRED),
    ((SENDING,), S.SENT),
    ((SENDING, ACCEPTED), S.ACKNOWLEDGED),
    ((SENDING, ev.PlaceRefused(at_us=1, reason="UDAPI1052")), S.REJECTED),
    ((SENDING, NO_ANSWER), S.UNKNOWN),
    ((SENDING, ACCEPTED, OPEN), S.OPEN),
    ((SENDING, ACCEPTED, OPEN, trade(40)), S.PARTIALLY_FILLED),
    ((SENDING, ACCEPTED, trade(40), trade(60, "t2")), S.FILLED),
    ((SENDING, trade(100), ACCEPTED), S.FILLED),
    ((SENDING, ACCEPTED, OPEN, CANCEL), S.CANCEL_SENT),
    ((SENDING, ACCEPTED, OPEN, CANCEL, ev.CancelRefused(at_us=1, number=1, reason="too late")), S.OPEN),
    ((SENDING, ACCEPTED, OPEN, CANCEL, report(S.CANCELLED)), S.CANCELLED),
    ((SENDING, ACCEPTED, OPEN, CANCEL, report(S.CANCELLED, 40), trade(40)), S.CANCELLED),
    ((SENDING, ACCEPTED, OPEN, CANCEL, trade(100)), S.FILLED),
    ((SENDING, ACCEPTED, report(S.REJECTED, reason="margin")), S.REJECTED),
    ((SENDING, ACCEPTED, OPEN, report(S.EXPIRED, 40), trade(40)), S.EXPIRED),
    ((SENDING, NO_ANSWER, report(S.OPEN, tag="tf" + "1" * 32)), S.OPEN),
    ((SENDING, NO_ANSWER, report(S.FILLED, 100), trade(100)), S.FILLED),
    ((SENDING, NO_ANSWER, ev.OperatorVerdict(at_us=1, operator="asha", reason="not in the book")), S.EXPIRED),
]


@pytest.mark.parametrize(("evidence", "status"), PATHS, ids=lambda p: p if isinstance(p, str) else None)
def test_evidence_leads_to(evidence, status):
    order, news = run(*evidence)

    assert order.status is status
    transitions = [n for n in news if isinstance(n, Transition)]
    assert [t.sequence for t in transitions] == list(range(1, order.sequence + 1))
    assert all(a.status_to is b.status_from for a, b in itertools.pairwise(transitions))
    assert not transitions or (transitions[-1].status_to is status and transitions[-1].cause)


@pytest.mark.parametrize(("evidence", "status"), PATHS, ids=lambda p: p if isinstance(p, str) else None)
def test_a_repeat_changes_nothing_and_says_nothing(evidence, status):
    order, _ = run(*evidence)
    for item in evidence:
        if not isinstance(item, ev.Sending | ev.CancelSending):
            assert apply(order, item) == (order, ())


def test_reports_lead_to_the_same_order_in_any_sequence():
    """Every permutation of what the broker says about a sliced, partly filled, cancelled order ends alike."""
    sliced = ev.Accepted(at_us=OPEN_US, broker_order_ids=("b1", "b2"))
    said = [
        sliced,
        report(S.OPEN, quantity=60, at_us=OPEN_US + 1),
        report(S.CANCELLED, 25, quantity=60, at_us=OPEN_US + 2),
        trade(25, "t1"),
        report(S.FILLED, 40, broker_order_id="b2", quantity=40, at_us=OPEN_US + 1),
        trade(40, "t2", broker_order_id="b2"),
    ]
    ends = set()
    for arriving in itertools.permutations(said):
        order, _ = run(SENDING, *arriving)
        ends.add((order.status, order.children, frozenset(order.fills), order.quantity_traded, order.is_settled))

    assert len(ends) == 1
    assert next(iter(ends))[0] is S.CANCELLED
    assert next(iter(ends))[3:] == (65, True)


def test_unknown_stays_unknown_until_every_slice_is_explained():
    """One of three slices in the book proves one slice; the other two may live, and reserve."""
    order, _ = run(SENDING, NO_ANSWER, report(S.FILLED, 40, quantity=40), trade(40))
    assert order.status is S.UNKNOWN
    assert order.quantity_reserved == 60

    order, _ = run(report(S.OPEN, broker_order_id="b2", quantity=60), order=order)
    assert order.status is S.PARTIALLY_FILLED


def test_absence_proves_nothing():
    """Nothing but an operator's word says "the broker does not have it"; a refused cancel of it does not."""
    order, _ = run(SENDING, NO_ANSWER)
    for harmless in (ev.CancelRefused(at_us=1, number=1, reason="no such order"), NO_ANSWER):
        assert apply(order, harmless) == (order, ())

    assert order.status is S.UNKNOWN
    assert order.quantity_reserved == order.quantity


def test_final_report_before_its_trades_is_not_settled():
    order, _ = run(SENDING, ACCEPTED, report(S.FILLED, 100))
    assert (order.status, order.fill_pending, order.is_settled) == (S.FILLED, 100, False)
    assert order.quantity_reserved == 100

    order, _ = run(trade(100), order=order)
    assert (order.fill_pending, order.is_settled, order.quantity_reserved) == (0, True, 0)


def test_trade_after_a_cancel_counts_and_is_reported():
    """The exchange filled it while the cancel was on its way: the shares are ours whatever we believed."""
    order, news = run(SENDING, ACCEPTED, report(S.CANCELLED), trade(100))

    assert order.status is S.FILLED
    assert [n.kind for n in news if isinstance(n, Anomaly)] == ["fill_after_final"]
    assert [n.fill.quantity for n in news if isinstance(n, FillRecorded)] == [100]


def test_refused_order_that_turns_up_alive_is_alive():
    order, news = run(SENDING, ev.PlaceRefused(at_us=1, reason="500"), OPEN)

    assert order.status is S.OPEN
    assert [n.kind for n in news if isinstance(n, Anomaly)] == ["alive_after_final"]


def test_a_second_broker_order_for_one_intent_is_seen():
    """A place request that was retried underneath us: the order is filled and something of it still lives."""
    order, news = run(SENDING, ACCEPTED, report(S.FILLED, 100), trade(100), report(S.OPEN, broker_order_id="b2"))

    assert [n.kind for n in news if isinstance(n, Anomaly)] == ["extra_child"]
    assert (order.is_settled, order.quantity_reserved) == (False, 100)


def test_modification_reserves_the_larger_quantity_until_it_is_settled():
    change = ev.ChangeSending(at_us=1, number=1, quantity=150, price=101.0)
    order, _ = run(SENDING, ACCEPTED, OPEN, change)
    assert (order.quantity, order.quantity_reserved) == (100, 150)

    refused, _ = run(ev.ChangeRefused(at_us=2, number=1, reason="not modified"), order=order)
    assert (refused.quantity, refused.price, refused.quantity_reserved) == (100, 100.0, 100)

    taken, news = run(ev.ChangeAccepted(at_us=OPEN_US + 2, number=1), order=order)
    assert (taken.quantity, taken.price, taken.change) == (150, 101.0, None)
    assert isinstance(news[0], TermsChanged)

    seen, _ = run(report(S.OPEN, quantity=150, price=101.0, at_us=OPEN_US + 2), order=order)
    assert (seen.quantity, seen.change) == (150, None)


def test_old_order_book_does_not_undo_a_modification():
    change = ev.ChangeSending(at_us=1, number=1, quantity=50, price=101.0)
    order, _ = run(SENDING, ACCEPTED, OPEN, change, ev.ChangeAccepted(at_us=OPEN_US + 9, number=1))
    order, _ = run(report(S.OPEN, quantity=100, price=100.0, at_us=OPEN_US + 3), order=order)

    assert (order.quantity, order.price) == (50, 101.0)


def test_order_filled_while_its_quantity_was_raised_waits_for_the_rest():
    order, _ = run(SENDING, ACCEPTED, OPEN, ev.ChangeSending(at_us=1, number=1, quantity=150), trade(100))
    assert order.status is S.PARTIALLY_FILLED

    raised, _ = run(ev.ChangeAccepted(at_us=OPEN_US + 1, number=1), trade(50, "t2"), order=order)
    assert raised.status is S.FILLED

    over, _ = run(report(S.FILLED, 100), ev.ChangeRefused(at_us=2, number=1, reason="complete"), order=order)
    assert over.status is S.FILLED


def test_modified_by_somebody_else_is_taken_over():
    """The operator changed it in the broker's own app; our book follows and says so."""
    order, news = run(SENDING, ACCEPTED, OPEN, report(S.OPEN, quantity=80, price=99.5, at_us=OPEN_US + 5))

    assert (order.quantity, order.price) == (80, 99.5)
    assert [type(n) for n in news if isinstance(n, TermsChanged)] == [TermsChanged]


def test_reversed_trade_leaves_the_order_filled():
    filled = trade(100)
    order, _ = run(SENDING, ACCEPTED, filled)
    after, news = apply(order, ev.TradeReversed(at_us=1, key=filled.fill.key))

    assert (after.status, len(news)) == (S.FILLED, 1)
    assert apply(after, ev.TradeReversed(at_us=1, key=filled.fill.key)) == (after, ())


@pytest.mark.parametrize(
    ("evidence", "command"),
    [
        ((SENDING,), SENDING),
        ((SENDING,), ev.Lapsed(at_us=1, reason="restart")),
        ((), CANCEL),
        ((SENDING,), CANCEL),
        ((SENDING, ACCEPTED, trade(100), report(S.FILLED, 100)), CANCEL),
        ((SENDING, ACCEPTED), ev.CancelSending(at_us=1, number=2)),
        ((SENDING, NO_ANSWER), ev.ChangeSending(at_us=1, number=1, quantity=50)),
        ((SENDING, ACCEPTED, OPEN, trade(60)), ev.ChangeSending(at_us=1, number=1, quantity=60)),
        ((SENDING, ACCEPTED, OPEN, CANCEL), ev.ChangeSending(at_us=1, number=1, quantity=50)),
        ((SENDING, ACCEPTED), ev.OperatorVerdict(at_us=1, operator="asha", reason="")),
        ((), NO_ANSWER),
    ],
)
def test_commands_that_do_not_fit_raise(evidence, command):
    order, _ = run(*evidence)
    with pytest.raises(IllegalCommand, match=order.order_id):
        apply(order, command)


@pytest.mark.parametrize(
    ("evidence", "contradiction"),
    [
        ((), OPEN),
        ((), ACCEPTED),
        ((), trade(10)),
        ((), ev.PlaceRefused(at_us=1, reason="never sent")),
        ((SENDING,), report(S.OPEN, tag="tf" + "2" * 32)),
        ((SENDING, ACCEPTED, trade(40)), trade(41)),
        ((SENDING, ACCEPTED), trade(40, side=Side.SELL)),
        ((SENDING, ACCEPTED), trade(40, symbol="OTHER")),
        ((SENDING, ACCEPTED), ev.TradeReversed(at_us=1, key=trade(40).fill.key)),
    ],
)
def test_contradictions_raise_and_change_nothing(evidence, contradiction):
    order, _ = run(*evidence)
    with pytest.raises(ContradictoryEvidence):
        apply(order, contradiction)


def test_table_of_transitions_is_whole():
    """Every status has a row, nothing leads to itself, filled is never left, and every live status can end."""
    assert set(TRANSITIONS) == set(S)
    assert all(status not in ways for status, ways in TRANSITIONS.items())
    assert TRANSITIONS[S.FILLED] == frozenset()
    assert all(ways & FINAL for status, ways in TRANSITIONS.items() if status is not S.FILLED)


def test_a_transition_outside_the_table_raises(monkeypatch):
    """The table is consulted, not decoration."""
    monkeypatch.setitem(TRANSITIONS, S.SENT, frozenset({S.UNKNOWN}))
    order, _ = run(SENDING)
    with pytest.raises(ContradictoryEvidence, match="cannot go from sent to acknowledged"):
        apply(order, ACCEPTED)


def test_orders_are_values():
    """Two orders that know the same are equal, and survive a copy."""
    order, _ = run(SENDING, ACCEPTED, trade(40))

    assert order == replace(order)
    assert isinstance(order, Order)
