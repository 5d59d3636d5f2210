"""E1, E4: what every registered strategy must hold, and the template of the user's own."""

from __future__ import annotations

import gc
import random
from collections import Counter, deque
from itertools import groupby
from types import FunctionType, MethodType, ModuleType

import msgspec
import pytest

from libs.core.clock import US_PER_MINUTE, trading_date
from libs.strategies import _template, registry
from libs.strategies.interface import describe_parameters
from libs.strategies.position import implied
from libs.trading.strategy_host import StrategyHost, signal_order
from tests.kit.regimes import market, minutes
from tests.kit.strategies import instance, run, split_days

SYMBOLS = ("ALFA", "BETA", "GAMMA")
BARS = market(SYMBOLS, days=3, seed=11)
EARLIER, TODAY = split_days(BARS)
NAMES = [*registry.SHIPPED, "template"]


def find(name):
    return _template.Template if name == "template" else registry.find(name)


def host_of(name, symbols=SYMBOLS, **fields):
    return StrategyHost([instance(name, symbols, **fields)], find=find)


def warm_host(name, **fields):
    host = host_of(name, **fields)
    host.warm_up(EARLIER)
    return host


@pytest.fixture(scope="module")
def whole_day():
    """Today's signals of every strategy, run once and undisturbed."""
    return {name: run(warm_host(name), TODAY) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_it_trades(name, whole_day):
    """An empty day would make every test below hold for nothing."""
    kinds = Counter(signal.signal_type.partition("_")[0] for signal in whole_day[name])

    assert kinds["enter"] > 3
    assert kinds["exit"] > 3


@pytest.mark.parametrize("name", NAMES)
def test_same_bars_same_signals(name, whole_day):
    assert run(warm_host(name), TODAY) == whole_day[name]


@pytest.mark.parametrize("name", NAMES)
def test_prefix_of_the_day_gives_a_prefix_of_the_signals(name, whole_day):
    """Nothing looks ahead: bars that are not there yet, or are changed later, change no earlier signal."""
    chance = random.Random(name)
    for cut in sorted(chance.sample(range(1, len(TODAY)), 4)):
        cut_us = TODAY[cut].timestamp_us
        head = [bar for bar in TODAY if bar.timestamp_us < cut_us]
        other_tail = [
            msgspec.structs.replace(bar, open=9.0, high=9.5, low=8.5, close=9.0)
            for bar in TODAY
            if bar.timestamp_us >= cut_us
        ]
        expected = [signal for signal in whole_day[name] if signal.timestamp_us < cut_us]

        assert run(warm_host(name), head) == expected
        assert [s for s in run(warm_host(name), head + other_tail) if s.timestamp_us < cut_us] == expected


@pytest.mark.parametrize("name", NAMES)
def test_restart_in_mid_day_goes_on_with_the_same_ids(name, whole_day):
    """A run of three days is continued by a fresh host that got the warm-up and the day's bars so far."""
    undisturbed = host_of(name)
    before = run(undisturbed, EARLIER)
    through = run(undisturbed, TODAY)
    chance = random.Random(name)
    for cut in sorted(chance.sample(range(1, len(TODAY)), 3)):
        cut_us = TODAY[cut].timestamp_us
        restarted = host_of(name)
        restarted.warm_up(EARLIER)
        restarted.adopt(before)
        again = run(restarted, [bar for bar in TODAY if bar.timestamp_us < cut_us])
        rest = run(restarted, [bar for bar in TODAY if bar.timestamp_us >= cut_us])

        assert again + rest == through


@pytest.mark.parametrize("name", NAMES)
def test_overnight_positions_survive_a_restart(name):
    """Without the square-off a position is held into the next day, and a restart takes it from the stored signals."""
    fields = {"parameters": {"flat_before_close_minutes": 0}} if name != "template" else {}
    undisturbed = host_of(name, **fields)
    before = run(undisturbed, EARLIER)
    held = undisturbed.positions()
    through = run(undisturbed, TODAY)
    restarted = host_of(name, **fields)
    restarted.warm_up(EARLIER)
    restarted.adopt(before)

    assert restarted.positions() == held
    assert run(restarted, TODAY) == through


@pytest.mark.parametrize("name", NAMES)
def test_repeated_and_late_bars_change_nothing(name, whole_day):
    """A bar that a gap recovery delivers twice, or out of time, is left out."""
    chance = random.Random(name)
    host = warm_host(name)
    signals = []
    for at, minute in enumerate(minutes(TODAY)):
        signals += host.on_bars(minute)
        if chance.random() < 0.2:
            signals += host.on_bars(chance.sample(TODAY[: at + 1], min(3, at + 1)))

    assert signals == whole_day[name]


@pytest.mark.parametrize("name", NAMES)
def test_symbols_do_not_know_each_other(name, whole_day):
    alone = [bar for bar in TODAY if bar.symbol == "BETA"]
    host = host_of(name, ("BETA",))
    host.warm_up(EARLIER)

    assert run(host, alone) == [signal for signal in whole_day[name] if signal.symbol == "BETA"]


@pytest.mark.parametrize("name", NAMES)
def test_signals_are_ordered_and_imply_the_position(name):
    host = host_of(name)
    signals = run(host, BARS)

    assert signals == sorted(signals, key=signal_order)
    assert len({signal.signal_id for signal in signals}) == len(signals)
    for symbol in SYMBOLS:
        mine = [signal for signal in signals if signal.symbol == symbol]
        held = host.positions().get((name, symbol))
        assert implied(mine).direction == (held.direction if held else 0)
        # Entries and exits take turns: no exit of nothing, no entry twice.
        kinds = [signal.signal_type.value for signal in mine]
        assert kinds[::2] == [kind for kind in kinds if kind.startswith("enter")]


@pytest.mark.parametrize("name", NAMES)
def test_stop_and_target_are_on_the_right_side(name, whole_day):
    for signal in whole_day[name]:
        side = {"enter_long": 1, "enter_short": -1}.get(signal.signal_type.value)
        price = signal.metadata["price"]
        if side and signal.stop is not None:
            assert (price - signal.stop) * side > 0, signal
        if side and signal.target is not None:
            assert (signal.target - price) * side > 0, signal


@pytest.mark.parametrize("name", NAMES)
def test_state_is_bounded(name):
    """After one day and after three a host holds as many objects: nothing grows with the bars."""
    host = host_of(name, ("ALFA",))
    bars = market(("ALFA",), days=5, seed=5)
    sizes = []
    for _, day in groupby(bars, key=lambda bar: trading_date(bar.timestamp_us)):
        run(host, list(day))
        sizes.append(weight(host))

    assert max(sizes[2:]) <= sizes[1] * 1.02 + 50, sizes


@pytest.mark.parametrize("name", NAMES)
def test_market_that_stands_still_is_no_signal(name):
    """Constant prices, and a single bar: no fault, and nothing to say but what the template's average allows."""
    still = [msgspec.structs.replace(bar, open=100.0, high=100.0, low=100.0, close=100.0) for bar in TODAY]

    assert run(host_of(name), TODAY[:1]) == []
    signals = run(host_of(name), still)
    assert name == "template" or signals == []


@pytest.mark.parametrize("name", NAMES)
def test_bar_without_prices_is_as_if_it_had_not_been(name):
    """Missing prices spread over the day, and two hours without a bar: no fault, no state poisoned.

    The stores refuse such prices; this is for what a notebook feeds. At the close positions are left on any bar.
    """
    chance = random.Random(name)
    begin_us = TODAY[len(TODAY) // 3].timestamp_us
    day = [bar for bar in TODAY if not begin_us <= bar.timestamp_us < begin_us + 120 * US_PER_MINUTE]
    blank = set(chance.sample(range(len(day) - 20 * len(SYMBOLS)), 150))
    nothing = dict.fromkeys(("open", "high", "low", "close"), float("nan"))
    holed = [msgspec.structs.replace(bar, **nothing) if at in blank else bar for at, bar in enumerate(day)]
    without = [bar for at, bar in enumerate(day) if at not in blank]

    assert run(warm_host(name), holed) == run(warm_host(name), without)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_lie_in_their_ranges(name):
    for parameter in describe_parameters(find(name)):
        if parameter.minimum is not None:
            assert parameter.minimum <= parameter.default
        if parameter.maximum is not None:
            assert parameter.default <= parameter.maximum


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_without_shorts_nothing_is_sold_short(name):
    signals = run(warm_host(name, parameters={"allow_short": False}), TODAY)

    assert {signal.signal_type.value for signal in signals} == {"enter_long", "exit_long"}


def weight(root):
    """Count the objects a host reaches, bars aside."""
    seen: set[int] = set()
    queue = deque([root])
    while queue:
        held = queue.popleft()
        if id(held) in seen or isinstance(held, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(held))
        if isinstance(held, MethodType):
            queue.append(held.__self__)
        elif isinstance(held, (list, tuple, set, dict, deque)) or hasattr(held, "__dict__"):
            queue.extend(gc.get_referents(held))
    return len(seen)
