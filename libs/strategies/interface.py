"""What a strategy is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from libs.contracts import OHLCVBar, SignalEvent
from libs.core.errors import Refused
from libs.strategies.wishes import BarColumns, Wishes

if TYPE_CHECKING:
    from libs.strategies.context import StrategyContext


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters: typed fields with defaults, ranges as `Annotated[int, Meta(ge=…, le=…)]`.

    Ranges are enforced, shown by `fleet strategies` and searched by sweeps. What depends on two fields is checked in
    `__post_init__`, with a ValueError.
    """


P = TypeVar("P", bound=msgspec.Struct)


class ParameterInfo(NamedTuple):
    """One parameter as a sweep sees it; no range where the type has none."""

    name: str
    kind: str
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()


class BadParameters(Refused):
    """Parameters that are unknown, out of range, or don't fit together."""


class BaseStrategy(Generic[P]):
    """Inherit, name it, and say what to do on a bar.

    There is one object for each instance and symbol, made anew every trading day and fed `warmup_bars` earlier bars,
    so that a restart in mid-day ends up where an undisturbed run is. Keep state in `self`, bounded; everything else
    comes from the context. Nothing may depend on the wall clock, unseeded chance, files or sockets.
    """

    #: Unique; what signals and settings call it. The class name in snake case when empty.
    strategy_id: ClassVar[str] = ""
    #: Changes with the code. Stored beside the signals, not part of their ids.
    version: ClassVar[str] = "1"
    #: One sentence for `fleet strategies`.
    purpose: ClassVar[str] = ""
    #: The struct of its parameters.
    parameters_type: ClassVar[type[msgspec.Struct]] = Parameters

    parameters: P

    def __init__(self, parameters: P | None = None) -> None:
        given = {} if parameters is None else msgspec.to_builtins(parameters)
        self.parameters = cast("P", parameters_of(type(self), given))

    @property
    def warmup_bars(self) -> int:
        """Bars it must have seen before its first signal counts."""
        return 0

    def start(self, context: StrategyContext) -> None:
        """Ask for indicators; called before the first bar of a day's warm-up."""

    def wishes(self, columns: BarColumns) -> Wishes | None:
        """Give the vectorised form over a stretch of bars that begins where the strategy would; None: it has none."""
        return None

    def process_bar(self, bar: OHLCVBar, context: StrategyContext) -> SignalEvent | list[SignalEvent] | None:
        """Decide on one closed bar; the context's indicators already include it."""
        raise NotImplementedError(f"{type(self).__name__}.process_bar")


def parameters_of(kind: type[BaseStrategy[Any]], given: Mapping[str, Any]) -> msgspec.Struct:
    """Check parameters against the strategy's own struct; text is converted, as the command line and forms give it."""
    expected = kind.parameters_type
    known = expected.__struct_fields__
    for name in given:
        if name not in known:
            raise BadParameters(
                f"strategy {id_of(kind)!r} has no parameter {name!r}; it takes {', '.join(known) or 'none'}"
            )
    try:
        return msgspec.convert(dict(given), expected, strict=False)
    except msgspec.ValidationError as e:
        raise BadParameters(f"strategy {id_of(kind)!r}: parameters {dict(given)}: {e}") from e


def parameters_text(parameters: msgspec.Struct) -> str:
    """Spell parameters the one way that goes into signal ids."""
    return msgspec.json.encode(parameters, order="sorted").decode()


def describe_parameters(kind: type[BaseStrategy[Any]]) -> tuple[ParameterInfo, ...]:
    """List the parameters with types, defaults and ranges, for sweeps, forms and `fleet strategies`."""
    info = inspect.type_info(kind.parameters_type)
    assert isinstance(info, inspect.StructType)
    return tuple(_describe(field) for field in info.fields)


def id_of(kind: type[BaseStrategy[Any]]) -> str:
    """Give a strategy's id: its own, or its class name in snake case."""
    if kind.strategy_id:
        return kind.strategy_id
    name = kind.__name__
    return "".join(
        f"_{letter.lower()}" if at and letter.isupper() else letter.lower() for at, letter in enumerate(name)
    )


def _describe(field: inspect.Field) -> ParameterInfo:
    kind = field.type
    default = None if field.default is msgspec.NODEFAULT else field.default
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        name = "int" if isinstance(kind, inspect.IntType) else "float"
        return ParameterInfo(field.name, name, default, kind.ge, kind.le)
    if isinstance(kind, inspect.BoolType):
        return ParameterInfo(field.name, "bool", default, choices=(False, True))
    if isinstance(kind, inspect.LiteralType):
        return ParameterInfo(field.name, "choice", default, choices=tuple(kind.values))
    return ParameterInfo(field.name, type(kind).__name__.removesuffix("Type").lower(), default)
