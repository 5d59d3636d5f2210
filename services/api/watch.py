"""The newest of everything the bus says, and the pages that are told of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from libs.contracts import Health
from libs.core.clock import Clock
from libs.messaging import Subscriber
from libs.settings import Settings
from services.api.prices import Prices
from services.api.pushing import BEAT_S, News, Page, Pushing
from services.api.standing import Standing

#: What a page may ask to be told of.
FAMILIES = (
    "candle",
    "signal",
    "order",
    "trade",
    "position",
    "risk",
    "backtest",
    "alert",
    "telemetry",
    "config",
    "price",
)
_TOPICS = (
    "candle.1m.", "signal.", "order.", "trade.", "position.", "risk.", "backtest.", "alert.", "telemetry.health.",
)  # fmt: skip


class Watch:
    """Listens to all owners, whether they are there or not."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.latest: dict[str, News] = {}
        self.health: dict[str, Health] = {}
        self.pushing = Pushing(settings.api.push_interval_ms, settings.api.push_clients_max, self.vital)
        self.prices = Prices(settings, clock, self.pushing)
        self.standing = Standing(settings, clock)

    async def run(self) -> None:
        """Take in messages for ever."""
        with Subscriber.open(_TOPICS, settings=self._settings, clock=self._clock, latest=True) as subscriber:
            messages: AsyncGenerator[Any, None] = subscriber.__aiter__()
            async with aclosing(messages):
                async for message in messages:
                    self.take_in(message.topic, message.envelope.published_us, message.payload)

    def take_in(self, topic: str, published_us: int, payload: Any) -> None:
        """Keep the newest of a topic and offer it to the pages."""
        plain = msgspec.to_builtins(payload)
        wire = msgspec.json.encode({"topic": topic, "published_us": published_us, "payload": plain})
        news = News(topic, published_us, plain, wire)
        self.latest.pop(topic, None)
        self.latest[topic] = news
        if len(self.latest) > self._settings.api.topics_max:
            self.latest.pop(next(iter(self.latest)))
        if isinstance(payload, Health):
            self.health[payload.service] = payload
        self.pushing.offer(news)

    def open(self, families: frozenset[str]) -> Page:
        """Begin to tell a page; it catches up with the newest of each topic first."""
        return self.pushing.open(families, self.latest.values())

    def newest(self, family: str) -> list[dict[str, Any]]:
        """Give what the newest message of each topic of a family said; any thread may ask."""
        return [news.payload for news in list(self.latest.values()) if news.topic.startswith(f"{family}.")]

    def heard_market_us(self) -> int:
        """The market's own time, as the ingestor last told it; 0 before it did."""
        beat = self.health.get("ingestor")
        return int(beat.figures.get("session_us", 0)) if beat else 0

    def market_us(self) -> int:
        """The market's own time; this machine's before the ingestor told it."""
        return self.heard_market_us() or self._clock.now_us()

    def vital(self) -> dict[str, Any]:
        """Say how old the ingestor's heartbeat is, and from which age on the market counts as silent, to each page."""
        beat = self.health.get("ingestor")
        age_ms = None if beat is None else max(0, self._clock.now_us() - beat.timestamp_us) // 1000
        # A page hears this once a beat; what came since then it cannot know.
        return {"feed_age_ms": age_ms, "feed_stale_ms": self._stale_us() // 1000 + int(BEAT_S * 1000)}

    def _stale_us(self) -> int:
        return 5 * self._settings.runtime.heartbeat_interval_ms * 1000

    def services(self) -> list[dict[str, Any]]:
        """Each service that was heard, with the age of its heartbeat."""
        now_us, stale_us = self._clock.now_us(), self._stale_us()
        rows = []
        for name, health in sorted(self.health.items()):
            age_us = max(0, now_us - health.timestamp_us)
            rows.append(
                {
                    **msgspec.to_builtins(health),
                    "age_ms": age_us // 1000,
                    "is_stale": age_us > stale_us,
                    "service": name,
                }
            )
        return rows
