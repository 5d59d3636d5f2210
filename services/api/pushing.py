"""What pages are told, made once for all pages that want the same; a slow page gets the newest and holds nobody up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from libs.core.errors import RetryLater

BEAT_S = 2.0
_NEWS_MAX = 2000
#: A page with so many chunks unsent is slow: from then on it gets the newest of each topic instead.
_CHUNKS_MAX = 3
#: Pages woken at once. A loop that wakes hundreds without a pause keeps the interpreter from the threads that read
#: candles, and those are what somebody waits for; so the turns are spread over this part of the time between pushes.
_PAGES_A_TURN = 10
_SPREAD = 0.6


class News(msgspec.Struct, frozen=True):
    """The newest message of one topic."""

    topic: str
    published_us: int
    payload: dict[str, Any]
    wire: bytes = b""  # as pages get it


class Chunk(msgspec.Struct, frozen=True):
    """Some news as server-sent events, for every page that wants them."""

    news: Sequence[News]
    wire: bytes
    is_beat: bool = False


def encode(news: Sequence[News]) -> bytes:
    """Make the events out of news."""
    lists = (b",".join(each.wire for each in news[at : at + _NEWS_MAX]) for at in range(0, len(news), _NEWS_MAX))
    return b"".join(b"event: news\ndata: [%b]\n\n" % joined for joined in lists)


class Page:
    """One open page: chunks it was not sent yet, or, once they are too many, the newest of each topic."""

    def __init__(self, families: frozenset[str], known: Iterable[News]) -> None:
        self.families = families
        self._chunks: deque[Chunk] = deque()
        self._missed = {each.topic: each for each in known}
        self._beat: Chunk | None = None
        self._ready = asyncio.Event()
        self._ready.set()

    def give(self, chunk: Chunk) -> None:
        """Offer a chunk; never waits, and never keeps more than there are topics."""
        if chunk.is_beat:
            self._beat = chunk
        elif not self._missed and len(self._chunks) < _CHUNKS_MAX:
            self._chunks.append(chunk)
        else:
            for each in (*self._chunks, chunk):
                self._missed.update((news.topic, news) for news in each.news)
            self._chunks.clear()
        self._ready.set()

    async def take(self) -> Chunk:
        """Wait for what is next."""
        while True:
            if self._missed:
                news, self._missed = list(self._missed.values()), {}
                return Chunk(news, encode(news))
            if self._chunks:
                return self._chunks.popleft()
            if self._beat is not None:
                beat, self._beat = self._beat, None
                return beat
            self._ready.clear()
            await self._ready.wait()


class Pushing:
    """All open pages, by what they want."""

    def __init__(self, interval_ms: int, pages_max: int, vital: Callable[[], object]) -> None:
        self._interval_s = interval_ms / 1000
        self._pages_max = pages_max
        self._vital = vital
        self._pages: dict[frozenset[str], set[Page]] = {}
        self._pending: dict[str, News] = {}
        #: What is made only when pages are told.
        self.gather: Callable[[], Iterable[News]] = tuple

    def is_wanted(self, family: str) -> bool:
        """Whether an open page wants a family."""
        return any(family in families for families in self._pages)

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return sum(len(pages) for pages in self._pages.values())

    def check_room(self) -> None:
        """Refuse one more page than there may be."""
        if self.pages >= self._pages_max:
            raise RetryLater(f"{self.pages} live pages are open, the most there may be (api.push_clients_max)")

    def open(self, families: frozenset[str], known: Iterable[News]) -> Page:
        """Begin to tell a page; it catches up with what is known first."""
        page = Page(families, (each for each in known if each.topic.partition(".")[0] in families))
        self._pages.setdefault(families, set()).add(page)
        return page

    def close(self, page: Page) -> None:
        """Tell a page no more."""
        self._pages[page.families].discard(page)
        if not self._pages[page.families]:
            del self._pages[page.families]

    def offer(self, news: News) -> None:
        """Have this told with the next chunk; the newest of a topic wins."""
        self._pending[news.topic] = news

    def beat(self) -> Chunk:
        """Make what shows that the stream lives, and whether the market's own does."""
        return Chunk((), b"event: beat\ndata: %b\n\n" % msgspec.json.encode(self._vital()), is_beat=True)

    async def run(self) -> None:
        """Push for ever."""
        waited_s, loop = 0.0, asyncio.get_running_loop()
        pushed_s = loop.time()
        while True:
            # Telling many takes a part of the interval, not more on top of it.
            await asyncio.sleep(max(0.0, pushed_s + self._interval_s - loop.time()))
            waited_s, pushed_s = waited_s + loop.time() - pushed_s, loop.time()
            await self._push()
            if waited_s >= BEAT_S:
                waited_s, beat = 0.0, self.beat()
                for pages in list(self._pages.values()):
                    await self._give(pages, beat)

    async def _push(self) -> None:
        for each in self.gather():
            self.offer(each)
        if not self._pending:
            return
        news, self._pending = list(self._pending.values()), {}
        for families, pages in list(self._pages.items()):
            wanted = [each for each in news if each.topic.partition(".")[0] in families]
            if wanted:
                await self._give(pages, Chunk(wanted, encode(wanted)))

    async def _give(self, pages: set[Page], chunk: Chunk) -> None:
        rest_s = _SPREAD * self._interval_s * _PAGES_A_TURN / max(_PAGES_A_TURN, self.pages)
        for number, page in enumerate(list(pages)):
            page.give(chunk)
            if number % _PAGES_A_TURN == _PAGES_A_TURN - 1:
                await asyncio.sleep(rest_s)
