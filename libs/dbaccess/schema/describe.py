"""Read tables, columns and their meanings off the statements' own comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

_TABLE = re.compile(r"\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+) \(\n(.*)\n\)[^)]*", re.DOTALL)
_COLUMN = re.compile(r"    (\w+) ([A-Z]+)\b(.*)")
_CONSTRAINTS = {"CHECK", "PRIMARY", "FOREIGN", "UNIQUE"}


class Column(msgspec.Struct, frozen=True):
    """A column, its type, whether it may be missing, and what it means."""

    name: str
    type: str
    is_optional: bool
    meaning: str


class Table(msgspec.Struct, frozen=True):
    """A table, what a row of it is, and its columns."""

    name: str
    meaning: str
    columns: tuple[Column, ...]


def tables(statements: Iterable[str]) -> tuple[Table, ...]:
    """Describe every table the statements make, in their order."""
    return tuple(_table(*match.groups()) for text in statements if (match := _TABLE.fullmatch(text)))


def _table(name: str, body: str) -> Table:
    lines = [line.strip().removeprefix("-- ") for line in body.splitlines() if line.startswith("    -- ")]
    return Table(name, " ".join(lines), tuple(_columns(body)))


def _columns(body: str) -> Iterator[Column]:
    """A column begins at the fourth space; what it goes on with is indented deeper."""
    for entry in re.split(r"\n(?=    \S)", body):
        match = _COLUMN.match(entry)
        if not match or match[1] in _CONSTRAINTS:
            continue
        definition, _, meaning = entry.partition("  -- ")
        is_optional = "NOT NULL" not in definition and "PRIMARY KEY" not in definition
        yield Column(match[1], match[2], is_optional, meaning.strip())
