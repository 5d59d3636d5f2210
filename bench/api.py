"""The dashboard's server under its viewers: two hundred live pages, and how long a candle query takes beside them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from bench.query import generated
from bench.table import Measure, percentile, print_measures
from libs.contracts import OHLCVBar
from libs.contracts.topics import topic
from libs.core.clock import SystemClock
from libs.dbaccess.init import init_all
from libs.dbaccess.layout import Layout
from libs.messaging import Publisher
from libs.settings import load_settings

PROJECT = Path(__file__).resolve().parent.parent
PORT, SYMBOLS, DAYS = 8791, 50, 20
_PASSWORD = "a password for the bench"  # noqa: S105  # of a root that is thrown away


@contextmanager
def _api(root: Path) -> Iterator[tuple[psutil.Process, httpx.Cookies]]:
    """Run an api on a root, and log in."""
    init_all(Layout(root), settings=load_settings(), clock=SystemClock())
    environment = os.environ | {"TRADEFLEET_DATA": str(root), "TRADEFLEET_API_PORT": str(PORT)}
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as out:
        log = Path(folder) / "log"
        process = subprocess.Popen([sys.executable, "-m", "services.api"], cwd=PROJECT, env=environment, stderr=out)
        try:
            while "api.started" not in log.read_text():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
                secret = re.search(r"welcome#([\w-]+)", log.read_text())
                if secret is not None:
                    admin = {"secret": secret[1], "name": "bench", "password": _PASSWORD}
                    client.post("/api/first-admin", json=admin).raise_for_status()
                client.post("/api/session", json={"name": "bench", "password": _PASSWORD}).raise_for_status()
                yield psutil.Process(process.pid), client.cookies
        finally:
            process.kill()
            process.wait()


async def _view(cookie: str, heard: list[int], number: int) -> None:
    """Be one open page, as cheaply as can be: count what arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=2**20)
    head = f"GET /api/live?families=candle HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nCookie: {cookie}\r\n\r\n"
    writer.write(head.encode())
    try:
        while chunk := await reader.read(2**16):
            heard[number] += chunk.count(b"event: news")
    finally:
        writer.close()


async def _market(publisher: Publisher, symbols: list[str], seconds: float) -> None:
    """Say a candle of every symbol each second, three times as often as the demo."""
    end, at = time.monotonic() + seconds, 1_800_000_000_000_000
    while time.monotonic() < end:
        for symbol in symbols:
            bar = OHLCVBar(symbol, "1m", at, 100.0, 101.0, 99.0, 100.5, 1000)
            publisher.publish(topic("candle", "1m", "nse", symbol), bar)
        at += 60_000_000
        await asyncio.sleep(1.0)


async def _run(root: Path, cookies: httpx.Cookies, viewers: int, seconds: float) -> tuple[list[float], list[int]]:
    settings = load_settings(environment={**os.environ, "TRADEFLEET_DATA": str(root)})
    symbols = [f"S{number:04d}" for number in range(SYMBOLS)]
    heard, taken = [0] * viewers, []
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    with Publisher.open("ingestor", settings=settings, clock=SystemClock()) as publisher:
        base = f"http://127.0.0.1:{PORT}"
        async with httpx.AsyncClient(base_url=base, cookies=cookies, timeout=60) as client:
            serving = asyncio.create_task(publisher.run())
            pages = [asyncio.create_task(_view(cookie, heard, number)) for number in range(viewers)]
            market = asyncio.create_task(_market(publisher, symbols, seconds))
            while not market.done():
                start = time.perf_counter()
                path = f"/api/candles?symbol=S{len(taken) % SYMBOLS:04d}&limit=400"
                # Measured where the pages are, so what they cost this process is in it: the figure is an upper bound.
                answer = await client.get(path)
                answer.raise_for_status()
                taken.append(time.perf_counter() - start)
                await asyncio.sleep(0.05)
            for task in (*pages, serving):
                task.cancel()
            await asyncio.gather(*pages, serving, return_exceptions=True)
    return taken, heard


def measures(viewers: int = 200, seconds: float = 8.0) -> Iterator[Measure]:
    """Give the table's lines."""
    root = generated(DAYS, SYMBOLS)
    with _api(root) as (process, cookies):
        asyncio.run(_run(root, cookies, viewers, seconds / 4))  # what every first time costs is not the question
        before = process.memory_info().rss / 2**20
        taken, heard = asyncio.run(_run(root, cookies, viewers, seconds))
        after = process.memory_info().rss / 2**20
    p99 = percentile(taken, 0.99) * 1e3
    what = f"400 candles over HTTP beside {viewers} live pages, p99 of {len(taken)}"
    yield Measure(what, f"{p99:.0f} ms", "", None, "< 50 ms", p99 < 50)
    yield Measure("the same, median", f"{percentile(taken, 0.5) * 1e3:.0f} ms", "", None, "", None)
    yield Measure("live pages that heard news", f"{sum(count > 0 for count in heard)} of {viewers}", "", None,
                  "all", all(heard))  # fmt: skip
    yield Measure(f"memory of the api over {seconds:.0f} s", f"{before:.0f} to {after:.0f} MB", "", None,
                  "grows < 5 %", after < 1.05 * before)  # fmt: skip


if __name__ == "__main__":
    print_measures(measures(*(int(word) for word in sys.argv[1:2])))
