"""What the quick look clears, every check passes: each of its conditions is needed, and it never knows better."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.orders.instrument import Instrument
from libs.orders.model import Product, Purpose
from libs.risk import screen
from libs.risk.gate import Gate
from libs.risk.request import OrderRequest
from libs.risk.state import LossLocks
from tests.kit.orders import MINUTE_US, OPEN_US, make_order
from tests.kit.risk import DAY, NOW_US, ask, make_gate
from tests.unit.libs.risk.test_gate import CASES, EXIT, LIMIT, NEIGHBOURS, equity, sent, working

SOURCE = Path(screen.__file__).read_text(encoding="utf-8")
ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
NO_LIMITS = {
    "symbol_exposure_max_rupees": 0, "symbol_order_value_max_rupees": 0, "strategy_order_value_max_rupees": 0,
    "account_order_value_max_rupees": 0, "strategy_exposure_max_rupees": 0, "account_exposure_max_rupees": 0,
    "account_exposure_equity_max_percent": 0, "price_band_max_percent": 0,
}  # fmt: skip


def listed(**terms: Any) -> Callable[[Any], None]:
    return lambda state: state.on_instrument(Instrument(symbol="ACME", **terms))


def priced(symbol: str) -> Callable[[Any], None]:
    return lambda state: state.on_price("nse", symbol, 100.0, NOW_US)


def open_for(*span: int) -> Callable[[Any], None]:
    return lambda state: setattr(state, "spans", (span,))


REFUSED = working(status=OrderStatus.REJECTED)
REFUSED_EXIT = working(side=Side.SELL, purpose=Purpose.EXIT, status=OrderStatus.REJECTED)
EXITING = working(side=Side.SELL, purpose=Purpose.EXIT, status=OrderStatus.SENT, quantity=100)
LAST = OPEN_US + 345 * MINUTE_US
FINE = listed(tick_size=0.0001)
A_UNIT_DEARER = ask(quantity=1, **LIMIT | {"price": 100.0001})
A_PAISA_DEARER = ask(quantity=1, **LIMIT | {"price": 100.01})


def holding_100(state: Any) -> None:
    """What would be an exit, were it called so."""
    state.holding("trend", "nse", "ACME", Product.INTRADAY)[1].quantity = 100


def worth_100(state: Any) -> None:
    FINE(state)
    equity(100_00, 100_00, 100_00)(state)


#: More that a check rejects, in the form of `test_gate`'s: each is refused for one reason only.
MORE = [
    ("instrument", ask(symbol="NOBODY"), priced("NOBODY"), {}, NOW_US),
    ("lot", ask(quantity=11), listed(lot_size=10), {}, NOW_US),
    ("lot", ask(quantity=0), listed(), {}, NOW_US),
    ("freeze", ask(quantity=25_001), None, NO_LIMITS, NOW_US),
    ("market_hours", ask(signal_us=LAST), None, {"price_age_max_s": 0}, LAST),
    ("market_hours", ask(), open_for(NOW_US - 9, NOW_US), {}, NOW_US),
    ("market_hours", ask(), open_for(NOW_US + 1, NOW_US + 9), {}, NOW_US),
    ("tick", ask(order_type=OrderType.SL, price=100.0), None, {}, NOW_US),
    ("tick", ask(**LIMIT | {"price": 1e9}), listed(), NO_LIMITS, NOW_US),
    ("tick", ask(**LIMIT | {"price": 0.0}), listed(), NO_LIMITS, NOW_US),
    ("tick", ask(**LIMIT | {"price": 0.00001}), listed(), NO_LIMITS, NOW_US),
    ("price_band", ask(**LIMIT | {"price": 49.95}), None, NO_LIMITS, NOW_US),
    ("price_band", ask(**LIMIT | {"price_trigger": 40.0}), None, NO_LIMITS, NOW_US),
    ("duplicate", ask(side=Side.SELL), working(side=Side.SELL), {}, NOW_US),
    ("duplicate", ask(order_id="tf" + "2" * 32), REFUSED, {}, NOW_US),
    ("duplicate", ask(signal_id="s2"), REFUSED, {}, NOW_US),
    ("daily_loss", ask(), lambda state: setattr(state, "locks", LossLocks(day=DAY)), {}, NOW_US),
    ("drawdown", ask(), lambda state: setattr(state, "locks", LossLocks(is_drawdown=True)), {}, NOW_US),
    ("exit_quantity", ask(**EXIT | {"signal_us": NOW_US}, quantity=101), None, {}, NOW_US),
    ("duplicate", ask(**EXIT | {"order_id": "tf" + "2" * 32}), REFUSED, {}, NOW_US),
    ("duplicate", ask(**EXIT | {"signal_id": "s2"}), REFUSED_EXIT, {}, NOW_US),
    ("instrument", ask(**EXIT | {"symbol": "NOBODY"}), priced("NOBODY"), {}, NOW_US),
    ("tick", ask(**EXIT | {"order_type": OrderType.LIMIT}), None, {}, NOW_US),
    ("tick", ask(**EXIT | {"price": 0.0}), None, {}, NOW_US),
    ("lot", ask(**EXIT | {"quantity": 0}), None, {}, NOW_US),
    ("lot", ask(**EXIT | {"quantity": 11}), listed(lot_size=10), {}, NOW_US),
    ("freeze", ask(**EXIT | {"quantity": 51}), listed(freeze_quantity=1), {"slices_max": 50}, NOW_US),
    ("market_hours", ask(**EXIT), open_for(NOW_US - 9, NOW_US), {}, NOW_US),
    ("market_hours", ask(**EXIT), open_for(NOW_US + 1, NOW_US + 9), {}, NOW_US),
    ("order_rate", ask(**EXIT), sent(*[999_999] * 10), {}, NOW_US),
    ("exit_quantity", ask(**EXIT | {"quantity": 1}), EXITING, {}, NOW_US),
    ("market_hours", ask(side=Side.SELL, signal_us=LAST), holding_100, {"price_age_max_s": 0}, LAST),
    (
        "market_price",
        ask(),
        lambda s: setattr(s.symbol("nse", "ACME"), "price_at_us", NOW_US - 120_000_001),
        {},
        NOW_US,
    ),
    ("order_rate", ask(), sent(*[999_999] * 8), {}, NOW_US),
    ("order_size", A_PAISA_DEARER, FINE, {"symbol_order_value_max_rupees": 100}, NOW_US),
    ("position_size", A_UNIT_DEARER, FINE, {"symbol_exposure_max_rupees": 100}, NOW_US),
    ("position_size", A_UNIT_DEARER, FINE, {"strategy_exposure_max_rupees": 100}, NOW_US),
    ("position_size", A_UNIT_DEARER, FINE, {"account_exposure_max_rupees": 100}, NOW_US),
    ("position_size", A_UNIT_DEARER, worth_100, {"account_exposure_equity_max_percent": 100}, NOW_US),
    ("position_size", ask(side=Side.SELL, quantity=11), None, {"symbol_position_max_quantity": 10}, NOW_US),
    ("position_size", ask(side=Side.SELL, quantity=11), None, {"strategy_exposure_max_rupees": 1_000}, NOW_US),
    ("position_size", ask(quantity=1), EXITING, {"symbol_position_max_quantity": 99}, NOW_US),
    ("position_size", ask(quantity=1), EXITING, {"strategy_exposure_max_rupees": 9_999}, NOW_US),
]


def prepared(case: tuple[Any, ...]) -> tuple[Gate, OrderRequest, int]:
    _, request, before, limits, now_us = case
    gate = make_gate(position=100 if request.purpose is not Purpose.ENTRY else 0, **limits)
    if before:
        before(gate.state)
    return gate, request, now_us


@cache
def rejected_cases() -> list[tuple[Any, OrderRequest, int]]:
    return [(gate._desk(request), request, now_us) for gate, request, now_us in map(prepared, [*CASES, *MORE])]


def is_cleared(desk: screen.Desk, request: OrderRequest, now_us: int) -> bool:
    """Ask for entries and exits alike; neither knows anything of the other's."""
    return screen.is_clear(desk, request, now_us) or screen.is_clear_exit(desk, request, now_us)


@pytest.mark.parametrize("case", MORE, ids=lambda case: case[0])
def test_more_rejections(case):
    gate, request, now_us = prepared(case)

    assert not is_cleared(gate._desk(request), request, now_us)
    assert gate.decide(request, now_us).check == case[0]


def test_clears_what_is_just_within():
    """It would be of no use if it left plain entries to the checks."""
    plain = [prepared(("", *case)) for case in NEIGHBOURS if case[0].purpose is Purpose.ENTRY and not case[0].replaces]
    plain += [prepared(("", ask(**EXIT), None, {}, NOW_US))]
    cleared = [is_cleared(gate._desk(request), request, now_us) for gate, request, now_us in plain]

    assert sum(cleared) >= len(plain) - 3  # those whose broker tells its funds


def changes() -> Iterator[tuple[str, list[CodeType]]]:
    """Every condition taken away, and every comparison moved by one both ways: one of the two lets more through."""
    functions = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef)]
    for function, node in [(whole, node) for whole in functions for node in ast.walk(whole)]:
        match node:
            case ast.If(body=[ast.Return() | ast.Break()]):
                passes = ast.Constant(isinstance(node.body[0], ast.Break))
                yield f"no {ast.unparse(node.test)}", [changed(function, node, "test", passes)]
            case ast.BoolOp(op=ast.Or()):
                for at, value in enumerate(node.values):
                    rest = [*node.values[:at], ast.Constant(False), *node.values[at + 1 :]]
                    yield f"no {ast.unparse(value)}", [changed(function, node, "values", rest)]
            case ast.Compare(ops=[*_, operator]) if isinstance(operator, ORDERED) and not is_choice(node):
                edges = [(node, "left", node.left)] if len(node.ops) > 1 else []
                edges.append((node, "comparators", node.comparators))
                for owner, name, old in edges:
                    yield (
                        f"{ast.unparse(node)}, moved",
                        [changed(function, owner, name, moved(old, by)) for by in (1, -1)],
                    )


def is_choice(node: ast.Compare) -> bool:
    """Picking the larger of two is no limit."""
    return ast.unparse(node).startswith(("short", "units > symbol"))


def moved(old: Any, by: int) -> Any:
    if isinstance(old, list):
        return [*old[:-1], moved(old[-1], by)]
    return ast.BinOp(old, ast.Add(), ast.Constant(by))


def changed(function: ast.FunctionDef, node: ast.AST, name: str, value: Any) -> CodeType:
    kept = getattr(node, name)
    setattr(node, name, value)
    code = compile(ast.fix_missing_locations(ast.Module([function], [])), "changed", "exec")
    setattr(node, name, kept)
    return code


def is_noticed(code: CodeType) -> bool:
    """Say whether the module with this function instead of its own clears a rejected order."""
    names = dict(vars(screen))
    for function in ("is_clear", "is_clear_exit", "_worst_units", "_is_within"):
        names[function] = FunctionType(getattr(screen, function).__code__, names)
    exec(code, names)  # noqa: S102 - our own file
    try:
        return any(names["is_clear"](*case) or names["is_clear_exit"](*case) for case in rejected_cases())
    except (AttributeError, TypeError, ValueError):
        return True  # the condition kept something impossible away


def test_every_condition_is_needed():
    """Whatever is taken out of the quick look, or let go by one, some order passes that a check rejects."""
    found = list(changes())
    survivors = [what for what, codes in found if not any(map(is_noticed, codes))]

    assert len(found) > 60
    assert not survivors, "\n".join(survivors)


@pytest.mark.parametrize("seed", range(5))
def test_never_clears_what_a_check_rejects(seed):
    """Orders and states by chance, near all limits at once: where it clears, the checks approve."""
    rng = random.Random(seed)
    cleared = 0
    for _ in range(200):
        limits = {name: rng.choice([0, 1_000, 2_000]) for name in NO_LIMITS} | {"price_band_max_percent": 5}
        gate = make_gate(position=rng.choice([0, 5, -5]), **limits)
        state = gate.state
        for n in range(rng.randrange(3)):
            state.on_order(
                make_order(order_id=f"o{n}", signal_id=f"s{n}", side=rng.choice(list(Side)), quantity=rng.randint(1, 9),
                           strategy_id=rng.choice(["trend", "other"]), purpose=rng.choice(list(Purpose)),
                           status=rng.choice([OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.REJECTED]))
            )  # fmt: skip
        rng.choice([equity(9_974_999_99 + rng.randrange(3) * 99_999), lambda _state: None])(state)
        kind = rng.choice([OrderType.MARKET, OrderType.LIMIT, OrderType.SL])
        request = ask(
            order_id=f"o{rng.randrange(9)}", signal_id=f"s{rng.randrange(9)}", side=rng.choice(list(Side)),
            quantity=rng.choice([1, 9, 10, 11, 20]), order_type=kind, purpose=rng.choice(list(Purpose)),
            price=None if kind is OrderType.MARKET else rng.choice([94.95, 95.0, 100.0, 100.03, 105.0, 105.05]),
            signal_us=NOW_US + rng.choice([-120_000_001, -120_000_000, 0, 2_000_000, 2_000_001]),
        )  # fmt: skip
        desk = gate._desk(request)
        if is_cleared(desk, request, NOW_US):
            cleared += 1
            assert gate._judge(desk, request, NOW_US) is None, f"seed {seed}: {request}"

    assert cleared, f"seed {seed}"
