"""Certificates: what a day holds, minute by minute, is counted from its file, and what is absent is said."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from libs.core.errors import Refused
from libs.dbaccess import EODRollover
from libs.dbaccess.coverage import compare_with_broker, coverage, require_coverage, stored_certificates
from libs.dbaccess.roles import Role
from tests.kit.commands import fleet_here
from tests.kit.market_days import (
    MONDAY,
    OPEN_MINUTE,
    archive_day,
    arrow,
    at_us,
    candle,
    close_day,
    minutes,
    stores,
    tick,
)
from tests.kit.roots import copy_of, copy_stores

AUCTION_DAY = date(2026, 8, 3)
FRIDAY, TUESDAY = MONDAY - timedelta(days=3), MONDAY + timedelta(days=1)
LATE = (
    "INSERT INTO late_ticks (exchange, symbol, trading_date, timestamp_us, price, volume, tick_seq, bar_us,"
    " received_at_us) VALUES ('nse', 'INFY', '2026-02-02', 1, 1.0, 1, 7, 1, 1)"
)


@pytest.fixture
def rolled(data_root):
    """Monday rolled over: INFY whole but for two minutes, TCS with ticks alone, ACC never heard of."""
    return copy_of(roll_monday, data_root)


def roll_monday(root):
    copy_stores(root)
    rows = [{**row, "origin": "live"} for row in minutes("INFY", MONDAY)]
    del rows[100:102]
    rows[10]["origin"] = rows[11]["origin"] = "backfill"
    rows[12]["origin"] = "synthetic"
    rows.append({**candle("INFY", at_us(MONDAY, OPEN_MINUTE + 376)), "origin": "live"})  # beyond the session
    db = stores(root, Role.INGESTOR)
    with db.live_buffer_writer() as buffer:
        buffer.append("candles", arrow(rows))
        buffer.append("ticks", arrow([tick("TCS", at_us(MONDAY, OPEN_MINUTE), 1)]))
        buffer.flush()
    with db.ledger_session() as session, session.transaction() as connection:
        connection.execute(LATE)
    assert EODRollover(db, symbols=["ACC", "INFY"]).execute(MONDAY)


def test_rollover_certifies_every_symbol_of_the_day(rolled):
    found = {each.symbol: each for each in stored_certificates(stores(rolled), "nse", MONDAY, MONDAY)}

    infy = found["INFY"]
    assert (infy.bars_expected, infy.bars_live, infy.bars_backfilled, infy.bars_synthetic) == (375, 370, 2, 1)
    assert (infy.bars_missing, infy.late_ticks, infy.bars_compared) == (2, 1, None)
    assert {name: each.bars_missing for name, each in found.items()} == {"ACC": 375, "INFY": 2, "TCS": 375}


def test_a_share_of_the_closing_auction_misses_nothing_from_then_on(data_root):
    """From 3 August 2026 some shares trade until 15:15 and print once more after 15:30; the others trade on."""
    auctioned, whole = minutes("ACC", AUCTION_DAY, 360), minutes("INFY", AUCTION_DAY, 374)
    price = candle("ACC", at_us(AUCTION_DAY, 15 * 60 + 31))
    silent = minutes("TCS", AUCTION_DAY, 360)  # its feed went, and no auction's price came
    # traded on to the end: what printed after it makes it none of the auction's
    late = [*minutes("SBIN", AUCTION_DAY, 375), candle("SBIN", at_us(AUCTION_DAY, 15 * 60 + 31))]
    rows = [*auctioned, price, *whole, *late, *silent]
    close_day(data_root, AUCTION_DAY, [{**each, "origin": "live"} for each in rows])
    (day,) = coverage(stores(data_root), "nse", AUCTION_DAY, AUCTION_DAY)

    found = {each.symbol: (each.bars_expected, each.bars_live, each.bars_missing) for each in day.certificates}
    assert found == {"ACC": (360, 360, 0), "INFY": (375, 374, 1), "SBIN": (375, 375, 0), "TCS": (375, 360, 15)}


def test_a_short_session_expects_its_own_minutes(data_root):
    """One hour at Diwali, in the afternoon: sixty minutes, and none of an ordinary day's."""
    muhurat = date(2025, 10, 21)
    hour = minutes("INFY", muhurat, 59, first=13 * 60 + 45)
    close_day(data_root, muhurat, [{**each, "origin": "live"} for each in [*hour, *minutes("INFY", muhurat, 1)]])
    (day,) = coverage(stores(data_root), "nse", muhurat, muhurat)

    assert (day.bars_expected, day.bars_live, day.bars_missing) == (60, 59, 1)


def test_an_archived_day_is_counted_from_the_archive(data_root):
    copy_stores(data_root)
    archive_day(data_root, MONDAY, [{**each, "origin": "live"} for each in minutes("INFY", MONDAY, 300)])
    (day,) = coverage(stores(data_root), "nse", MONDAY, MONDAY)

    assert (day.symbols, day.bars_live, day.bars_missing) == (1, 300, 75)


def test_brokers_candles_are_held_against_ours(rolled):
    """A price and a volume apart are two differing bars; ours stay, and counting again forgets nothing."""
    db = stores(rolled, Role.INGESTOR)
    theirs = minutes("INFY", MONDAY, 50)
    theirs[3]["high"] += 0.25
    theirs[4]["volume"] += 1
    (compared,) = compare_with_broker(db, "nse", MONDAY, arrow(theirs))

    assert compared == ("INFY", 50, 2, 0.25)
    (infy,) = stored_certificates(db, "nse", MONDAY, MONDAY, ["INFY"])
    assert (infy.bars_compared, infy.bars_differing, infy.difference_max) == (50, 2, 0.25)
    assert EODRollover(db).execute(MONDAY)
    compare_with_broker(db, "nse", MONDAY, arrow(minutes("ACC", MONDAY, 1)))
    assert stored_certificates(db, "nse", MONDAY, MONDAY, ["INFY"]) == [infy]


def test_days_without_certificates_are_counted_and_absent_days_are_shown(rolled):
    close_day(rolled, FRIDAY, [{**row, "origin": "import"} for row in minutes("INFY", FRIDAY)])
    friday, sunday, monday, tuesday = coverage(stores(rolled), "nse", FRIDAY, TUESDAY, ["INFY"])

    assert (friday.stored, friday.bars_backfilled, friday.present_percent) == (False, 375, 100.0)
    assert (monday.stored, monday.bars_missing) == (True, 2)
    assert (tuesday.symbols, tuesday.present_percent) == (0, 0.0)
    assert sunday.symbols == 0  # the special session of the budget
    require_coverage(stores(rolled), "nse", MONDAY, MONDAY, percent=99.0, symbols=["INFY"])
    with pytest.raises(Refused, match=r"1 symbol-days .*: INFY on 2026-02-02 with 99.5 %"):
        require_coverage(stores(rolled), "nse", MONDAY, MONDAY, percent=99.9, symbols=["INFY"])


def test_command_shows_it_and_holds_to_a_minimum(rolled):
    dates = ("--from", MONDAY, "--to", TUESDAY)
    found = fleet_here("coverage", *dates, "--json", TRADEFLEET_DATA=str(rolled))
    monday, tuesday = json.loads(found.stdout)
    assert (monday["bars_missing"], monday["symbols"], len(monday["certificates"])) == (752, 3, 3)
    assert tuesday["symbols"] == 0

    short = fleet_here("coverage", *dates, "--symbols", "INFY", "--min", "99", TRADEFLEET_DATA=str(rolled))
    assert short.returncode == 1
    assert "99.5" in short.stdout
