"""A5, C6: files as people have them become closed days: every row taken or refused with its reason, each day whole."""

from __future__ import annotations

import gzip
import json
import random
from datetime import date, timedelta

import pandas as pd
import pytest

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role, Store, WriterLock, WriterLockHeld
from libs.dbaccess.coverage import stored_certificates
from libs.dbaccess.importing import ImportRequest, import_files
from libs.dbaccess.layout import Layout
from tests.kit.commands import fleet_here
from tests.kit.processes import run_code
from tests.kit.roots import copy_stores

MONDAY, TUESDAY = date(2026, 2, 2), date(2026, 2, 3)
RUN = """
    import sys
    from pathlib import Path
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.importing import ImportRequest, import_files
    import_files(DatabaseManager(sys.argv[1], Role.INGESTOR), [Path(sys.argv[2])], ImportRequest("candles"),
                 report=lambda *_: None)
"""


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


def quiet(done, total, what):
    pass


def take(root, *paths, data_type="candles", **request):
    request = ImportRequest(
        data_type, timeframe=request.pop("timeframe", "1m" if data_type == "candles" else None), **request
    )
    return import_files(DatabaseManager(root, Role.INGESTOR), list(paths), request, report=quiet)


def stored(root, symbol, timeframe="1m") -> pd.DataFrame:
    with MarketDataQuery(DatabaseManager(root)) as query:
        return query.get_candles(symbol, "nse", timeframe, None, None)


def minutes(days=(MONDAY,), count=375) -> pd.DataFrame:
    """A seeded walk: one candle a minute, wall clock in India."""
    rng = random.Random(7)
    rows, price = [], 100.0
    for day in days:
        for number in range(count):
            opened, price = price, round(max(5.0, price + rng.uniform(-0.5, 0.5)), 2)
            moment = pd.Timestamp(day) + timedelta(hours=9, minutes=15 + number)
            high, low = round(max(opened, price) + 0.1, 2), round(min(opened, price) - 0.1, 2)
            rows.append([moment, opened, high, low, price, rng.randrange(1, 5000)])
    return pd.DataFrame(rows, columns=["date", "open", "high", "low", "close", "volume"])


def test_a_file_full_of_trouble(root, tmp_path):
    """Unsorted, repeated, torn, out of hours, in two columns, with thousands: each row is accounted for."""
    path = tmp_path / "export.csv"
    path.write_text(
        "Ticker,Date,Time,Open,High,Low,Close,Volume,Remarks\n"
        "NSE:TCS,02/02/2026,09:16:00,101,102,100,101.5,500,second\n"
        'NSE:TCS,02/02/2026,09:15:00,100,101,99,100.5,"1,000",first\n'
        "TCS.NS,02/02/2026,09:15:00,100,101,99,100.5,1000,the same again\n"
        "TCS,02/02/2026,09:16:00,101,101,101,101,3,part of a minute\n"
        "TCS,02/02/2026,09:17:30,101,102,100,101,1,within a minute\n"
        "TCS,02/02/2026,20:00:00,101,102,100,101,1,at night\n"
        "TCS,01/02/2026,09:15:00,101,102,100,101,1,on a Sunday that had a session\n"
        "TCS,31/01/2026,09:15:00,101,102,100,101,1,on a Saturday\n"
        "TCS,02/02/2026,09:18:00,101,100,99,101,1,high too low\n"
        "TCS,02/02/2026,09:19:00,,102,100,101,1,no open\n"
        "TCS,02/02/2026,09:20:00,101,102,100,101,-5,negative\n"
        "TCS,soon,09:20:00,101,102,100,101,5,no date\n"
        ",02/02/2026,09:21:00,101,102,100,101,5,no symbol\n"
        "T/C$S,02/02/2026,09:21:00,101,102,100,101,5,no such symbol\n"
        "TCS,02/02/2026,09:22:00,101,102,100\n"
    )
    with pytest.raises(Refused, match="refused_max_percent"):
        take(root, path)
    assert stored(root, "TCS").empty

    done = fleet_here(
        "import", "candles", path, "--data-root", root, "--json", TRADEFLEET_IMPORTING_REFUSED_MAX_PERCENT="90"
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    frame = stored(root, "TCS")
    monday = frame[frame.timestamp >= pd.Timestamp(MONDAY, tz="Asia/Kolkata")]
    assert report["plans"][0]["columns"]["date"] == "Date"
    assert "%d/%m/%Y" in report["plans"][0]["times"]
    assert report["plans"][0]["ignored"] == ["Remarks"]
    assert monday.timestamp.dt.tz_convert("Asia/Kolkata").dt.strftime("%H:%M").tolist() == ["09:15", "09:16"]
    assert monday[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [
        [100, 101, 99, 100.5, 1000], [101, 102, 100, 101.5, 500]]  # fmt: skip
    assert report["refused"] == {
        "the time is not the start of a minute": 1, "outside trading hours": 1,
        "the exchange was closed that day": 1, "high and low do not enclose open and close": 1,
        "a price is missing or no number": 1, "a volume is no whole number of 0 or more": 1,
        "the time cannot be read": 1, "there is no symbol": 1, "the symbol is none an exchange would list": 1,
        "the line has too few or too many cells": 1,
    }  # fmt: skip
    assert report["rows_read"] == 15
    assert report["rows_taken"] + report["rows_repeated"] + report["rows_refused"] == 15
    assert (report["rows_taken"], report["rows_repeated"]) == (3, 2)


def as_utc(frame):
    return frame["date"].dt.tz_localize("Asia/Kolkata").dt.tz_convert("UTC")


def with_times(frame, times):
    return frame.assign(date=times)


FORMS = {
    "iso.csv": lambda f: (f, {}),
    "day_first.csv": lambda f: (with_times(f, f.date.dt.strftime("%d-%m-%Y %H:%M")), {}),
    "named_month.csv": lambda f: (with_times(f, f.date.dt.strftime("%d-%b-%Y %H:%M:%S")), {}),
    "month_first.csv": lambda f: (
        with_times(f, f.date.dt.strftime("%m/%d/%Y %I:%M %p")),
        {"time_format": "%m/%d/%Y %I:%M %p"},
    ),
    "offset.csv": lambda f: (with_times(f, f.date.dt.strftime("%Y-%m-%dT%H:%M:%S+05:30")), {"zone": "UTC"}),
    "utc.csv": lambda f: (with_times(f, as_utc(f).dt.strftime("%Y-%m-%d %H:%M:%S")), {"zone": "UTC"}),
    "seconds.csv": lambda f: (with_times(f, as_utc(f).astype("datetime64[s, UTC]").astype("int64")), {}),
    "millis.csv": lambda f: (with_times(f, as_utc(f).astype("datetime64[ms, UTC]").astype("int64")), {}),
    "micros.csv.gz": lambda f: (with_times(f, as_utc(f).astype("datetime64[us, UTC]").astype("int64")), {}),
    "new_york.csv": lambda f: (
        with_times(f, as_utc(f).dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d %H:%M:%S")),
        {"zone": "America/New_York"},
    ),
    "aware.parquet": lambda f: (with_times(f, as_utc(f)), {"zone": "America/New_York"}),
    "naive.parquet": lambda f: (f, {}),
    "indexed.parquet": lambda f: (f.set_index("date"), {}),
    "unnamed_index.csv": lambda f: (f.rename(columns={"date": ""}), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_times_of_every_form_are_the_same_instants(data_root, tmp_path, name):
    """No column of symbols: the file's name says it."""
    wanted = minutes(count=20)
    frame, request = FORMS[name](wanted)
    path = tmp_path / f"M&M_minute_2026.{name.partition('.')[2]}"
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        text = frame.to_csv(index=False)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    report = take(data_root, path, **request)

    found = stored(data_root, "M&M")
    assert (report.rows_taken, report.rows_refused) == (20, 0)
    assert found.timestamp.tolist() == as_utc(wanted).tolist()
    assert (
        found[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == wanted.iloc[:, 1:].to_numpy().tolist()
    )


def test_longer_bars_are_derived_and_equal_what_minutes_give(root, tmp_path):
    minutes((MONDAY, TUESDAY)).to_csv(tmp_path / "INFY.csv", index=False)
    report = take(root, tmp_path / "INFY.csv")
    assert [day.derived for day in report.days] == [("5m", "15m", "1d")] * 2

    for timeframe in ("5m", "15m", "1d"):
        kept = stored(root, "INFY", timeframe)
        for day in (MONDAY, TUESDAY):
            Layout(root).day("nse", "candles", timeframe, day).unlink()
        folded = stored(root, "INFY", timeframe)  # made of the minutes by the query
        pd.testing.assert_frame_equal(kept, folded)
        assert len(kept) == {"5m": 150, "15m": 50, "1d": 2}[timeframe]
    sums = minutes((MONDAY, TUESDAY)).groupby(lambda row: row // 375)["volume"].sum().tolist()
    assert stored(root, "INFY", "1d").volume.tolist() == sums


@pytest.mark.parametrize(
    "point",
    [
        "import.staged.before",
        "import.staged.after",
        "history.rename.after:2",
        "import.day.after:2",
        "import.certify.before:2",
    ],
)
def test_killed_import_goes_on_where_it_was(root, tmp_path, point):
    path = tmp_path / "TCS.csv"
    minutes((MONDAY, TUESDAY), count=30).to_csv(path, index=False)
    percent = "0" if "staged" in point or "day" in point else "50"  # of memory for what is read; 0: it lies on disk
    killed = run_code(RUN, root, path, TRADEFLEET_CRASH_AT=point, TRADEFLEET_IMPORTING_IN_MEMORY_PERCENT=percent)
    assert killed.returncode == -9, killed.stderr
    report = take(root, path)

    assert [day.state for day in report.days].count("refused") == 0
    assert report.rows_taken + report.rows_same == 60
    assert len(stored(root, "TCS")) == 60
    assert [len(stored(root, "TCS", each)) for each in ("5m", "15m", "1d")] == [12, 4, 2]
    assert len(list(Layout(root).market.rglob("2026-*.duckdb"))) == 8
    certified = stored_certificates(DatabaseManager(root), "nse", MONDAY, TUESDAY)
    assert [(each.symbol, each.bars_backfilled, each.bars_missing) for each in certified] == [("TCS", 30, 345)] * 2
    assert not list((Layout(root).market / ".importing").glob("*.duckdb*"))
    assert fleet_here("health", "--deep", "--data-root", root).returncode in {0, 1}


def test_a_closed_day_takes_the_same_rows_and_no_others(root, tmp_path):
    path, other = tmp_path / "TCS.csv", tmp_path / "other.csv"
    minutes(count=30).to_csv(path, index=False)
    minutes((MONDAY, TUESDAY), count=31).assign(symbol="TCS").to_csv(other, index=False)
    take(root, path)
    day = Layout(root).day("nse", "candles", "1m", MONDAY)
    before = day.read_bytes()
    again, refused = take(root, path), take(root, other)

    assert (again.rows_same, again.rows_taken, again.days[0].state) == (30, 0, "same")
    assert [each.state for each in refused.days] == ["refused", "taken"]
    assert refused.days[0].reason == "the day is closed and holds other rows"
    assert day.read_bytes() == before


def test_a_day_that_another_closed_with_the_same_rows_is_there_already(root, tmp_path):
    """Whoever closed it, in whatever form: captured candles have origin and seq in their rows, imported ones do not."""
    rows = minutes(count=30)
    rows.to_csv(tmp_path / "TCS.csv", index=False)
    captured = rows.assign(symbol="TCS", timeframe="1m", origin="live", seq=range(30)).rename(
        columns={"date": "timestamp"}
    )
    with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "candles", "1m", MONDAY) as writer:
        writer.append(captured)

    [day] = take(root, tmp_path / "TCS.csv").days
    assert (day.state, day.rows, day.derived) == ("same", 30, ("5m", "15m", "1d"))


def test_ticks_get_their_missing_volume_and_an_identity(root, tmp_path):
    start = pd.Timestamp("2026-02-02 09:15")
    rows = [("TCS", start, 100.0, 500), ("TCS", start, 100.5, 520), ("INFY", start, 50.0, 10),
            ("TCS", start + timedelta(seconds=1), 101.0, 600), ("TCS", start, 100.5, 520)]  # fmt: skip
    path = tmp_path / "ticks.csv"
    pd.DataFrame(rows, columns=["symbol", "timestamp", "ltp", "volume_day"]).to_csv(path, index=False)
    report = take(root, path, data_type="ticks")
    with MarketDataQuery(DatabaseManager(root)) as query:
        ticks = query.get_ticks(["INFY", "TCS"], "nse", None, None)

    assert (report.rows_taken, report.rows_repeated) == (4, 1)
    assert ticks[["symbol", "price", "volume", "volume_day"]].to_numpy().tolist() == [
        ["INFY", 50.0, 0, 10], ["TCS", 100.0, 0, 500], ["TCS", 100.5, 20, 520], ["TCS", 101.0, 80, 600]]  # fmt: skip
    assert sorted(ticks.seq) == [1, 2, 3, 4]


def test_what_cannot_be_understood_is_refused_by_name(root, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("a,b,c\n1,2,3\n")
    bare = tmp_path / "bare.csv"
    bare.write_text("TCS,20260202,09:15,100,101,99,100,5\n")
    with pytest.raises(Refused, match="--columns"):
        take(root, path)
    with pytest.raises(Refused, match="no column for open"):
        take(root, path, columns=("symbol", "timestamp", "close"))
    with pytest.raises(Refused, match="time zone"):
        take(root, bare, columns=("symbol", "date", "time", "o", "h", "l", "c", "v"), zone="Mars/Olympus")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        take(root, tmp_path / "gone.csv")
    with WriterLock(Layout(root).lock(Store.LIVE)), pytest.raises(WriterLockHeld):
        take(root, bare, columns=("symbol", "date", "time", "o", "h", "l", "c", "v"))
    assert not list(Layout(root).market.rglob("2026-*.duckdb"))

    assert take(root, bare, columns=("symbol", "date", "time", "o", "h", "l", "c", "v")).rows_taken == 1


def test_a_day_that_still_runs_is_refused(root, tmp_path):
    path = tmp_path / "TCS.csv"
    minutes((pd.Timestamp.now("Asia/Kolkata").date() + timedelta(days=1),), count=3).to_csv(path, index=False)

    assert take(root, path).days[0].state == "refused"


def test_what_was_exported_comes_back(root, tmp_path):
    """The round trip through the two commands, by way of both formats."""
    source = tmp_path / "TCS.csv"
    minutes((MONDAY, TUESDAY), count=10).to_csv(source, index=False)
    take(root, source)
    before = stored(root, "TCS")
    for name in ("out.csv", "out.parquet"):
        out = tmp_path / name
        assert fleet_here("candles", "TCS", "--data-root", root, "--out", out).returncode == 0
        report = take(root, out)

        assert (report.rows_same, report.rows_refused) == (20, 0)
    pd.testing.assert_frame_equal(stored(root, "TCS"), before)


def test_a_folder_is_read_file_by_file_with_one_report(root, tmp_path):
    """People keep a file a symbol; what is not data is named, so that nobody takes it for imported."""
    folder = tmp_path / "minutes"
    (folder / "older").mkdir(parents=True)
    for name in ("TCS", "INFY"):
        minutes(count=3).to_csv(folder / f"{name}.csv", index=False)
    minutes(count=3).to_parquet(folder / "ACC.parquet")
    (folder / "notes.txt").write_text("from the old machine\n")
    (folder / ".INFY.csv.swp").write_text("half\n")
    (folder / "older" / "SBIN.csv").write_text("date,open\n")
    done = fleet_here("import", "candles", folder, folder / "TCS.csv", "--data-root", root, "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 0
    assert [plan["symbol"] for plan in found["plans"]] == ["ACC", "INFY", "TCS"]
    assert (found["rows_taken"], found["rows_repeated"]) == (9, 0)
    assert done.stderr == f"fleet: not CSV or Parquet, passed over: {folder}/notes.txt, {folder}/older\n"
    planned = fleet_here("import", "candles", folder, "--dry-run", "--data-root", root, "--json")
    assert json.loads(planned.stdout)["plans"] == found["plans"]


@pytest.mark.parametrize(
    ("inside", "said"), [([], "found nothing"), (["notes.txt", "more"], "found only more/, notes.txt")]
)
def test_a_folder_without_data_and_a_file_that_is_not_there_are_named(root, tmp_path, inside, said):
    folder = tmp_path / "minutes"
    folder.mkdir()
    for name in inside:
        (folder / name).write_text("") if "." in name else (folder / name).mkdir()
    done = fleet_here("import", "candles", folder, "--data-root", root)
    gone = fleet_here("import", "candles", tmp_path / "gone.csv", "--data-root", root)

    assert (done.returncode, gone.returncode) == (4, 4)
    assert f"{folder}: expected files ending in .csv" in done.stderr
    assert said in done.stderr
    assert (
        gone.stderr
        == f"fleet: {tmp_path}/gone.csv: no such file; expected a CSV or Parquet file, or a folder of them\n"
    )
