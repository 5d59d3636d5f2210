"""The engine against an account that is kept the slow way: fill for fill, fee for fee, and worth by the minute."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from libs.contracts.orders import Side
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.clock import trading_date
from libs.orders.charges import ChargeBook
from libs.orders.instrument import Instrument
from libs.orders.model import Product
from libs.settings.charges import read_charges
from libs.settings.risk import Risk
from libs.trading.columns import Columns
from libs.trading.loop import TradingLoop
from libs.trading.replay import replay
from services.backtest import metrics
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.equity import equity_curve
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from services.backtest.traded import Traded
from tests.kit.columns import CALENDAR, DAYS
from tests.kit.naive_account import MINUTE, TICK, Bar, NaiveAccount, Options, Said

SYMBOLS = ("AAA", "BBB", "CCC")
SESSIONS = tuple(CALENDAR.sessions(DAYS[0], DAYS[0].replace(day=4)))
LAST = DAYS[0].replace(day=4)
HOURS = {number: (session.open_us, session.close_us) for number, session in enumerate(SESSIONS)}
KINDS = ("enter_long", "enter_long", "enter_short", "enter_short", "exit_long", "exit_short")
#: Nothing but the clock and, where it is asked for, leverage holds an order back.
FREE = {name: 0 for name in Risk.__struct_fields__ if name.endswith(("_rupees", "_max", "_quantity", "_percent"))} | {
    "account_funds_margin_intraday_percent": 25, "slices_max": 25, "order_rate_max": [10**6] * 3,
    "order_rate_entries_max_percent": 80,
}  # fmt: skip


def market(chance: random.Random):
    """Three days, an hour of the morning and the last 45 minutes of each, with holes; prices jump through levels."""
    minutes: dict[int, tuple[int, dict[str, Bar], list[Said]]] = {}
    holes = chance.choice([0.0, 0.2, 0.6])
    for symbol in SYMBOLS[: chance.randint(1, 3)]:
        price = chance.randint(1_800, 2_200) * TICK
        for day, (opens, _) in HOURS.items():
            ends_at = chance.choice([375, 375, 355])  # some days end before the square-off
            for number in [*range(60), *range(330, ends_at)]:
                if chance.random() < holes:
                    continue
                open_ = max(TICK, price + TICK * chance.choice([0, 0, 0, 1, -1, 8, -8, 60, -60]))
                close = max(TICK, open_ + TICK * chance.randint(-12, 12))
                high = max(open_, close) + TICK * chance.randint(0, 8)
                low = max(TICK, min(open_, close) - TICK * chance.randint(0, 8))
                bars, said = minutes.setdefault(opens + number * MINUTE, (day, {}, []))[1:]
                bars[symbol] = Bar(open_, high, low, close, chance.choice([0, 3, 40, 1_000]))
                price = close
                if chance.random() < 0.15:
                    said.append(word(chance, symbol, close))
    return dict(sorted(minutes.items()))


def word(chance: random.Random, symbol: str, close: int) -> Said:
    kind = chance.choice(KINDS)
    side = 1 if kind.endswith("long") else -1
    levels = [
        max(Fraction(1), Fraction(close + side * way * chance.choice([7, 25, 100, 313])))
        if kind.startswith("enter") and chance.random() < 0.3 else None
        for way in (-1, 1)
    ]  # fmt: skip
    return Said(symbol, kind, *levels, atr=Fraction(chance.randint(5, 200)))


def options(chance: random.Random) -> Options:
    exits: dict[str, Fraction] = {}
    for name, values in {
        "stop_percent": ["0.3", "2"], "target_percent": ["0.4", "3"], "trail_percent": ["0.5", "1.1"],
        "stop_atr": ["1.5"], "target_atr": ["2"], "trail_atr": ["1.2"], "time_min": ["7", "40"],
    }.items():  # fmt: skip
        if chance.random() < 0.25:
            exits[name] = Fraction(chance.choice(values))
    return Options(
        cash=chance.choice([20_000_00, 1_000_000_00]),
        size=chance.choice([
            ("fixed_quantity", 20), ("fixed_value", 9_000), ("equity_percent", Fraction("37.5")),
            ("equity_percent", 150), ("atr_risk", 1),
        ]),
        slip_ticks=chance.choice([0, 2]), slip_bp=Fraction(chance.choice([0, 7])),
        participation=Fraction(chance.choice(["100", "100", "12.5"])), exits=exits,
        square_off=chance.random() < 0.7, delivery=chance.random() < 0.25,
        leverage_percent=chance.choice([0, 100, 300]),
    )  # fmt: skip


def fees_of(asked: Options, *, costs: bool):
    book = ChargeBook.from_documents(read_charges())
    product = Product.DELIVERY if asked.delivery else Product.INTRADAY
    segment = Instrument(symbol="", exchange="nse", tick_size=0.05).segment(product)

    def fees(at: int, is_sale: bool, before: int, after: int, is_first_sale: bool) -> int:
        table, side = book.table(segment, trading_date(at)), Side.SELL if is_sale else Side.BUY
        grown = table.order("nse", side, after).total - table.order("nse", side, before).total
        taken_out = table.depository_fees().total if asked.delivery and is_first_sale else 0
        return grown + taken_out if costs else 0

    return fees


class Words:
    """Says at the end of each minute what the script says."""

    def __init__(self, minutes) -> None:
        self._minutes = minutes

    def on_bars(self, bars):
        at = bars[0].timestamp_us
        return [
            SignalEvent(
                f"{each.symbol}-{at}-{each.kind}", "sma_cross", each.symbol, at, SignalType(each.kind),
                metadata={"atr": float(each.atr / 100)},
                stop=None if each.stop is None else float(each.stop / 100),
                target=None if each.target is None else float(each.target / 100),
            )
            for each in self._minutes[at][2]
        ]  # fmt: skip


def columns_of(minutes) -> tuple[Columns, ...]:
    found = []
    for symbol in SYMBOLS:
        rows = [(at, *bars[symbol]) for at, (_, bars, _) in minutes.items() if symbol in bars]
        if rows:
            table = np.array(rows, dtype=np.int64).T
            prices = [np.round(column / 100, 2) for column in table[1:5]]
            found.append(Columns(symbol, table[0], *prices, table[5]))
    return tuple(found)


def request_of(asked: Options, symbols, *, costs: bool):
    how, much = asked.size
    amount = {"fixed_quantity": "quantity", "fixed_value": "rupees"}.get(how, "percent")
    return make_request(
        "sma_cross", list(symbols), DAYS[0], LAST, cash_rupees=asked.cash // 100, costs=costs,
        sizing={"type": how, amount: float(much) if amount == "percent" else much},
        exits={name: float(value) if "_min" not in name else int(value) for name, value in asked.exits.items()}
        | {"square_off": asked.square_off},
        product="delivery" if asked.delivery else "intraday",
        fills={"slippage_ticks": asked.slip_ticks, "slippage_basis_points": float(asked.slip_bp),
               "participation_percent_max": float(asked.participation)},
        limits=FREE | {"last_entry_before_close_min": 30, "square_off_before_close_min": 15,
                       "account_exposure_equity_max_percent": asked.leverage_percent},
        instruments=[{"symbol": name, "exchange": "nse", "tick_size": 0.05} for name in symbols],
    )  # fmt: skip


@pytest.mark.parametrize(("first", "count"), [(0, 10), (25, 12), pytest.param(1_000, 1_000, marks=pytest.mark.matrix)])
def test_the_engine_does_what_a_patient_hand_does(first, count):
    """Random markets: slippage, parts, charges, leverage, shorts, stops, trails, time, square-off, nights."""
    happened = 0
    for seed in range(first, first + count):
        chance = random.Random(seed)
        minutes, asked, costs = market(chance), options(chance), chance.random() < 0.7
        hand = NaiveAccount(asked, HOURS, fees_of(asked, costs=costs))
        for at, (day, bars, said) in minutes.items():
            hand.minute(at, day, bars, said)
        columns = columns_of(minutes)
        request = request_of(asked, [each.symbol for each in columns], costs=costs)
        desk = make_desk(request, RunData(columns, (), (), ()), request.risk(Risk()))
        recorder = RunRecorder(desk)
        loop = TradingLoop(desk, request.fills, CALENDAR.session)
        replay(columns, Words(minutes), loop, recorder, timeframe="1m", exchange="nse")

        found = [
            (f.timestamp_us, f.symbol, f.quantity if f.side is Side.BUY else -f.quantity, round(f.price * 100),
             f.fees_paise)
            for f in recorder.fills
        ]  # fmt: skip
        where = f"seed {seed}: {asked}"
        odd = next((pair for pair in zip(found, hand.fills, strict=False) if pair[0] != pair[1]), None)
        assert odd is None, f"{where}\nengine {odd[0]}\nhand   {odd[1]}"
        assert len(found) == len(hand.fills), where
        traded = Traded(recorder.traded)
        curve = equity_curve(columns, traded.deals, asked.cash)
        assert list(zip(curve.equity.tolist(), curve.exposure.tolist(), strict=True)) == hand.worth, where
        assert desk.equity_paise == hand.worth[-1][0], where
        check_figures(hand, minutes, metrics.compute(columns, curve, traded, asked.cash), asked.cash, where)
        happened += len(found)
    assert happened > 200


def check_figures(hand: NaiveAccount, minutes, figures, cash: int, where: str) -> None:
    """Hold the run's figures against sums over the hand's own lists."""
    days = [day for day, _, _ in minutes.values()]
    deepest, best, under, longest = Fraction(0), cash, [], 0
    for day, (equity, _) in zip(days, hand.worth, strict=True):
        best = max(best, equity)
        under = [*under, day] if equity < best else []
        longest = max(longest, len(set(under)))
        deepest = max(deepest, Fraction(best - equity, best))
    expected = {
        "equity_paise": hand.worth[-1][0], "fees_paise": sum(fill[4] for fill in hand.fills),
        "drawdown_max_ratio": float(deepest), "drawdown_days_max": longest,
        "exposure": sum(1 for _, held in hand.worth if held) / len(hand.worth),
        "turnover_ratio": sum(abs(fill[2]) * fill[3] for fill in hand.fills) / cash,
        "days": len(set(days)), "bars": len(hand.worth), "fills": len(hand.fills),
    }  # fmt: skip
    for name, value in expected.items():
        assert figures[name, ""] == pytest.approx(value, rel=1e-12), f"{name}, {where}"
