"""The thread through the whole: simulator, the broker's SDK, ingestor, journal, bars, bus, live buffer, subscriber."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from libs.dbaccess import DatabaseManager
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import DEADLINE_S, first_line, running_code, wait_until
from tests.kit.service import service

OWN = {
    "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "200", "TRADEFLEET_SCANNER_STRATEGIES": "flipper",
    "TRADEFLEET_SCANNER_SYMBOLS": "RELIANCE", "TRADEFLEET_SCANNER_SCANS": "expression,nr7",
}  # fmt: skip
SUBSCRIBER = """
    import sys
    from libs.messaging import subscribe
    import msgspec
    for bar in subscribe("candle.1m", symbols=["RELIANCE"], backfill=True):
        print(msgspec.json.encode(bar).decode(), flush=True)
"""


@pytest.fixture(scope="module")
def captured():
    """A market that is captured; both tests look at the same one."""
    with (
        tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as home,
        running_simulator(speed=60, symbols=5, record_ticks=False) as sim,
    ):
        data_root = Path(home, "data")
        data_root.mkdir(mode=0o700)
        with ingestor(data_root, sim, **OWN) as running:
            running.start()
            yield running


def test_candles_reach_a_subscriber_in_another_process(captured):
    """C1, C2, D4: three lines in another process give today's earlier candles, then the live ones, without a hole."""
    captured.wait_for(lambda status: status["capture"]["minutes"] >= 3, "three minutes of bars")
    with running_code(SUBSCRIBER, **captured.environment) as process:
        bars = [json.loads(first_line(process)) for _ in range(6)]

    starts = [bar["timestamp_us"] for bar in bars]
    assert starts == [starts[0] + 60_000_000 * n for n in range(6)]
    assert len({bar["seq"] for bar in bars}) == 6
    assert all(bar["symbol"] == "RELIANCE" and bar["volume"] > 0 for bar in bars)
    wait_until(lambda: len(stored_bars(captured.data_root)) >= 6, "the bars in the buffer")
    published = [
        tuple(bar[key] for key in ("timestamp_us", "open", "high", "low", "close", "volume", "seq")) for bar in bars
    ]
    assert published == stored_bars(captured.data_root)[:6]


def stored_bars(data_root):
    with DatabaseManager(data_root).live_buffer_reader() as connections:
        return (
            connections["candles"]
            .execute(
                "SELECT epoch_us(timestamp), open, high, low, close, volume, seq FROM candles "
                "WHERE symbol = 'RELIANCE' AND timeframe = '1m' AND seq IS NOT NULL ORDER BY timestamp"
            )
            .fetchall()
        )


FLIPPER = '''
"""In on one minute, out on the next: a strategy whose every signal is known beforehand."""

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies import BaseStrategy, StrategyContext, register


@register
class Flipper(BaseStrategy):
    strategy_id = "flipper"
    purpose = "For tests."

    def process_bar(self, bar: OHLCVBar, context: StrategyContext) -> SignalEvent | None:
        if bar.timestamp_us // 60_000_000 % 2:
            return context.enter_long() if context.position.is_flat else None
        return None if context.position.is_flat else context.exit_long()
'''


@pytest.mark.timeout(300)
def test_a_signal_becomes_a_position_and_survives_the_scanner(captured):
    """D2, E1, E4, F1: bars to signals to orders to positions, through four processes; one of them killed twice."""
    data_root = captured.data_root
    (data_root / "strategies").mkdir()
    (data_root / "strategies" / "flipper.py").write_text(FLIPPER)
    with (
        service("scanner", captured.environment) as scanner,
        service("execution_engine", captured.environment) as engine,
    ):
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 1, "a minute")
        engine.start()
        scanner.start()
        scanner.wait_for(lambda status: status["signals"] >= 3, "signals")
        scanner.kill()
        decided = decisions_of(data_root)
        minutes = captured.status()["capture"]["minutes"]
        captured.wait_for(lambda status: status["capture"]["minutes"] >= minutes + 3, "minutes without a scanner")
        scanner.environment = {**captured.environment, "TRADEFLEET_CRASH_AT": f"scanner.decide.after:{decided + 2}"}
        scanner.start()
        assert scanner.process.wait(DEADLINE_S) == -9, "stored and not told: the engine must find it in the store"
        scanner.environment = captured.environment
        scanner.start()
        again = scanner.wait_for(lambda status: status["signals"] >= 2, "signals after the kills")
        assert again["signals_repeated"] >= 3, "the day was not done again"
        assert again["gaps"] == 0
        scanned = scanner.wait_for(lambda status: status["scanned"] >= 2, "scans of a minute")
        assert scanned["scans_failed"] == 0
        last = len(signals_of(data_root))
        engine.wait_for(lambda status: status["cursor"] >= last, "the engine to have decided on them all")
        # On a busy machine the first entries may be stale by the time they are decided on; later ones are not.
        wait_until(lambda: filled_of(data_root) >= 2, "two fills")
        assert scanner.stop() == 0
        assert engine.stop() == 0, engine.log.read_text()[-3000:]

    trading = data_root / "trading"
    assert [path.name for path in trading.iterdir() if path.name.endswith("-wal") and path.stat().st_size] == []
    followed = {line["signal"]: line["order"] for line in log_lines(engine) if line["event"] == "order.traded"}
    said = {line["signal"] for line in log_lines(scanner) if line["event"] == "signal.told"}
    assert followed
    assert followed.keys() & said, "no order can be followed from the scanner's log into the engine's"
    rows = signals_of(data_root)
    assert [seq for seq, *_ in rows] == list(range(1, len(rows) + 1))
    minutes = [at_us // 60_000_000 for _, at_us, _ in rows]
    assert minutes == list(range(minutes[0], minutes[0] + len(minutes))), "a minute was left out or told twice"
    assert {kind for _, _, kind in rows} == {"enter_long", "exit_long"}
    with DatabaseManager(data_root).trading_reader() as trading:
        filled = trading.execute("SELECT count(*) FROM orders WHERE status = 'filled'").fetchone()[0]
        (bought, sold) = (
            trading.execute("SELECT coalesce(sum(quantity), 0) FROM trades WHERE side = ?", (side,)).fetchone()[0]
            for side in ("buy", "sell")
        )
        held = trading.execute("SELECT coalesce(sum(quantity), 0) FROM positions").fetchone()[0]
        decided = trading.execute("SELECT count(*) FROM processed_signals").fetchone()[0]
        half_sent = trading.execute("SELECT count(*) FROM orders WHERE status = 'intent'").fetchone()[0]
    assert filled >= 2
    assert bought > 0
    assert held == bought - sold, "position is not the sum of the fills"
    assert decided >= last
    assert half_sent == 0, "it ended between an intent and its request"


def log_lines(running):
    return [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]


def filled_of(data_root):
    with DatabaseManager(data_root).trading_reader() as trading:
        return trading.execute("SELECT count(*) FROM orders WHERE status = 'filled'").fetchone()[0]


def decisions_of(data_root):
    with DatabaseManager(data_root).signals_reader() as signals:
        return signals.execute("SELECT count(*) FROM decisions").fetchone()[0]


def signals_of(data_root):
    with DatabaseManager(data_root).signals_reader() as signals:
        return signals.execute(
            "SELECT outbox_seq, timestamp_us, signal_type FROM signals ORDER BY outbox_seq"
        ).fetchall()
