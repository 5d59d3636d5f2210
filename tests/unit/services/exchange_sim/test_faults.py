"""The plan of faults: count, duration, delay, probability, and what it says no to."""

from __future__ import annotations

import pytest

from libs.core.errors import Refused
from services.exchange_sim.faults.kinds import IMMEDIATE, KINDS
from services.exchange_sim.faults.plan import FaultPlan
from tests.kit.paths import PROJECT


@pytest.fixture
def plan(clock):
    return FaultPlan(clock, 7)


def test_counted_fault_strikes_so_often(plan):
    plan.add("rate_limit", {"count": 2})

    assert [bool(plan.strike("rate_limit", path="/v3/order/place")) for _ in range(4)] == [True, True, False, False]
    assert plan.struck == {"rate_limit": 2}
    assert plan.active() == []


def test_fault_begins_and_ends(plan, clock):
    plan.add("mute", {"after_s": 5, "duration_s": 10})
    seen = []
    for _ in range(4):
        seen.append(plan.in_force("mute", stream="market") is not None)
        clock.pass_s(5.5)

    assert seen == [False, True, True, False]


def test_path_is_a_prefix_and_stream_may_be_all(plan):
    plan.add("slow", {"path": "/v3/order"})
    plan.add("mute", {"stream": "market"})

    assert plan.strike("slow", path="/v3/order/place")
    assert not plan.strike("slow", path="/v2/order/place")
    assert plan.in_force("mute", stream="market")
    assert not plan.in_force("mute", stream="portfolio")


def test_probability_is_drawn_from_the_seed(clock):
    def pattern(seed):
        plan = FaultPlan(clock, seed)
        plan.add("portfolio_lost", {"probability": 0.3})
        return [bool(plan.strike("portfolio_lost", update_type="order")) for _ in range(300)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 60 < sum(pattern(1)) < 120


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("earthquake", {}, "no fault"),
        ("slow", {"delay": 3}, "no 'delay'"),
        ("slow", {"delay_s": "3"}, "float"),
        ("close", {"code": True}, "int"),
        ("slow", {"probability": 1.5}, "probability"),
        ("slow", {"count": 0}, "count"),
        ("slow", {"duration_s": -1}, "duration_s"),
    ],
)
def test_wrong_faults_are_refused(plan, kind, options, complaint):
    with pytest.raises(Refused, match=complaint):
        plan.add(kind, options)


def test_clear_takes_one_or_all(plan):
    first = plan.add("garbage", {})
    plan.add("rate_limit", {})

    assert plan.clear(first.fault_id) == 1
    assert plan.clear(first.fault_id) == 0
    assert [fault.kind for fault in plan.active()] == ["rate_limit"]
    assert plan.clear() == 1


def test_every_kind_is_documented():
    page = (PROJECT / "docs" / "services" / "exchange_sim.md").read_text("utf-8")

    for name, kind in KINDS.items():
        assert f"| `{name}` | {kind.purpose} |" in page, name
        assert all(f"`{parameter}=" in page for parameter in kind.parameters), name
    assert set(KINDS) >= IMMEDIATE
