"""Live prices for pages that want them: every batch of ticks is heard, the newest price of a symbol is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from libs.contracts.market import Tick
from libs.core.clock import Clock
from libs.messaging import Subscriber
from libs.settings import Settings
from services.api.pushing import News, Pushing

FAMILY = "price"
_TOPICS = ("ticks.",)
_ASK_EVERY_S = 0.5


class Prices:
    """Listens only while a page wants prices. Made into news when pages are told, so that ticks cost next to nothing.

    Of batches that wait together the newest is taken: a price that is missed so is told with the symbol's next trade.
    """

    def __init__(self, settings: Settings, clock: Clock, pushing: Pushing) -> None:
        self._settings = settings
        self._clock = clock
        self._pushing = pushing
        self._new: dict[str, Tick] = {}
        pushing.gather = self.news

    async def run(self) -> None:
        """Listen for ever, on and off."""
        while True:
            if self._pushing.is_wanted(FAMILY):
                await self._listen()
            self._new.clear()
            await asyncio.sleep(_ASK_EVERY_S)

    async def _listen(self) -> None:
        with Subscriber.open(_TOPICS, settings=self._settings, clock=self._clock, latest=True) as subscriber:
            messages: AsyncGenerator[Any, None] = subscriber.__aiter__()
            async with aclosing(messages):
                async for message in messages:
                    self.take_in(message.payload)
                    if not self._pushing.is_wanted(FAMILY):
                        return

    def take_in(self, batch: Any) -> None:
        """Keep the newest tick of each symbol."""
        for tick in getattr(batch, "ticks", ()):
            self._new[tick.symbol] = tick

    def news(self) -> Iterator[News]:
        """Give what is new since the last time, a price a symbol."""
        new, self._new = self._new, {}
        now_us = self._clock.now_us()
        for symbol, tick in new.items():
            told = {"symbol": symbol, "price": tick.price, "volume_day": tick.volume_day, "at_us": tick.timestamp_us}
            name = f"{FAMILY}.{symbol}"
            wire = msgspec.json.encode({"topic": name, "published_us": now_us, "payload": told})
            yield News(name, now_us, told, wire)
