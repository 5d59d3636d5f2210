"""C6: rows that are kept in memory as columns are those that tables would hold, or the file is read into tables."""

from __future__ import annotations

import gzip
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.clock import to_us
from libs.dbaccess.connections import duckdb_memory
from libs.dbaccess.importing import ImportRequest, moments, pieces, plain
from libs.dbaccess.importing.dayrows import ROWS, take_ticks
from libs.dbaccess.importing.kept import NotPlain, keep
from libs.dbaccess.importing.plan import plan_file
from libs.dbaccess.importing.scratch import SCRATCH, Scratch
from libs.dbaccess.importing.staging import _read_files
from tests.property.test_import_at_once import FORMS, HEAD, INDIA, MINUTES, NEW_YORK, files, good, written

MANY = 1_000_000
DAY = date(2026, 2, 2)


@pytest.fixture(scope="module")
def connection():
    with duckdb_memory() as opened:
        yield opened


def candles_of(connection, staged, rows_max=MANY, spans=()):
    """Give every candle there is, date by date, in no order."""
    found = []
    for day, rows in staged.days():
        parts = list(staged.candles(connection, day, rows, spans, rows_max=rows_max))
        for part in parts:
            columns = [column.tolist() for column in part]
            found += [(day, staged.symbols[place], *rest) for place, *rest in zip(*columns, strict=True)]
    return sorted(found)


def ticks_of(connection, staged):
    """Give every tick as it would be closed, and how many there were and are left, date by date."""
    found = []
    for day, rows in staged.days():
        ticks = staged.ticks(connection, day)
        counts = take_ticks(connection, ticks, keep_repeats=False)
        found.append((day, rows, counts, connection.execute(f"SELECT * FROM {ROWS}").fetchall()))
    return found


def in_memory(connection, paths, request, piece_bytes=pieces._PIECE_BYTES):
    """Give what was kept and the report; None where the files are not for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_PIECE_BYTES", piece_bytes)
        patch.setattr(moments, "_SAMPLE_ROWS", 3)
        try:
            connection.execute("DROP TYPE IF EXISTS listed CASCADE")
            return keep(connection, paths, request, lambda *_: None)
        except NotPlain:
            return None


def in_tables(paths, request):
    """Give every good row, and the report."""
    with duckdb_memory() as connection, pytest.MonkeyPatch.context() as patch:
        connection.execute(f"ATTACH ':memory:' AS {SCRATCH}")
        connection.execute(f"USE {SCRATCH}")
        patch.setattr(moments, "_SAMPLE_ROWS", 3)
        report = _read_files(connection, paths, request, lambda *_: None)
        connection.execute("USE memory")
        return rows_of(connection, Scratch(connection), request), report


def rows_of(connection, staged, request):
    return (ticks_of if request.data_type == "ticks" else candles_of)(connection, staged)


def asked(kind, **words):
    """Ask for candles of a timeframe, or for ticks."""
    chosen = {} if kind else {"price": "close"}
    return ImportRequest("candles" if kind else "ticks", timeframe=kind, chosen=chosen, **words)


def same_both_ways(connection, path, request, piece_bytes):
    found = in_memory(connection, [path], request, piece_bytes)
    expected, report = in_tables([path], request)
    if found is not None:
        staged, said = found
        assert repr(rows_of(connection, staged, request)) == repr(expected)
        assert said == report
        assert not said.refused
    return found is not None


@settings(max_examples=80)
@given(drawn=files(), kind=st.sampled_from(["1m", "1d", None]), piece_bytes=st.integers(120, 600))
def test_what_is_kept_is_what_tables_hold(connection, tmp_path_factory, drawn, kind, piece_bytes):
    """Odd times, numbers, symbols and lines; cut into pieces anywhere."""
    form, zone, lines = drawn
    path = written(tmp_path_factory.getbasetemp(), form, lines)
    same_both_ways(connection, path, asked(kind, zone=zone), piece_bytes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zone", [INDIA, NEW_YORK])
def test_good_files_of_every_form_are_kept(connection, tmp_path, form, zone):
    path = written(tmp_path, form, good(form, zone))
    timeframe = "1d" if form == "day" else "1m"

    assert same_both_ways(connection, path, ImportRequest("candles", zone=zone, timeframe=timeframe), 200)


SHAPES = {
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "no end": lambda text: text.rstrip("\n").encode(),
    "empty lines": lambda text: text.replace("\n", "\n\n").encode(),
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
}


@pytest.mark.parametrize("form", ["iso", "iso_t", "fraction"])
def test_ticks_of_plain_times_are_kept(connection, tmp_path, form):
    """Some in one instant, one twice, on two days, and not in order."""
    later = [line.replace("2026-02-02", "2026-02-03").replace("TCS", "NSE:INFY") for line in good(form, INDIA, 5)]
    path = written(tmp_path, form, [*later[:3], *good(form, INDIA, 9), *good(form, INDIA, 2), *later[1:]])

    assert same_both_ways(connection, path, asked(None), 200)


@pytest.mark.parametrize(
    "cells", ["1,2,1,2,-5,,", "1,2,1,0,5,,", "1,2,1,nan,5,,", "1,2,1,2,5,1e400,", "1,2,1,2,5,nan(1),"]
)
def test_one_odd_tick_is_for_the_tables(connection, tmp_path, cells):
    lines = [HEAD, *good("iso", INDIA, 50), f"2026-02-02 09:18:00,TCS,{cells}", *good("iso", INDIA, 50)]
    (tmp_path / "file.csv").write_text("\n".join(lines))

    assert in_memory(connection, [tmp_path / "file.csv"], asked(None), 300) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("piece_bytes", [130, 1 << 20])
def test_however_its_lines_end(connection, tmp_path, shape, piece_bytes):
    path = tmp_path / "file.csv"
    path.write_bytes(SHAPES[shape](written(tmp_path, "iso", good("iso", INDIA, 40)).read_text()))

    assert same_both_ways(connection, path, ImportRequest("candles"), piece_bytes)


ODD = {
    "a quoted cell": '2026-02-02 09:18:00,"TCS",1,2,1,2,5,,',
    "a new line in quotes": '2026-02-02 09:18:00,TCS,1,2,1,2,5,,"a\nb"',
    "a row in quotes": '2026-02-02 09:18:00,TCS,1,2,1,2,5,,"\n2026-02-02 09:19:00,TCS,1,2,1,2,5,,"',
    "a cell too many": "2026-02-02 09:18:00,TCS,1,2,1,2,5,,,",
    "no price": "2026-02-02 09:18:00,TCS,1,2,,2,5,,",
    "half a minute": "2026-02-02 09:18:30,TCS,1,2,1,2,5,,",
    "an hour alone": "2026-02-02 09,TCS,1,2,1,2,5,,",
    "no time": ",TCS,1,2,1,2,5,,",
    "no symbol": "2026-02-02 09:18:00,,1,2,1,2,5,,",
    "no share": "2026-02-02 09:18:00,A/B,1,2,1,2,5,,",
    "below nothing": "2026-02-02 09:18:00,TCS,1,2,1,2,-5,,",
    "not enclosed": "2026-02-02 09:18:00,TCS,1,2,1.5,2,5,,",
    "without end": "2026-02-02 09:18:00,TCS,1,1e400,1,2,5,,",
    "no text": "2026-02-02 09:18:00,\udcff,1,2,1,2,5,,",
}


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_row_is_for_the_tables(connection, tmp_path, odd):
    """Far behind the sample, and in the middle of good ones."""
    path = tmp_path / "file.csv"
    lines = [HEAD, *good("iso", INDIA, 50), ODD[odd], *good("iso", INDIA, 50)]
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))

    assert in_memory(connection, [path], ImportRequest("candles"), 300) is None


def test_a_line_longer_than_a_piece_is_for_the_tables(connection, tmp_path):
    path = written(tmp_path, "iso", [*good("iso", INDIA, 3), good("iso", INDIA, 1)[0] + "x" * 300])

    assert in_memory(connection, [path], ImportRequest("candles"), 200) is None


def test_packed_files(connection, tmp_path):
    packed = gzip.compress(written(tmp_path, "iso", good("iso", INDIA, 40)).read_bytes())
    path = tmp_path / "file.csv.gz"
    path.write_bytes(packed)
    assert same_both_ways(connection, path, ImportRequest("candles"), 300)

    plan = plan_file(connection, path, ImportRequest("candles"))
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises((NotPlain, OSError)):
        list(pieces.read_pieces([plan], "candles"))


def test_packed_files_of_several_members(connection, tmp_path):
    """As `cat a.gz b.gz` makes one of two: nothing behind the first is lost."""
    lines = written(tmp_path, "iso", good("iso", INDIA, 40)).read_bytes().splitlines(keepends=True)
    path = tmp_path / "file.csv.gz"
    path.write_bytes(gzip.compress(b"".join(lines[:20])) + gzip.compress(b"".join(lines[20:])))

    assert same_both_ways(connection, path, ImportRequest("candles"), 300)
    assert in_tables([path], ImportRequest("candles"))[1].rows_read == 40


@pytest.mark.parametrize("kind", ["1m", None])
def test_a_file_without_rows(connection, tmp_path, kind):
    (tmp_path / "file.csv").write_text(f"{HEAD}\n\n")

    assert same_both_ways(connection, tmp_path / "file.csv", asked(kind), 300)


def test_several_files_without_a_symbol_and_a_volume(connection, tmp_path):
    """The symbol is their name, and where there is no volume, or an empty one, it is 0."""
    paths = [tmp_path / "TCS.csv", tmp_path / "INFY.csv"]
    paths[0].write_text("datetime,open,high,low,close\n2026-02-03 09:15,1,2,1,2\n2026-02-02 09:15,3,4,3,4\n")
    paths[1].write_text("datetime,open,high,low,close,volume\n2026-02-02 09:16,5,6,5,6,\n2026-02-03 09:16,7,8,7,8,9\n")
    found = in_memory(connection, paths, ImportRequest("candles"))
    expected, report = in_tables(paths, ImportRequest("candles"))

    assert found is not None
    assert candles_of(connection, found[0]) == expected
    assert [each[1:2] + each[-1:] for each in expected] == [("INFY", 0), ("TCS", 0), ("INFY", 9), ("TCS", 0)]
    assert found[1] == report


def test_spellings_of_one_symbol(connection, tmp_path):
    lines = [line.replace("TCS", name) for name in ("NSE:TCS", "TCS", "TCS-EQ") for line in good("iso", INDIA)]
    path = written(tmp_path, "iso", lines)

    assert same_both_ways(connection, path, ImportRequest("candles"), 300)


def test_parts_are_of_whole_symbols_and_a_session_cuts_them(connection, tmp_path):
    lines = [line.replace("TCS", name) for line in good("iso", INDIA, 3) for name in ("C", "A", "B", "D")]
    path = written(tmp_path, "iso", lines)
    found = in_memory(connection, [path], ImportRequest("candles"))
    assert found is not None
    spans = ((to_us(MINUTES[0]), to_us(MINUTES[1])), (to_us(MINUTES[2]), to_us(MINUTES[2]) + 1))
    for rows_max, expected in ((12, [[0, 1, 2, 3]]), (5, [[0, 1], [2, 3]]), (1, [[0], [1], [2], [3]])):
        parts = list(found[0].candles(connection, DAY, 12, spans, rows_max=rows_max))
        assert [sorted({*part.symbol.tolist()}) for part in parts] == expected
    assert sum(part.rows for part in parts) == 8


def test_columns_of_any_chunks_are_taken(connection):
    """A piece is one chunk as Arrow reads it now; were it two, none would be lost."""
    column = pa.chunked_array([["TCS", "INFY"], ["INFY"]]).dictionary_encode()

    assert plain._only_chunk(column).to_pylist() == ["TCS", "INFY", "INFY"]


def test_files_with_other_columns(connection, tmp_path):
    """What one has and the other has not is missing there."""
    paths = [tmp_path / "TCS.csv", tmp_path / "INFY.csv"]
    paths[0].write_text("time,ltp,bid\n2026-02-02 09:15:00.5,1,2\n2026-02-02 09:15:01.5,3,\n")
    paths[1].write_text("time,ltp,volume\n2026-02-02 09:15:01.0,5,6\n2026-02-02 09:15:02.0,7,\n")
    found = in_memory(connection, paths, ImportRequest("ticks", timeframe=None))
    expected, report = in_tables(paths, ImportRequest("ticks", timeframe=None))

    assert found is not None
    assert ticks_of(connection, found[0]) == expected
    assert found[1] == report
