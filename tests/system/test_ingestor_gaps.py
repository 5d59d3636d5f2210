"""C4: minutes the feed did not give come from the broker's history: once, marked as such, and beside the capture."""

from __future__ import annotations

from urllib.parse import quote

import pandas as pd

from libs.contracts import Backfilled
from libs.core.clock import to_us
from services.exchange_sim.market.instruments import Listing
from tests.kit.capture_checks import Stored, Witness
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import DEADLINE_S, wait_until

COLUMNS = ["us", "open", "high", "low", "close", "volume"]


def broker_candles(sim, key: str) -> pd.DataFrame:
    status, answer = sim.ask("GET", f"/v3/historical-candle/intraday/{quote(key)}/minutes/1")
    assert status == 200
    rows = [[to_us(pd.Timestamp(row[0]).to_pydatetime()), *row[1:6]] for row in answer["data"]["candles"]]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("us").reset_index(drop=True)


def test_gaps_are_filled_once_from_the_brokers_history(data_root):
    """Killed in the middle of one fill and cut off in mid-session, the day has every minute the broker has, once."""
    listing = Listing(3, 7).instruments
    with (
        running_simulator(speed=90, symbols=3, record_ticks=False) as sim,
        ingestor(
            data_root, sim, TRADEFLEET_FEED_BACKOFF_MIN_MS="100", TRADEFLEET_CRASH_AT="ingestor.backfill.after:2"
        ) as captured,
        Witness(captured.settings()) as witness,
    ):
        captured.start()
        assert captured.process is not None
        assert captured.process.wait(DEADLINE_S) == -9, "it was to die while it filled the minutes before its start"
        del captured.environment["TRADEFLEET_CRASH_AT"]
        captured.start()
        captured.wait_for(lambda status: status["capture"]["backfilled"] > 0, "the fill to go on after the restart")
        sim.add_fault("disconnect", stream="market", duration_s=2.0)
        captured.wait_for(lambda status: status["session"]["gap_since_us"] > 0, "the gap")
        status = captured.wait_for(
            lambda status: not status["session"]["gap_since_us"] and not status["backfill"]["waiting"],
            "its end, and its minutes",
        )
        told = status["told"]["candles"]
        wait_until(lambda: witness.candle_seqs()[-1] >= told, "the witness to hear of it")
        assert captured.stop() == 0
        theirs = {each.symbol: broker_candles(sim, each.key) for each in listing}
    stored = Stored(data_root)
    ours = pd.concat([stored.candles, stored.backfilled])

    assert not ours.duplicated(["symbol", "timeframe", "us"]).any()
    assert set(stored.candles["origin"]) == {"live"}
    assert set(stored.backfilled["origin"]) == {"backfill"}
    closed = stored.candles["us"].max()
    for symbol, candles in theirs.items():
        filled = stored.backfilled[(stored.backfilled["symbol"] == symbol) & (stored.backfilled["timeframe"] == "1m")]
        assert len(filled) >= 46, "45 minutes before the start and at least one of the disconnect"
        both = filled[COLUMNS].merge(candles, on=COLUMNS)
        assert len(both) == len(filled), f"{symbol}: a filled minute is not what the broker has"
        mine = set(ours[(ours["symbol"] == symbol) & (ours["timeframe"] == "1m")]["us"])
        assert set(candles[candles["us"] <= closed]["us"]) <= mine, f"{symbol}: minutes are missing"

    asked = [(gap, symbol) for gap, symbol, *_ in stored.backfills]
    assert len(asked) == len(set(asked)), "a gap was filled twice"
    assert {outcome for *_, outcome in stored.backfills} <= {"complete", "partial"}
    heard = [message.payload for message in witness.candles if isinstance(message.payload, Backfilled)]
    assert sorted(each.seq for each in heard) == sorted({each.seq for each in heard})
    assert sum(len(each.bars) for each in heard) == len(stored.backfilled)
    quarter = stored.backfilled[stored.backfilled["timeframe"] == "15m"]
    assert len(quarter) >= 9, "three quarters of an hour of three symbols ended before the start"
