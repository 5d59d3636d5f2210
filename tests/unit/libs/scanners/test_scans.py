"""E3: each scan picks what it says, ranks the strongest first, and says nothing of what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import OHLCVBar
from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.scanners import registry
from libs.scanners.interface import pick
from libs.scanners.panel import Panel, panel_of

OPEN_US = 1_770_003_900_000_000
SYMBOLS = ("ACC", "BEL", "CIPLA", "DLF")


def bars(symbol: str, closes, *, volume=100, spread=0.5, first=0) -> list[OHLCVBar]:
    made = []
    for number, close in enumerate(closes):
        opened = closes[number - 1] if number else close
        at_us = OPEN_US + (first + number) * US_PER_MINUTE
        high, low = max(opened, close) + spread, min(opened, close) - spread
        amount = volume[number] if isinstance(volume, list) else volume
        made.append(OHLCVBar(symbol, "1m", at_us, opened, high, low, close, amount))
    return made


def market(closes: dict[str, list[float]], **days) -> Panel:
    given = {name: np.array(values, float) for name, values in days.items()}
    return panel_of([bar for symbol, prices in closes.items() for bar in bars(symbol, prices)], list(closes), **given)


def found(scan_id: str, panel: Panel, **parameters):
    return [(each.symbol, round(each.score, 4)) for each in pick(registry.make(scan_id, **parameters), panel)]


def test_gainers_and_losers_are_ranked_by_how_far():
    panel = market(
        {"ACC": [100, 103], "BEL": [100, 105], "CIPLA": [100, 99], "DLF": [100, 90]},
        previous_close=[100, 100, 100, 100],
    )

    assert found("gainers", panel) == [("BEL", 5.0), ("ACC", 3.0)]
    assert found("losers", panel) == [("DLF", 10.0)]
    assert [each.rank for each in pick(registry.make("gainers", percent=1), panel)] == [1, 2]


def test_gap_is_of_the_first_trade_of_the_day():
    late = bars("ACC", [95.0, 96.0], first=3)
    panel = panel_of([*late, *bars("BEL", [103.0] * 5)], ["ACC", "BEL"], previous_close=np.array([100.0, 100.0]))

    assert found("gap", panel) == [("ACC", -5.0), ("BEL", 3.0)]


def test_volume_surge_counts_against_the_bars_before():
    quiet, loud = bars("ACC", [100.0] * 21, volume=[100] * 21), bars("BEL", [100.0] * 21, volume=[100] * 20 + [400])
    panel = panel_of([*quiet, *loud], ["ACC", "BEL"])

    assert found("volume_surge", panel) == [("BEL", 4.0)]
    assert found("volume_surge", panel_of(loud[:5], ["BEL"])) == []


def test_breakout_both_ways():
    flat = [100.0] * 20
    panel = market({"ACC": [*flat, 102.0], "BEL": [*flat, 97.0], "CIPLA": [*flat, 100.0]})
    picked = pick(registry.make("breakout"), panel)

    assert [(each.symbol, each.score > 0) for each in picked] == [("BEL", False), ("ACC", True)]
    assert picked[1].features["high"] == 100.5


def test_year_extremes():
    panel = market({"ACC": [100.0], "BEL": [50.0], "CIPLA": [75.0]}, year_high=[99, 90, 90], year_low=[40, 51, 60])

    assert {symbol for symbol, _ in found("extremes_52w", panel)} == {"ACC", "BEL"}
    assert dict(found("extremes_52w", panel))["BEL"] < 0


def test_rsi_extremes_need_their_bars():
    rising, falling = [100.0 + n for n in range(20)], [100.0 - n for n in range(20)]
    panel = market({"ACC": rising, "BEL": falling, "CIPLA": [100.0 + n % 2 for n in range(20)]})

    assert found("rsi_extremes", panel) == [("ACC", 50.0), ("BEL", -50.0)]
    assert found("rsi_extremes", market({"ACC": rising[:10]})) == []


def test_squeeze_is_quiet_and_nr7_is_narrow():
    wide = list(bars("ACC", [100.0 + 0.01 * (n % 2) for n in range(30)], spread=2.0))
    loose = list(bars("BEL", [100.0 + n for n in range(30)], spread=0.1))
    assert [symbol for symbol, _ in found("squeeze", panel_of([*wide, *loose], ["ACC", "BEL"]))] == ["ACC"]

    narrow = bars("ACC", [100.0] * 6, spread=2.0) + bars("ACC", [100.0], spread=0.2, first=6)
    same = bars("BEL", [100.0] * 6, spread=1.0) + bars("BEL", [100.0], spread=3.0, first=6)
    assert [symbol for symbol, _ in found("nr7", panel_of([*narrow, *same], ["ACC", "BEL"]))] == ["ACC"]


def test_distance_from_the_average_price_and_from_the_index():
    panel = market({"ACC": [100.0] * 10 + [110.0], "BEL": [100.0] * 11}, index=[100.0] * 10 + [101.0])

    assert [symbol for symbol, _ in found("vwap_distance", panel)] == ["ACC"]
    strength = dict(found("relative_strength", panel, points=0.5))
    assert strength["ACC"] == pytest.approx(9.0)
    assert strength["BEL"] == pytest.approx(-1.0)


def test_users_own_condition():
    panel = market({"ACC": [100.0, 101.0, 102.0], "BEL": [100.0, 99.0, 98.0]})

    assert found("expression", panel, expression="close > close[1] and close > sma(2)") == [("ACC", 1.0)]
    with pytest.raises(Refused):
        registry.make("expression", expression="__import__('os')")


def test_parameters_out_of_range_are_refused():
    with pytest.raises(Refused, match="gainers"):
        registry.make("gainers", percent=-1)
    with pytest.raises(Refused, match="nothing"):
        registry.make("nothing")


@given(data=st.data())
def test_any_market_gives_the_same_finite_picks_again(data):
    """No crash on gaps, single bars and constant prices; picks are finite, confident within bounds, and repeat."""
    prices = st.one_of(st.just(float("nan")), st.floats(1.0, 1e5))
    count = data.draw(st.integers(0, 30))
    close = np.array([data.draw(st.lists(prices, min_size=count, max_size=count)) for _ in SYMBOLS], float)
    close = close.reshape(len(SYMBOLS), count)
    volume = np.where(np.isnan(close), np.nan, 100.0)
    instants = OPEN_US + np.arange(count) * US_PER_MINUTE
    one_each = np.array([data.draw(prices) for _ in SYMBOLS])
    panel = Panel(
        SYMBOLS, instants, close, close + 1.0, close - 1.0, close, volume, one_each, one_each + 5, one_each - 5,
        np.linspace(100.0, 101.0, count),
    )  # fmt: skip
    for scan_id in registry.SCANS:
        scan = registry.make(scan_id)
        first, second = pick(scan, panel), pick(scan, panel)

        assert first == second, scan_id
        assert [each.rank for each in first] == list(range(1, len(first) + 1))
        assert all(np.isfinite(each.score) and 0.0 <= each.confidence <= 1.0 for each in first), scan_id


def test_the_strongest_of_many_are_those_of_all():
    """Ties at the edge go by name, however few are wanted."""
    closes = {f"S{number:02d}": [100.0, 100.0 + number % 7 + 3] for number in range(40)}
    panel = market(closes, previous_close=[100.0] * 40)
    scan = registry.make("gainers")
    everything = pick(scan, panel, 40)

    assert len(everything) == 40
    for limit in (0, 1, 5, 6, 7, 39, 40, 50):
        assert pick(scan, panel, limit) == everything[:limit]
