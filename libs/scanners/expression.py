"""Conditions over indicators, as users write them into the config store. Parsed and checked, never run as code.

close > sma(20) and volume > 2 * sma(volume, 20) and rsi(14) < 30
crosses_above(close, bollinger(20, 2).upper) and close[1] < open
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from libs.core.errors import Refused
from libs.indicators import registry
from libs.indicators.columns import Column
from libs.indicators.sides import sides_of
from libs.scanners.figures import EveryBar, Figures, NewestBars
from libs.scanners.panel import Panel

LENGTH_MAX = 500
NODES_MAX = 150
SHIFT_MAX = 500
NUMBER_MAX = 1e300
COLUMNS = ("open", "high", "low", "close", "volume")

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_CROSSES = {"crosses_above": 1, "crosses_below": -1}


class BadExpression(Refused):
    """An expression that is not one; names the place and what is expected there."""


class _Part(NamedTuple):
    """A checked piece: a condition or a number; the bars it needs; how to compute it.

    A condition computes to 1 where it holds, 0 where it does not, and NaN where that is not known. To know it of one
    bar, columns and indicators must be known of that one and of those before it, `reach` in all.
    """

    is_condition: bool
    bars_needed: int
    compute: Callable[[Figures], Any]
    reach: int = 1


class Expression:
    """A condition over the columns of one symbol, in time order."""

    def __init__(self, text: str) -> None:
        self.text = text
        part = _Reader(text).whole()
        self.bars_needed = part.bars_needed
        self._reach = part.reach
        self._compute = part.compute

    def evaluate(self, columns: Mapping[str, Column]) -> npt.NDArray[np.bool_]:
        """Say for every bar whether it holds; what is not known does not, and neither does its `not`."""
        return self._holds(EveryBar(columns))

    def newest(self, panel: Panel) -> npt.NDArray[np.bool_]:
        """Say of every symbol whether it holds on the newest bar it traded in."""
        return self._holds(NewestBars(panel, self._reach))[:, -1] & panel.have_traded(1)

    def holds_now(self, columns: Mapping[str, Column]) -> bool:
        """Say whether it holds on the last bar."""
        found = self.evaluate(columns)
        return bool(found[-1]) if len(found) else False

    def _holds(self, figures: Figures) -> npt.NDArray[np.bool_]:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._compute(figures)
        return np.broadcast_to(np.asarray(found) == 1.0, figures.shape)


class _Reader:
    """Turns the syntax tree into checked parts; whatever is not listed here is refused."""

    def __init__(self, text: str) -> None:
        self._text = text

    def whole(self) -> _Part:
        if len(self._text) > LENGTH_MAX:
            raise BadExpression(f"an expression of {len(self._text)} characters; {LENGTH_MAX} at most")
        try:
            tree = ast.parse(self._text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            place = f" at character {e.offset}" if isinstance(e, SyntaxError) and e.offset else ""
            raise BadExpression(f"{self._text!r} is no expression{place}: {e.args[0] if e.args else e}") from e
        if sum(1 for _ in ast.walk(tree)) > NODES_MAX:
            raise BadExpression(f"an expression of more than {NODES_MAX} parts; split it into two scans")
        return self._condition(tree.body)

    def _condition(self, node: ast.expr) -> _Part:
        part = self._read(node)
        if not part.is_condition:
            raise self._refused(node, "is a number; expected a condition, such as close > sma(20)")
        return part

    def _number(self, node: ast.expr) -> _Part:
        part = self._read(node)
        if part.is_condition:
            raise self._refused(node, "is a condition; expected a number")
        return part

    def _read(self, node: ast.expr) -> _Part:
        reader = self._READERS.get(type(node))
        if reader is None:
            raise self._refused(node, "is not understood; there are columns, indicators, numbers, and, or, not")
        return reader(self, node)

    def _logic(self, node: ast.BoolOp) -> _Part:
        parts = [self._condition(value) for value in node.values]
        # One false part decides an `and`, one true part an `or`, whatever is unknown beside it.
        decides, join = (0.0, np.minimum) if isinstance(node.op, ast.And) else (1.0, np.maximum)

        def compute(figures: Figures) -> Any:
            found = parts[0].compute(figures)
            for part in parts[1:]:
                other = part.compute(figures)
                found = np.where((found == decides) | (other == decides), decides, join(found, other))
            return found

        return _Part(is_condition=True, bars_needed=_most(parts), compute=compute, reach=_reach(parts))

    def _unary(self, node: ast.UnaryOp) -> _Part:
        if isinstance(node.op, ast.Not):
            inner = self._condition(node.operand)
            return inner._replace(compute=lambda figures: 1.0 - inner.compute(figures))
        if isinstance(node.op, ast.USub):
            number = self._number(node.operand)
            return number._replace(compute=lambda figures: np.negative(number.compute(figures)))
        raise self._refused(node, "is not understood; there are not and -")

    def _binary(self, node: ast.BinOp) -> _Part:
        operation = _ARITHMETIC.get(type(node.op))
        if operation is None:
            raise self._refused(node, "is not understood; there are + - * /")
        left, right = self._number(node.left), self._number(node.right)
        return _Part(
            is_condition=False,
            bars_needed=_most([left, right]),
            reach=_reach([left, right]),
            compute=lambda figures: operation(left.compute(figures), right.compute(figures)),
        )

    def _compare(self, node: ast.Compare) -> _Part:
        parts = [self._number(each) for each in (node.left, *node.comparators)]
        operations = [_COMPARISON.get(type(op)) for op in node.ops]
        if None in operations:
            raise self._refused(node, "is not understood; there are > >= < <= == !=")

        def compute(figures: Figures) -> Any:
            values = [np.asarray(part.compute(figures), dtype=float) for part in parts]
            holds = np.asarray(True)
            known = np.asarray(True)
            for value in values:
                known = known & np.isfinite(value)
            for operation, left, right in zip(operations, values, values[1:], strict=False):
                holds = holds & cast("Callable[[Any, Any], Any]", operation)(left, right)
            return np.where(known, holds, np.nan)

        return _Part(is_condition=True, bars_needed=_most(parts), compute=compute, reach=_reach(parts))

    def _constant(self, node: ast.Constant) -> _Part:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refused(node, "is not understood; expected a number")
        if abs(value) > NUMBER_MAX:  # more, or infinite
            raise self._refused(node, "is too large a number")
        number = float(value)
        return _Part(is_condition=False, bars_needed=1, compute=lambda _figures: number)

    def _column(self, node: ast.Name) -> _Part:
        name = node.id
        if name not in COLUMNS:
            hint = f"; the indicator is written {name}(…)" if name in registry.INDICATORS else ""
            raise self._refused(node, f"is no column; there are {', '.join(COLUMNS)}{hint}")
        return _Part(is_condition=False, bars_needed=1, compute=lambda figures: figures.column(name))

    def _shifted(self, node: ast.Subscript) -> _Part:
        number = self._number(node.value)
        ago = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(ago, bool) or not isinstance(ago, int) or not 0 <= ago <= SHIFT_MAX:
            raise self._refused(node, f"is not understood; expected bars ago, 0 to {SHIFT_MAX}, such as close[1]")
        return number._replace(
            bars_needed=number.bars_needed + ago,
            reach=number.reach + ago,
            compute=lambda figures: _ago(number.compute(figures), ago),
        )

    def _output(self, node: ast.Attribute) -> _Part:
        if not isinstance(node.value, ast.Call):
            raise self._refused(node, "is not understood; outputs belong to indicators, such as macd().signal")
        return self._call(node.value, node.attr)

    def _call(self, node: ast.Call, output: str = "") -> _Part:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _CROSSES and not output:
            return self._cross(node, name)
        if name not in registry.INDICATORS:
            known = ", ".join([*registry.INDICATORS, *_CROSSES])
            raise self._refused(node, f"calls no indicator; there are {known}")
        info = registry.describe(name)
        if output and output not in info.outputs:
            raise self._refused(node, f"has no output {output!r}; there are {', '.join(info.outputs)}")
        source, parameters = self._arguments(node, info)
        try:
            needed = registry.create(name, **parameters).bars_needed
        except Refused as e:
            raise self._refused(node, str(e)) from e

        def compute(figures: Figures) -> Any:
            return figures.indicator(name, output or info.outputs[0], source, parameters)

        return _Part(is_condition=False, bars_needed=needed, compute=compute)

    def _arguments(self, node: ast.Call, info: registry.IndicatorInfo) -> tuple[str, dict[str, float]]:
        arguments, source = list(node.args), ""
        if arguments and isinstance(arguments[0], ast.Name) and len(info.inputs) == 1:
            self._column(arguments[0])
            source = arguments.pop(0).id  # type: ignore[attr-defined]  # a Name, as just seen
        names = [parameter.name for parameter in info.parameters]
        if len(arguments) > len(names):
            raise self._refused(node, f"has too many parameters; it takes {', '.join(names) or 'none'}")
        given = [*zip(names, arguments, strict=False), *((each.arg or "**", each.value) for each in node.keywords)]
        parameters: dict[str, float] = {}
        for name, value in given:
            if name not in names or name in parameters:
                raise self._refused(node, f"has no parameter {name!r}, or twice; it takes {', '.join(names) or 'none'}")
            if not isinstance(value, ast.Constant) or not isinstance(value.value, (int, float)):
                raise self._refused(value, "is not understood; a parameter is a number")
            parameters[name] = value.value
        return source, parameters

    def _cross(self, node: ast.Call, name: str) -> _Part:
        if len(node.args) != 2 or node.keywords:
            raise self._refused(node, f"is not understood; expected {name}(one, other)")
        one, other = (self._number(argument) for argument in node.args)
        beyond = _CROSSES[name]

        def compute(figures: Figures) -> Any:
            first, second = (np.broadcast_to(part.compute(figures), figures.shape) for part in (one, other))
            is_known = np.isfinite(first - second)
            side = np.where(is_known, sides_of(first.ravel(), second.ravel()).reshape(figures.shape), np.nan)
            before = _ago(side, 1)
            return np.where(is_known & np.isfinite(before), (side == beyond) & (before != beyond), np.nan)

        return _Part(
            is_condition=True, bars_needed=_most([one, other]) + 1, compute=compute, reach=_reach([one, other]) + 1
        )

    def _refused(self, node: ast.AST, what: str) -> BadExpression:
        piece = ast.get_source_segment(self._text.strip(), node) or self._text
        return BadExpression(f"{piece!r} {what}")

    _READERS: Mapping[type[ast.expr], Callable[..., _Part]] = {
        ast.BoolOp: _logic,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.Constant: _constant,
        ast.Name: _column,
        ast.Subscript: _shifted,
        ast.Attribute: _output,
        ast.Call: _call,
    }


def _most(parts: list[_Part]) -> int:
    return max(part.bars_needed for part in parts)


def _reach(parts: list[_Part]) -> int:
    return max(part.reach for part in parts)


def _ago(values: Any, bars: int) -> Any:
    """The values so many bars earlier; unknown at the start."""
    if np.ndim(values) == 0 or bars == 0:
        return values
    shifted = np.full(np.shape(values), np.nan)
    shifted[..., bars:] = values[..., :-bars]
    return shifted
