"""TA-Lib is the reference where it has the same definition; docs/reference/indicators.md says where ours differ."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import talib

from libs.indicators import registry
from tests.property.indicators.cases import columns_of_market, random_columns

PERIODS = (2, 5, 14, 30)


def PERIOD(p):
    return {"period": p}


def K_PERIOD(p):
    return {"k_period": p}


def FAST_SLOW(p):
    return {"fast": p, "slow": 2 * p}


def NONE(p):
    return {}


#: Ours, our parameters from a period, output, TA-Lib's answer.
CASES = {
    "sma": ("sma", PERIOD, "value", lambda c, p: talib.SMA(c.close, p)),
    "ema": ("ema", PERIOD, "value", lambda c, p: talib.EMA(c.close, p)),
    "wma": ("wma", PERIOD, "value", lambda c, p: talib.WMA(c.close, p)),
    "rsi": ("rsi", PERIOD, "value", lambda c, p: talib.RSI(c.close, p)),
    "highest": ("highest", PERIOD, "value", lambda c, p: talib.MAX(c.close, p)),
    "lowest": ("lowest", PERIOD, "value", lambda c, p: talib.MIN(c.close, p)),
    "donchian upper": ("donchian", PERIOD, "upper", lambda c, p: talib.MAX(c.high, p)),
    "donchian lower": ("donchian", PERIOD, "lower", lambda c, p: talib.MIN(c.low, p)),
    "donchian middle": ("donchian", PERIOD, "middle", lambda c, p: talib.MIDPRICE(c.high, c.low, p)),
    "atr": ("atr", PERIOD, "value", lambda c, p: talib.ATR(*c.hlc, p)),
    "cci": ("cci", PERIOD, "value", lambda c, p: talib.CCI(*c.hlc, p)),
    "adx": ("adx", PERIOD, "adx", lambda c, p: talib.ADX(*c.hlc, p)),
    "plus di": ("adx", PERIOD, "plus_di", lambda c, p: talib.PLUS_DI(*c.hlc, p)),
    "minus di": ("adx", PERIOD, "minus_di", lambda c, p: talib.MINUS_DI(*c.hlc, p)),
    "mfi": ("mfi", PERIOD, "value", lambda c, p: talib.MFI(*c.hlc, c.volume, p)),
    "obv": ("obv", NONE, "value", lambda c, p: talib.OBV(c.close, c.volume)),
    "slope": ("linear_regression_slope", PERIOD, "slope", lambda c, p: talib.LINEARREG_SLOPE(c.close, p)),
    "line": ("linear_regression_slope", PERIOD, "line", lambda c, p: talib.LINEARREG(c.close, p)),
    "channel": ("linear_regression_channel", PERIOD, "line", lambda c, p: talib.LINEARREG(c.close, p)),
    "bollinger upper": ("bollinger", PERIOD, "upper", lambda c, p: talib.BBANDS(c.close, p, 2, 2)[0]),
    "bollinger middle": ("bollinger", PERIOD, "middle", lambda c, p: talib.BBANDS(c.close, p, 2, 2)[1]),
    "bollinger lower": ("bollinger", PERIOD, "lower", lambda c, p: talib.BBANDS(c.close, p, 2, 2)[2]),
    "macd": ("macd", FAST_SLOW, "macd", lambda c, p: talib.MACD(c.close, p, 2 * p)[0]),
    "macd signal": ("macd", FAST_SLOW, "signal", lambda c, p: talib.MACD(c.close, p, 2 * p)[1]),
    "macd histogram": ("macd", FAST_SLOW, "histogram", lambda c, p: talib.MACD(c.close, p, 2 * p)[2]),
    "stochastic k": ("stochastic", K_PERIOD, "k", lambda c, p: talib.STOCH(*c.hlc, p, 3, 0, 3, 0)[0]),
    "stochastic d": ("stochastic", K_PERIOD, "d", lambda c, p: talib.STOCH(*c.hlc, p, 3, 0, 3, 0)[1]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("columns", ["market", "random"])
def test_same_as_talib(case, columns):
    """Where TA-Lib has a value ours is the same; only MACD's line and the stochastic's %K may be there earlier."""
    name, parameters, output, reference = CASES[case]
    data = columns_of_market() if columns == "market" else random_columns(5, size=600)
    named = SimpleNamespace(**data, hlc=(data["high"], data["low"], data["close"]))
    for period in PERIODS:
        ours = registry.compute(name, data, **parameters(period))[output]
        theirs = reference(named, period)
        known = np.isfinite(theirs)
        scale = np.nanmax(np.abs(theirs))

        assert known.any()
        np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-9 * scale, err_msg=f"period {period}")
        if case not in {"macd", "stochastic k"}:
            assert not np.isfinite(ours[~known]).any(), f"period {period}: ours starts earlier"


def test_where_ours_differ_at_constant_prices():
    """What the docs say: neutral is 50 with us, 0 with TA-Lib."""
    flat = np.full(60, 100.0)

    assert registry.compute("rsi", {"close": flat})["value"][-1] == 50.0
    assert talib.RSI(flat)[-1] == 0.0
    assert registry.compute("stochastic", {"high": flat, "low": flat, "close": flat})["k"][-1] == 50.0
    assert talib.STOCH(flat, flat, flat)[0][-1] == 0.0
    columns = {"high": flat, "low": flat, "close": flat, "volume": flat}
    assert registry.compute("mfi", columns)["value"][-1] == 50.0
    assert talib.MFI(flat, flat, flat, flat)[-1] == 0.0
