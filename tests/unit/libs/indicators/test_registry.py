"""Indicators are found by name, say what they take, and refuse what makes no sense."""

from __future__ import annotations

import pytest

from libs.core.errors import Refused
from libs.indicators import registry
from libs.indicators.averages import SMA
from libs.indicators.macd import macd
from libs.indicators.parameters import ParameterError
from tests.kit.processes import run_code


@pytest.mark.parametrize("name", registry.INDICATORS)
def test_every_entry_describes_itself(name):
    info = registry.describe(name)

    assert info.purpose.endswith(".")
    assert info.inputs
    assert info.outputs
    assert info.bars_needed >= 1
    for parameter in info.parameters:
        assert parameter.minimum <= parameter.default <= parameter.maximum


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ParameterError, match=r"period is 0; expected int from 1 to 5000"):
        SMA(0)
    with pytest.raises(ParameterError, match=r"period is 2\.5"):
        registry.create("ema", period=2.5)
    with pytest.raises(ParameterError, match="fast is 30 and slow 20"):
        macd([1.0, 2.0], 30, 20)
    with pytest.raises(ParameterError, match="multiplier"):
        registry.compute("bollinger", {"close": [1.0]}, multiplier=float("nan"))


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(Refused, match=r"no indicator 'smma'; there are sma"):
        registry.create("smma")
    with pytest.raises(Refused, match=r"no parameter 'length'; it takes period"):
        registry.create("sma", length=3)
    with pytest.raises(Refused, match=r"missing: high, low"):
        registry.compute("atr", {"close": [1.0]})
    with pytest.raises(Refused, match="columns of one length"):
        registry.compute("atr", {"close": [1.0], "high": [1.0, 2.0], "low": [1.0]})


def test_streaming_never_imports_numba():
    """Importing numba takes more than a second; a service that only streams must not pay it."""
    found = run_code(
        """
        import sys
        from libs.indicators import registry
        for name in registry.INDICATORS:
            registry.create(name)
        print("numba" in sys.modules)
        """
    )

    assert found.stdout.strip() == "False", found.stderr
