"""Does the fleet do what the backtest does? What both did on one day, laid side by side. Pure.

Rows are matched by what they are about (strategy, symbol, bar, kind), not by their ids: so a signal whose id differs
because a parameter does is one difference, not two signals that are missing. `parity_causes` says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from libs.core.clock import US_PER_MINUTE


class Kind(StrEnum):
    """What a row is, in the order in which one leads to the next."""

    CANDLE = "candle"
    SIGNAL = "signal"
    ORDER = "order"
    TRADE = "trade"


class What(StrEnum):
    """How two sides differ in a row."""

    ONLY_FLEET = "only the fleet has it"
    ONLY_BACKTEST = "only the backtest has it"
    DIFFERS = "both have it and differ"


RANK = {kind: number for number, kind in enumerate(Kind)}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One candle, signal, order or fill. `at_us`: the start of its bar, or when it was made."""

    kind: Kind
    strategy_id: str
    symbol: str
    at_us: int
    #: What it is, with strategy, symbol and time: two rows of one side never share it.
    name: str
    values: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """What it is matched by."""
        return (self.kind.value, self.strategy_id, self.symbol, self.at_us, self.name)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One row in which the two are not the same. `fields`: what the fleet has, and what the backtest.

    `follows`: it comes of an earlier one. `cause` is empty where none was found.
    """

    kind: Kind
    what: What
    strategy_id: str
    symbol: str
    at_us: int
    name: str
    fields: dict[str, tuple[Any, Any]]
    cause: str = ""
    follows: bool = False

    @property
    def place(self) -> tuple[int, int, str, str, str]:
        """Where it stands among the others: by time, then by what leads to what."""
        return (self.minute_us, RANK[self.kind], self.strategy_id, self.symbol, self.name)

    @property
    def minute_us(self) -> int:
        """The minute it becomes visible in."""
        return self.at_us // US_PER_MINUTE * US_PER_MINUTE


def numbered(rows: Iterable[Row]) -> list[Row]:
    """Tell rows apart that are about the same by their number: two stops of one strategy in one minute."""
    seen: Counter[tuple[str, str, str, int, str]] = Counter()
    told = []
    for row in rows:
        seen[row.key] += 1
        number = seen[row.key]
        told.append(row if number == 1 else msgspec.structs.replace(row, name=f"{row.name} {number}"))
    return told


def differences(fleet: Sequence[Row], backtest: Sequence[Row]) -> list[Difference]:
    """Find every row in which the two are not the same, in the order in which they show."""
    ours, theirs = ({row.key: row for row in numbered(rows)} for rows in (fleet, backtest))
    found = []
    for key in ours.keys() | theirs.keys():
        one, two = ours.get(key), theirs.get(key)
        if one is None or two is None:
            row = one or two
            assert row is not None
            what = What.ONLY_FLEET if one else What.ONLY_BACKTEST
            fields = {name: (value, None) if one else (None, value) for name, value in row.values.items()}
            found.append(_difference(row, what, fields))
        elif fields := _unequal(one.values, two.values):
            found.append(_difference(one, What.DIFFERS, fields))
    return sorted(found, key=lambda each: each.place)


def _unequal(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*one, *(name for name in two if name not in one)]
    return {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}


def _difference(row: Row, what: What, fields: dict[str, tuple[Any, Any]]) -> Difference:
    return Difference(
        kind=row.kind, what=what, strategy_id=row.strategy_id, symbol=row.symbol, at_us=row.at_us, name=row.name,
        fields=fields,
    )  # fmt: skip
