"""What must hold of a capture, whatever the ingestor died of: computed anew from the stores and from what was sent."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, Self

import msgspec
import pandas as pd

from libs.contracts import Tick
from libs.contracts.bus import TickBatch
from libs.dbaccess import DatabaseManager
from libs.messaging import Received, Subscriber
from libs.settings import Settings

#: symbol, trade time in ms, price, volume of the day: how a tick is recognised on both sides.
Seen = tuple[str, int, float, int]


class Witness:
    """A subscriber that lives through everything, in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.ticks: list[Tick] = []
        self.candles: list[Received] = []
        self.gaps: list[object] = []
        self._settings = settings
        self._positions: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def candle_seqs(self) -> list[int]:
        return [message.seq for message in list(self.candles)]

    def position(self, stream: str) -> int:
        """Up to which seq it has everything there is for it."""
        return self._positions.get(stream, 0)

    def _read(self) -> None:
        topics = ["ticks.nse|", "candle.", "market.nse."]
        with Subscriber.open(topics, settings=self._settings, backfill=True, on_gap=self.gaps.append) as subscriber:
            while not self._stop.is_set():
                message = subscriber.poll(0.05)
                if message is None:
                    self._positions = subscriber.positions()
                    continue
                if isinstance(message.payload, TickBatch):
                    self.ticks += message.payload.ticks
                else:
                    self.candles.append(message)


class Stored:
    """What the stores hold after a capture."""

    def __init__(self, data_root: Path) -> None:
        manager = DatabaseManager(data_root)
        with manager.live_buffer_reader() as connections:
            ticks = connections["ticks"].execute(
                "SELECT seq, symbol, epoch_us(timestamp) AS us, price, volume, volume_day FROM ticks ORDER BY seq"
            )
            self.ticks: pd.DataFrame = ticks.df()
            candles = connections["candles"].execute(
                "SELECT seq, symbol, timeframe, epoch_us(timestamp) AS us, open, high, low, close, volume, origin "
                "FROM candles ORDER BY seq, symbol, timestamp"
            )
            every: pd.DataFrame = candles.df()
            #: What was published, and what was got for gaps afterwards.
            self.candles = every[every["seq"].notna()].reset_index(drop=True)
            self.backfilled = every[every["seq"].isna()].reset_index(drop=True)
        with manager.ledger_reader() as ledger:
            self.late = ledger.execute("SELECT tick_seq, symbol, timestamp_us, price FROM late_ticks").fetchall()
            self.quarantine = ledger.execute("SELECT quarantine_id, reason, raw FROM quarantine").fetchall()
            self.backfills = ledger.execute(
                "SELECT gap_id, symbol, from_us, to_us, rows_added, rows_differing, outcome FROM backfills"
            ).fetchall()
            self.gaps = ledger.execute("SELECT from_us, to_us, cause FROM feed_gaps ORDER BY from_us").fetchall()

    def tick_seqs(self) -> list[int]:
        """Every seq of the stream of ticks, wherever its tick went."""
        return sorted([*self.ticks["seq"], *(row[0] for row in self.late), *(row[0] for row in self.quarantine)])

    def by_symbol(self) -> dict[str, list[tuple[int, float]]]:
        """Trade time and price of every tick, in the order they came, by symbol."""
        rows = [(int(r.seq), r.symbol, int(r.us), float(r.price)) for r in self.ticks.itertuples()]
        rows += self.late
        for seq, _, raw in self.quarantine:
            tick = msgspec.json.decode(raw)["tick"]
            rows.append((seq, tick["symbol"], tick["timestamp_us"], tick["price"]))
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for _, symbol, us, price in sorted(rows):
            found[symbol].append((us // 1000, price))
        return found

    def bars_by_pandas(self) -> pd.DataFrame:
        """The 1m bars of the stored ticks, as a user would compute them."""
        ticks = self.ticks.assign(minute=self.ticks["us"] // 60_000_000 * 60_000_000)
        groups = ticks.sort_values(["us", "seq"]).groupby(["symbol", "minute"])
        bars = groups.agg(
            open=("price", "first"), high=("price", "max"), low=("price", "min"), close=("price", "last"),
            volume=("volume", "sum"),
        )  # fmt: skip
        return bars.reset_index().rename(columns={"minute": "us"})


def is_made_of_prefixes(stored: list[Any], connections: list[list[Any]]) -> bool:
    """Whether the stored ticks are the beginning of what each connection was sent, one connection after the other."""
    states = {(0, 0)}
    for tick in stored:
        states = {
            (number, position + 1)
            for number, position in _open_ends(states, len(connections))
            if position < len(connections[number]) and connections[number][position] == tick
        }
        if not states:
            return False
    return True


def _open_ends(states: set[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    first = min(number for number, _ in states)
    return states | {(later, 0) for later in range(first + 1, count)}


def check(stored: Stored, sent: dict[str, list[Seen]], symbol_of: dict[str, str], witness: Witness) -> None:
    """Nothing acknowledged is missing, nothing is there twice, bars are those of the ticks, the witness saw it all."""
    seqs = stored.tick_seqs()
    assert seqs == list(range(1, len(seqs) + 1)), "the stream of ticks has a hole or a repeat in the stores"

    connections = [sent[number] for number in sorted(sent, key=int)]
    for symbol, ticks in stored.by_symbol().items():
        theirs = [[(ms, price) for key, ms, price, _ in log if symbol_of[key] == symbol] for log in connections]
        assert is_made_of_prefixes(ticks, theirs), f"{symbol}: stored ticks are not what was sent"

    assert not witness.gaps
    told = [tick.seq for tick in witness.ticks]
    assert told == sorted(set(told)), "a tick was published twice or out of order"
    kept = stored.ticks["seq"].tolist()
    unheard, unkept = sorted(set(kept) - set(told)), sorted(set(told) - set(kept))
    assert told == kept, f"stored but never told: {unheard}; told but not stored: {unkept}"
    candle_seqs = witness.candle_seqs()
    assert candle_seqs == list(range(1, len(candle_seqs) + 1)), "the stream of candles has a hole or a repeat"
    bar_seqs = [message.seq for message in witness.candles if message.topic.startswith("candle.")]
    assert stored.candles["seq"].tolist() == bar_seqs

    _check_bars(stored)


def _check_bars(stored: Stored) -> None:
    columns = ["symbol", "us", "open", "high", "low", "close", "volume"]
    published = stored.candles[stored.candles["timeframe"] == "1m"][columns]
    assert len(published)
    assert not published.duplicated(["symbol", "us"]).any()
    computed = stored.bars_by_pandas()
    computed = computed[computed["us"] <= published["us"].max()][columns]
    both = [frame.sort_values(["symbol", "us"]).reset_index(drop=True) for frame in (published, computed)]
    pd.testing.assert_frame_equal(*both, check_dtype=False)
