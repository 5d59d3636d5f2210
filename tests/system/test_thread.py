"""The thread through the whole: simulator, the broker's SDK, ingestor, journal, bars, bus, live buffer, subscriber."""

from __future__ import annotations

import json

from libs.dbaccess import DatabaseManager
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import first_line, running_code

SUBSCRIBER = """
    import sys
    from libs.messaging import subscribe
    import msgspec
    for bar in subscribe("candle.1m", symbols=["RELIANCE"], backfill=True):
        print(msgspec.json.encode(bar).decode(), flush=True)
"""


def test_candles_reach_a_subscriber_in_another_process(data_root):
    """C1, C2, D4: three lines in another process give today's earlier candles, then the live ones, without a hole."""
    with (
        running_simulator(speed=60, symbols=5, record_ticks=False) as sim,
        ingestor(data_root, sim, TRADEFLEET_LIVE_FLUSH_INTERVAL_MS="200") as captured,
    ):
        captured.start()
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 3, "three minutes of bars")
        with running_code(SUBSCRIBER, **captured.environment) as process:
            bars = [json.loads(first_line(process)) for _ in range(6)]
        assert captured.stop() == 0, captured.log.read_text()

    starts = [bar["timestamp_us"] for bar in bars]
    assert starts == [starts[0] + 60_000_000 * n for n in range(6)]
    assert len({bar["seq"] for bar in bars}) == 6
    assert all(bar["symbol"] == "RELIANCE" and bar["volume"] > 0 for bar in bars)
    with DatabaseManager(data_root).live_buffer_reader() as connections:
        stored = (
            connections["candles"]
            .execute(
                "SELECT epoch_us(timestamp), open, high, low, close, volume, seq FROM candles "
                "WHERE symbol = 'RELIANCE' AND timeframe = '1m' ORDER BY timestamp"
            )
            .fetchall()
        )
    published = [
        tuple(bar[key] for key in ("timestamp_us", "open", "high", "low", "close", "volume", "seq")) for bar in bars
    ]
    assert published == stored[:6]
