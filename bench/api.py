"""The dashboard's server under its viewers: two hundred live pages, and how long a candle query takes beside them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

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
_PAUSE_S = 0.02
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


async def _market(publisher: Publisher, symbols: list[str]) -> None:
    """Say a candle of every symbol each second, three times as often as the demo."""
    at = 1_800_000_000_000_000
    while True:
        for symbol in symbols:
            bar = OHLCVBar(symbol, "1m", at, 100.0, 101.0, 99.0, 100.5, 1000)
            publisher.publish(topic("candle", "1m", "nse", symbol), bar)
        at += 60_000_000
        await asyncio.sleep(1.0)


class Run(NamedTuple):
    """What one run found."""

    opening: list[float]
    taken: list[float]
    heard: list[int]
    opened_s: float
    memory_mb: tuple[float, float, float]  # at the start, at half time, at the end
    busy: float  # of one core


async def _asked(client: httpx.AsyncClient, until: Callable[[], bool]) -> list[float]:
    """Ask for candles, one symbol after the other, and say how long each answer took."""
    taken: list[float] = []
    while not until():
        start = time.perf_counter()
        answer = await client.get(f"/api/candles?symbol=S{len(taken) % SYMBOLS:04d}&limit=400")
        answer.raise_for_status()
        taken.append(time.perf_counter() - start)
        await asyncio.sleep(_PAUSE_S)
    return taken


async def _run(root: Path, process: psutil.Process, cookies: httpx.Cookies, viewers: int, seconds: float) -> Run:
    settings = load_settings(environment={**os.environ, "TRADEFLEET_DATA": str(root)})
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    base = f"http://127.0.0.1:{PORT}"
    with Publisher.open("ingestor", settings=settings, clock=SystemClock()) as publisher:
        loops = [
            asyncio.create_task(publisher.run()),
            asyncio.create_task(_market(publisher, [f"S{number:04d}" for number in range(SYMBOLS)])),
        ]
        async with httpx.AsyncClient(base_url=base, cookies=cookies, timeout=60) as client:
            await _asked(client, _so_many(10))  # what every first time costs is not the question
            pages = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.viewers", str(PORT), str(viewers), cwd=PROJECT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert pages.stdin is not None
            assert pages.stdout is not None
            try:
                start = time.perf_counter()
                pages.stdin.write(f"{cookie}\n".encode())
                opened = asyncio.create_task(pages.stdout.readline())
                opening = await _asked(client, opened.done)
                opened_s, memory_mb, spent_s = time.perf_counter() - start, [_memory_mb(process)], _spent_s(process)
                taken = []
                for _ in range(2):
                    end = time.monotonic() + seconds / 2
                    taken += await _asked(client, lambda end=end: time.monotonic() > end)  # type: ignore[misc]
                    memory_mb.append(_memory_mb(process))
                busy = (_spent_s(process) - spent_s) / seconds
                heard = json.loads((await pages.communicate(b""))[0])
            finally:
                if pages.returncode is None:
                    pages.kill()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    return Run(opening, taken, heard, opened_s, (memory_mb[0], memory_mb[1], memory_mb[2]), busy)


def _memory_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


def _spent_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _so_many(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is None


def measures(viewers: int = 200, seconds: float = 8.0) -> Iterator[Measure]:
    """Give the table's lines."""
    root = generated(DAYS, SYMBOLS)
    with _api(root) as (process, cookies):
        run = asyncio.run(_run(root, process, cookies, viewers, seconds))
    p99 = percentile(run.taken, 0.99) * 1e3
    what = f"400 candles over HTTP beside {viewers} live pages, p99 of {len(run.taken)}"
    yield Measure(what, f"{p99:.0f} ms", "", None, "< 50 ms", p99 < 50)
    yield Measure("the same, median", f"{percentile(run.taken, 0.5) * 1e3:.0f} ms", "", None, "", None)
    yield Measure("live pages that heard news", f"{sum(count > 0 for count in run.heard)} of {viewers}", "", None,
                  "all", all(run.heard))  # fmt: skip
    first, half, last = run.memory_mb
    yield Measure(f"memory of the api over {seconds:.0f} s", f"{first:.0f}, {half:.0f}, {last:.0f} MB", "", None,
                  "grows < 5 %", last < 1.05 * first)  # fmt: skip
    yield Measure("processor time of the api meanwhile", f"{100 * run.busy:.0f} % of a core", "", None, "", None)
    yield Measure(f"{viewers} pages opened at once, until all are told", f"{run.opened_s:.1f} s", "", None, "", None)
    if run.opening:
        yield Measure("the slowest candle query meanwhile", f"{max(run.opening) * 1e3:.0f} ms", "", None, "", None)


if __name__ == "__main__":
    words = sys.argv[1:]
    print_measures(measures(int(words[0]) if words else 200, float(words[1]) if words[1:] else 8.0))
