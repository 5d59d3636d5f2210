"""What trading costs: brokerage, STT, exchange, investor protection, SEBI, stamp duty, GST, depository. Exact paise.

The rates are dated tables in `config/charges/*.toml`, read by `libs.settings.charges` and handed in. Charges are
due on an order's turnover of a day (brokerage has a cap per order), so the fees of one fill are what that fill added:
however an order is cut into fills, its fees add up to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from libs.contracts.orders import Side
from libs.core.errors import Refused
from libs.core.money import percent_to_parts, rate, to_paise
from libs.orders.instrument import Segment

#: What GST may be charged on, in the order of the fields of `Charges`.
TAXABLE = ("brokerage", "exchange", "ipft", "sebi", "depository")


class Charges(msgspec.Struct, frozen=True):
    """One order's charges, in paise."""

    brokerage: int = 0
    stt: int = 0
    exchange: int = 0
    ipft: int = 0
    sebi: int = 0
    stamp: int = 0
    gst: int = 0
    depository: int = 0

    @property
    def total(self) -> int:
        """Add it all up."""
        return (
            self.brokerage + self.stt + self.exchange + self.ipft + self.sebi + self.stamp + self.gst + self.depository
        )


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[table]]` as it stands in the file: percentages and rupees as text, so that they are exact."""

    from_: date = msgspec.field(name="from")
    brokerage_flat: str
    stt_buy_percent: str
    stt_sell_percent: str
    exchange_percent: dict[str, str]
    ipft_percent: dict[str, str]
    sebi_percent: str
    stamp_buy_percent: str
    gst_percent: str
    gst_on: list[str]
    brokerage_percent_max: str = ""
    depository: str = "0"


class ChargeTable(msgspec.Struct, frozen=True):
    """The rates of one segment from a date on; rates in parts per billion, amounts in paise."""

    segment: Segment
    since: date
    brokerage_flat_paise: int
    brokerage_max: int | None
    stt_buy: int
    stt_sell: int
    exchange: dict[str, int]
    ipft: dict[str, int]
    sebi: int
    stamp_buy: int
    gst: int
    gst_on: frozenset[str]
    depository_paise: int

    def order(self, exchange: str, side: Side, turnover_paise: int) -> Charges:
        """Charge an order's turnover of one day."""
        if exchange not in self.exchange:
            raise Refused(f"no charges of {self.segment} for exchange {exchange!r}; known: {', '.join(self.exchange)}")
        if turnover_paise == 0:
            return Charges()
        is_buy = side is Side.BUY
        brokerage = self.brokerage_flat_paise
        if self.brokerage_max is not None:
            brokerage = min(brokerage, rate(turnover_paise, self.brokerage_max))
        parts = {
            "brokerage": brokerage,
            "exchange": rate(turnover_paise, self.exchange[exchange]),
            "ipft": rate(turnover_paise, self.ipft[exchange]),
            "sebi": rate(turnover_paise, self.sebi),
        }
        return Charges(
            **parts,
            stt=rate(turnover_paise, self.stt_buy if is_buy else self.stt_sell),
            stamp=rate(turnover_paise, self.stamp_buy) if is_buy else 0,
            gst=rate(sum(paise for name, paise in parts.items() if name in self.gst_on), self.gst),
        )

    def fill_fees_paise(self, exchange: str, side: Side, *, before_paise: int, after_paise: int) -> int:
        """Give what a fill added, from its order's turnover before and after it."""
        return self.order(exchange, side, after_paise).total - self.order(exchange, side, before_paise).total

    def depository_fees(self) -> Charges:
        """Charge shares leaving the account: once per symbol and day, however many orders sold them."""
        gst = rate(self.depository_paise, self.gst) if "depository" in self.gst_on else 0
        return Charges(depository=self.depository_paise, gst=gst)


class ChargeBook:
    """All tables; the one that holds on a date is found by segment."""

    def __init__(self, tables: Iterable[ChargeTable]) -> None:
        self._tables: dict[Segment, list[ChargeTable]] = {}
        for table in sorted(tables, key=lambda t: t.since):
            self._tables.setdefault(table.segment, []).append(table)

    def table(self, segment: Segment, day: date) -> ChargeTable:
        """Give the rates that hold on a day; refuse a day before the first table rather than guess."""
        for table in reversed(self._tables.get(segment, [])):
            if table.since <= day:
                return table
        known = [str(t.since) for t in self._tables.get(segment, [])]
        raise Refused(f"no charges of {segment} for {day}; tables begin {', '.join(known) or 'nowhere'}")

    @classmethod
    def from_documents(cls, documents: Mapping[str, Mapping[str, Any]]) -> ChargeBook:
        """Make the book out of parsed files, named so that an error can say which."""
        return cls(table for name, document in documents.items() for table in _parse(name, document))


def _parse(name: str, document: Mapping[str, Any]) -> list[ChargeTable]:
    try:
        segment = Segment(document["segment"])
        rows = msgspec.convert(document["table"], list[_Row])
        return [_table(segment, row) for row in rows]
    except (KeyError, ValueError, ArithmeticError, Refused) as e:
        raise Refused(f"{name}: no table of charges: {type(e).__name__}: {e}") from e


def _table(segment: Segment, row: _Row) -> ChargeTable:
    if unknown := set(row.gst_on) - set(TAXABLE):
        raise Refused(f"gst_on names {', '.join(sorted(unknown))}; known: {', '.join(TAXABLE)}")
    if row.exchange_percent.keys() != row.ipft_percent.keys():
        raise Refused("exchange_percent and ipft_percent must name the same exchanges")
    return ChargeTable(
        segment=segment,
        since=row.from_,
        brokerage_flat_paise=to_paise(Decimal(row.brokerage_flat)),
        brokerage_max=percent_to_parts(row.brokerage_percent_max) if row.brokerage_percent_max else None,
        stt_buy=percent_to_parts(row.stt_buy_percent),
        stt_sell=percent_to_parts(row.stt_sell_percent),
        exchange={name: percent_to_parts(percent) for name, percent in row.exchange_percent.items()},
        ipft={name: percent_to_parts(percent) for name, percent in row.ipft_percent.items()},
        sebi=percent_to_parts(row.sebi_percent),
        stamp_buy=percent_to_parts(row.stamp_buy_percent),
        gst=percent_to_parts(row.gst_percent),
        gst_on=frozenset(row.gst_on),
        depository_paise=to_paise(Decimal(row.depository)),
    )
