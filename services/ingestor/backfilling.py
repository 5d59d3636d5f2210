"""Fills the feed's gaps from the broker's history: beside the capture, one call at a time, never in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from libs.contracts import OHLCVBar
from libs.core.clock import US_PER_SECOND, Clock
from libs.core.errors import FleetError, RetryLater
from libs.runtime.logs import get_logger
from libs.settings.feed import Feed, Ingestor
from libs.upstox.history import History
from services.ingestor.backfills import Wanted
from services.ingestor.capture import Capture

_LOOK_EVERY_S = 0.5


class Past(Protocol):
    """Where today's candles are had. `today` may wait for the other side and is called in another thread."""

    def wait_s(self) -> float: ...

    def today(self, symbol: str) -> list[OHLCVBar]: ...


class BrokerPast:
    """The broker's candles under our symbols."""

    def __init__(self, history: History, keys: Mapping[str, str], exchange: str) -> None:
        self._history = history
        self._keys = keys
        self._exchange = exchange

    def wait_s(self) -> float:
        return self._history.wait_s()

    def today(self, symbol: str) -> list[OHLCVBar]:
        return [
            OHLCVBar(symbol, "1m", c.timestamp_us, c.open, c.high, c.low, c.close, c.volume, self._exchange)
            for c in self._history.today(self._keys[symbol])
        ]


@dataclass
class BackfillFigures:
    """What was asked for since the start."""

    calls: int = 0
    candles: int = 0
    differing: int = 0
    failed: int = 0
    error: str = ""


class Backfiller:
    """Asks while there is something to ask for. `past` is set once the broker was reached; a replay has none."""

    past: Past | None = None

    def __init__(self, capture: Capture, ingestor: Ingestor, feed: Feed, clock: Clock) -> None:
        self.figures = BackfillFigures()
        self._capture = capture
        self._settings = ingestor
        self._waits_s = (feed.backoff_min_ms / 1000, feed.backoff_max_ms / 1000)
        self._clock = clock
        self._asking = False

    @property
    def waiting(self) -> int:
        """How much is in line or being asked for."""
        return self._capture.day.backfills.waiting + self._asking

    @property
    def is_busy(self) -> bool:
        """Whether candles of gaps of this session are still to come."""
        return self.past is not None and self.waiting > 0

    async def run(self, symbols: set[str]) -> None:
        """Look for gaps that are over until cancelled. A gap whose candles can't be had is a row that says so."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            while self.past is not None and (wanted := self._next(symbols)) is not None:
                self._asking = True
                await self._fill(self.past, wanted)
                self._asking = False

    def _next(self, symbols: set[str]) -> Wanted | None:
        day = self._capture.day
        delay_us = self._settings.backfill_delay_s * US_PER_SECOND
        return day.backfills.next(
            symbols, day.aggregator.closed_through_us, self._capture.session_clock.now_us(), delay_us
        )

    async def _fill(self, past: Past, wanted: Wanted) -> None:
        """Ask until there is an answer, or the broker says no, or it was tried often enough."""
        session = self._capture.day.session
        wait_s, longest_s = self._waits_s
        for _ in range(self._settings.backfill_attempts_max):
            await asyncio.sleep(past.wait_s())
            self.figures.calls += 1
            try:
                candles = await asyncio.to_thread(past.today, wanted.symbol)
            except FleetError as e:
                self.figures.error = str(e)
                if not isinstance(e, RetryLater):
                    break
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, longest_s)
                continue
            if self._capture.day.session == session:
                self._keep(wanted, candles)
            return
        if self._capture.day.session == session:
            self._give_up(wanted)

    def _keep(self, wanted: Wanted, candles: list[OHLCVBar]) -> None:
        day = self._capture.day
        made = day.backfills.made_of(
            wanted, candles, day.aggregator.closed_through_us, recorded_at_us=self._clock.now_us()
        )
        if self._capture.backfill(made):
            self.figures.candles += len(made.bars)
            self.figures.differing += made.differing
            self.figures.error = ""
        else:
            get_logger().warning("backfill.too_late", symbol=wanted.symbol, gap=wanted.gap_id, candles=len(made.bars))

    def _give_up(self, wanted: Wanted) -> None:
        self.figures.failed += 1
        get_logger().warning("backfill.failed", symbol=wanted.symbol, gap=wanted.gap_id, error=self.figures.error)
        self._capture.backfill(
            self._capture.day.backfills.failed(wanted, self.figures.error, recorded_at_us=self._clock.now_us())
        )
