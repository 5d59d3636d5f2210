"""C6: a file read as numbers at once gives what it gives as text, row by row: the same rows, reasons and report."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.clock import to_us
from libs.core.errors import Refused
from libs.dbaccess.connections import duckdb_memory
from libs.dbaccess.importing import ImportRequest, moments, staging
from libs.dbaccess.importing.rows import UNREADABLE_TIME
from libs.dbaccess.importing.staging import _read_files
from libs.dbaccess.importing.symbols import BAD_SYMBOL

INDIA, UTC_ZONE, NEW_YORK = "Asia/Kolkata", "UTC", "America/New_York"
START = datetime(2026, 2, 2, 3, 45, tzinfo=UTC)
#: An hour that is there twice in New York, and one that is not, as its clocks show them.
TURNS = (datetime(2026, 3, 8, 7, 0, tzinfo=UTC), datetime(2026, 11, 1, 5, 30, tzinfo=UTC))
MINUTES = [START + timedelta(minutes=each) for each in range(3)]
HEAD = "date,symbol,open,high,low,close,volume,bid,note"
CELLS = ("TCS", "100", "101", "99", "100.5", "1000", "99.5", "")


def local(form):
    return lambda moment, zone: moment.astimezone(ZoneInfo(zone)).strftime(form)


def india(form):
    return lambda moment, zone: moment.astimezone(ZoneInfo(INDIA)).strftime(form)


def utc(form):
    return lambda moment, zone: moment.strftime(form)


def epoch(form, factor, divisor=1):
    return lambda moment, zone: form.format(to_us(moment) * factor // divisor)


FORMS = {
    "iso": local("%Y-%m-%d %H:%M:%S"), "iso_t": local("%Y-%m-%dT%H:%M:%S"), "fraction": local("%Y-%m-%d %H:%M:%S.%f"),
    "minutes": local("%Y-%m-%d %H:%M"), "day": local("%Y-%m-%d"), "day_first": local("%d-%m-%Y %H:%M"),
    "named": local("%d-%b-%Y %H:%M:%S"), "twelve": local("%d/%m/%Y %I:%M %p"), "two": local("%d-%m-%Y,%H:%M:%S"),
    "offset": india("%Y-%m-%d %H:%M:%S+05:30"), "offset_t": india("%Y-%m-%dT%H:%M:%S+05:30"),
    "no_colon": india("%Y-%m-%dT%H:%M:%S+0530"), "zulu": utc("%Y-%m-%dT%H:%M:%SZ"),
    "zulu_ms": utc("%Y-%m-%dT%H:%M:%S.000Z"), "s": epoch("{}", 1, 10**6), "s_float": epoch("{}.0", 1, 10**6),
    "ms": epoch("{}", 1, 1000), "ms_float": epoch("{}.0", 1, 1000), "us": epoch("{}", 1), "us_float": epoch("{}.0", 1),
    "ns": epoch("{}", 1000),
}  # fmt: skip
ODD_TIMES = (
    "", '""', " ", "soon", "nan", "inf", "-1", "0", "1e300", "1e18", "1.77e9", "0x10", "1_770_003_900", "1770003900.5",
    "9223372036854775807", "9223372036854775808", "99999999999999999999", "253402300800000000", "1770003900000.4",
    " 1770003900", "infinity", "epoch", "now", "today", "2026-02-02", "2026-02-02 09:15", "2026-2-2 9:15:00",
    "2026-02-02T09:15:00", "2026-02-02 09:15:00.1234567", "2026-02-02 09:15:00+05:30", "2026-02-02 09", "2026-02-02T09",
    "2026-02-02T09:15", "2026-02-02 09:15:00-05",
    "2026-02-02 09:15:00 Asia/Kolkata", "2026-02-02 09:15:00Z", "2026-02-02 09:15:00z", "2026-02-30 09:15:00",
    " 2026-02-02 09:15:00 ", '"2026-02-02 09:15:00"', "2026-02-02 24:00:00", "2026-02-02 09:15:60", "02-02-2026 09:15",
    "26-02-02 09:15:00", "12026-02-02 09:15:00", "0001-01-01 00:00:00", "2026-02-02 09:15:00+25:00", "20260202",
    "2026-03-08 02:30:00", "2026-11-01 01:30:00", "2026-11-01T01:30:00", "294247-01-10 04:00:54Z",
)  # fmt: skip
ODD_NUMBERS = (
    "", '""', " ", "x", "-5", "0", "1.5", "2.5", "1e2", "1_0", "0x10", " 7 ", "+7", "nan", "inf", "-inf", "1e400",
    "5e-324", '"100"', '"1,000"', '"1""0"', "99999999999999999999", "9223372036854775807", "100,5", "true", "NULL",
)  # fmt: skip
ODD_SYMBOLS = ("", '""', " ", " TCS", "TCS ", "NSE:TCS", "A/B", "7", '"T,C"', "\u00a0TCS")
ODD_LINES = ("", "TCS", ",,,,,,,,,,,", '"', "\u00a0")


def good(form, zone, count=3):
    return [f"{FORMS[form](START + timedelta(minutes=each), zone)},{','.join(CELLS)}" for each in range(count)]


@pytest.fixture(scope="module")
def connection():
    with duckdb_memory() as opened:
        yield opened


@st.composite
def files(draw):
    """Give a form, a zone and the lines of a file: good ones first, so that its form is known; then some are odd."""
    form, zone = draw(st.sampled_from(list(FORMS))), draw(st.sampled_from([INDIA, UTC_ZONE, NEW_YORK]))
    lines = good(form, zone)
    for _ in range(draw(st.integers(0, 4))):
        moment = draw(st.sampled_from((START, *TURNS))) + timedelta(minutes=draw(st.integers(0, 90)))
        cells = [FORMS[form](moment, zone), *CELLS]
        spoilt = draw(st.sampled_from([None, None, 0, 0, 0, 1, 2, 5, 6, 7]))
        if spoilt is not None:
            cells[spoilt] = draw(st.sampled_from(ODD_SYMBOLS if spoilt == 1 else ODD_NUMBERS if spoilt else ODD_TIMES))
        lines.append(draw(st.sampled_from(ODD_LINES)) if draw(st.integers(0, 9)) == 9 else ",".join(cells))
    return form, zone, lines


def read(connection, path, request, *, at_once):
    """Give what is staged of a file, the report, and whether it was read at once."""
    taken = []

    def strictly(*args):
        taken.append(at_once and really(*args))
        return taken[-1]

    for table in ("rows", "counted", "names"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    with pytest.MonkeyPatch.context() as patch:
        really = staging._read_strictly
        patch.setattr(staging, "_read_strictly", strictly)
        patch.setattr(moments, "_SAMPLE_ROWS", 3)
        report = _read_files(connection, [path], request, lambda *_: None)
        rows = connection.execute(
            "SELECT rows.* REPLACE (coalesce(clean, symbol) AS symbol) FROM rows LEFT JOIN names USING (symbol)"
            " ORDER BY rows.rowid"
        ).fetchall()
    return repr(rows), report, taken == [True]


def written(folder: Path, form, lines) -> Path:
    path = folder / "file.csv"
    head = HEAD.replace("date", "date,time", 1) if form == "two" else HEAD
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@settings(max_examples=150)
@given(drawn=files(), ticks=st.booleans(), timeframe=st.sampled_from(["1m", "1d"]))
def test_both_ways_say_the_same_of_any_file(connection, tmp_path_factory, drawn, ticks, timeframe):
    """Times in gaps and overlaps of clocks, out of range, of another form; odd numbers, symbols and lines."""
    form, zone, lines = drawn
    path = written(tmp_path_factory.getbasetemp(), form, lines)
    chosen = {"price": "close"} if ticks else {}
    request = ImportRequest(
        "ticks" if ticks else "candles", zone=zone, timeframe=None if ticks else timeframe, chosen=chosen
    )
    one, other = read(connection, path, request, at_once=True), read(connection, path, request, at_once=False)

    assert one[:2] == other[:2]
    assert not one[2] or set(one[1].refused) <= {BAD_SYMBOL}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zone", [INDIA, NEW_YORK])
def test_good_times_of_every_form_are_read_at_once(connection, tmp_path, form, zone):
    path = written(tmp_path, form, good(form, zone))
    if form == "s":  # packed as well
        path = tmp_path / "file.csv.gz"
        path.write_bytes(gzip.compress((tmp_path / "file.csv").read_bytes()))
    request = ImportRequest("candles", zone=zone, timeframe="1d" if form == "day" else "1m")
    rows, report, at_once = read(connection, path, request, at_once=True)

    assert at_once
    assert (rows, report) == read(connection, path, request, at_once=False)[:2]
    assert (report.rows_read, report.refused) == (3, {})
    assert form == "day" or all(str(to_us(each)) in rows for each in MINUTES)


@pytest.mark.parametrize("form", ["iso", "offset", "zulu_ms", "s", "s_float", "us", "two"])
@pytest.mark.parametrize("spoilt", [f"{2**63 - 1}", "1e300", "nan", "soon", ""])
def test_a_bad_time_far_behind_the_sample_is_refused_and_the_rest_taken_once(connection, tmp_path, form, spoilt):
    """Too large a number is a bad cell like any other, and not the end of the file."""
    lines = good(form, INDIA, 5000)
    path = written(tmp_path, form, [*lines, f"{spoilt}{',' * (form == 'two')},{','.join(CELLS)}"])
    _, report, at_once = read(connection, path, ImportRequest("candles"), at_once=True)

    assert not at_once
    assert (report.rows_read, report.refused) == (5001, {UNREADABLE_TIME: 1})


@pytest.mark.parametrize("form", ["s", "s_float", "ms", "us", "ns"])
@pytest.mark.parametrize("spoilt", [f"{2**63 - 1}", "1e300", "1e18"])
def test_a_number_out_of_range_in_the_sample_does_not_hide_the_form(connection, tmp_path, form, spoilt):
    first, *rest = good(form, INDIA, 5)
    path = written(tmp_path, form, [first, f"{spoilt},{','.join(CELLS)}", *rest])
    _, report, _ = read(connection, path, ImportRequest("candles"), at_once=True)

    assert (report.rows_read, list(report.refused.values())) == (6, [1])


ARRAYS = {
    "naive": [(each + timedelta(hours=5, minutes=30)).replace(tzinfo=None) for each in MINUTES],
    "aware": MINUTES,
    "ms": [to_us(each) // 1000 for each in MINUTES],
    "s_float": [to_us(each) / 10**6 for each in MINUTES],
    "text": [each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in MINUTES],
}
PRICES = (pa.float64(), pa.decimal128(18, 2), pa.string())
VOLUMES = ([1, 2, 3], [1.0, None, 3.0], ["1", "2", "3"])
ODD_COLUMNS = {
    "volume": ([1, 2, -3], [1.0, float("nan"), 3.0], ["1", "2", "1,000"], pa.array([1, 2, 2**63], pa.uint64())),
    "date": ([0, 1, None], [1, 2**62, 3], [MINUTES[0], datetime(9999, 1, 1, tzinfo=UTC), None]),
    "low": ([99.0, 0.0, 99.0], [99.0, None, 99.0], [99.0, float("inf"), 99.0], ["99", "99", "x"]),
    "symbol": (["TCS", " INFY", "SBIN "], [1, 2, 3], ["TCS", None, ""]),
}


def parquet(folder: Path, columns) -> Path:
    path = folder / "file.parquet"
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("times", ARRAYS)
@pytest.mark.parametrize("price", PRICES, ids=str)
@pytest.mark.parametrize("volume", VOLUMES, ids=["whole", "float", "text"])
def test_good_parquet_is_read_at_once(connection, tmp_path, times, price, volume):
    prices = {name: pa.array(["100", "101", "102.5"]).cast(price) for name in ("open", "high", "low", "close")}
    path = parquet(tmp_path, {"date": ARRAYS[times], "symbol": [500325] * 3, **prices, "volume": volume})
    rows, report, at_once = read(connection, path, ImportRequest("candles"), at_once=True)

    assert at_once
    assert (rows, report) == read(connection, path, ImportRequest("candles"), at_once=False)[:2]
    assert (report.rows_read, report.refused) == (3, {})
    assert all(str(to_us(each)) in rows for each in MINUTES)


@pytest.mark.parametrize(
    ("column", "cells"), [(name, cells) for name, several in ODD_COLUMNS.items() for cells in several]
)
def test_odd_parquet_is_the_same_both_ways(connection, tmp_path, column, cells):
    prices = {name: [100.0] * 3 for name in ("open", "high", "low", "close")}
    columns = {"date": MINUTES, "symbol": ["TCS"] * 3, **prices, "volume": [1, 2, 3]} | {column: cells}
    path = parquet(tmp_path, columns)
    one, other = said(connection, path, at_once=True), said(connection, path, at_once=False)

    assert one[:2] == other[:2]
    assert not one[2] or set(one[1].refused) <= {BAD_SYMBOL}


def said(connection, path, *, at_once):
    try:
        return read(connection, path, ImportRequest("candles"), at_once=at_once)
    except Refused as e:
        return str(e), None, False


def test_a_column_taken_for_a_price_and_a_volume_is_rounded_for_the_volume_alone(connection, tmp_path):
    path = written(tmp_path, "iso", good("iso", INDIA))
    request = ImportRequest("ticks", timeframe=None, chosen={"price": "close", "volume": "close"})
    rows, report, at_once = read(connection, path, request, at_once=True)

    assert at_once
    assert (rows, report) == read(connection, path, request, at_once=False)[:2]
    assert "100.5, 101" in rows


@pytest.mark.parametrize("zone", [INDIA, NEW_YORK])
def test_a_form_with_an_offset_says_an_instant(connection, tmp_path, zone):
    """It was taken for a time of the zone once more, five and a half hours off."""
    path = written(tmp_path, "offset", good("offset", INDIA))
    request = ImportRequest("candles", zone=zone, time_format="%Y-%m-%d %H:%M:%S%z")
    rows, report, at_once = read(connection, path, request, at_once=True)

    assert at_once
    assert "own zone" in report.plans[0].times
    assert all(str(to_us(each)) in rows for each in MINUTES)


def test_a_file_cut_off_is_refused_by_its_name(connection, tmp_path):
    """It was the fault of the disk that the rows are put on, to go by what was said."""
    path = tmp_path / "TCS.csv.gz"
    whole = gzip.compress("\n".join([HEAD, *good("offset", INDIA, 500)]).encode())
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(Refused, match=r"TCS\.csv\.gz: cannot be read"):
        read(connection, path, ImportRequest("candles"), at_once=True)


@pytest.mark.parametrize(
    ("words", "kind"),
    [("Could not write file: No space left on device", duckdb.IOException), ("Could not read from {}", Refused)],
)
def test_a_full_disk_is_not_the_fault_of_the_file(connection, tmp_path, monkeypatch, words, kind):
    path = written(tmp_path, "offset", good("offset", INDIA))

    def fail(*_):
        raise duckdb.IOException(words.format(path))

    monkeypatch.setattr(staging, "_watched", fail)
    with pytest.raises(kind):
        read(connection, path, ImportRequest("candles"), at_once=True)
