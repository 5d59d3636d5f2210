"""J6: orders from concurrent signals leave the trading store intact, and nobody who reads it is ever locked out."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from libs.dbaccess import DatabaseManager
from services.execution_engine.deciding import SignalPlace
from tests.kit.engine import SYMBOLS, Rig, engine_rig, make_signal

STRATEGIES = 8
NO_LIMITS = {
    "account_trades_day_max": 0, "strategy_trades_day_max": 0, "symbol_trades_day_max": 0,
    "account_exposure_max_rupees": 0, "strategy_exposure_max_rupees": 0, "symbol_exposure_max_rupees": 0,
    "account_exposure_equity_max_percent": 0, "account_loss_day_max_rupees": 0, "strategy_loss_day_max_rupees": 0,
    "account_drawdown_max_percent": 0.0, "order_rate_max": (10_000_000,) * 3,
}  # fmt: skip


class Reader(threading.Thread):
    """Reads orders, trades and positions in a loop, and keeps whatever goes wrong."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.manager = DatabaseManager(root)
        self.over = threading.Event()
        self.error: BaseException | None = None
        self.reads = 0

    def run(self) -> None:
        try:
            while not self.over.is_set():
                with self.manager.trading_reader() as connection:
                    rows = connection.execute(
                        "SELECT p.quantity, (SELECT sum(CASE t.side WHEN 'buy' THEN t.quantity ELSE -t.quantity END) "
                        "FROM trades t WHERE t.strategy_id = p.strategy_id AND t.symbol = p.symbol) FROM positions p"
                    ).fetchall()
                assert all(held == traded for held, traded in rows), "a reader saw half a transaction"
                self.reads += 1
                self.over.wait(0.02)
        except BaseException as e:  # noqa: BLE001  # the test looks at it
            self.error = e


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def assert_nothing_doubled_or_lost(rig: Rig) -> None:
    """One decision a signal, one order a decision, one fill an order, and a position is the sum of its fills."""
    one = "SELECT count(*), count(DISTINCT {}) FROM {}"
    signals = rig.rows(one.format("signal_id", "processed_signals"))[0]
    orders = rig.rows(one.format("signal_id_reference", "orders"))[0]
    trades = rig.rows(one.format("order_id", "trades"))[0]
    approved = rig.rows("SELECT count(*) FROM processed_signals WHERE decision = 'approved'")[0][0]
    assert signals == (rig.seq, rig.seq)
    assert orders == trades == (approved, approved)
    assert rig.rows("SELECT sum(quantity) FROM trades") == rig.rows("SELECT sum(quantity) FROM orders")


def trade(root: Path, orders: int) -> None:
    before_bytes = 0
    with engine_rig(root, **NO_LIMITS) as rig:
        readers = [Reader(root) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(orders // (2 * STRATEGIES) + 1):
                for symbol in SYMBOLS:
                    rig.tick(100.0, symbol, seconds=0.01)
                before_bytes = before_bytes or (memory_bytes() if number else 0)  # once all is loaded that will be
                for strategy in range(STRATEGIES):
                    for place, symbol in enumerate(SYMBOLS):
                        kind = "exit_long" if number % 2 else "enter_long"
                        made = make_signal(
                            rig.clock, kind, symbol, strategy_id=f"s{strategy}", leg=number,
                            signal_id=f"{number}-{strategy}-{symbol}",
                        )  # fmt: skip
                        seq = (number * STRATEGIES + strategy) * len(SYMBOLS) + place + 1
                        rig.engine.on_signal(made, SignalPlace("store", seq))
                        rig.seq = seq
        finally:
            for reader in readers:
                reader.over.set()
                reader.join(60)
        for symbol in SYMBOLS:
            rig.tick(100.0, symbol)
        count = rig.rows("SELECT count(*) FROM orders WHERE status = 'filled'")[0][0]
        assert rig.rows("PRAGMA integrity_check") == [("ok",)]
        assert rig.rows("PRAGMA foreign_key_check") == []
        assert_nothing_doubled_or_lost(rig)
        grown_mib = (memory_bytes() - before_bytes) / 2**20
        held = rig.engine.desk.positions.net()
    assert grown_mib < 10 + count * 0.02, f"{grown_mib:.0f} MiB for {count} orders"
    with engine_rig(root, **NO_LIMITS) as rig:
        assert (len(list(rig.engine.desk.orders)), rig.engine.desk.positions.net()) == (count, held)

    assert [reader.error for reader in readers] == [None] * 3
    assert all(reader.reads > 3 for reader in readers)
    assert count >= orders


def test_concurrent_orders_leave_the_store_intact(tmp_path):
    """A part of J6 on every run."""
    trade(tmp_path / "data", 200)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
def test_ten_thousand_orders(tmp_path):
    """J6 in full."""
    trade(tmp_path / "data", 10_000)
