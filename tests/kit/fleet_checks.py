"""What must hold of a whole fleet's stores at the end of its day, whoever died in it, computed from each other."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd

from libs.dbaccess import DatabaseManager
from libs.dbaccess.coverage.stored import stored_certificates
from libs.dbaccess.journal.format import Kind
from libs.dbaccess.journal.reading import read_all
from libs.dbaccess.journal.segments import scan, segment_paths
from libs.dbaccess.layout import Layout
from libs.settings import Settings
from tests.kit.capture_checks import Stored, Witness

#: Records of the journal that are a tick, wherever it went.
_TICKS = {Kind.TICK, Kind.LATE, Kind.QUARANTINE}
_BAR = ["symbol", "us", "open", "high", "low", "close", "volume"]
#: Timeframe to minutes; the day's candle holds the auction, too, and is looked at in the unit tests of bars.
_LONGER = {"5m": 5, "15m": 15}


def check_journal(settings: Settings, stored: Stored) -> int:
    """Every tick of the journal is in the buffer or the ledger, and nothing else is; give how many."""
    segments = [scan(path)[0] for path in segment_paths(Layout(settings.data_root).journal)]
    written = [each.seq for each in read_all(segments, {}) if each.kind in _TICKS]
    assert written == sorted(set(written)), "the journal has a seq twice"
    assert written, "an empty journal proves nothing"

    kept = [seq for seq in stored.tick_seqs() if seq >= written[0]]
    assert kept == written, f"journal {len(written)} ticks, stores {len(kept)}: {sorted(set(kept) ^ set(written))[:20]}"
    return len(written)


def check_history(settings: Settings, day: date, witness: Witness) -> dict[str, int]:
    """The day's files hold what was told, once; candles are those of the ticks; give how many of each."""
    db = DatabaseManager(settings.data_root, settings=settings)
    told = [tick.seq for tick in witness.ticks]
    with db.historical_reader("nse", "ticks", None, day) as history:
        ticks = history.execute(
            "SELECT seq, symbol, epoch_us(timestamp) AS us, price, volume FROM ticks ORDER BY seq"
        ).df()
    assert not witness.gaps, witness.gaps
    assert told == sorted(set(told)), "a tick was told twice or out of order"
    assert ticks["seq"].tolist() == told, f"told {len(told)} ticks, in the day's file are {len(ticks)}"
    seqs = witness.candle_seqs()
    assert seqs == list(range(1, len(seqs) + 1)), "the stream of candles has a hole or a repeat"

    minutes = _candles(db, "1m", day)
    published = minutes[minutes["seq"].notna()][_BAR]
    computed = _bars(ticks)
    both = [frame.sort_values(["symbol", "us"]).reset_index(drop=True) for frame in (published, computed)]
    pd.testing.assert_frame_equal(*both, check_dtype=False)
    for timeframe, length in _LONGER.items():
        _check_longer(minutes, _candles(db, timeframe, day), length)
    return {"ticks": len(ticks), "minutes": len(published), "backfilled": int(minutes["seq"].isna().sum())}


def check_signals(settings: Settings, day: date) -> int:
    """What the flipper said is what it had to say on the published minutes of its symbol; give how much it was."""
    db = DatabaseManager(settings.data_root, settings=settings)
    minutes = _candles(db, "1m", day)
    mine = minutes[(minutes["symbol"] == "RELIANCE") & minutes["seq"].notna()].sort_values("us")
    expected, is_flat = [], True
    for us in mine["us"]:
        odd = us // 60_000_000 % 2 == 1
        if odd == is_flat:
            expected.append((int(us), "enter_long" if odd else "exit_long"))
            is_flat = not is_flat
    with db.signals_reader() as signals:
        said = signals.execute(
            "SELECT outbox_seq, timestamp_us, signal_type FROM signals ORDER BY outbox_seq"
        ).fetchall()
    assert [seq for seq, *_ in said] == list(range(1, len(said) + 1))
    assert said
    assert [(us, kind) for _, us, kind in said] == expected, "a signal is missing, or was said twice"
    return len(said)


def check_trading(settings: Settings) -> dict[str, int]:
    """Every signal was decided on once, orders add up to their fills and fills to positions; give how many."""
    db = DatabaseManager(settings.data_root, settings=settings)
    with db.signals_reader() as signals:
        said = {row[0] for row in signals.execute("SELECT signal_id FROM signals")}
    with db.trading_reader() as trading:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in trading.execute(sql).fetchall()]

        decided = [row[0] for row in rows("SELECT signal_id FROM processed_signals")]
        entries = rows(
            "SELECT signal_id_reference, count(*) FROM orders WHERE purpose = 'entry' AND replaces IS NULL GROUP BY 1"
        )
        orders = rows("SELECT order_id, status, quantity_traded, signal_id_reference FROM orders")
        filled = dict(rows("SELECT order_id, sum(quantity) FROM trades WHERE status = 'filled' GROUP BY 1"))
        net = dict(rows(
            "SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) FROM trades "
            "WHERE status = 'filled' GROUP BY 1"
        ))  # fmt: skip
        held = dict(rows("SELECT symbol, sum(quantity) FROM positions GROUP BY 1"))
        assert rows("PRAGMA integrity_check") == [("ok",)]
    assert len(decided) == len(set(decided))
    assert set(decided) == said, f"decided on {len(decided)} of {len(said)} signals"
    assert [each for each in entries if each[1] > 1] == [], "a signal became two entries"
    assert {reference for *_, reference in orders} <= said, "an order nobody asked for"
    assert {order: traded for order, _, traded, _ in orders if traded} == filled, "an order is not the sum of its fills"
    over = {"filled", "cancelled", "rejected", "expired"}
    assert [each for each in orders if each[1] not in over] == [], "an order nobody knows the end of"
    assert {symbol: quantity for symbol, quantity in net.items() if quantity} == {}, "the day ended with a position"
    assert {symbol: quantity for symbol, quantity in held.items() if quantity} == {}
    return {"signals": len(said), "orders": len(orders), "fills": len(filled)}


def check_certificates(settings: Settings, day: date, symbols: int) -> int:
    """There is one for every symbol, and none has a missing minute; give how many minutes they vouch for."""
    db = DatabaseManager(settings.data_root, settings=settings)
    rows = {each.symbol: each for each in stored_certificates(db, "nse", day, day)}
    assert len(rows) == symbols
    missing = {name: each.bars_missing for name, each in rows.items() if each.bars_missing}
    assert missing == {}, missing
    for each in rows.values():
        assert each.bars_live + each.bars_backfilled + each.bars_synthetic == each.bars_expected
    return sum(each.bars_expected for each in rows.values())


def _candles(db: DatabaseManager, timeframe: str, day: date) -> pd.DataFrame:
    with db.historical_reader("nse", "candles", timeframe, day) as history:
        return history.execute(
            "SELECT seq, symbol, epoch_us(timestamp) AS us, open, high, low, close, volume, origin FROM candles"
        ).df()


def _bars(ticks: pd.DataFrame) -> pd.DataFrame:
    grouped = ticks.assign(us=ticks["us"] // 60_000_000 * 60_000_000, at=ticks["us"]).sort_values(["at", "seq"])
    bars = grouped.groupby(["symbol", "us"]).agg(
        open=("price", "first"), high=("price", "max"), low=("price", "min"), close=("price", "last"),
        volume=("volume", "sum"),
    )  # fmt: skip
    return bars.reset_index()[_BAR]


def _check_longer(minutes: pd.DataFrame, longer: pd.DataFrame, length: int) -> None:
    """A longer candle whose minutes were all published is those minutes put together."""
    step = length * 60_000_000
    parts = minutes.assign(minute=minutes["us"], us=minutes["us"] // step * step).sort_values("minute")
    groups = parts.groupby(["symbol", "us"])
    whole = groups["seq"].count() == length
    bars = groups.agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
        volume=("volume", "sum"),
    )[whole].reset_index()  # fmt: skip
    both = bars.merge(longer[longer["seq"].notna()], on=["symbol", "us"], suffixes=("", "_of_it"))
    assert len(both) > 0
    for name in ("open", "high", "low", "close", "volume"):
        differing = both[both[name] != both[f"{name}_of_it"]]
        assert differing.empty, f"{length}m candles are not those of their minutes:\n{differing}"
