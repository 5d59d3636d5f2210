"""What is listed: the well-known fifty, as many invented shares as asked for, and one index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from libs.core.errors import Refused

SYMBOLS_MAX = 2000
INDEX_KEY = "NSE_INDEX|Nifty 50"

#: Symbol, ISIN and a base price of about the right size, most traded first. Prices are invented, names are real.
_FIFTY = """
RELIANCE INE002A01018 1400|HDFCBANK INE040A01034 980|ICICIBANK INE090A01021 1380|INFY INE009A01021 1500
TCS INE467B01029 3100|SBIN INE062A01020 870|BHARTIARTL INE397D01024 1950|ITC INE154A01025 405
LT INE018A01030 3800|AXISBANK INE238A01034 1180|KOTAKBANK INE237A01028 2100|HINDUNILVR INE030A01027 2500
BAJFINANCE INE296A01032 1010|MARUTI INE585B01010 15800|SUNPHARMA INE044A01036 1680|TITAN INE280A01028 3650
ULTRACEMCO INE481G01011 12100|NTPC INE733E01010 335|POWERGRID INE752E01010 285|ONGC INE213A01029 248
TATASTEEL INE081A01020 172|ASIANPAINT INE021A01026 2450|HCLTECH INE860A01027 1480|WIPRO INE075A01022 243
ADANIENT INE423A01024 2450|ADANIPORTS INE742F01042 1430|COALINDIA INE522F01014 390|JSWSTEEL INE019A01038 1150
NESTLEIND INE239A01024 1230|BAJAJFINSV INE918I01026 2050|TECHM INE669C01036 1450|GRASIM INE047A01021 2750
HINDALCO INE038A01020 760|CIPLA INE059A01026 1520|DRREDDY INE089A01031 1260|EICHERMOT INE066A01021 6900
HEROMOTOCO INE158A01026 5400|BAJAJ-AUTO INE917I01010 8900|BRITANNIA INE216A01030 5900|APOLLOHOSP INE437A01024 7700
TATACONSUM INE192A01025 1130|INDUSINDBK INE095A01012 760|SBILIFE INE123W01016 1820|HDFCLIFE INE795G01014 765
BPCL INE029A01011 335|SHRIRAMFIN INE721A01047 640|TRENT INE849A01020 4900|BEL INE263A01024 400
DIVISLAB INE361B01024 6100|NHPC INE848E01016 86
"""


@dataclass(frozen=True)
class Instrument:
    """One listed thing. `rank` orders by how much it trades and seeds its path; the index has the last rank."""

    key: str
    symbol: str
    name: str
    isin: str
    rank: int
    price_base: float
    tick_size: float
    freeze_quantity: int
    is_index: bool = False
    lot_size: int = 1

    @property
    def segment(self) -> str:
        """The part of the key before the bar."""
        return self.key.partition("|")[0]

    @property
    def exchange_token(self) -> str:
        """A number the exchange would use."""
        return str(26000 if self.is_index else 2000 + self.rank)

    @cached_property
    def trades_per_minute(self) -> float:
        """How often it trades on an average minute; the index is a value published every second."""
        return 60.0 if self.is_index else 300.0 / (1.0 + self.rank / 8.0)

    def on_tick(self, price: float) -> bool:
        """Say whether a price is a multiple of the tick size."""
        return abs(price / self.tick_size - round(price / self.tick_size)) < 1e-6

    def round_price(self, price: float) -> float:
        """Give the nearest price the exchange would take."""
        return round(round(price / self.tick_size) * self.tick_size, 2)


class Listing:
    """All instruments of one simulated exchange, found by key."""

    def __init__(self, count: int, seed: int) -> None:
        if not 1 <= count <= SYMBOLS_MAX:
            raise Refused(f"{count} symbols asked for; the simulator lists 1 to {SYMBOLS_MAX}")
        shares = _known()[:count] + _invented(count, seed)
        self.instruments = (*shares, _index())
        self.by_key = {instrument.key: instrument for instrument in self.instruments}
        self.index = self.instruments[-1]

    def find(self, key: str) -> Instrument | None:
        """Look an instrument up by its key; the old spelling with a colon is understood too."""
        return self.by_key.get(key) or self.by_key.get(key.replace(":", "|", 1))

    def rows(self) -> list[dict[str, object]]:
        """The broker's instrument master, one dict an instrument; tick_size is in paise there."""
        return [_row(instrument) for instrument in self.instruments]


def _known() -> list[Instrument]:
    words = [entry.split() for entry in _FIFTY.replace("\n", "|").strip("|").split("|")]
    return [_share(rank, symbol, isin, float(price)) for rank, (symbol, isin, price) in enumerate(words)]


def _invented(count: int, seed: int) -> list[Instrument]:
    known = len(_known())
    if count <= known:
        return []
    prices = np.exp(np.random.default_rng([seed, 50]).normal(math.log(400), 1.0, SYMBOLS_MAX))
    return [
        _share(rank, f"SIM{rank:04d}", _isin(rank), float(min(max(prices[rank], 20), 20_000)))
        for rank in range(known, count)
    ]


def _share(rank: int, symbol: str, isin: str, price: float) -> Instrument:
    return Instrument(
        key=f"NSE_EQ|{isin}", symbol=symbol, name=f"{symbol} LIMITED", isin=isin, rank=rank, price_base=price,
        tick_size=_tick_size(price), freeze_quantity=max(1000, round(100_000_000 / price / 1000) * 1000),
    )  # fmt: skip


def _index() -> Instrument:
    return Instrument(
        key=INDEX_KEY, symbol="NIFTY", name="Nifty 50", isin="", rank=SYMBOLS_MAX, price_base=25_000.0,
        tick_size=0.05, freeze_quantity=0, is_index=True,
    )  # fmt: skip


def _tick_size(price: float) -> float:
    """NSE's tick grows with the price of a share; this is its table since 2025."""
    steps = ((250, 0.01), (1000, 0.05), (5000, 0.10), (10_000, 0.50), (20_000, 1.0))
    return next((tick for limit, tick in steps if price < limit), 5.0)


def _isin(rank: int) -> str:
    body = f"INE{rank:04d}X0101"[:11]
    return body + str(isin_check_digit(body))


def isin_check_digit(body: str) -> int:
    """Luhn over the letters as numbers, as ISO 6166 has it."""
    digits = "".join(str(int(letter, 36)) for letter in body)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def _row(instrument: Instrument) -> dict[str, object]:
    row: dict[str, object] = {
        "segment": instrument.segment,
        "name": instrument.name,
        "exchange": "NSE",
        "instrument_type": "INDEX" if instrument.is_index else "EQ",
        "instrument_key": instrument.key,
        "exchange_token": instrument.exchange_token,
        "trading_symbol": instrument.symbol,
    }
    if not instrument.is_index:
        row |= {
            "isin": instrument.isin,
            "short_name": instrument.symbol,
            "lot_size": instrument.lot_size,
            "minimum_lot": instrument.lot_size,
            "freeze_quantity": float(instrument.freeze_quantity),
            "tick_size": round(instrument.tick_size * 100, 4),
            "qty_multiplier": 1.0,
            "security_type": "NORMAL",
            "cas_eligible": instrument.rank < 200,
        }
    return row
