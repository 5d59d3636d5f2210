"""C6: the ticks of a day as the import closes them are those a plain loop over the rows of the file gives."""

from __future__ import annotations

import random
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.clock import day_start_us
from libs.dbaccess.importing.dayrows import ROWS, take_ticks
from libs.dbaccess.importing.rows import VALUES, staging_ddl
from libs.dbaccess.importing.scratch import SCRATCH, Scratch, day_number

DAY = date(2026, 2, 2)
NAMES = {"TCS": "TCS", "NSE:TCS": "TCS", "INFY": "INFY", "A": "A", "?": None}
COLUMNS = ("symbol", "ts_us", *VALUES["ticks"])
KINDS = (
    pa.string(),
    pa.int64(),
    *(pa.float64() if each == "DOUBLE" else pa.int64() for each in VALUES["ticks"].values()),
)
NAN = float("nan")


@pytest.fixture(scope="module")
def scratch():
    """Stage a row of another day and a refused one, as the import does."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH ':memory:' AS {SCRATCH}")
        connection.execute(f"USE {SCRATCH}")
        connection.execute(staging_ddl("ticks"))
        connection.execute("CREATE TABLE names AS SELECT unnest(?) AS symbol, unnest(?::VARCHAR[]) AS clean",
                           [list(NAMES), list(NAMES.values())])  # fmt: skip
        for day, refused in ((DAY.replace(day=3), "NULL"), (DAY, "2")):
            cells = f"{day_number(day)}, 'TCS', 0, 1, 9, 1, 1, 9, 1, 9, {refused}"
            connection.execute(f"INSERT INTO rows VALUES ({cells})")
        connection.execute("USE memory")
        yield connection, Scratch(connection)


def closed(scratch, rows, *, keep_repeats):
    """Give what the import counts and makes of a day's rows."""
    connection, tables = scratch
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    staged = pa.table([pa.array(cells, kind) for cells, kind in zip(columns, KINDS, strict=True)], COLUMNS)
    connection.execute("BEGIN")
    try:
        connection.execute(f"INSERT INTO {SCRATCH}.rows BY NAME SELECT {day_number(DAY)} AS day, * FROM staged")
        counts = take_ticks(connection, tables.ticks(connection, DAY), keep_repeats=keep_repeats)
        found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM {ROWS}").fetchall()
    finally:
        connection.execute("ROLLBACK")
    assert staged.num_rows == len(rows)
    return counts, found


def by_hand(rows, *, keep_repeats):
    """What the docs say, one row after the other."""
    ticks = [(NAMES[symbol], *rest) for symbol, *rest in rows if NAMES[symbol]]
    seen, once = set(), []
    for place, tick in enumerate(ticks):
        if keep_repeats or comparable(tick) not in seen:
            seen.add(comparable(tick))
            once.append((place, tick))
    once.sort(key=lambda each: (each[1][1], each[1][-1] is None, each[1][-1] or 0, each[0]))
    made, before, total = [], {}, {}
    for number, (_, (symbol, ts_us, price, volume, bid, ask, volume_day, interest, _)) in enumerate(once, 1):
        last, before[symbol] = before.get(symbol), volume_day
        since = 0 if volume_day is None or last is None else max(0, volume_day - last)
        traded = since if volume is None else volume
        total[symbol] = total.get(symbol, 0) + traded
        so_far = total[symbol] if volume_day is None else volume_day
        made.append((symbol, ts_us, price, traded, bid, ask, so_far, interest, number))
    return (len(ticks), len(made)), sorted(made, key=lambda tick: (tick[0], tick[-1]))


def comparable(tick):
    """Make NaN equal to NaN and 0 to -0, as a reader of the file would."""
    return tuple(str(cell + 0.0) if isinstance(cell, float) else cell for cell in tick)


moments = st.integers(0, 3).map(lambda second: day_start_us(DAY) + second * 1_000_000)
ticks = st.tuples(
    st.sampled_from(list(NAMES)), moments, st.sampled_from([100.0, 100.05, 99.5]), st.none() | st.integers(0, 3),
    st.sampled_from([None, 0.0, -0.0, NAN, 99.0]), st.none() | st.just(101.0), st.none() | st.integers(0, 30),
    st.none() | st.just(7.0), st.none() | st.integers(1, 4),
)  # fmt: skip
#: A file has a column or has it not; one that it has may be empty in some of its rows.
files = st.tuples(st.lists(ticks, max_size=25), st.lists(st.booleans(), min_size=9, max_size=9), st.booleans()).map(
    lambda drawn: ([without(row, drawn[1]) for row in drawn[0]], drawn[2])
)


def without(row, missing):
    return tuple(
        None if gone and name not in {"symbol", "ts_us", "price"} else cell
        for name, gone, cell in zip(COLUMNS, missing, row, strict=True)
    )


@settings(max_examples=40)
@given(drawn=files)
def test_a_day_of_ticks_is_what_a_loop_makes_of_it(scratch, drawn):
    """Repeats, no order, equal instants, volumes of one kind or the other or in some rows, numbers given or not."""
    rows, keep_repeats = drawn
    counts, found = closed(scratch, rows, keep_repeats=keep_repeats)

    counts_by_hand, made = by_hand(rows, keep_repeats=keep_repeats)
    assert (counts, repr(found)) == (counts_by_hand, repr(made))  # NaN is not equal to itself, and -0 is to 0


@pytest.mark.parametrize("columns", ["volume", "volume_day", "neither"])
def test_so_is_a_day_of_more_rows_than_the_engine_looks_at_together(scratch, columns):
    """It takes 2,048 at a time: what looks at the row before must look over each border."""
    rng = random.Random(20260202)
    rows = []
    for _ in range(20_000 if columns == "volume" else 5_000):
        volume = rng.randrange(500) if columns == "volume" else None
        so_far = rng.randrange(10**6) if columns == "volume_day" else None
        second = day_start_us(DAY) + rng.randrange(10**9) * 20
        rows.append((rng.choice(("TCS", "INFY", "A")), second, 100.0, volume, None, 101.0, so_far, None, None))
    rows += rng.sample(rows, 500)
    counts, found = closed(scratch, rows, keep_repeats=False)

    assert (counts, found) == by_hand(rows, keep_repeats=False)
    assert counts[0] - counts[1] == 500
