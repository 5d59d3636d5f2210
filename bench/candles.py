"""`python -m bench.candles [minutes [symbols]]`: from the tick that ends a minute to its candles at a subscriber.

Simulator, the real SDK, the real ingestor and a subscriber, each a process of its own. A minute closes with the first
tick past its end plus the grace, so what is measured begins where that tick came off the socket and ends where a
candle of that minute is in the subscriber's hands: validation, journal, bars, bus, decoding.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.table import Measure, percentile, print_measures
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import first_line, running_code

#: Market seconds for a real one with fifty symbols: a minute every two seconds. More symbols go slower.
SPEED = 30
GOAL_MS = 20

_SUBSCRIBER = """
    import json, sys, time
    from libs.messaging import Subscriber
    from libs.settings import load_settings
    minutes = int(sys.argv[1])
    late, first, received_us = [], {}, 0
    with Subscriber.open(["ticks.nse|", "candle.1m.", "market.nse."], settings=load_settings()) as subscriber:
        print("ready", flush=True)
        for message in subscriber:
            now_us = time.time_ns() // 1000
            payload = message.payload
            if message.topic.startswith("ticks."):
                received_us = max(tick.received_us for tick in payload.ticks)
            elif received_us and message.topic.startswith("candle."):
                late.append(now_us - received_us)
                first.setdefault(payload.timestamp_us, now_us - received_us)
            if len(first) > minutes:
                break
    print(json.dumps({"every": late, "first": list(first.values())}), flush=True)
"""


def latencies(minutes: int, symbols: int) -> dict[str, list[int]]:
    """Microseconds of every candle, and of the first of each minute."""
    with (
        tempfile.TemporaryDirectory(prefix="tf-bench-") as directory,
        running_simulator(speed=max(1.0, SPEED * 50 / symbols), symbols=symbols, record_ticks=False) as sim,
        ingestor(Path(directory) / "data", sim) as captured,
    ):
        captured.data_root.mkdir(mode=0o700)
        captured.start()
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 1, "a minute of bars")
        with running_code(_SUBSCRIBER, minutes, **captured.environment) as process:
            assert first_line(process) == "ready"
            found: dict[str, list[int]] = json.loads(first_line(process))
        captured.stop()
    return found


def measures(minutes: int = 15, symbols: int = 50) -> Iterator[Measure]:
    """Give p50 and p99 of the first candle of a minute and of all."""
    found = latencies(minutes, symbols)
    for what, values in (("first candle of a minute", found["first"]), (f"all {symbols} of a minute", found["every"])):
        p50, p99 = (percentile(values, share) / 1000 for share in (0.5, 0.99))
        yield Measure(
            f"tick received to candle at a subscriber, {what}", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            f"{len(values):,} candles", None, f"p99 under {GOAL_MS} ms", p99 < GOAL_MS,
        )  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1


if __name__ == "__main__":
    sys.exit(main())
