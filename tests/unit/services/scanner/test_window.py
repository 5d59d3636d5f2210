"""A2: the scanner's own layout of the day equals laying its bars out at once, and a panel handed out never changes."""

from __future__ import annotations

import numpy as np

from libs.contracts import OHLCVBar
from libs.scanners.panel import panel_of
from services.scanner.window import Window

MINUTE = 60_000_000
FIELDS = ("open", "high", "low", "close", "volume")


def bars_at(minute: int, names: list[str]) -> list[OHLCVBar]:
    return [
        OHLCVBar(name, "1m", minute * MINUTE, 100.0 + minute, 102.0 + minute, 99.0, 101.0 + number, 10 * number)
        for number, name in enumerate(names)
    ]


def test_a_day_of_arriving_symbols_is_laid_out_as_at_once():
    rng = np.random.default_rng(5)
    names = [f"S{number:03d}" for number in range(150)]
    window, everything = Window(), []
    for minute in range(200):
        traded = [name for name in names[: 20 + minute] if rng.random() > 0.2]
        everything += bars_at(minute, traded)
        window.add(minute * MINUTE, bars_at(minute, traded))
    expected = panel_of(everything, window.symbols)
    panel = window.panel()

    assert panel.symbols == expected.symbols
    assert np.array_equal(panel.timestamp_us, expected.timestamp_us)
    for field in FIELDS:
        assert np.array_equal(getattr(panel, field), getattr(expected, field), equal_nan=True), field


def test_a_panel_that_was_handed_out_stays_as_it_was():
    window = Window()
    window.add(0, bars_at(0, ["A", "B"]))
    panel = window.panel()
    before = panel.close.copy()
    for minute in range(1, 300):
        window.add(minute * MINUTE, bars_at(minute, [f"N{number}" for number in range(minute)]))

    assert panel.symbols == ("A", "B")
    assert np.array_equal(panel.close, before, equal_nan=True)


def test_some_symbols_only_and_one_that_never_traded():
    window = Window()
    window.add(0, bars_at(0, ["A", "B"]))
    window.add(MINUTE, bars_at(1, ["B"]))
    panel = window.panel(("B", "NEVER"))

    assert panel.symbols == ("B", "NEVER")
    assert panel.close[0].tolist() == [102.0, 101.0]
    assert np.isnan(panel.close[1]).all()
