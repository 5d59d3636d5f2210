"""Which minutes a session has, and which longer bars end with each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from libs.contracts.sessions import Session


def closings(session: Session, timeframes: Sequence[str]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Map a minute to the (timeframe, start) of the bars whose last minute it is, in the order asked for."""
    ends: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for timeframe in timeframes:
        last_minute = {session.bar_start(minute, timeframe): minute for minute in session.minutes}
        for start, minute in last_minute.items():
            ends[minute].append((timeframe, start))
    return {minute: tuple(bars) for minute, bars in ends.items()}
