"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def add_json(parser: ArgumentParser) -> None:
    """Give a command its --json."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns wide enough for what they hold; numbers stand to the right."""
    cells = [list(row) for row in rows]
    columns = [[heading, *(row[number] for row in cells)] for number, heading in enumerate(headings)]
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    numeric = [len(column) > 1 and all(isinstance(cell, (int, float)) for cell in column[1:]) for column in columns]
    lines: list[list[object]] = [list(headings), *cells]
    for row in lines:
        texts = (
            str(cell).rjust(width) if to_right else str(cell).ljust(width)
            for cell, width, to_right in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(texts).rstrip())


def size_text(count: float) -> str:
    """Spell a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
