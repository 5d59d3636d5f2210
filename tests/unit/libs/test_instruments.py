"""C1: symbol to key and back, on any date; what a new file changes."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from libs.contracts.instruments import Instrument, InstrumentBook, unambiguous
from libs.core.errors import Refused

FIRST, SECOND, THIRD = date(2026, 1, 1), date(2026, 6, 1), date(2026, 9, 1)


def share(symbol, key=None, **facts):
    base = {"exchange": "nse", "segment": "NSE_EQ", "instrument_type": "EQ", "valid_from": FIRST}
    return Instrument(symbol=symbol, instrument_key=key or f"NSE_EQ|{symbol}", **(base | facts))


def imported(book, day, *rows, exchange="nse"):
    return book.applied(book.changes(rows, day, exchange))


def test_symbol_and_key_are_each_others_way_back():
    book = InstrumentBook([share("ACC"), share("TCS")])

    assert book.key_of("TCS") == "NSE_EQ|TCS"
    assert book.by_key("NSE_EQ|ACC").symbol == "ACC"
    assert book.find("ACC", "bse") is None
    with pytest.raises(Refused, match="lists no 'NOPE' now"):
        book.key_of("NOPE")


def test_a_symbol_that_changes_hands_is_found_by_date():
    """A share was renamed and another took over its old symbol later."""
    book = InstrumentBook([])
    book = imported(book, FIRST, share("OLD", "NSE_EQ|1"))
    book = imported(book, SECOND, share("NEW", "NSE_EQ|1"))
    book = imported(book, THIRD, share("NEW", "NSE_EQ|1"), share("OLD", "NSE_EQ|2"))

    assert book.key_of("OLD", day=date(2026, 5, 31)) == "NSE_EQ|1"
    assert book.find("OLD", day=SECOND) is None
    assert book.key_of("OLD") == book.key_of("OLD", day=THIRD) == "NSE_EQ|2"
    assert book.by_key("NSE_EQ|1", day=date(2026, 3, 1)).symbol == "OLD"
    assert book.by_key("NSE_EQ|1").symbol == "NEW"


def test_a_changed_lot_keeps_its_history():
    book = imported(InstrumentBook([]), FIRST, share("ACC", lot_size=1))
    book = imported(book, SECOND, share("ACC", lot_size=5))

    assert [book.find("ACC", day=day).lot_size for day in (FIRST, date(2026, 5, 31), SECOND, THIRD)] == [1, 1, 5, 5]


def test_what_did_not_change_is_no_change():
    """The same file on another day, and the same file twice on one day."""
    book = imported(InstrumentBook([]), FIRST, share("ACC"), share("TCS"))

    assert book.changes([share("TCS", valid_from=SECOND), share("ACC", valid_from=SECOND)], SECOND, "nse") == []
    assert book.changes([share("ACC"), share("TCS")], FIRST, "nse") == []


def test_a_second_file_of_the_same_day_replaces_the_first():
    book = imported(InstrumentBook([]), FIRST, share("ACC", lot_size=1))
    book = imported(book, FIRST, share("ACC", lot_size=5))

    assert len(book) == 1
    assert book.find("ACC").lot_size == 5


def test_a_file_of_one_exchange_ends_nothing_on_another():
    book = InstrumentBook([share("ACC"), share("ACC", "BSE_EQ|ACC", exchange="bse")])
    book = imported(book, SECOND, exchange="nse")

    assert book.find("ACC") is None
    assert book.find("ACC", "bse")


def test_a_share_wins_over_an_index_of_the_same_symbol():
    index = share("NIFTY", "NSE_INDEX|x", instrument_type="INDEX")
    other = share("NIFTY", "NSE_FO|y", instrument_type="FUT")

    assert unambiguous([other, index, share("NIFTY")]) == [share("NIFTY")]
    assert unambiguous([other, index]) == [index]


def test_search_puts_the_symbol_before_the_name():
    book = InstrumentBook(
        [
            share("ITCHOTELS"),
            share("ITC"),
            share("PITCH"),
            share("X", name="Itchy Ltd"),
            replace(share("ITC9"), valid_to=FIRST),
        ]
    )

    assert [row.symbol for row in book.search("itc")] == ["ITC", "ITCHOTELS", "PITCH", "X"]
    assert [row.symbol for row in book.search("itc", limit=1)] == ["ITC"]
