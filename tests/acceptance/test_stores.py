"""The acceptance rows that the stores alone can prove: J1, J3, J6, J7. J4 has a file of its own."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, HealthCheck, OwnershipError, Role
from libs.dbaccess.layout import Layout
from tests.kit.processes import first_line, fleet, run_code, running_code
from tests.kit.roots import ROOMY, make_stores, settings

DAY = date(2026, 2, 2)


@pytest.fixture
def root(data_root):
    make_stores(data_root)
    return data_root


@pytest.fixture
def closed_day(root):
    """One day of 20 symbols."""
    times = pd.date_range("2026-02-02 09:15", periods=375, freq="min", tz="Asia/Kolkata")
    with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "candles", "1m", DAY) as writer:
        for number in range(20):
            writer.append(
                pd.DataFrame(
                    {"symbol": f"S{number:02}", "timeframe": "1m", "timestamp": times, "open": 1.0, "high": 2.0,
                     "low": 0.5, "close": 1.5, "volume": number}
                )
            )  # fmt: skip
    return Layout(root).day("nse", "candles", "1m", DAY)


def test_j1_strategy_that_writes_history_gets_an_exception(root, closed_day):
    """A strategy runs in the scanner: whatever it tries, no byte of history changes."""
    before = closed_day.read_bytes()
    scanner = DatabaseManager(root, Role.SCANNER)
    with pytest.raises(OwnershipError), scanner.historical_writer("nse", "candles", "1m", date(2026, 2, 3)):
        pass
    with scanner.historical_reader("nse", "candles", "1m", DAY) as connection:
        for sql in ("DELETE FROM candles", "INSERT INTO candles SELECT * FROM candles", "DROP TABLE candles"):
            with pytest.raises(Exception, match=r"read-only|Cannot execute"):
                connection.execute(sql)

    assert closed_day.read_bytes() == before


def test_j3_second_ingestor_fails_to_get_the_lock_clearly(root):
    ingestor = """
        import sys
        from libs.dbaccess import DatabaseManager, Role
        with DatabaseManager(sys.argv[1], Role.INGESTOR).live_buffer_writer():
            print("capturing", flush=True)
            sys.stdin.read()
    """
    with running_code(ingestor, root) as first:
        first_line(first)
        second = run_code(ingestor, root)

    assert second.returncode != 0
    last = second.stderr.strip().splitlines()[-1]
    assert "WriterLockHeld" in last
    assert str(first.pid) in last
    assert "live_buffer" in last


def test_j6_concurrent_orders_leave_the_trading_store_intact(root):
    """Four threads of the engine write orders while three processes read: every order there, no reader refused."""
    engine = """
        import sys, threading
        from libs.dbaccess import DatabaseManager, Role
        from tests.kit.stores import ORDER, insert
        db = DatabaseManager(sys.argv[1], Role.EXECUTION_ENGINE)
        def place(thread):
            for number in range(50):
                with db.trading_writer() as connection:
                    insert(connection, "orders", ORDER | {"order_id": f"o-{thread}-{number}"})
        threads = [threading.Thread(target=place, args=(each,)) for each in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print("done", flush=True)
    """
    reader = """
        import sys
        from libs.dbaccess import DatabaseManager
        db, last = DatabaseManager(sys.argv[1]), -1
        while last < 200:
            with db.trading_reader() as connection:
                (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
            assert count >= last, "orders vanished"
            last = count
        print("read", flush=True)
    """
    with running_code(reader, root) as one, running_code(reader, root) as two, running_code(reader, root) as three:
        written = run_code(engine, root)
        assert written.stdout.strip() == "done", written.stderr
        assert [first_line(each) for each in (one, two, three)] == ["read"] * 3

    with DatabaseManager(root).trading_reader() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (200,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_j7_health_is_green_and_turns_red_on_a_planted_fault(root, closed_day):
    done = fleet("health", "--deep", "--json", TRADEFLEET_DATA=str(root), **ROOMY)
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "green"), done.stdout

    data = bytearray(closed_day.read_bytes())
    data[len(data) // 2] ^= 0xFF
    closed_day.chmod(0o644)
    closed_day.write_bytes(bytes(data))
    closed_day.chmod(0o444)
    done = fleet("health", "--deep", TRADEFLEET_DATA=str(root), **ROOMY)

    assert done.returncode == 1
    assert closed_day.name in done.stdout
    assert HealthCheck(root, settings=settings()).run_all(deep=True) is False
