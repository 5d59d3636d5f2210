"""Every strategy by its id. Shipped ones stand here, a line each, and are imported when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, TypeVar, overload

from libs.core.errors import Refused
from libs.strategies.interface import BaseStrategy, id_of

S = TypeVar("S", bound=type[BaseStrategy[Any]])

#: Id: module and class.
SHIPPED: dict[str, tuple[str, str]] = {
    "sma_cross": ("libs.strategies.sma_cross", "SmaCross"),
    "ema_adx": ("libs.strategies.ema_adx", "EmaAdx"),
    "rsi_reversion": ("libs.strategies.rsi_reversion", "RsiReversion"),
    "bollinger_breakout": ("libs.strategies.bollinger_breakout", "BollingerBreakout"),
    "vwap_reversion": ("libs.strategies.vwap_reversion", "VwapReversion"),
    "opening_range": ("libs.strategies.opening_range", "OpeningRangeBreakout"),
    "supertrend": ("libs.strategies.supertrend", "SupertrendFollower"),
    "donchian_turtle": ("libs.strategies.donchian_turtle", "DonchianTurtle"),
    "confluence": ("libs.strategies.confluence", "Confluence"),
}

#: What `register` added in this process: the user's own.
_registered: dict[str, type[BaseStrategy[Any]]] = {}


class UnknownStrategy(Refused):
    """No strategy of that id is shipped or registered."""


@overload
def register(target: S) -> S: ...
@overload
def register(target: str, strategy: S) -> S: ...
@overload
def register(target: str, strategy: None = None) -> Callable[[S], S]: ...


def register(target: Any, strategy: Any = None) -> Any:
    """Make a strategy known: `@register`, `@register("id")`, or `register("id", Strategy)`.

    The same class again replaces itself, so that a file may be loaded twice; another class under a taken id is refused.
    """
    if isinstance(target, str):
        if strategy is None:
            return lambda kind: register(target, kind)
        strategy.strategy_id = target
        target = strategy
    if not (isinstance(target, type) and issubclass(target, BaseStrategy)):
        raise Refused(f"{target!r} is no strategy: it does not inherit from BaseStrategy")
    name = id_of(target)
    held = _registered.get(name)
    is_other = held is not None and _origin(held) != _origin(target)
    if is_other or (name in SHIPPED and _origin(target) != SHIPPED[name]):
        other = ".".join(_origin(held) if held else SHIPPED[name])
        raise Refused(f"strategy id {name!r} of {'.'.join(_origin(target))} is taken by {other}; choose another")
    target.strategy_id = name
    _registered[name] = target
    return target


def find(strategy_id: str) -> type[BaseStrategy[Any]]:
    """Give the class of an id."""
    if strategy_id in _registered:
        return _registered[strategy_id]
    if strategy_id not in SHIPPED:
        raise UnknownStrategy(f"no strategy {strategy_id!r}; there are {', '.join(names())}")
    module, name = SHIPPED[strategy_id]
    found: type[BaseStrategy[Any]] = getattr(import_module(module), name)
    return found


def names() -> list[str]:
    """List the ids: shipped first, then the registered ones."""
    return [*SHIPPED, *(name for name in sorted(_registered) if name not in SHIPPED)]


def classes() -> Iterator[tuple[str, type[BaseStrategy[Any]]]]:
    """Give every strategy with its id; imports them all."""
    return ((name, find(name)) for name in names())


def forget(module: str) -> None:
    """Take out again what a module registered before it broke."""
    for name in [name for name, kind in _registered.items() if kind.__module__ == module]:
        del _registered[name]


def _origin(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
