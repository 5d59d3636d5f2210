"""Watchlists of the config store, as strategies and scans run over them."""

from __future__ import annotations

from typing import Any, NamedTuple

from libs.core.errors import Refused

_NAME = "SELECT name FROM watchlists WHERE watchlist_id = ?"
_SYMBOLS = "SELECT symbol FROM watchlist_items WHERE watchlist_id = ? AND exchange = ? ORDER BY position, symbol"


class Watchlist(NamedTuple):
    """A list's name and what is on it."""

    name: str
    symbols: tuple[str, ...]


def listed(connection: Any, watchlist_id: int, exchange: str) -> Watchlist:
    """Read a list; refuse one that is not there or holds nothing of the exchange: nothing would ever run on it."""
    row = connection.execute(_NAME, (watchlist_id,)).fetchone()
    if row is None:
        raise Refused(f"there is no watchlist {watchlist_id}; choose another")
    symbols = tuple(str(each[0]) for each in connection.execute(_SYMBOLS, (watchlist_id, exchange)))
    if not symbols:
        raise Refused(f"watchlist {row[0]!r} holds no symbol of {exchange}; fill it or choose another")
    return Watchlist(str(row[0]), symbols)
