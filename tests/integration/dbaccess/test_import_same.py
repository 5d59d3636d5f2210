"""C6: however fast an import is, what it closes is what it always was: the same rows, in the same order, to the bit."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import date, datetime, time, timedelta

import duckdb
import pytest

from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.importing import ImportRequest, import_files
from libs.dbaccess.layout import Layout
from libs.settings import load_settings
from tests.kit.roots import copy_stores

#: A Friday, a Saturday without a session, the Sunday of the budget, two days of the week after.
DAYS = (date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 2), date(2026, 2, 3))
OPEN = time(9, 15)
SYMBOLS = ("TCS", "NSE:INFY", "M&M.NS", "BAJAJ-AUTO", "SBIN-EQ")
SPOILT = ("soon,{s},1,2,1,2,5", "{t},{s},1,2,1", "{t},{s},,2,1,2,5", "{t},{s},1,2,1,2,-5", "{t},{s},1,1,2,1,5",
          "{t},,1,2,1,2,5", "{t},A/B,1,2,1,2,5", "{t},{s},0,2,0,1,5", "{t},{s},1,2,1,2,1.5x", "{t},{s},1,2,1,2,3,4",
          '{t},{s},1,2,1,2,"1,000"', "{t}:30,{s},1,2,1,2,5")  # fmt: skip


def candles(*, messy: bool) -> list[str]:
    """A seeded walk; messy, it is shuffled, repeated in part and with other figures, and every twentieth is spoilt."""
    rng = random.Random(20260202)
    lines = []
    for day in DAYS:
        if day == DAYS[1] and not messy:
            continue
        for symbol in SYMBOLS:
            price = 100.0
            for minute in range(-3 if messy else 0, 40):
                moment = datetime.combine(day, OPEN) + timedelta(minutes=minute)
                opened, price = price, round(price + rng.uniform(-0.5, 0.5), 2)
                high, low = round(max(opened, price) + 0.05, 2), round(min(opened, price) - 0.05, 2)
                line = f"{moment},{symbol},{opened},{high},{low},{price},{rng.randrange(5000)}"
                lines.append(line)
                if messy and rng.random() < 0.05:
                    lines.append(rng.choice((line, f"{moment},{symbol},{low},{high},{low},{price},7")))
                if messy and rng.random() < 0.05:
                    lines.append(rng.choice(SPOILT).format(t=moment.strftime("%Y-%m-%d %H:%M"), s=symbol))
    if messy:
        rng.shuffle(lines)
    return ["date,symbol,open,high,low,close,volume", *lines]


def ticks() -> list[str]:
    """Two in one instant, some twice, without the day's volume, in no order."""
    rng = random.Random(7)
    lines = []
    for symbol in SYMBOLS:
        for second in range(300):
            moment = datetime.combine(DAYS[3], OPEN) + timedelta(seconds=second // 2)
            line = f"{symbol},{moment},{100 + rng.randrange(100) / 20},{rng.randrange(50)},{rng.choice(('', '99.5'))}"
            lines += [line, line] if rng.random() < 0.1 else [line]
    rng.shuffle(lines)
    return ["symbol,time,ltp,qty,bid", *lines, "TCS,2026-02-02 09:15:00,none,1,", "TCS,2026-02-02 09:15:00,5"]


def in_time(lines: list[str]) -> list[str]:
    """Sort ticks by their instant, as most files are; those of one instant stay as they were."""
    head, *rows = lines
    return [head, *sorted((row for row in rows if row.count(",") == 4), key=lambda row: row.split(",")[1])]


#: The lines, the timeframe, and what the first version of the import made of them: the closed rows, and its account.
CASES = {
    "clean": (candles(messy=False), "1m", ("7e30bcdc99c45b26", "3d490989110aa11b")),
    "messy": (candles(messy=True), "1m", ("21f9d647885244f1", "d6552fa42645f126")),
    "fives": ([line for line in candles(messy=False) if line[15:16] in "50" or line[:4] == "date"], "5m",
              ("b2165a995accc6a9", "17e9a59bedf5dbdd")),
    "ticks": (ticks(), None, ("6f7f89aaad417d23", "e7ada40373050b4b")),
    "ticks in time": (in_time(ticks()), None, ("6f7f89aaad417d23", "2dd29d636c1d45d7")),
}  # fmt: skip


def content(root) -> str:
    """Hash every row of every closed day, in the order it has in the file."""
    text = ""
    for path in sorted(Layout(root).market.rglob("2026-*.duckdb")):
        with duckdb.connect(str(path), read_only=True) as connection:
            table = "ticks" if "ticks" in path.parts else "candles"
            rows = connection.execute(f"SELECT * REPLACE (epoch_us(timestamp) AS timestamp) FROM {table}").fetchall()
        text += f"{path.relative_to(root)} {rows}"
    return short(text)


@pytest.mark.parametrize(("name", "days_at_once"), [*((name, 2) for name in CASES), ("messy", 100_000)])
def test_what_is_closed_is_what_always_was(data_root, tmp_path, name, days_at_once):
    """Clean lines and messy ones, in order and shuffled, bars that are stored and those that are derived.

    So many days at once leave each so little memory that its symbols are taken one by one.
    """
    lines, timeframe, before = CASES[name]
    copy_stores(data_root)
    path = tmp_path / "file.csv"
    path.write_text("\n".join(lines) + "\n")
    settings = load_settings(
        environment={
            "TRADEFLEET_IMPORTING_REFUSED_MAX_PERCENT": "50",
            "TRADEFLEET_IMPORTING_DAYS_AT_ONCE": str(days_at_once),
        }
    )
    db = DatabaseManager(data_root, Role.INGESTOR, settings=settings)
    request = ImportRequest("candles" if timeframe else "ticks", timeframe=timeframe)
    report = import_files(db, [path], request, report=lambda *_: None)
    days = [(day.day, day.state, day.rows, day.reason, day.derived) for day in report.days]
    account = [report.rows_read, report.rows_taken, report.rows_repeated, sorted(report.refused.items()), days]

    assert (content(data_root), short(json.dumps(account))) == before, account


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
