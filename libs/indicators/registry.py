"""Every indicator by name: one line each. Imports an indicator's family when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from libs.core.errors import Refused
from libs.indicators.base import Indicator
from libs.indicators.columns import Column, Floats, Remembering
from libs.indicators.parameters import Parameter, parameters_of

#: Name: family, streaming class, vectorised function.
INDICATORS: dict[str, tuple[str, str, str]] = {
    "sma": ("averages", "SMA", "sma"),
    "ema": ("averages", "EMA", "ema"),
    "wma": ("averages", "WMA", "wma"),
    "wilder": ("averages", "Wilder", "wilder"),
    "rsi": ("momentum", "RSI", "rsi"),
    "stochastic": ("momentum", "Stochastic", "stochastic"),
    "cci": ("momentum", "CCI", "cci"),
    "macd": ("macd", "MACD", "macd"),
    "atr": ("volatility", "ATR", "atr"),
    "bollinger": ("volatility", "Bollinger", "bollinger"),
    "keltner": ("volatility", "Keltner", "keltner"),
    "highest": ("channels", "Highest", "highest"),
    "lowest": ("channels", "Lowest", "lowest"),
    "donchian": ("channels", "Donchian", "donchian"),
    "adx": ("trend", "ADX", "adx"),
    "supertrend": ("trend", "Supertrend", "supertrend"),
    "vwap": ("volume", "VWAP", "vwap"),
    "obv": ("volume", "OBV", "obv"),
    "mfi": ("volume", "MFI", "mfi"),
    "linear_regression_slope": ("regression", "LinearRegressionSlope", "linear_regression_slope"),
    "linear_regression_channel": ("regression", "LinearRegressionChannel", "linear_regression_channel"),
    "heikin_ashi": ("heikin_ashi", "HeikinAshi", "heikin_ashi"),
    "pivots": ("session", "Pivots", "pivots"),
    "opening_range": ("session", "OpeningRange", "opening_range"),
}


class IndicatorInfo(NamedTuple):
    """What an indicator reads, gives and may be told."""

    name: str
    purpose: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    bars_needed: int


def create(name: str, **parameters: Any) -> Indicator:
    """Make a fresh streaming indicator."""
    _check_names(name, parameters)
    made: Indicator = _class_of(name)(**parameters)
    return made


def compute(name: str, columns: Mapping[str, Column], **parameters: Any) -> dict[str, Floats]:
    """Run the vectorised form over the columns it reads, once for those that remember; gives its outputs by name."""
    if isinstance(columns, Remembering):
        return columns.remember((name, *sorted(parameters.items())), lambda: _compute(name, columns, parameters))
    return _compute(name, columns, parameters)


def _compute(name: str, columns: Mapping[str, Column], parameters: Mapping[str, Any]) -> dict[str, Floats]:
    _check_names(name, parameters)
    streaming, function = _forms_of(name)
    missing = [column for column in streaming.inputs if column not in columns]
    if missing:
        raise Refused(f"indicator {name!r} reads {', '.join(streaming.inputs)}; missing: {', '.join(missing)}")
    found = function(*(columns[column] for column in streaming.inputs), **parameters)
    outputs = (found,) if isinstance(found, np.ndarray) else found
    return dict(zip(streaming.outputs, outputs, strict=True))


def describe(name: str) -> IndicatorInfo:
    """Say what an indicator is; `bars_needed` is at its defaults."""
    kind = _class_of(name)
    purpose = (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip()
    return IndicatorInfo(name, purpose, kind.inputs, kind.outputs, _parameters(kind), kind().bars_needed)


def _class_of(name: str) -> type[Indicator]:
    return _forms_of(name)[0]


@functools.cache
def _forms_of(name: str) -> tuple[type[Indicator], Callable[..., Any]]:
    """Give the streaming form and the vectorised one."""
    if name not in INDICATORS:
        raise Refused(f"no indicator {name!r}; there are {', '.join(INDICATORS)}")
    family, kind, function = INDICATORS[name]
    module = import_module(f"libs.indicators.{family}")
    return getattr(module, kind), getattr(module, function)


def _parameters(kind: type[Indicator]) -> tuple[Parameter, ...]:
    return parameters_of(kind.__init__)


def _check_names(name: str, parameters: Mapping[str, Any]) -> None:
    known = [parameter.name for parameter in _parameters(_class_of(name))]
    for given in parameters:
        if given not in known:
            raise Refused(f"indicator {name!r} has no parameter {given!r}; it takes {', '.join(known) or 'none'}")
