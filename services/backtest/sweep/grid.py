"""Which parameters are tried: `fast=5:20:5` and `fast=5,8,13` for grids, `fast=5..20` for searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

import msgspec

from libs.core.errors import Refused
from libs.strategies import registry
from libs.strategies.interface import BadParameters, describe_parameters, parameters_of, parameters_text

#: More points than this are a slip of the finger more often than a wish.
POINTS_MAX = 100_000

Point = dict[str, Any]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a search. `choices` for what has no order, else both ends, included."""

    name: str
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    choices: tuple[Any, ...] = ()


class Grid(msgspec.Struct, frozen=True):
    """Values by parameter, and the points of their product that the strategy takes; `refused` counts the others."""

    axes: dict[str, tuple[Any, ...]]
    points: tuple[Point, ...]
    refused: int


def parse_axis(text: str) -> tuple[str, tuple[str, ...]]:
    """Read `fast=5:20:5` (both ends included) or `fast=5,8,13`."""
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise Refused(f"--grid {text!r}: expected NAME=FIRST:LAST:STEP or NAME=A,B,C")
    if ":" not in values:
        return name.strip(), tuple(dict.fromkeys(each.strip() for each in values.split(",") if each.strip()))
    try:
        first, last, step = (Decimal(part.strip()) for part in values.split(":"))
    except (ValueError, InvalidOperation) as e:
        raise Refused(f"--grid {text!r}: expected three numbers, FIRST:LAST:STEP") from e
    if not all(each.is_finite() for each in (first, last, step)) or step <= 0 or last < first:
        raise Refused(f"--grid {text!r}: the step must be above 0 and the last not below the first")
    count = int((last - first) / step) + 1
    if count > POINTS_MAX:
        raise Refused(f"--grid {text!r}: {count:,} values; {POINTS_MAX:,} at most")
    return name.strip(), tuple(format((first + step * number).normalize(), "f") for number in range(count))


def make_grid(strategy: str, fixed: Mapping[str, Any], texts: Sequence[str]) -> Grid:
    """Make the product of the axes, in the order given; what the strategy does not take is counted, not run."""
    axes = dict(parse_axis(text) for text in texts)
    if len(axes) < len(texts):
        raise Refused(f"--grid names a parameter twice: {', '.join(texts)}")
    if not axes:
        raise Refused("no --grid; give one parameter at least, such as --grid fast=5:20:5")
    kind = registry.find(strategy)
    _check_names(strategy, axes)
    total = 1
    for values in axes.values():
        total *= len(values)
    if total > POINTS_MAX:
        raise Refused(f"{total:,} points; {POINTS_MAX:,} at most: use wider steps, or `fleet backtest optimize`")
    points: dict[str, Point] = {}
    complaint = ""
    for values in product(*axes.values()):
        given = dict(fixed) | dict(zip(axes, values, strict=True))
        try:
            text = parameters_text(parameters_of(kind, given))
        except BadParameters as e:  # fast above slow and the like: the corner of the grid that makes no sense
            complaint = str(e)
            continue
        points[text] = msgspec.json.decode(text)
    if not points:
        raise Refused(f"the strategy takes none of the {total} points; of the last it says: {complaint}")
    shown = {name: tuple(dict.fromkeys(point[name] for point in points.values())) for name in axes}
    return Grid({name: _ordered(values) for name, values in shown.items()}, tuple(points.values()), total - len(points))


def parse_space(strategy: str, texts: Sequence[str]) -> tuple[Range, ...]:
    """Read `fast=5..20` (both ends included) or `side=a,b`."""
    kinds = {info.name: info.kind for info in describe_parameters(registry.find(strategy))}
    found: list[Range] = []
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise Refused(f"--space {text!r}: expected NAME=LOW..HIGH or NAME=A,B,C")
        _check_names(strategy, [name])
        low, dots, high = values.partition("..")
        if not dots:
            found.append(Range(name=name, choices=tuple(each.strip() for each in values.split(",") if each.strip())))
            continue
        is_whole = kinds[name] == "int"
        try:
            ends = [int(low), int(high)] if is_whole else [float(low), float(high)]
        except ValueError as e:
            raise Refused(f"--space {text!r}: expected two {'whole ' if is_whole else ''}numbers, LOW..HIGH") from e
        if not ends[0] < ends[1]:
            raise Refused(f"--space {text!r}: the upper end must be above the lower")
        found.append(Range(name=name, low=ends[0], high=ends[1], is_whole=is_whole))
    names = [each.name for each in found]
    if not names or len(set(names)) < len(names):
        raise Refused("give every --space once, and one at least, such as --space fast=5..20")
    return tuple(found)


def _check_names(strategy: str, names: Iterable[str]) -> None:
    known = [info.name for info in describe_parameters(registry.find(strategy))]
    for name in names:
        if name not in known:
            raise BadParameters(f"strategy {strategy!r} has no parameter {name!r}; it takes {', '.join(known)}")


def _ordered(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(values)) if all(isinstance(each, (int, float)) for each in values) else values
