"""Sizes are whole lots, never more than asked for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Refused
from libs.core.money import value_paise
from libs.trading.sizing import AtrRisk, EquityPercent, FixedQuantity, FixedValue, Sizing, size

LAKH_PAISE = 100_000_00


@pytest.mark.parametrize(
    ("sizing", "price", "lot", "atr", "expected"),
    [
        (FixedQuantity(100), 100.0, 1, None, 100),
        (FixedQuantity(100), 100.0, 75, None, 75),
        (FixedQuantity(50), 100.0, 75, None, 0),
        (FixedValue(10_000), 100.05, 1, None, 99),
        (FixedValue(99), 100.0, 1, None, 0),
        (EquityPercent(10), 100.0, 1, None, 100),
        (EquityPercent(10), 99.95, 25, None, 100),
        (AtrRisk(1, 2.0), 100.0, 1, 2.5, 200),
        (AtrRisk(1, 2.0), 100.0, 1, 0.0, 0),
    ],
)
def test_known_sizes(sizing, price, lot, atr, expected):
    assert size(sizing, price=price, equity_paise=LAKH_PAISE, lot=lot, atr=atr) == expected


@given(
    st.floats(0.01, 200).map(lambda p: round(p, 2)), st.integers(1, 10**6).map(lambda n: n * 5 / 100),
    st.integers(0, 10**11), st.integers(1, 500),
)  # fmt: skip
def test_a_size_never_costs_more_than_its_share(percent, price, equity_paise, lot):
    quantity = size(EquityPercent(percent), price=price, equity_paise=equity_paise, lot=lot)

    assert quantity % lot == 0
    assert value_paise(price, quantity) * 10_000 <= equity_paise * round(percent * 100)
    assert (
        value_paise(price, quantity + lot) * 10_000 > equity_paise * round(percent * 100) - 10_000_00
        or not equity_paise
    )


def test_atr_risk_without_an_atr_is_refused():
    with pytest.raises(Refused, match="metadata 'atr'"):
        size(AtrRisk(1), price=100.0, equity_paise=LAKH_PAISE)


def test_nothing_is_bought_with_nothing():
    assert size(EquityPercent(10), price=100.0, equity_paise=-5) == 0


def test_sizing_is_read_from_settings():
    assert msgspec.convert({"type": "equity_percent", "percent": 5.0}, Sizing) == EquityPercent(5.0)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "equity_percent", "percent": 0}, Sizing)
