"""E3, E4: scans of the newest minute are stored, then told; known ones are not told again; broken ones stop nobody."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pyarrow as pa
import pytest

from libs.contracts import MinuteClosed, OHLCVBar
from libs.core.clock import SystemClock, day_start_us
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from services.scanner.days_before import days_from
from services.scanner.instances import choose
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ScanConfig, choose_scans
from services.scanner.scan_store import SCANS
from services.scanner.scanning import Scans
from services.scanner.store import SignalsStore
from tests.kit.roots import copy_stores, settings

DAY = date(2026, 2, 3)
OPEN_US = day_start_us(DAY) + 555 * 60_000_000
GAINERS = ScanConfig("movers", "gainers", "1m", '{"percent": 2}')


@pytest.fixture
def manager(data_root):
    copy_stores(data_root)
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


def no_past(symbols, today):
    return {}


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
            "INSERT INTO watchlists (watchlist_id, name, created_at_us, updated_at_us) "
            "VALUES (7, 'mine', 1, 1), (8, 'none', 1, 1)"
        )
        config.execute(
            "INSERT INTO watchlist_items (watchlist_id, exchange, symbol, position) VALUES (7, 'nse', 'STAR', 1)"
        )
        for name, code, expression, watchlist, parameters in (
            ("good", "gainers", "", 7, "{}"),
            ("empty", "gainers", "", 8, "{}"),
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
    scans = Scans(chosen.scans, "nse", no_past, picks_max=10)
    scans.add(minute(0, STAR=104.0, DULL=99.0))
    found = {result.scan_id: [pick.symbol for pick in result.picks] for result in scan(scans)}

    assert [(each.scan_id, each.watchlist, each.symbols) for each in chosen.scans] == [
        ("good", "mine", ("STAR",)), ("own", "", None)
    ]  # fmt: skip
    assert sorted(text.split(":")[0] for text in chosen.broken) == ["empty", "hostile", "torn", "typo"]
    assert "watchlist 'none' holds no symbol of nse" in "".join(chosen.broken)
    assert found == {"good": [], "own": ["STAR"]}


def test_a_scan_that_found_nothing_is_told_once(manager):
    """A restart in the same minute, or one that catches up with earlier ones, tells nobody again of nothing."""
    scans = Scans([GAINERS], "nse", days_from(manager, "nse"), picks_max=10)
    results = []
    for number in (0, 1):
        scans.add(minute(number, DULL=100.0 + number / 10))
        results += scan(scans)
    told = []
    for _ in range(2):
        with manager.writer_session(Store.SIGNALS) as session:
            told.append([each.payload.timestamp_us for each in SignalsStore(session, SystemClock()).found(results)])
    scans.add(minute(2, DULL=100.0))
    with manager.writer_session(Store.SIGNALS) as session:
        told.append([each.payload.timestamp_us for each in SignalsStore(session, SystemClock()).found(scan(scans))])

    assert [result.picks for result in results] == [(), ()]
    assert told == [[OPEN_US, OPEN_US + 60_000_000], [], [OPEN_US + 120_000_000]]


def test_who_disables_the_last_one_wants_none(manager, data_root):
    """The settings' scans and strategies are for a store that names none; they do not come back unasked."""
    defaults = settings(TRADEFLEET_DATA=str(data_root))
    defaults = msgspec.structs.replace(
        defaults,
        scanner=msgspec.structs.replace(
            defaults.scanner, scans=["gainers"], strategies=["sma_cross"], symbols=["STAR"]
        ),
    )
    before = choose_scans(manager, defaults).scans, choose(manager, defaults).instances
    with DatabaseManager(data_root, Role.API).config_writer() as config:
        config.execute("INSERT INTO scan_configs VALUES ('mine', 'gainers', '', 0, 'nse', '1m', NULL, '{}', 1)")
        config.execute(
            "INSERT INTO strategy_configs (instance, strategy, exchange, timeframe, symbols_json, updated_at_us) "
            "VALUES ('mine', 'sma_cross', 'nse', '1m', '[\"STAR\"]', 1)"
        )
    after = choose_scans(manager, defaults).scans, choose(manager, defaults).instances

    assert [len(each) for each in before] == [1, 1]
    assert after == ((), ())


def test_a_strategy_without_symbols_is_named(manager, data_root):
    with DatabaseManager(data_root, Role.API).config_writer() as config:
        config.execute(
            "INSERT INTO watchlists (watchlist_id, name, created_at_us, updated_at_us) VALUES (7, 'mine', 1, 1)"
        )
        for name, watchlist, symbols in (("a", 7, None), ("b", None, "[]"), ("c", None, '["STAR"]')):
            config.execute(
                "INSERT INTO strategy_configs (instance, strategy, is_enabled, exchange, timeframe, watchlist_id, "
                "symbols_json, updated_at_us) VALUES (?, 'sma_cross', 1, 'nse', '1m', ?, ?, 1)",
                (name, watchlist, symbols),
            )
    chosen = choose(manager, settings(TRADEFLEET_DATA=str(data_root)))

    assert [each.instance for each in chosen.instances] == ["c"]
    assert chosen.broken == (
        "a: watchlist 'mine' holds no symbol of nse; fill it or choose another", "b: it has no symbol; give it one"
    )  # fmt: skip


def test_a_symbol_that_comes_later_costs_its_own_past_only(manager):
    asked: list[tuple[str, ...]] = []
    read = days_from(manager, "nse")

    def counted(symbols, today):
        asked.append(tuple(symbols))
        return read(symbols, today)

    scans = Scans([GAINERS, ScanConfig("all", "losers", "1m", "{}")], "nse", counted, picks_max=10)
    found = []
    for number, closes in enumerate(({"NEW": 9.0}, {"NEW": 9.0, "STAR": 104.0}, {"DULL": 103.0, "STAR": 105.0})):
        scans.add(minute(number, **closes))
        found.append([(pick.symbol, round(pick.score, 6)) for pick in scan(scans)[0].picks])

    assert found == [[], [("STAR", 4.0)], [("STAR", 5.0), ("DULL", 3.0)]]
    assert asked == [("NEW",), ("STAR",), ("DULL",)]


def test_relative_strength_is_held_against_the_index():
    scans = Scans([ScanConfig("strong", "relative_strength", "1m", "{}")], "nse", no_past,
                  picks_max=10, index="NIFTY")  # fmt: skip
    for number in range(3):
        scans.add(minute(number, NIFTY=100.0 + number, STAR=100.0 + 3 * number, DULL=100.0 + number))
    (result,) = scan(scans)

    assert [(pick.symbol, round(pick.score, 6)) for pick in result.picks] == [("STAR", 4.0)]


def test_other_scans_take_their_place_with_the_day_in_sight():
    scans = Scans([GAINERS], "nse", no_past, picks_max=10)
    for number in range(2):
        scans.add(minute(number, STAR=100.0))
    scan(scans)
    scans.configure([ScanConfig("up", "expression", "1m", '{"expression": "close > close[2]"}')])
    scans.add(minute(2, STAR=101.0))
    (result,) = scan(scans)

    assert (result.scan_id, [pick.symbol for pick in result.picks]) == ("up", ["STAR"])
