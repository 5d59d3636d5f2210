"""Open pages of the dashboard, in a process of their own: `python -m bench.viewers PORT COUNT`, the cookie on stdin.

Says "open" once every page has heard something, and at the end of its input how often each was told since then.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def _view(port: int, cookie: str, heard: list[int], number: int, first: asyncio.Event) -> None:
    """Be one open page, as cheaply as can be: count what arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    head = f"GET /api/live?families=candle HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n"
    writer.write(head.encode())
    try:
        while chunk := await reader.read(2**16):
            heard[number] += chunk.count(b"event: news")
            if heard[number]:
                first.set()
    finally:
        writer.close()


async def _main(port: int, count: int) -> None:
    cookie = sys.stdin.readline().strip()
    heard = [0] * count
    firsts = [asyncio.Event() for _ in heard]
    pages = [asyncio.create_task(_view(port, cookie, heard, number, first)) for number, first in enumerate(firsts)]
    for first in firsts:
        await first.wait()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    before = list(heard)
    await asyncio.to_thread(sys.stdin.read)
    sys.stdout.write(json.dumps([after - then for after, then in zip(heard, before, strict=True)]))
    for page in pages:
        page.cancel()
    await asyncio.gather(*pages, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
