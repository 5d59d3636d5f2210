"""How words of a command are read where argparse has no type for them; what cannot be meant is wrong usage."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """Read a whole number that is not below another."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"{text!r}: expected a whole number, {least} at least")
        return int(text)

    return read


def between(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Read a number within bounds, which belong to it."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most or math.isinf(number):
            bounds = f"{least:g} at least" if math.isinf(most) else f"from {least:g} to {most:g}"
            raise ArgumentTypeError(f"{text!r}: expected a number, {bounds}")
        return number

    return read


def some_names(text: str) -> list[str]:
    """Read A,B,C, which must name something."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ArgumentTypeError("expected symbols separated by commas")
    return names
