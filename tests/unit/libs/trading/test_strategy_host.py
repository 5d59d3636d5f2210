"""The host keeps strategies apart from each other, checks what they say, and suspends what misbehaves."""

from __future__ import annotations

import pytest

from libs.contracts import OHLCVBar, SignalEvent
from libs.contracts.signals import signal_id
from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.strategies import BaseStrategy, registry
from libs.strategies.user import load_directory
from libs.trading.strategy_host import Budget, FaultKind, StrategyHost, StrategyInstance, Withheld
from tests.kit.market_days import MONDAY, at_us
from tests.kit.regimes import market, minutes
from tests.kit.strategies import instance, run

BARS = market(("ALFA", "BETA"), days=1, seed=2)


class ManualClock:
    """Moves only when told."""

    def __init__(self):
        self.ns = 0

    def monotonic_ns(self):
        return self.ns

    def now_us(self):
        return self.ns // 1000

    def sleep(self, seconds):
        self.ns += int(seconds * 1e9)


class Every(BaseStrategy):
    """Says what the test wants, on every bar of the symbol it wants."""

    strategy_id = "every"
    say = staticmethod(lambda bar, context: None)

    def process_bar(self, bar, context):
        return type(self).say(bar, context)


class Quiet(BaseStrategy):
    strategy_id = "quiet"

    def process_bar(self, bar, context):
        return context.go_long() if context.minutes_since_open == 30 else None


def host_saying(say, *, symbols=("ALFA",), **options):
    kind = type("Saying", (Every,), {"say": staticmethod(say)})
    found = {"every": kind, "quiet": Quiet}
    return StrategyHost(
        [instance("every", symbols), instance("quiet", ("ALFA", "BETA"))], find=found.__getitem__, **options
    )


def feed(host, bars=BARS):
    return [signal for minute in minutes(bars) for signal in host.on_bars(minute)]


def test_signals_get_the_id_of_what_they_say():
    """Whatever id, bar or strategy the author wrote: the host knows better."""

    def say(bar, context):
        return SignalEvent("my own", "somebody", bar.symbol, 5, "enter_long", 0.5) if context.position.is_flat else None

    (signal, *_) = [each for each in feed(host_saying(say)) if each.strategy_id == "every"]

    assert signal.timestamp_us == BARS[0].timestamp_us
    assert signal.metadata["price"] == BARS[0].close
    assert signal.signal_id == signal_id(
        instance="every", parameters="{}", symbol="ALFA", timeframe="1m",
        bar_us=BARS[0].timestamp_us, signal_type=signal.signal_type,
    )  # fmt: skip


def test_strategy_that_raises_is_suspended_alone():
    """The fault names file and line; the other strategy and the other symbol go on; what it held is left."""

    def say(bar, context):
        if context.minutes_since_open > 60 and bar.symbol == "ALFA":
            raise ZeroDivisionError("no volume")
        return context.go_long()

    host = host_saying(say, symbols=("ALFA", "BETA"))
    signals = feed(host)
    (fault,) = host.take_faults()

    assert (fault.kind, fault.instance, fault.symbol, fault.suspended) == (FaultKind.RAISED, "every", "ALFA", True)
    assert fault.reason == "ZeroDivisionError: no volume"
    assert fault.where.rpartition(":")[0] == __file__
    assert host.suspended() == [("every", "ALFA")]
    assert [s.signal_type.value for s in signals if (s.strategy_id, s.symbol) == ("every", "ALFA")] == [
        "enter_long",
        "exit_long",
    ]
    assert set(host.positions()) == {("every", "BETA"), ("quiet", "ALFA"), ("quiet", "BETA")}


def test_fault_is_at_the_strategys_own_line_though_another_raised(tmp_path):
    """An author is told the line that asked for an indicator there is not, not the library's that refused it."""
    path = tmp_path / "asks.py"
    path.write_text(
        "from libs.strategies import BaseStrategy\n"
        "class Asks(BaseStrategy):\n"
        "    strategy_id = 'asks_for_nothing'\n"
        "    def process_bar(self, bar, context):\n"
        "        context.indicator('moon')\n"
    )
    kind = registry.find(next(iter(load_directory(tmp_path).strategies)))
    host = StrategyHost([instance("asks_for_nothing", ("ALFA",))], find=lambda name: kind)
    feed(host)

    assert host.take_faults()[0].where == f"{path}:5"


def test_suspended_strategy_has_a_new_life_the_next_day():
    """A day depends on its bars and its warm-up only: an undisturbed host does what a restarted one would."""
    bars = market(("ALFA",), days=2, seed=2)
    calls = []

    def say(bar, context):
        calls.append(bar.timestamp_us)
        if bar.timestamp_us == bars[5].timestamp_us:
            raise ValueError("bad bar")

    host = host_saying(say)
    feed(host, bars)

    assert len(host.take_faults()) == 1
    assert bars[6].timestamp_us not in calls
    assert bars[-1].timestamp_us in calls
    assert not host.suspended()


def test_slow_strategy_is_reported_then_suspended():
    clock = ManualClock()

    def say(bar, context):
        clock.sleep(0.2)

    host = host_saying(say, clock=clock, budget=Budget(per_bar_ms=50, overruns_max=3))
    signals = feed(host)
    faults = host.take_faults()

    assert [fault.kind for fault in faults] == [FaultKind.SLOW] * 3
    assert [fault.suspended for fault in faults] == [False, False, True]
    assert "took 200.0 ms for a bar; 50 ms are allowed (3 of 3 in a row)" in faults[-1].reason
    assert {signal.strategy_id for signal in signals} == {"quiet"}


def test_one_slow_bar_is_forgiven():
    clock = ManualClock()

    def say(bar, context):
        if context.minutes_since_open % 3 == 0:
            clock.sleep(0.2)

    host = host_saying(say, clock=clock, budget=Budget(per_bar_ms=50, overruns_max=3))
    feed(host)

    assert host.take_faults()
    assert not host.suspended()


@pytest.mark.parametrize("until", [None, 60])
def test_suspension_of_an_earlier_process_is_kept_until_its_end(until):
    """What was slow once need not be slow again: the second process gives the first one's signals, and no more."""

    bars = [bar for bar in BARS if bar.symbol == "ALFA"]

    def say(bar, context):
        if bar.timestamp_us == bars[5].timestamp_us:
            raise ValueError("once")
        return context.go_long()

    first, second = host_saying(say), host_saying(lambda bar, context: context.go_long())
    windows = [Withheld(bars[5].timestamp_us, None if until is None else bars[until].timestamp_us)]
    said = feed(first, bars[:30])
    first.withhold("every", "ALFA", windows)
    second.withhold("every", "ALFA", windows)
    said = [each for each in [*said, *feed(first, bars[30:])] if each.strategy_id == "every"]
    again = [each for each in feed(second, bars) if each.strategy_id == "every"]

    assert [each.timestamp_us for each in said[:2]] == [bars[0].timestamp_us, bars[5].timestamp_us]
    assert again == said
    assert len(said) == (2 if until is None else 3)
    assert (("every", "ALFA") in second.positions()) == (until is not None)
    assert second.suspended() == first.suspended() == ([("every", "ALFA")] if until is None else [])


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (lambda bar, context: "buy", "returned str; expected SignalEvent"),
        (lambda bar, context: context.enter_long(confidence=1.5), "confidence 1.5; expected 0 to 1"),
        (lambda bar, context: context.enter_long(confidence=float("nan")), "confidence nan"),
        (lambda bar, context: context.enter_long(stop=-1.0), "stop -1.0; expected a price above 0"),
        (lambda bar, context: context.enter_long(target=float("inf")), "target inf"),
        (lambda bar, context: context.enter_long(leg=-1), "leg -1"),
        (lambda bar, context: context.enter_long(quantity=5), "metadata holds quantity"),
        (lambda bar, context: context.enter_long(what=object()), "metadata cannot be written as JSON"),
        (lambda bar, context: [context.enter_long(), context.enter_long()], "two signals of one kind and leg"),
        (lambda bar, context: [context.enter_long(leg=n) for n in range(9)], "9 signals on one bar"),
        (
            lambda bar, context: SignalEvent("x", "y", "OTHER", 1, "enter_long"),
            "a signal for 'OTHER' on a bar of 'ALFA'",
        ),
        (
            lambda bar, context: SignalEvent("x", "y", bar.symbol, 1, "buy"),
            "signal_type 'buy'; expected one of enter_long",
        ),
    ],
)
def test_what_is_no_signal_is_a_fault(say, expected):
    host = host_saying(say)
    signals = feed(host)
    faults = host.take_faults()

    assert [fault.kind for fault in faults] == [FaultKind.BAD_SIGNAL]
    assert expected in faults[0].reason
    assert {signal.strategy_id for signal in signals} == {"quiet"}


def test_configuration_that_cannot_be_is_a_fault_of_its_instance():
    host = StrategyHost(
        [
            instance("sma_cross", ["ALFA"], name="wrong", parameters={"fast": 1}),
            instance("sma_cross", ["ALFA"], name="typo", parameters={"fasst": 5}),
            instance("sma_cross", ["ALFA"], name="crossed", parameters={"fast": 50, "slow": 20}),
            instance("nonesuch", ["ALFA"]),
            instance("sma_cross", ["ALFA"], timeframe="7m", name="odd"),
            instance("sma_cross", ["ALFA"]),
            instance("sma_cross", ["ALFA"], parameters={"fast": 5}),
        ]
    )
    reasons = {fault.instance: fault.reason for fault in host.take_faults()}

    assert "fast" in reasons["wrong"]
    assert ">= 2" in reasons["wrong"]
    assert "has no parameter 'fasst'; it takes" in reasons["typo"]
    assert "fast (50) must be below slow (20)" in reasons["crossed"]
    assert "no strategy 'nonesuch'; there are sma_cross" in reasons["nonesuch"]
    assert "timeframe '7m'" in reasons["odd"]
    assert "configured twice for ALFA" in reasons["sma_cross"]
    assert feed(host)


def test_signals_count_only_after_the_warm_up():
    """Half an average is no average: the first signals need as many bars as the strategy says."""
    host = StrategyHost([instance("sma_cross", ["ALFA"], parameters={"fast": 2, "slow": 100})])
    alone = [bar for bar in BARS if bar.symbol == "ALFA"]

    assert host.warmup_needed() == {("nse", "ALFA", "1m"): 101}
    assert not run(host, alone[:101])
    assert run(host, alone[101:])


def test_stop_of_a_signal_ends_the_implied_position():
    """The engine leaves at the stop; the strategy sees flat, and a stored exit says so to whoever rebuilds it."""
    alone = [bar for bar in BARS if bar.symbol == "ALFA"]
    stop = round(alone[0].close * 0.997, 2)
    seen = []

    def say(bar, context):
        seen.append(context.position.direction)
        return context.enter_long(stop=stop) if len(seen) == 1 else None

    host = host_saying(say)
    signals = [signal for signal in feed(host, alone) if signal.strategy_id == "every"]
    at = next(n for n, bar in enumerate(alone) if n > 1 and bar.low <= stop)

    assert [signal.signal_type.value for signal in signals] == ["enter_long", "exit_long"]
    assert signals[1].timestamp_us == alone[at].timestamp_us
    assert signals[1].metadata["reason"] == "stop touched"
    assert seen[at - 1] == 1
    assert seen[at] == 0


def test_minute_runs_by_instance_then_symbol():
    order = []

    def say(bar, context):
        order.append((context.strategy_id, bar.symbol))

    found = {"every": type("Saying", (Every,), {"say": staticmethod(say)})}
    host = StrategyHost(
        [instance("every", ("BETA", "ALFA"), name="b"), instance("every", ("ALFA", "BETA"), name="a")],
        find=found.__getitem__,
    )
    host.on_bars(list(reversed(next(iter(minutes(BARS))))))

    assert order == [("a", "ALFA"), ("a", "BETA"), ("b", "ALFA"), ("b", "BETA")]


def test_a_shipped_strategy_holds_day_bars_through_the_night():
    """A day bar ends with the session; the rule to be flat before the close is for bars within a day."""
    start_us = at_us(MONDAY, 0)
    closes = [100.0 - n for n in range(8)] + [93.0 + n for n in range(20)]
    for timeframe, step_us, first_us, expected in (
        ("1d", US_PER_DAY, start_us, ["enter_long"]),
        ("1m", US_PER_MINUTE, start_us + (15 * 60 + 15) * US_PER_MINUTE, []),
    ):
        host = StrategyHost(
            [StrategyInstance(strategy="sma_cross", symbols=("ACME",), timeframe=timeframe,
                              parameters={"fast": 2, "slow": 5, "allow_short": False})],
            daily_anchor=False,
        )  # fmt: skip
        bars = [
            OHLCVBar("ACME", timeframe, first_us + n * step_us, close, close + 1, close - 1, close, 1000)
            for n, close in enumerate(closes)
        ]
        said = [signal.signal_type.value for bar in bars for signal in host.on_bars([bar])]

        assert said == expected
