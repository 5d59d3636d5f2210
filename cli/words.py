"""How words of a command are read where argparse has no type for them; what cannot be meant is wrong usage."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import date, timedelta

from cli.exits import WrongUsage, reading_words


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


def split_names(text: str | None) -> list[str]:
    """Split what a person typed as A,B,C."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def some_names(text: str) -> list[str]:
    """Read A,B,C, which must name something."""
    names = split_names(text)
    if not names:
        raise ArgumentTypeError("expected symbols separated by commas")
    return names


def a_day(text: str) -> date:
    """Read a date; what is none is shown beside one that is."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date; expected one such as 2026-02-02") from None


def require_order(start: date | None, end: date | None) -> None:
    """Refuse an interval that ends before it begins: nothing found in it would look like all well."""
    if start is not None and end is not None and start > end:
        raise WrongUsage(f"--from {start} is after --to {end}")


def read_interval(start: str | None, end: str | None) -> tuple[str | None, str | None]:
    """Give --from and --to as queries take them: a bare date in --to includes that day, as people mean it."""
    from libs.dbaccess.queries.bounds import to_interval

    last = _bare(end)
    require_order(_bare(start), last)
    if last is not None:
        end = (last + timedelta(days=1)).isoformat()
    with reading_words():
        to_interval(start, end)
    return start, end


def _bare(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text.strip())
    except ValueError:
        return None  # a time, or nothing at all
