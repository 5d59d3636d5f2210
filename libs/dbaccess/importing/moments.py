"""What form the times of a file have, and the SQL that turns them into microseconds since the epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import msgspec

from libs.core.errors import Refused
from libs.dbaccess.connections import quote

#: Tried in this order; day before month, as in India, unless only month before day makes sense of the file.
_DATES = (
    "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%y",
    "%d/%m/%y", "%m/%d/%Y", "%m-%d-%Y", "%b %d %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S", " %H%M%S", " %H%M",
          " %I:%M:%S%p", ", %H:%M:%S", ", %I:%M:%S %p")  # fmt: skip
_ISO_TIMES = (" %H%M%S", " %H%M", " %I:%M:%S %p", " %I:%M %p")
_FORMATS = (
    *(f"{day}{hour}" for hour in _TIMES for day in _DATES),
    *(f"%Y-%m-%d{hour}" for hour in _ISO_TIMES),
)
_PARSED_MIN = 0.5
_SAMPLE_ROWS = 2000
#: What Parquet's instants come as; pandas writes them in nanoseconds.
_AWARE = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
_PLAIN_ISO = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "%Y-%m-%d %H:%M:%S"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"), "%Y-%m-%dT%H:%M:%S"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}"), "%Y-%m-%d %H:%M:%S.%f"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}"), "%Y-%m-%dT%H:%M:%S.%f"),
)
#: Stands for the text of a time until the form is chosen.
_TEXT = "$text_of_time$"
#: Seconds, milli-, micro- and nanoseconds since the epoch lie in different ranges from 1973 to 5138.
_EPOCHS = (("s", 1e8, 1e11), ("ms", 1e11, 1e14), ("us", 1e14, 1e17), ("ns", 1e17, 1e20))
_WHEN_OFFSETS_DIFFER = [datetime(year, month, 1, tzinfo=UTC) for year in range(1990, 2045) for month in (1, 7)]


#: What of these Arrow reads as it is meant.
PLAIN_FORMS = frozenset(form for _, form in _PLAIN_ISO)


class Moments(msgspec.Struct, frozen=True):
    """The form of a file's times, in words for the plan, and how to read them.

    Where one form fits the whole sample to the letter, `strict` is that form, for a reader that refuses every other,
    and `naive_sql` what to make of the wall-clock time it gives.
    """

    form: str
    sql: str
    strict: str = ""
    naive_sql: str = ""


def moments_of(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    column: str,
    kind: str,
    *,
    zone: str,
    given: str | None,
    path: Path,
) -> Moments:
    """Look at a sample of a column (an SQL expression of a source) and choose the form that reads most of it."""
    _in_zone("now()", zone)  # refuses a zone there is not, before the connection is told
    connection.execute(f"SET TimeZone = {quote(zone)}")
    if kind in _AWARE:
        return Moments("instants with their own zone", f"epoch_us(CAST({column} AS TIMESTAMPTZ))")
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return Moments(f"{kind.lower()}, taken in {zone}", _in_zone(f"CAST({column} AS TIMESTAMP)", zone))
    text = f"CAST({column} AS VARCHAR)"
    if given:
        return _with_column(_strptime(text, given, zone), text, column)
    sql = f"SELECT {text} FROM {source} WHERE {column} IS NOT NULL LIMIT {_SAMPLE_ROWS}"
    try:
        sample = [str(row[0]) for row in connection.execute(sql).fetchall()]
    except duckdb.Error as e:
        raise Refused(f"{path}: cannot be read: {e}") from e
    if not sample:
        return Moments("no times at all", "NULL::BIGINT")
    best, share = _best(connection, [*_epoch_forms(sample), *_text_forms(zone)], sample)
    if share < _PARSED_MIN:
        raise Refused(f"{path}: times such as {sample[0]!r} are of no form we know; say it with --time-format '%d…'")
    if not best.strict and best.form.startswith("ISO"):
        best = _strict_iso(best, sample, zone)
    return _with_column(best, text, column)


def _with_column(moments: Moments, text: str, column: str) -> Moments:
    sql, naive_sql = moments.sql.replace(_TEXT, text), moments.naive_sql.replace(_TEXT, column)
    return Moments(moments.form, sql, moments.strict, naive_sql)


def _strict_iso(iso: Moments, sample: Sequence[str], zone: str) -> Moments:
    """Nearly every file has its times to the second and no offset; the reader is then told so, and told to mind."""
    for pattern, form in _PLAIN_ISO:
        if all(pattern.fullmatch(each) for each in sample):
            return Moments(iso.form, iso.sql, form, _in_zone(_TEXT, zone))
    return iso


def _best(
    connection: duckdb.DuckDBPyConnection, forms: Sequence[Moments], sample: Sequence[str]
) -> tuple[Moments, float]:
    """Choose the first of the forms that read the most; a time with an offset is never read as one without."""
    scores = []
    connection.execute("CREATE OR REPLACE TEMP TABLE sample_of_times AS SELECT unnest(?::VARCHAR[]) AS text", [sample])
    for form in forms:
        sql = form.sql.replace(_TEXT, "text")
        [(read,)] = connection.execute(f"SELECT count({sql}) FROM sample_of_times").fetchall()
        scores.append(int(read))
        if read == len(sample):  # none after it can read more
            break
    connection.execute("DROP TABLE sample_of_times")
    top = max(scores)
    return forms[scores.index(top)], top / len(sample)


def _epoch_forms(sample: Sequence[str]) -> list[Moments]:
    try:
        sizes = [abs(float(each)) for each in sample[:200]]
    except ValueError:
        return []
    middle = sorted(sizes)[len(sizes) // 2]
    factors = {"s": "* 1000000", "ms": "* 1000", "us": "", "ns": "// 1000"}
    for unit, low, high in _EPOCHS:
        if low <= middle < high:
            whole = f"TRY_CAST({_TEXT} AS BIGINT)"
            if unit == "s" and any("." in each for each in sample):
                in_us = f"round(TRY_CAST({_TEXT} AS DOUBLE) * 1e6)"
                return [Moments("seconds since the epoch", f"TRY_CAST({in_us} AS BIGINT)")]
            return [Moments(f"{_UNITS[unit]} since the epoch", f"TRY({whole} {factors[unit]})")]
    return []  # 20260202 is a date


_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def _text_forms(zone: str) -> list[Moments]:
    """ISO first: an offset in the text counts; without one the connection's zone does, which is the caller's."""
    iso = Moments(f"ISO text, taken in {zone} where it has no offset", f"epoch_us(TRY_CAST({_TEXT} AS TIMESTAMPTZ))")
    return [iso, *(_strptime(_TEXT, form, zone) for form in _FORMATS)]


def _strptime(text: str, form: str, zone: str) -> Moments:
    read = f"try_strptime({text}, {quote(form)})"
    if re.search("(?<!%)%[zZ]", form):  # DuckDB then gives an instant
        return Moments(f"{form}, instants with their own zone", f"epoch_us({read})")
    read = _in_zone(read, zone)
    return Moments(f"{form}, taken in {zone}", read, form, _in_zone(_TEXT, zone))


def zone_named(zone: str) -> ZoneInfo:
    """Give a time zone by its name; Refused when there is none of that name."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise Refused(f"time zone {zone!r}: expected a name such as Asia/Kolkata or UTC") from e


def _in_zone(naive: str, zone: str) -> str:
    """Turn a wall-clock time of a zone into microseconds since the epoch; a fixed offset is a subtraction."""
    offset_us = fixed_offset_us(zone)
    return f"epoch_us(timezone({quote(zone)}, {naive}))" if offset_us is None else f"epoch_us({naive}) - {offset_us}"


@lru_cache(maxsize=16)
def fixed_offset_us(zone: str) -> int | None:
    """Give the offset a zone always has; asked for some hundred times a file."""
    named = zone_named(zone)
    offsets = {moment.astimezone(named).utcoffset() for moment in _WHEN_OFFSETS_DIFFER}
    return (offsets.pop() or timedelta()) // timedelta(microseconds=1) if len(offsets) == 1 else None
