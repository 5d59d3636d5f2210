"""J4: many readers on history at once, none blocks another, and none blocks the writer of the next day."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from libs.dbaccess import DatabaseManager, MarketDataQuery
from tests.kit.market_days import MONDAY, close_day, minutes, stores
from tests.kit.processes import DEADLINE_S, running_code

READERS = 6
#: Opens the day, says so, and holds it open until its input ends; then reads on, another way too.
READER = """
    import sys
    from datetime import date, timedelta
    from libs.dbaccess import DatabaseManager, MarketDataQuery

    db, day = DatabaseManager(sys.argv[1]), date.fromisoformat(sys.argv[2])
    with db.historical_reader("nse", "candles", "1m", day) as connection, MarketDataQuery(db) as query:
        rows = connection.execute("SELECT count(*) FROM candles").fetchall()[0][0]
        rows += len(query.get_candles("INFY", "nse", "1m", day, day + timedelta(days=1)))
        print("holding", rows, flush=True)
        sys.stdin.readline()
        again = len(query.get_candles("INFY", "nse", "1m", day, day + timedelta(days=2)))
        print("saw", again, flush=True)
"""


def test_many_processes_read_one_day_at_once(data_root):
    """All hold it open at the same time: each got its rows although no other had let go."""
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 100))

    with ExitStack() as stack:
        readers = [stack.enter_context(running_code(READER, data_root, MONDAY)) for _ in range(READERS)]
        held = [reader.stdout.readline().split() for reader in readers]
        assert held == [["holding", "200"]] * READERS

        # The writer of the next day is not kept waiting, and a long-lived reader of another kind reads beside them.
        close_day(data_root, MONDAY + timedelta(days=1), minutes("INFY", MONDAY + timedelta(days=1), 50))
        with MarketDataQuery(stores(data_root)) as query:
            assert len(query.get_candles("INFY", "nse", "1m", MONDAY, None)) == 150

        for reader in readers:
            reader.stdin.write("on\n")
            reader.stdin.flush()
        seen = [reader.stdout.readline().split() for reader in readers]
        assert seen == [["saw", "150"]] * READERS
        assert [reader.wait(DEADLINE_S) for reader in readers] == [0] * READERS


def test_readers_of_one_process_share_a_day(data_root):
    """Two managers, two connections and two queries on one file, nested: closing one leaves the others whole."""
    path = close_day(data_root, MONDAY, minutes("INFY", MONDAY, 100))
    first, second = DatabaseManager(data_root), DatabaseManager(data_root)

    with first.historical_reader("nse", "candles", "1m", MONDAY) as outer:
        with second.historical_reader("nse", "candles", "1m", MONDAY) as inner, MarketDataQuery(second) as query:
            assert inner.execute("SELECT count(*) FROM candles").fetchall() == [(100,)]
            assert len(query.get_candles("INFY", "nse", "1m", MONDAY, None)) == 100
        path.read_bytes()
        with MarketDataQuery(first) as query:
            assert len(query.get_candles("INFY", "nse", "1m", MONDAY, None)) == 100

        assert outer.execute("SELECT count(*) FROM candles").fetchall() == [(100,)]
