"""E3, E4: scans of the newest minute are stored, then told; known ones are not told again; broken ones stop nobody."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest

from libs.contracts import MinuteClosed, OHLCVBar
from libs.core.clock import SystemClock, day_start_us
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ScanConfig, choose_scans
from services.scanner.scan_store import SCANS
from services.scanner.scanning import Scans, days_from
from services.scanner.store import SignalsStore
from tests.kit.roots import make_stores, settings

DAY = date(2026, 2, 3)
OPEN_US = day_start_us(DAY) + 555 * 60_000_000
GAINERS = ScanConfig("movers", "gainers", "1m", '{"percent": 2}')


@pytest.fixture
def manager(data_root):
    make_stores(data_root)
    with DatabaseManager(data_root, Role.INGESTOR).historical_writer(
        "nse", "candles", "1d", DAY - timedelta(days=1)
    ) as writer:
        writer.append(
            pa.table(
                {"symbol": ["DULL", "STAR"], "timeframe": ["1d"] * 2,
                 "timestamp": pa.array([day_start_us(DAY - timedelta(days=1))] * 2, pa.timestamp("us", "UTC")),
                 "open": [100.0, 100.0], "high": [103.0, 104.0], "low": [98.0, 97.0], "close": [100.0, 100.0],
                 "volume": [10, 10]}
            )
        )  # fmt: skip
    return DatabaseManager(data_root, Role.SCANNER, settings=settings(TRADEFLEET_DATA=str(data_root)))


def minute(number: int, **closes: float) -> Minute:
    at_us = OPEN_US + number * 60_000_000
    bars = [OHLCVBar(name, "1m", at_us, close, close, close, close, 5) for name, close in closes.items()]
    return Minute(MinuteClosed("nse", at_us, len(bars)), bars)


def scan(scans: Scans) -> list:
    return [work() for work in scans.due()]


def test_the_strongest_are_stored_and_told_once(manager):
    """Yesterday's close comes from history; who is picked for the first time today is said once."""
    scans = Scans([GAINERS], "nse", days_from(manager, "nse"), picks_max=10)
    scans.add(minute(0, DULL=100.5, STAR=103.0, NEW=50.0))
    first = scan(scans)
    scans.add(minute(1, DULL=102.5, STAR=104.0))
    second = scan(scans)
    assert scan(scans) == [], "nothing new"
    with manager.writer_session(Store.SIGNALS) as session:
        store = SignalsStore(session, SystemClock())
        told = [each for result in (first, second) for each in store.found(result)]
        again = store.found(first + second)
        rows = session.connection.execute(
            "SELECT scan_id, symbol, rank, round(score, 6) FROM scan_results ORDER BY timestamp_us, rank"
        ).fetchall()
        repeats = session.connection.execute("SELECT symbol, repeats FROM scan_alerts ORDER BY symbol").fetchall()
        head = store.outbox.head(SCANS)

    assert [[pick.symbol for pick in each.payload.picks] for each in told] == [["STAR"], ["STAR", "DULL"]]
    assert [each.payload.fresh for each in told] == [("STAR",), ("DULL",)]
    assert [(each.topic, each.seq) for each in told] == [("scan.movers|", 1), ("scan.movers|", 2)]
    assert [tuple(row) for row in rows] == [
        ("movers", "STAR", 1, 3.0), ("movers", "STAR", 1, 4.0), ("movers", "DULL", 2, 2.5)
    ]  # fmt: skip
    assert [tuple(row) for row in repeats] == [("DULL", 1), ("STAR", 2)]
    assert again == []
    assert head == 2


def test_only_the_newest_minute_is_scanned_with_those_before_in_sight(manager):
    scans = Scans([GAINERS], "nse", days_from(manager, "nse"), picks_max=10)
    for number in range(5):
        scans.add(minute(number, STAR=100.0 + number))
    (result,) = scan(scans)
    scans.add(Minute(MinuteClosed("nse", OPEN_US + 86_400_000_000, 1), [
        OHLCVBar("STAR", "1m", OPEN_US + 86_400_000_000, 1.0, 1.0, 1.0, 1.0, 1)
    ]))  # fmt: skip
    (tomorrow,) = scan(scans)

    assert result.timestamp_us == OPEN_US + 4 * 60_000_000
    assert scans.passed_over == 4
    assert tomorrow.picks == (), "yesterday's bars are gone"


def test_what_cannot_run_is_named_and_the_rest_runs(manager, data_root):
    with DatabaseManager(data_root, Role.API).config_writer() as config:
        config.execute(
            "INSERT INTO watchlists (watchlist_id, name, created_at_us, updated_at_us) VALUES (7, 'mine', 1, 1)"
        )
        config.execute(
            "INSERT INTO watchlist_items (watchlist_id, exchange, symbol, position) VALUES (7, 'nse', 'STAR', 1)"
        )
        for name, code, expression, watchlist, parameters in (
            ("good", "gainers", "", 7, "{}"),
            ("own", "expression", "close > 100", None, "{}"),
            ("typo", "gainerz", "", None, "{}"),
            ("torn", "gainers", "", None, "{not json}"),
            ("hostile", "expression", "__import__('os').system('true')", None, "{}"),
        ):
            config.execute(
                "INSERT INTO scan_configs VALUES (?, ?, ?, 1, 'nse', '1m', ?, ?, 1)",
                (name, code, expression, watchlist, parameters),
            )
    chosen = choose_scans(manager, settings(TRADEFLEET_DATA=str(data_root)))
    scans = Scans(chosen.scans, "nse", lambda symbols, today: {}, picks_max=10)
    scans.add(minute(0, STAR=104.0, DULL=99.0))
    found = {result.scan_id: [pick.symbol for pick in result.picks] for result in scan(scans)}

    assert [(each.scan_id, each.watchlist, each.symbols) for each in chosen.scans] == [
        ("good", "mine", ("STAR",)), ("own", "", None)
    ]  # fmt: skip
    assert sorted(text.split(":")[0] for text in chosen.broken) == ["hostile", "torn", "typo"]
    assert found == {"good": [], "own": ["STAR"]}
