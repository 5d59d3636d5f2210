"""What a reader wants of a source: kept across connections, within the source's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.core.errors import Refused


class SubscriptionRefused(Refused):
    """A symbol the source does not know, or one more than it takes."""


class Subscriptions:
    """Symbols and the source's own keys for them."""

    def __init__(self, keys: Mapping[str, str], limit: int) -> None:
        self._keys = keys
        self._limit = limit
        self._wanted: dict[str, str] = {}

    def add(self, symbols: Sequence[str]) -> list[str]:
        """Want these too; give the keys that are new. All or none."""
        unknown = [symbol for symbol in symbols if symbol not in self._keys]
        if unknown:
            raise SubscriptionRefused(
                f"{len(unknown)} symbols are not in the instruments file: {', '.join(unknown[:10])}"
            )
        new = {symbol: self._keys[symbol] for symbol in symbols if symbol not in self._wanted}
        if len(self._wanted) + len(new) > self._limit:
            raise SubscriptionRefused(
                f"{len(self._wanted) + len(new)} symbols on one connection; the source takes {self._limit}"
            )
        self._wanted |= new
        return list(new.values())

    def remove(self, symbols: Sequence[str]) -> list[str]:
        """Want these no more; give the keys that are gone."""
        return [self._wanted.pop(symbol) for symbol in symbols if symbol in self._wanted]

    def symbols(self) -> frozenset[str]:
        return frozenset(self._wanted)

    def keys(self) -> list[str]:
        return list(self._wanted.values())
