"""Parameters of indicators: their ranges stand in the annotations and are read and enforced from there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, ParamSpec, TypeVar, get_args, get_type_hints

from msgspec import Meta

from libs.core.errors import Refused

P = ParamSpec("P")
R = TypeVar("R")

Period = Annotated[int, Meta(ge=1, le=5000)]
#: A window over which a spread or a slope means something.
Window = Annotated[int, Meta(ge=2, le=5000)]
Multiplier = Annotated[float, Meta(ge=0.0, le=100.0)]


class Parameter(NamedTuple):
    """One parameter with its default and the range a sweep may search."""

    name: str
    kind: str
    default: float
    minimum: float
    maximum: float


class ParameterError(Refused):
    """A parameter is out of its range, or the parameters don't fit together."""


@functools.cache
def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Read the ranged parameters of a constructor or a vectorised form."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, argument in inspect.signature(function).parameters.items():
        kind, *metas = get_args(hints.get(name)) or (None,)
        found += [
            Parameter(name, kind.__name__, argument.default, float(meta.ge or 0), float(meta.le))
            for meta in metas
            if isinstance(meta, Meta) and meta.le is not None
        ]
    return tuple(found)


def validated(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse a call whose parameters are out of their ranges."""
    names = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for parameter in parameters_of(function):
            if parameter.name in kwargs:
                check(parameter, kwargs[parameter.name])
            elif (place := names.index(parameter.name)) < len(args):
                check(parameter, args[place])
        return function(*args, **kwargs)

    return checked


def check(parameter: Parameter, value: Any) -> None:
    """Raise `ParameterError` unless the value is of the kind and in the range."""
    kinds: tuple[type, ...] = (int,) if parameter.kind == "int" else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or not parameter.minimum <= value <= parameter.maximum:
        raise ParameterError(
            f"{parameter.name} is {value!r}; expected {parameter.kind} "
            f"from {parameter.minimum:g} to {parameter.maximum:g}"
        )
