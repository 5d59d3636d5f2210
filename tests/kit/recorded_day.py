"""A recorded day of candles as an ingestor's journal holds it, and somebody who tells it over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from libs.contracts import MinuteClosed, OHLCVBar
from libs.contracts.topics import topic
from libs.messaging import Publisher, Record
from libs.settings import Settings
from tests.kit.journals import ListJournal
from tests.kit.regimes import market, minutes

STREAM = "candles"


def recorded(symbols: Sequence[str], *, seed: int = 11) -> list[Record]:
    """The bars of each minute, then its closing; some did not trade in some minutes."""
    made: list[Record] = []
    last: dict[str, int] = {}
    for bars in minutes(market(symbols, seed=seed, missing=0.02)):
        at_us = bars[0].timestamp_us
        for item in (*bars, MinuteClosed("nse", at_us, len(bars))):
            is_bar = isinstance(item, OHLCVBar)
            name = topic("candle", "1m", "nse", item.symbol) if is_bar else topic("market", "nse", "minute_closed")
            seq = len(made) + 1
            numbered = msgspec.structs.replace(item, seq=seq)
            made.append(Record(name, seq, numbered, at_us, 0, last.get(name, 0)))
            last[name] = seq
    return made


def minute_ends(day: Sequence[Record]) -> list[int]:
    """How many records there are up to the closing of each minute."""
    return [at for at, record in enumerate(day, 1) if isinstance(record.payload, MinuteClosed)]


class Teller:
    """Journals and publishes a day as far as it is told to; whoever joins is answered meanwhile."""

    def __init__(self, settings: Settings, day: Sequence[Record]) -> None:
        self._settings = settings
        self._day = day
        self._upto = 0
        self._is_over = False

    def upto(self, count: int) -> None:
        """Let the first records of the day be known."""
        self._upto = count

    def run(self) -> None:
        """Tell until it is over; the sockets belong to the thread that runs this."""
        journal, told = ListJournal([STREAM]), 0
        with Publisher.open("ingestor", settings=self._settings, source=journal) as publisher:
            while not self._is_over:
                while told < self._upto:
                    record = self._day[told]
                    journal.append(STREAM, record)
                    publisher.publish(record.topic, record.payload, seq=record.seq)
                    told += 1
                publisher.pump()
                time.sleep(0.002)

    def end(self) -> None:
        """Let `run` come to its end."""
        self._is_over = True


@contextmanager
def telling(settings: Settings, day: Sequence[Record]) -> Iterator[Teller]:
    """Give a teller in a thread of its own."""
    teller = Teller(settings, day)
    thread = threading.Thread(target=teller.run)
    thread.start()
    try:
        yield teller
    finally:
        teller.end()
        thread.join()
