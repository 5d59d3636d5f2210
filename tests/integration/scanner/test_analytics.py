"""E3: insights found live, recomputed by the command, by the living scanner and into a wiped store are equal."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import date

import pyarrow as pa
import pytest

from cli.main import main
from libs.bars import Resampler
from libs.calendar import Calendar
from libs.contracts import MinuteClosed
from libs.contracts.analytics import ScanPick, ScanResult
from libs.core.clock import US_PER_DAY, SystemClock, trading_date
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.simulation.clock import ManualClock
from services.scanner.analytics import LiveInsights, Updates
from services.scanner.minutes import Minute
from services.scanner.store import SignalsStore
from services.scanner.study import Study
from tests.kit.processes import DEADLINE_S
from tests.kit.regimes import market
from tests.kit.roots import make_stores, settings

SYMBOLS = ("ALFA", "BETA")
CALENDAR = Calendar.load("nse")
TABLES = ("confluence_insights", "regime", "pattern_cache", "feature_snapshots")


def five_minutes():
    """Bars of five minutes, two days of them, in the order they close."""
    bars = market(SYMBOLS, days=2, seed=4, missing=0.02)
    made = []
    for symbol in SYMBOLS:
        resampler = Resampler("5m", CALENDAR.session)
        made += [longer for bar in bars if bar.symbol == symbol for longer in resampler.add(bar)]
    return sorted(made, key=lambda bar: (bar.timestamp_us, bar.symbol))


BARS = five_minutes()
LAST = trading_date(BARS[-1].timestamp_us)


@pytest.fixture
def manager(data_root, monkeypatch):
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    monkeypatch.setenv("TRADEFLEET_BUS_COMMAND_TIMEOUT_MS", "100")
    make_stores(data_root)
    owner = DatabaseManager(data_root, Role.INGESTOR)
    for day in sorted({trading_date(bar.timestamp_us) for bar in BARS}):
        bars = sorted(
            (bar for bar in BARS if trading_date(bar.timestamp_us) == day),
            key=lambda bar: (bar.symbol, bar.timestamp_us),
        )
        columns = {name: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close", "volume")}
        instants = pa.array([bar.timestamp_us for bar in bars], pa.timestamp("us", "UTC"))
        with owner.historical_writer("nse", "candles", "5m", day) as writer:
            writer.append(
                pa.table(
                    {"symbol": [bar.symbol for bar in bars], "timeframe": ["5m"] * len(bars), "timestamp": instants}
                    | columns
                )
            )
    return DatabaseManager(data_root, Role.SCANNER, settings=settings(TRADEFLEET_DATA=str(data_root)))


def rows(manager):
    """Everything but when it was computed."""
    found = {}
    with manager.signals_reader() as connection:
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY symbol, timestamp_us")
            names = [column[0] for column in cursor.description]
            keep = [number for number, name in enumerate(names) if name != "created_at_us"]
            found[table] = [tuple(row[number] for number in keep) for row in cursor.fetchall()]
    return found


def run_live(manager, day: date):
    """A day as the scanner gets it, minute by minute."""
    bars = [bar for bar in BARS if trading_date(bar.timestamp_us) == day]

    async def story(store):
        insights = LiveInsights(Study(manager, "nse", SYMBOLS, ("5m",), CALENDAR.session), store.keep_insights)
        running = asyncio.create_task(insights.run())
        for at_us in sorted({bar.timestamp_us for bar in bars}):
            together = [bar for bar in bars if bar.timestamp_us == at_us]
            insights.add(Minute(MinuteClosed("nse", at_us, len(together)), together))
        async with asyncio.timeout(DEADLINE_S):
            while insights.behind or not (insights.rows or insights.failed):  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert insights.failed == 0

    with manager.writer_session(Store.SIGNALS) as session:
        asyncio.run(story(SignalsStore(session, SystemClock())))


def update_living(manager, **asked):
    async def story(store):
        updates = Updates(manager, "nse", CALENDAR.session, store.keep_insights)
        updates.begin({"symbols": SYMBOLS, "timeframes": ("5m",), **asked})
        async with asyncio.timeout(DEADLINE_S):
            while updates.status()["running"]:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)
        return updates.status()

    with manager.writer_session(Store.SIGNALS) as session:
        return asyncio.run(story(SignalsStore(session, SystemClock())))


def wipe(manager):
    shutil.rmtree(manager.layout.root / "signals")
    make_stores(manager.layout.root)
    assert not any(rows(manager).values())


def test_live_recomputed_and_rebuilt_are_equal(manager, capsys):
    run_live(manager, LAST)
    live = rows(manager)
    wipe(manager)
    code = main(["analytics", "update", "--symbols", ",".join(SYMBOLS), "--json"])
    done = json.loads(capsys.readouterr().out)
    by_command = rows(manager)
    again = update_living(manager, first=LAST.isoformat(), last=LAST.isoformat())

    assert all(len(live[table]) > 20 for table in TABLES)
    assert {row[1] for row in live["regime"]} == set(SYMBOLS)
    assert code == 0
    assert done["rows"] == sum(map(len, live.values()))
    assert by_command == live
    assert again == {"running": False, "done": 2, "wanted": 2, "rows": done["rows"], "error": ""}
    assert rows(manager) == live, "a row replaces itself"


def test_old_bars_go_when_the_scanner_starts(manager):
    """What scans and analytics said is derived, and would grow for ever; a row of the last kept day stays."""
    update_living(manager)
    with manager.writer_session(Store.SIGNALS) as session:
        store = SignalsStore(session, SystemClock())

        def stamps(table, column="timestamp_us"):
            found = session.connection.execute(f"SELECT {column} FROM {table} ORDER BY {column}").fetchall()
            return [each[0] for each in found]

        before = {table: stamps(table) for table in TABLES}
        cut_us = before["feature_snapshots"][len(before["feature_snapshots"]) // 2]
        for at_us in (cut_us - 1, cut_us):
            store.found([ScanResult("all", at_us, (ScanPick(f"S{at_us}", 1, 1.0, 1.0, {}),))])
        SignalsStore(session, ManualClock(cut_us + 3 * US_PER_DAY)).prune(3, 3)
        after = {table: stamps(table) for table in TABLES}
        picks, alerts = stamps("scan_results"), stamps("scan_alerts", "last_us")

    for table in TABLES:
        assert after[table] == [at_us for at_us in before[table] if at_us >= cut_us], table
        assert 0 < len(after[table]) < len(before[table]), table
    assert picks == alerts == [cut_us]


def test_shown_by_the_command(manager, capsys):
    empty = main(["analytics", "show", "ALFA"])
    advice = capsys.readouterr().err
    update_living(manager)
    shown = main(["analytics", "show", "ALFA", "--count", "3", "--json"])
    entries = json.loads(capsys.readouterr().out)
    main(["analytics", "show", "ALFA"])
    table = capsys.readouterr().out
    wrong = main(["analytics", "update", "--symbols", "ALFA", "--from", "2026-02-04", "--to", "2026-02-03"])
    nothing = main(["analytics", "update", "--symbols", "NOBODY"])

    assert empty == 4
    assert "fleet analytics update --symbols ALFA" in advice
    assert shown == 0
    assert [each["timestamp_us"] for each in entries] == sorted(
        (bar.timestamp_us for bar in BARS if bar.symbol == "ALFA"), reverse=True
    )[:3]
    assert entries[0]["reasons"][0].keys() == {"type", "indicator", "timeframe", "vote", "weight", "share"} - {"type"}
    assert entries[0]["direction"] in table
    assert (wrong, nothing) == (2, 1)
