"""An endless loop ends when it is told to, also when its cancellation comes at the moment of what it waits for."""

from __future__ import annotations

import asyncio

import pytest

from libs.core.waiting import end_all, wait_a_while

DEADLINE_S = 20


def test_an_event_or_a_while():
    async def story():
        event = asyncio.Event()
        await wait_a_while(event, 0.001)
        event.set()
        await asyncio.wait_for(wait_a_while(event, DEADLINE_S * 10), DEADLINE_S)

    asyncio.run(story())


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_that_comes_with_the_event_is_not_lost(turns):
    """Whatever the loop has done by then for the event that was set, the next turn does not begin."""

    async def story():
        event, begun = asyncio.Event(), 0

        async def loop():
            nonlocal begun
            while True:
                begun += 1
                event.clear()
                await wait_a_while(event, DEADLINE_S)

        running = asyncio.ensure_future(loop())
        await asyncio.sleep(0.01)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        before = begun
        running.cancel()
        await asyncio.wait([running], timeout=DEADLINE_S)
        return running.cancelled(), begun - before

    assert asyncio.run(story()) == (True, 0)


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_that_comes_with_the_end_of_the_while_is_not_lost(turns):
    async def story():
        event = asyncio.Event()

        async def loop():
            while True:
                await wait_a_while(event, 0)

        running = asyncio.ensure_future(loop())
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running], timeout=DEADLINE_S)
        return running.cancelled()

    assert asyncio.run(story())


def test_tasks_that_lose_a_cancellation_are_ended_all_the_same():
    async def story():
        lost = 0

        async def stubborn():
            nonlocal lost
            while True:
                try:
                    await asyncio.sleep(DEADLINE_S)
                except asyncio.CancelledError:
                    lost += 1
                    if lost == 3:
                        raise

        async def done():
            return 1

        tasks = [asyncio.ensure_future(stubborn()), asyncio.ensure_future(done())]
        await asyncio.sleep(0)
        await end_all(tasks)
        return lost, [task.done() for task in tasks]

    assert asyncio.run(story()) == (3, [True, True])
