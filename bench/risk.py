"""`python -m bench.risk [decisions]`: the gate's decisions a second of one core, beside a loop that only calls.

Orders of 20 strategies in 50 symbols, market and limit, with positions and open orders in the state and no limit
switched off, so that no check has an easy way out; every decision must be an approval, or its cost is not the whole
cost. The second line is the same orders check by check, as they go when a broker tells its funds.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Iterator
from datetime import date

from bench.table import Measure, interleaved, print_measures
from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.orders.instrument import Instrument
from libs.orders.model import Order, Purpose
from libs.orders.positions import Position, PositionKey
from libs.orders.profit import opening_equity
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree
from libs.risk.rates import RateWindows
from libs.risk.request import OrderRequest
from libs.risk.state import RiskState
from libs.risk.verdict import Approved
from libs.settings.risk import Risk

DAY = date(2026, 2, 2)
OPEN_US = day_start_us(DAY) + 555 * US_PER_MINUTE
NOW_US = OPEN_US + 60 * US_PER_MINUTE
GOAL = 200_000
STRATEGIES, SYMBOLS = 20, 50
DISTINCT = 5_000


def busy_gate(rng: random.Random) -> Gate:
    limits = Risk(
        account_exposure_max_rupees=10**9, strategy_exposure_max_rupees=10**8, symbol_exposure_max_rupees=10**8,
        symbol_order_max_quantity=10_000, symbol_position_max_quantity=100_000,
        symbol_trades_day_max=10_000, strategy_trades_day_max=10_000, account_trades_day_max=100_000,
    )  # fmt: skip
    windows = tuple((s * 1_000_000, n) for s, n in zip(limits.order_rate_window_s, limits.order_rate_max, strict=True))
    state = RiskState(day=DAY, equity=opening_equity(DAY, 10**12), rates=RateWindows(windows, entries_percent=80))
    session = Session("nse", DAY, ((OPEN_US, OPEN_US + 375 * US_PER_MINUTE),), OPEN_US)
    state.on_session(session, last_entry_before_close_us=30 * US_PER_MINUTE)
    for n in range(SYMBOLS):
        state.on_instrument(Instrument(symbol=f"S{n:03d}", freeze_quantity=10_000, price_high=1_000.0))
        state.on_price("nse", f"S{n:03d}", 100.0 + n, NOW_US - 1_000_000)
    for i in range(2_000):
        strategy, symbol = f"strategy{rng.randrange(STRATEGIES)}", f"S{rng.randrange(SYMBOLS):03d}"
        state.on_position(Position(PositionKey(strategy, symbol), rng.randint(-100, 100)))
        state.on_order(
            Order(
                order_id=f"exit{i}", signal_id=f"x{i}", strategy_id=strategy, symbol=symbol, side=Side.SELL,
                order_type=OrderType.MARKET, quantity=5, purpose=Purpose.EXIT, status=OrderStatus.SENT, is_sent=True,
            )
        )  # fmt: skip
        if i % 2:
            state.rates.record(NOW_US - 1_800_000_000 + i * 800_000)
    return Gate(state, LimitTree(limits))


def orders(rng: random.Random, count: int) -> list[OrderRequest]:
    made = []
    for i in range(count):
        n = rng.randrange(SYMBOLS)
        is_limit = i % 2 == 0
        made.append(
            OrderRequest(
                order_id=f"o{i}", signal_id=f"s{i}", strategy_id=f"strategy{rng.randrange(STRATEGIES)}",
                symbol=f"S{n:03d}", side=rng.choice(list(Side)), quantity=rng.randint(1, 50),
                order_type=OrderType.LIMIT if is_limit else OrderType.MARKET,
                price=100.05 + n if is_limit else None, signal_us=NOW_US - 500_000,
            )
        )  # fmt: skip
    return made


def measures(count: int = 200_000) -> Iterator[Measure]:
    rng = random.Random(7)
    gates, asked = (busy_gate(random.Random(7)), busy_gate(random.Random(7))), orders(rng, min(count, DISTINCT))
    gates[1].state.on_funds(10**15, ())
    rounds = count // len(asked)
    count = rounds * len(asked)
    for gate in gates:
        answers = [gate.decide(request, NOW_US) for request in asked]
        refused = [answer for answer in answers if not isinstance(answer, Approved)]
        if refused:
            raise SystemExit(f"{len(refused)} of {len(asked)} orders were rejected, the first: {refused[0]}")
    gc.freeze()

    def decide(gate: Gate) -> None:
        for _ in range(rounds):
            for request in asked:
                gate.decide(request, NOW_US)

    def call_only() -> None:
        for _ in range(rounds):
            for request in asked:
                gates[0].limits.resolve(request.strategy_id, request.symbol)

    cleared_s, checked_s, called_s = interleaved(
        lambda: decide(gates[0]), lambda: decide(gates[1]), call_only, clock=time.process_time
    )
    beside = f"{count / called_s / 1000:.0f} k/s (one lookup)"
    yield Measure(
        "risk gate, every check, approved", f"{count / cleared_s / 1000:.0f} k/s", beside, called_s / cleared_s,
        "200 k/s", count / cleared_s >= GOAL,
    )  # fmt: skip
    yield Measure(
        "risk gate, check by check with funds", f"{count / checked_s / 1000:.0f} k/s", beside, called_s / checked_s,
        "", None,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1)
