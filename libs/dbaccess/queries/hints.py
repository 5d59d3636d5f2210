"""What a statement says about dates, timeframes, exchanges and symbols, so that days it cannot want stay closed.

Only what is certain counts: one plain SELECT over one view, whose WHERE is a chain of ANDs. Everything else reads all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from libs.core.clock import US_PER_DAY, to_us
from libs.dbaccess.queries.bounds import EARLIEST_US, LATEST_US

_VIEWS = {"candles", "ticks"}
_COLUMNS = {"timestamp", "timeframe", "exchange", "symbol"}
#: Columns compared with names, and the hint each gives.
_CHOICES = {"timeframe": "timeframes", "exchange": "exchanges", "symbol": "symbols"}
#: Functions whose value is known before rows are read; the engine spells operators and intervals as functions too.
_FUNCTIONS = {
    "+",
    "-",
    "now",
    "today",
    "trunc",
    "to_years",
    "to_months",
    "to_weeks",
    "to_days",
    "to_hours",
    "to_minutes",
}
_LOWER = {"COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO", "COMPARE_EQUAL"}
_UPPER = {"COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_EQUAL"}
_FLIPPED = {
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
}
#: A condition may be about the date, or a moment may pass between now and now: a day more on either side is cheap.
_SLACK_US = 2 * US_PER_DAY


@dataclass(frozen=True)
class Hints:
    """Rows outside these cannot matter. None means any."""

    start_us: int = EARLIEST_US
    end_us: int = LATEST_US
    timeframes: frozenset[str] | None = None
    exchanges: frozenset[str] | None = None
    symbols: frozenset[str] | None = None


def hints_of(connection: duckdb.DuckDBPyConnection, sql: str) -> Hints:
    """Read the hints off one SELECT."""
    tree = _parsed(connection, sql)
    node = tree["statements"][0]["node"] if not tree.get("error") else {}
    if not _is_plain(node):
        return Hints()
    hints = Hints()
    for condition in _conjuncts(node.get("where_clause")):
        hints = _narrowed(hints, condition, lambda expression: _instant_us(connection, expression))
    return hints


def _parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    [(text,)] = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree: dict[str, Any] = json.loads(text)
    return tree


def _is_plain(node: dict[str, Any]) -> bool:
    """Whether the WHERE of this node sees every row of its one view, by the view's own column names."""
    table = node.get("from_table") or {}
    return (
        node.get("type") == "SELECT_NODE"
        and table.get("type") == "BASE_TABLE"
        and str(table.get("table_name", "")).lower() in _VIEWS
        and not table.get("column_name_alias")
        and not table.get("sample")
        and not node.get("sample")
        and sum(1 for part in _walk(node) if part.get("type") in {"BASE_TABLE", "TABLE_FUNCTION"}) == 1
        and not any(str(item.get("alias", "")).lower() in _COLUMNS for item in node["select_list"])
    )


def _conjuncts(condition: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if condition is None:
        return
    if condition["type"] == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _conjuncts(child)
    else:
        yield condition


def _narrowed(hints: Hints, condition: dict[str, Any], instant_us: Callable[[dict[str, Any]], int | None]) -> Hints:
    kind = condition["type"]
    if condition["class"] == "BETWEEN" and kind == "COMPARE_BETWEEN" and _column(condition["input"]) == "timestamp":
        hints = _bounded(hints, "COMPARE_GREATERTHANOREQUALTO", instant_us(condition["lower"]))
        return _bounded(hints, "COMPARE_LESSTHANOREQUALTO", instant_us(condition["upper"]))
    if condition["class"] == "COMPARISON":
        left, right = condition["left"], condition["right"]
        if _column(left) == "timestamp":
            return _bounded(hints, kind, instant_us(right))
        if _column(right) == "timestamp":
            return _bounded(hints, _FLIPPED.get(kind, kind), instant_us(left))
        if kind == "COMPARE_EQUAL":
            return _chosen(hints, left, [right])
    if kind == "COMPARE_IN":
        first, *others = condition["children"]
        return _chosen(hints, first, others)
    return hints


def _bounded(hints: Hints, kind: str, moment_us: int | None) -> Hints:
    if moment_us is None:
        return hints
    if kind in _LOWER:
        hints = replace(hints, start_us=max(hints.start_us, moment_us - _SLACK_US))
    if kind in _UPPER:
        hints = replace(hints, end_us=min(hints.end_us, moment_us + _SLACK_US))
    return hints


def _chosen(hints: Hints, column: dict[str, Any], values: list[dict[str, Any]]) -> Hints:
    hint = _CHOICES.get(_column(column))
    texts = [value.get("literal", {}).get("text") for value in values if _is_text(value)]
    if len(texts) != len(values) or hint is None:
        return hints
    known: frozenset[str] | None = getattr(hints, hint)
    chosen = frozenset(texts) if known is None else known & frozenset(texts)
    return replace(hints, **{hint: chosen})  # type: ignore[arg-type]  # all three are names


def _is_text(value: dict[str, Any]) -> bool:
    return bool(value["class"] == "CONSTANT" and value.get("literal", {}).get("kind") == "STRING")


def _column(expression: dict[str, Any]) -> str:
    """Name the column, also one looked at by its date."""
    if expression["class"] == "CAST" and _type(expression) == "date" and not expression.get("try_cast"):
        expression = expression["child"]
    return str(expression["column_names"][-1]).lower() if expression["class"] == "COLUMN_REF" else ""


def _type(cast: dict[str, Any]) -> str:
    return str(cast.get("type_expr", {}).get("type_name", "")).lower()


def _instant_us(connection: duckdb.DuckDBPyConnection, expression: dict[str, Any]) -> int | None:
    """Let the engine say what a constant expression means as an instant; None when it is none."""
    if not all(_is_constant(part) for part in _walk(expression) if "class" in part):
        return None
    shell = _parsed(connection, "SELECT 1")
    shell["statements"][0]["node"]["select_list"] = [expression]
    try:
        [(text,)] = connection.execute("SELECT json_deserialize_sql(?)", [json.dumps(shell)]).fetchall()
        [(moment,)] = connection.execute(f"SELECT CAST(({text}) AS TIMESTAMPTZ)").fetchall()
    except duckdb.Error:
        return None
    if not isinstance(moment, datetime):
        return None
    return min(max(to_us(moment), EARLIEST_US), LATEST_US)


def _is_constant(part: dict[str, Any]) -> bool:
    return part["class"] in {"CONSTANT", "CAST", "TYPE"} or (
        part["class"] == "FUNCTION" and part.get("function_name") in _FUNCTIONS
    )


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _walk(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _walk(value)
