"""H2: pages are told what changed, conflated; one that reads slowly gets the newest and delays nobody."""

from __future__ import annotations

import asyncio

import pytest

from libs.contracts.bus import TickBatch
from libs.contracts.market import Tick
from libs.core.clock import SystemClock
from libs.core.errors import RetryLater
from services.api.prices import Prices
from services.api.pushing import News, Pushing
from tests.kit.roots import settings


def news(topic, number):
    return News(topic, number, {"n": number}, b'{"topic":"%b","n":%d}' % (topic.encode(), number))


async def told(page):
    """Give what a page is told next, without waiting for what is not there."""
    found = []
    while True:
        taking = asyncio.ensure_future(page.take())
        for _ in range(5):  # what is there is taken in the first turn of the loop
            await asyncio.sleep(0)
        if not taking.done():
            taking.cancel()
            return found
        found += [(each.topic, each.published_us) for each in taking.result().news]


def test_a_slow_page_gets_the_newest_and_a_quick_one_all():
    """Each topic's newest reaches the slow page, each chunk the quick one, and neither holds more than there are."""

    async def run():
        pushing = Pushing(1, 3, lambda: 7)
        slow, quick, other = (
            pushing.open(frozenset(wanted), [news("candle.a", 0), news("order.a", 0)])
            for wanted in (["candle"], ["candle"], ["order"])
        )
        heard = [await told(quick)]
        for number in range(1, 21):
            pushing.offer(news("candle.a", number))
            pushing.offer(news("candle.b", number))
            if number == 20:
                pushing.offer(news("order.a", number))
            await pushing._push()
            heard.append(await told(quick))
        await pushing._push()
        held = len(slow._missed) + len(slow._chunks)
        return heard, held, await told(slow), await told(other)

    heard, held, slow, other = asyncio.run(run())

    assert heard[0] == [("candle.a", 0)]
    assert heard[1:] == [[("candle.a", number), ("candle.b", number)] for number in range(1, 21)]
    assert held == 2
    assert slow == [("candle.a", 20), ("candle.b", 20)]
    assert other == [("order.a", 20)]


def test_a_page_that_fell_behind_and_caught_up_is_told_in_order():
    async def run():
        pushing = Pushing(1, 3, lambda: 7)
        page = pushing.open(frozenset(["candle"]), [])
        for number in range(10):
            pushing.offer(news("candle.a", number))
            await pushing._push()
        heard = await told(page)
        for number in (10, 11):
            pushing.offer(news("candle.a", number))
            await pushing._push()
        return heard + await told(page)

    assert asyncio.run(run()) == [("candle.a", number) for number in (9, 10, 11)]


def test_pages_are_counted_limited_and_given_a_beat():
    async def run():
        pushing = Pushing(100, 2, lambda: 42)
        pages = [pushing.open(frozenset(["candle"]), []) for _ in range(2)]
        with pytest.raises(RetryLater, match="2 live pages"):
            pushing.check_room()
        pushing.close(pages.pop())
        pushing.check_room()
        running = asyncio.create_task(pushing.run())
        chunk = await asyncio.wait_for(pages[0].take(), 30)
        running.cancel()
        return chunk, pushing.pages

    chunk, open_ = asyncio.run(run())

    assert chunk.is_beat
    assert chunk.wire == b"event: beat\ndata: 42\n\n"
    assert open_ == 1


def test_a_page_that_wants_prices_gets_the_newest_of_each_symbol():
    """Ticks between two pushes become one price a symbol, for the pages that asked for prices and no others."""

    async def run():
        pushing = Pushing(1, 3, lambda: 7)
        prices = Prices(settings(), SystemClock(), pushing)
        before = pushing.is_wanted("price")
        watching, other = (pushing.open(frozenset([family]), []) for family in ("price", "candle"))
        ticks = [Tick("ACME", 1, 10.0), Tick("BETA", 2, 5.0, volume_day=70), Tick("ACME", 3, 10.5)]
        prices.take_in(TickBatch(ticks[:2]))
        prices.take_in(TickBatch(ticks[2:]))
        await pushing._push()
        chunk = await asyncio.wait_for(watching.take(), 30)
        await pushing._push()
        return before, pushing.is_wanted("price"), chunk, await told(watching), await told(other)

    before, wanted, chunk, after, other = asyncio.run(run())

    assert (before, wanted) == (False, True)
    assert [each.payload for each in chunk.news] == [
        {"symbol": "ACME", "price": 10.5, "volume_day": 0, "at_us": 3},
        {"symbol": "BETA", "price": 5.0, "volume_day": 70, "at_us": 2},
    ]
    assert chunk.wire.startswith(b'event: news\ndata: [{"topic":"price.ACME"')
    assert (after, other) == ([], [])
