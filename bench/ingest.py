"""`python -m bench.ingest [seconds] [ticks a second]`: the real ingestor, flooded by the simulator; one table.

WebSocket frames of 20 ticks in full mode go through the real SDK's connection into journal, bars, bus and DuckDB of one
process; the simulator has the other core. Beside it: decoding alone, ours and the SDK's, of the same frames.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from google.protobuf.json_format import MessageToDict

from bench.table import Measure, interleaved, print_measures
from libs.core.clock import SystemClock
from libs.upstox.decoding import FrameDecoder
from libs.upstox.feed_messages import feed_messages
from services.exchange_sim.feed.flood import Template
from services.exchange_sim.market.clock import MarketClock
from services.exchange_sim.market.instruments import Listing
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import TradingDays
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import Ingestor, ingestor

TICKS_PER_FRAME = 20
SYMBOLS = 1000
GOAL = 60_000
FRAMES_DECODED = 500


def flooded(seconds: int, ticks_per_second: int) -> dict[str, Any]:
    """Flood a running ingestor and give what it took in, and how its memory went."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_simulator(symbols=SYMBOLS, record_ticks=False) as sim,
        ingestor(Path(directory) / "data", sim) as captured,
    ):
        (Path(directory) / "data").mkdir()
        captured.start()
        before = captured.wait_for(lambda status: status["capture"]["ticks"] >= SYMBOLS, "the first snapshot")
        assert captured.process is not None
        memory = _Memory(captured.process.pid)
        spent = -_cpu_seconds(captured)
        with memory:
            body = {"ticks_per_second": ticks_per_second, "duration_s": seconds, "ticks_per_frame": TICKS_PER_FRAME}
            status, sent = sim.ask("POST", "/_sim/flood", body)
        assert status == 200, sent
        sim.clock(paused=True)
        wanted = sent["ticks"] + _taken(before)
        after = captured.wait_for(lambda now: _taken(now) >= wanted, "what was sent to be taken in")
        spent += _cpu_seconds(captured)
        rows = _stored(captured)
        assert captured.stop() == 0
    lost = after["capture"]["gaps"] - before["capture"]["gaps"]
    return {"sent": sent, "rows": rows, "lost": lost, "memory": memory.figures, "cpu_s": spent}


def _cpu_seconds(captured: Ingestor) -> float:
    assert captured.process is not None
    spent = psutil.Process(captured.process.pid).cpu_times()
    return float(spent.user + spent.system)


def _taken(status: dict[str, Any]) -> int:
    return int(sum(status["capture"][kind] for kind in ("ticks", "late", "quarantined", "earlier_day")))


def _stored(captured: Ingestor) -> int:
    from libs.dbaccess import DatabaseManager

    with DatabaseManager(captured.data_root).live_buffer_reader() as connections:
        return int(connections["ticks"].execute("SELECT count(*) FROM ticks").fetchall()[0][0])


class _Memory:
    """Looks at a process once a second for as long as the block lasts."""

    def __init__(self, pid: int) -> None:
        self.figures: list[float] = []
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1):
            self.figures.append(self._process.memory_info().rss / 2**20)


def frames() -> list[bytes]:
    """Frames of 20 full ticks, as the flood sends them."""
    now_ms = 1_770_006_600_000  # a Monday in session
    market = Market(Listing(TICKS_PER_FRAME, 7), TradingDays({}), 7, MarketClock(SystemClock(), now_ms, 1.0))
    quotes = [(market.quote(each, now_ms, 5), "full") for each in market.listing.instruments]
    template = Template(quotes, now_ms)
    return [template.fill(now_ms + turn, turn, None) for turn in range(FRAMES_DECODED)]


def decoding() -> Measure:
    """Ours, to ticks, beside the SDK's streamer, which makes a dictionary of every frame."""
    made = frames()
    decoder = FrameDecoder({}, "nse")
    parse = feed_messages().FeedResponse.FromString
    ours_s, theirs_s = interleaved(
        lambda: [decoder.decode(frame, 0) for frame in made], lambda: [MessageToDict(parse(frame)) for frame in made]
    )
    ticks = FRAMES_DECODED * TICKS_PER_FRAME
    return Measure("decode frames of 20 full ticks | the SDK's way", f"{ticks / ours_s:,.0f} ticks/s",
                   f"{ticks / theirs_s:,.0f} ticks/s", theirs_s / ours_s, "", None)  # fmt: skip


def measures(seconds: int, ticks_per_second: int) -> Iterator[Measure]:
    yield decoding()
    found = flooded(seconds, ticks_per_second)
    rate = found["sent"]["ticks_per_second"]
    memory = found["memory"]
    met = rate >= GOAL and not found["lost"]
    yield Measure(f"WebSocket to DuckDB, {seconds} s, {found['rows']:,} rows stored", f"{rate:,} ticks/s",
                  f"asked {ticks_per_second:,}", None, f">= {GOAL:,}, no gap", met)  # fmt: skip
    half = len(memory) // 2
    growth = memory[-1] - memory[half] if half else 0.0
    yield Measure("memory at half time | at the end", f"{memory[half]:.0f} MiB", f"{memory[-1]:.0f} MiB", None,
                  "flat: under 10 %", growth < 0.1 * memory[half])  # fmt: skip


def main() -> int:
    numbers = [int(word) for word in sys.argv[1:3]]
    seconds, ticks_per_second = [*numbers, *(20, 70_000)[len(numbers) :]]
    return 0 if print_measures(measures(seconds, ticks_per_second)) else 1


if __name__ == "__main__":
    sys.exit(main())
