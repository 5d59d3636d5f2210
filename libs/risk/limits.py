"""Limits: the settings' defaults, overridden by rows of the config store, the narrower the stronger.

An override names a scope (`all`, `strategy`, `symbol`, `strategy_symbol`), whom it is about, a limit by the name it
has in `[risk]`, and a value. What bounds the account can be overridden for all only, what bounds a strategy not by
symbol: a symbol must not raise its account's limit.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.core.clock import US_PER_SECOND
from libs.core.errors import Refused
from libs.core.money import PAISE_PER_RUPEE, UNITS_PER_RUPEE
from libs.settings.risk import Risk

#: More than any figure: a limit that never holds anybody back.
NO_LIMIT = 1 << 62

SCOPES = ("all", "strategy", "symbol", "strategy_symbol")
_NOT_OVERRIDABLE = {"order_rate_window_s", "order_rate_max", "order_rate_entries_max_percent"}


class Override(msgspec.Struct, frozen=True):
    """One row of the risk limits. `key`: "" for all, a strategy, a symbol, or `strategy:symbol`."""

    scope: str
    key: str
    name: str
    value: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one strategy in one symbol, ready to compare: microseconds, paise, exposures in price units.

    `order_value_max` is the least of the three levels; `order_value_level` says whose it is.
    """

    order_value_max: int
    order_value_level: str
    order_quantity_max: int
    position_quantity_max: int
    symbol_exposure_max: int
    strategy_exposure_max: int
    account_exposure_max: int
    account_exposure_percent_max: int
    symbol_trades_max: int
    strategy_trades_max: int
    account_trades_max: int
    strategy_loss_max: int
    account_loss_max: int
    drawdown_percent_max: float
    price_band: float
    signal_age_max_us: int
    price_age_max_us: int
    slices_max: int
    funds_reserve: int
    funds_margin_intraday_percent: int
    funds_age_max_us: int


class LimitTree:
    """Resolves limits and remembers them; make a new one when the config store changed."""

    def __init__(self, defaults: Risk, overrides: Iterable[Override] = ()) -> None:
        self._defaults = {f.name: getattr(defaults, f.name) for f in msgspec.structs.fields(Risk)}
        self._overrides: dict[tuple[str, str], dict[str, float]] = {}
        self._resolved: dict[tuple[str, str], Limits] = {}
        for row in overrides:
            _check(row, self._defaults.keys())
            self._overrides.setdefault((row.scope, row.key), {})[row.name] = row.value

    def resolve(self, strategy_id: str, symbol: str) -> Limits:
        """Give the limits of a strategy in a symbol."""
        key = (strategy_id, symbol)
        limits = self._resolved.get(key)
        if limits is None:
            limits = self._resolved[key] = self._resolve(strategy_id, symbol)
        return limits

    def _resolve(self, strategy_id: str, symbol: str) -> Limits:
        values = dict(self._defaults)
        names = {"all": "", "strategy": strategy_id, "symbol": symbol, "strategy_symbol": f"{strategy_id}:{symbol}"}
        for scope in SCOPES:
            values |= self._overrides.get((scope, names[scope]), {})
        paise = {name: _limit(v * PAISE_PER_RUPEE) for name, v in values.items() if name.endswith("_rupees")}
        units = {
            name: _limit(v * UNITS_PER_RUPEE) for name, v in values.items() if name.endswith("_exposure_max_rupees")
        }
        levels = {level: paise[f"{level}_order_value_max_rupees"] for level in ("symbol", "strategy", "account")}
        tightest = min(levels, key=lambda level: levels[level])
        return Limits(
            order_value_max=levels[tightest],
            order_value_level=tightest,
            order_quantity_max=_limit(values["symbol_order_max_quantity"]),
            position_quantity_max=_limit(values["symbol_position_max_quantity"]),
            symbol_exposure_max=units["symbol_exposure_max_rupees"],
            strategy_exposure_max=units["strategy_exposure_max_rupees"],
            account_exposure_max=units["account_exposure_max_rupees"],
            account_exposure_percent_max=_limit(values["account_exposure_equity_max_percent"]),
            symbol_trades_max=_limit(values["symbol_trades_day_max"]),
            strategy_trades_max=_limit(values["strategy_trades_day_max"]),
            account_trades_max=_limit(values["account_trades_day_max"]),
            strategy_loss_max=paise["strategy_loss_day_max_rupees"],
            account_loss_max=paise["account_loss_day_max_rupees"],
            drawdown_percent_max=values["account_drawdown_max_percent"] or float(NO_LIMIT),
            price_band=(values["price_band_max_percent"] or float(NO_LIMIT)) / 100,
            signal_age_max_us=_limit(values["signal_age_max_s"] * US_PER_SECOND),
            price_age_max_us=_limit(values["price_age_max_s"] * US_PER_SECOND),
            slices_max=int(values["slices_max"]),
            # Keeping nothing back is a reserve of nothing, not one without bounds.
            funds_reserve=int(values["account_funds_reserve_rupees"] * PAISE_PER_RUPEE),
            funds_margin_intraday_percent=int(values["account_funds_margin_intraday_percent"]),
            funds_age_max_us=_limit(values["account_funds_age_max_s"] * US_PER_SECOND),
        )


def _limit(value: float) -> int:
    return int(value) or NO_LIMIT


def _check(row: Override, known: Iterable[str]) -> None:
    if row.name not in known or row.name in _NOT_OVERRIDABLE:
        names = ", ".join(sorted(set(known) - _NOT_OVERRIDABLE))
        raise Refused(f"risk limit {row.name!r} is not one that can be overridden; expected one of {names}")
    if row.scope not in SCOPES or (row.scope == "all") != (row.key == ""):
        raise Refused(
            f"risk limit {row.name}: scope {row.scope!r} with key {row.key!r}; scopes are {', '.join(SCOPES)}"
        )
    if row.value < 0:
        raise Refused(f"risk limit {row.name} is {row.value}; 0 is no limit, and less means nothing")
    is_account = row.name.startswith("account_")
    is_strategy = row.name.startswith("strategy_")
    if (is_account and row.scope != "all") or (is_strategy and row.scope not in {"all", "strategy"}):
        raise Refused(f"risk limit {row.name} bounds more than a {row.scope}; set it for a wider scope")
