"""A5, C6: a day's file is held against the rows it was made of, one by one, before it gets its name."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from libs.dbaccess import DatabaseManager, Role, dayfile
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.figures import require_same_rows
from libs.dbaccess.importing import ImportRequest, import_files
from libs.dbaccess.layout import Layout
from libs.settings import load_settings
from tests.kit.roots import copy_stores

DAY = date(2026, 2, 2)
COLUMNS = ("symbol", "timestamp", "open", "volume")
WRITTEN = "VALUES ('A', 1, 1.0, 5), ('A', 2, NULL, 5), ('B', 1, 2.0, 7)"
CANDLES = "symbol,date,open,high,low,close,volume"
TICKS = "symbol,time,ltp,qty,bid"


def held(rows: str, *parts: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE written AS FROM ({rows}) t({', '.join(COLUMNS)})")
        selects = [f"FROM ({part}) t({', '.join(COLUMNS)})" for part in parts]
        require_same_rows(connection, "written", selects, COLUMNS, what="the file")


@pytest.mark.parametrize(
    "parts",
    [
        [WRITTEN],
        ["VALUES ('A', 1, 1.0, 5), ('A', 2, NULL, 5)", "VALUES ('B', 1, 2.0, 7)"],
        ["VALUES ('A', 1, 1.0, 5)", f"FROM ({WRITTEN}) LIMIT 0", "VALUES ('A', 2, NULL, 5), ('B', 1, 2.0, 7)"],
    ],
)
def test_the_same_rows_pass_in_however_many_parts(parts):
    held(WRITTEN, *parts)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("VALUES ('A', 1, 1.0, 5), ('A', 2, NULL, 5), ('C', 1, 2.0, 7)", "row of [BC] at 1"),
        ("VALUES ('A', 1, 1.0, 5), ('A', 3, NULL, 5), ('B', 1, 2.0, 7)", "row of A at [23]"),
        ("VALUES ('A', 1, 1.0, 5), ('A', 2, 1.5, 5), ('B', 1, 2.0, 7)", "row of A at 2"),
        ("VALUES ('A', 1, 1.0, 5), ('A', 2, NULL, 5), ('B', 1, 2.0, 8)", "row of B at 1"),
        ("VALUES ('A', 2, NULL, 5), ('A', 1, 1.0, 5), ('B', 1, 2.0, 7)", "row of A at [12]"),
        ("VALUES ('A', 1, 1.0, 5), ('A', 2, NULL, 5)", "row of B at 1"),
        (f"{WRITTEN}, ('B', 2, 2.0, 7)", "holds 4 rows, 3 were to be written"),
    ],
)
def test_one_value_one_row_or_their_order_is_enough(found, said):
    with pytest.raises(StoreCorrupt, match=f"the file: .*{said}"):
        held(found, WRITTEN)


@pytest.mark.parametrize("days_at_once", [2, 100_000])
@pytest.mark.parametrize(
    ("data_type", "timeframe", "change"),
    [
        ("candles", "1m", "UPDATE candles SET volume = volume + 1 WHERE symbol = 'TCS' AND open = 107"),
        ("candles", "15m", "DELETE FROM candles WHERE symbol = 'INFY' AND open = 100"),
        ("ticks", None, "UPDATE ticks SET bid = NULL WHERE seq = 12"),
    ],
)
def test_a_file_that_is_not_what_was_written_gets_no_name(
    data_root, tmp_path, monkeypatch, data_type, timeframe, change, days_at_once
):
    """Changed on its way to the disk, by one row: the day stays open, and the next import closes it."""
    copy_stores(data_root)
    db = DatabaseManager(
        data_root, Role.INGESTOR,
        settings=load_settings(environment={"TRADEFLEET_IMPORTING_DAYS_AT_ONCE": str(days_at_once)}),
    )  # fmt: skip
    path = tmp_path / "file.csv"
    path.write_text("\n".join(lines(data_type)) + "\n")
    request = ImportRequest(data_type, timeframe="1m" if data_type == "candles" else None)
    target = db.layout.day("nse", data_type, timeframe, DAY)
    attach = dayfile.attach_day

    def spoil(connection, staged, name):
        if target.name in staged.name and staged.parent == target.parent:
            with duckdb.connect(str(staged)) as writer:
                writer.execute(change)
                assert writer.fetchall() == [(1,)]
        attach(connection, staged, name)

    with monkeypatch.context() as patched:
        patched.setattr(dayfile, "attach_day", spoil)
        with pytest.raises(StoreCorrupt, match=rf"nse {data_type} .*2026-02-02 as staged: "):
            import_files(db, [path], request, report=lambda *_: None)
    assert not target.exists()
    assert not list(Layout(data_root).market.rglob("*.staged*"))

    import_files(db, [path], request, report=lambda *_: None)
    assert target.exists()


def lines(data_type: str) -> list[str]:
    moments = [f"{DAY} 09:{15 + minute}:00" for minute in range(30)]
    symbols = ("TCS", "INFY")
    if data_type == "ticks":
        return [TICKS, *(f"{symbol},{at},{100 + n},5,99" for n, at in enumerate(moments) for symbol in symbols)]
    prices = [f"{100 + n},{101 + n},{99 + n},{100 + n}" for n in range(30)]
    bars = zip(moments, prices, strict=True)
    return [CANDLES, *(f"{symbol},{at},{bar},5" for at, bar in bars for symbol in symbols)]
