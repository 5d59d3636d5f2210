"""C1: the broker's instrument file becomes instruments; a bad row spoils only itself."""

from __future__ import annotations

import gzip
import json
from datetime import date

import pytest

from libs.core.errors import Refused
from libs.upstox.instrument_file import parse_instruments

DAY = date(2026, 11, 20)
SHARE = {
    "segment": "NSE_EQ", "name": "LEMON TREE HOTELS LTD", "exchange": "NSE", "isin": "INE970X01018",
    "instrument_type": "EQ", "instrument_key": "NSE_EQ|INE970X01018", "lot_size": 1, "freeze_quantity": 100000.0,
    "exchange_token": "2606", "tick_size": 1.0, "trading_symbol": "LEMONTREE", "security_type": "NORMAL",
}  # fmt: skip
OPTION = {
    "weekly": False, "segment": "NSE_FO", "name": "RELIANCE", "exchange": "NSE", "expiry": 1795458599000,
    "instrument_type": "CE", "asset_symbol": "RELIANCE", "underlying_symbol": "RELIANCE", "lot_size": 500,
    "instrument_key": "NSE_FO|54321", "freeze_quantity": 20000.0, "tick_size": 5.0, "strike_price": 1400.0,
    "trading_symbol": "RELIANCE 1400 CE 23 NOV 26", "qty_multiplier": 1.0, "minimum_lot": 500,
}  # fmt: skip
INDEX = {
    "segment": "NSE_INDEX", "name": "Nifty 50", "exchange": "NSE", "instrument_type": "INDEX",
    "instrument_key": "NSE_INDEX|Nifty 50", "trading_symbol": "NIFTY", "exchange_token": "26000",
}  # fmt: skip


def read(*rows, **options):
    return parse_instruments(gzip.compress(json.dumps(rows).encode()), DAY, **options)


def test_a_share():
    (share,) = read(SHARE).instruments

    assert (share.exchange, share.symbol, share.instrument_key) == ("nse", "LEMONTREE", "NSE_EQ|INE970X01018")
    assert (share.tick_size, share.lot_size, share.freeze_quantity) == (0.01, 1, 100_000)  # the file counts paise
    assert (share.isin, share.expiry, share.strike) == ("INE970X01018", None, None)
    assert share.valid_from == DAY


def test_shares_of_the_closing_auction_are_marked():
    marked, other = read(SHARE | {"cas_eligible": True}, SHARE).instruments

    assert (marked.closing_auction, other.closing_auction) == (True, False)


def test_an_option_expires_on_a_date_in_ist():
    (option,) = read(OPTION).instruments

    assert (option.expiry, option.strike, option.underlying) == (date(2026, 11, 23), 1400.0, "RELIANCE")
    assert (option.lot_size, option.tick_size) == (500, 0.05)


def test_an_index_has_no_lot_and_no_tick_of_its_own():
    (index,) = read(INDEX).instruments

    assert (index.lot_size, index.tick_size, index.freeze_quantity) == (1, 0.05, None)


def test_plain_json_and_chosen_segments():
    data = json.dumps([SHARE, OPTION, INDEX]).encode()
    chosen = parse_instruments(data, DAY, segments={"NSE_EQ", "NSE_INDEX"}).instruments

    assert [row.symbol for row in chosen] == ["LEMONTREE", "NIFTY"]


@pytest.mark.parametrize(
    "wrong",
    [
        SHARE | {"lot_size": "one"},
        SHARE | {"lot_size": 1.5},
        SHARE | {"freeze_quantity": -5},
        SHARE | {"instrument_key": ""},
        {"trading_symbol": "X"},
        ["not", "a", "row"],
        7,
    ],
)
def test_a_bad_row_is_named_and_spoils_only_itself(wrong):
    parsed = read(SHARE, wrong, INDEX)

    assert [row.symbol for row in parsed.instruments] == ["LEMONTREE", "NIFTY"]
    assert len(parsed.refused) == 1
    assert parsed.refused[0].startswith("row 1: ")


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>403</html>", b'{"status":"error"}', gzip.compress(b"[]", mtime=0)[:-9], b"\x1f\x8bgarbage"],
)
def test_what_is_no_file_is_refused(data):
    """A gateway's error page or half a download must not empty the master."""
    with pytest.raises(Refused, match="cannot be read"):
        parse_instruments(data, DAY)


def test_the_simulators_file_is_readable():
    """The fake broker's file and the real one's are read by the same code."""
    from services.exchange_sim.market.instruments import Listing

    rows = Listing(60, 7).rows()
    parsed = parse_instruments(gzip.compress(json.dumps(rows).encode()), DAY)

    assert not parsed.refused
    assert len(parsed.instruments) == len(rows)
    assert {row.symbol for row in parsed.instruments} > {"RELIANCE", "BAJAJ-AUTO"}
