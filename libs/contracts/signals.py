"""What a strategy says: go in, get out. The scanner stores a signal before it publishes it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from libs.contracts.base import Event
from libs.core.ids import ContentPrefix, content_id, joined


class SignalType(StrEnum):
    """The four things a strategy may say."""

    ENTER_LONG = "enter_long"
    EXIT_LONG = "exit_long"
    ENTER_SHORT = "enter_short"
    EXIT_SHORT = "exit_short"


class SignalEvent(Event, frozen=True, tag="signal"):
    """A strategy's word on one symbol at one bar.

    `timestamp_us` is the start of the bar it was decided on. `stop` and `target` are prices.
    """

    signal_id: str
    strategy_id: str
    symbol: str
    timestamp_us: int
    signal_type: SignalType
    confidence: float = 1.0
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    exchange: str = "nse"
    timeframe: str = "1m"
    stop: float | None = None
    target: float | None = None
    leg: int = 0
    strategy_version: str = ""


class Decided(Event, frozen=True, tag="decided"):
    """The strategies are done with the minute beginning at `timestamp_us`: its `count` signals are stored.

    `outbox_seq_last` is the position of the last signal up to it in the store `store_uuid`; who has read that far has
    them all. A minute without signals is decided, too.
    """

    exchange: str
    timestamp_us: int
    count: int
    outbox_seq_last: int = 0
    store_uuid: str = ""


def signal_id(
    *, instance: str, parameters: str, symbol: str, timeframe: str, bar_us: int, signal_type: SignalType, leg: int = 0
) -> str:
    """Name a signal by what it says and when. The code version is not in it: a deployment must not trade twice."""
    return content_id(instance, parameters, symbol, timeframe, bar_us, signal_type.value, leg)


class SignalNames:
    """Names the signals of one instance on one symbol, as `signal_id` does, at a fraction of its cost."""

    def __init__(self, *, instance: str, parameters: str, symbol: str, timeframe: str) -> None:
        self._prefix = ContentPrefix(instance, parameters, symbol, timeframe)
        self._ends: dict[tuple[SignalType, int], bytes] = {}

    def name(self, bar_us: int, signal_type: SignalType, leg: int = 0) -> str:
        """Name one signal."""
        end = self._ends.get((signal_type, leg))
        if end is None:
            end = self._ends[signal_type, leg] = joined(signal_type.value, leg)
        return self._prefix.id_of_number(bar_us, end)
