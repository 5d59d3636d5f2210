"""Charges: the worked examples of the documentation, and that cutting an order into fills costs nothing extra."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.orders import Side
from libs.core.errors import Refused
from libs.core.money import rupees, value_paise
from libs.orders.charges import ChargeBook
from libs.orders.instrument import Instrument, Kind, Segment
from libs.orders.model import Product
from libs.settings.charges import SettingsError, read_charges
from tests.kit.paths import PROJECT

BOOK = ChargeBook.from_documents(read_charges())
PAGE = PROJECT / "docs" / "reference" / "charges.md"
PARTS = ("brokerage", "stt", "exchange", "ipft", "sebi", "stamp", "gst", "total")


def worked_examples():
    lines = PAGE.read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] in set(Segment)]


@pytest.mark.parametrize("row", worked_examples(), ids=lambda row: f"{row[0]} {row[1]} {row[2]}")
def test_worked_example_holds(row):
    """G1: what the page works out by hand is what every fill is charged."""
    segment, day, side, quantity, price, *expected = row
    turnover = value_paise(float(price), int(quantity))
    charges = BOOK.table(Segment(segment), date.fromisoformat(day)).order("nse", Side(side), turnover)

    assert {part: rupees(getattr(charges, part)) for part in PARTS} == dict(
        zip(PARTS, map(Decimal, expected), strict=True)
    )


def test_the_page_has_an_example_of_every_table_in_force_today():
    covered = {(row[0], BOOK.table(Segment(row[0]), date.fromisoformat(row[1])).since) for row in worked_examples()}

    assert {(s.value, BOOK.table(s, date(2026, 11, 21)).since) for s in Segment} <= covered
    assert "23.60 together" in PAGE.read_text("utf-8")
    assert BOOK.table(Segment.DELIVERY, date(2026, 6, 1)).depository_fees().total == 2_360


@given(
    st.sampled_from(list(Segment)),
    st.sampled_from(list(Side)),
    st.lists(st.integers(1, 10**9), min_size=1, max_size=12),
)
def test_fees_of_the_fills_add_up_to_the_order(segment, side, fills):
    table = BOOK.table(segment, date(2026, 6, 1))
    done, fees = 0, []
    for paise in fills:
        fees.append(table.fill_fees_paise("nse", side, before_paise=done, after_paise=done + paise))
        done += paise

    assert sum(fees) == table.order("nse", side, done).total
    assert min(fees) >= 0


@pytest.mark.parametrize(
    ("kind", "product", "segment"),
    [
        (Kind.EQUITY, Product.INTRADAY, Segment.INTRADAY),
        (Kind.EQUITY, Product.DELIVERY, Segment.DELIVERY),
        (Kind.FUTURE, Product.INTRADAY, Segment.FUTURES),
        (Kind.OPTION, Product.DELIVERY, Segment.OPTIONS),
    ],
)
def test_segment_of(kind, product, segment):
    assert Instrument(symbol="X", kind=kind).segment(product) is segment


def test_a_day_before_the_tables_is_refused():
    with pytest.raises(Refused, match="tables begin 2023-04-01"):
        BOOK.table(Segment.INTRADAY, date(2020, 1, 1))
    with pytest.raises(Refused, match="for exchange 'mcx'"):
        BOOK.table(Segment.INTRADAY, date(2026, 1, 1)).order("mcx", Side.BUY, 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"brokerage_flat": 20}, "brokerage_flat"),
        ({"gst_on": ["lunch"]}, "lunch"),
        ({"stt_sell_percent": "0.00000000025"}, "parts per billion"),
        ({"ipft_percent": {"nse": "0"}}, "same exchanges"),
        ({"surprise": "1"}, "surprise"),
    ],
)
def test_a_wrong_table_is_refused_with_its_file(change, message):
    name, document = next(iter(read_charges().items()))
    broken = document | {"table": [document["table"][0] | change]}
    with pytest.raises(Refused, match=message) as caught:
        ChargeBook.from_documents({name: broken})

    assert name in str(caught.value)


def test_missing_charges_say_where_they_belong(tmp_path):
    with pytest.raises(SettingsError, match=r"intraday\.toml"):
        read_charges(tmp_path)


def test_every_table_names_its_sources():
    """A rate without a source cannot be checked by anybody."""
    for name, document in read_charges().items():
        assert document["source"], name
        assert all(source["what"] and source["where"] for source in document["source"]), name
