"""The SQL that reads one file's rows and says of each that will not do why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us, trading_date
from libs.dbaccess.connections import quote
from libs.dbaccess.importing.plan import FilePlan, ImportRequest, identifier

#: Days are counted in India: this many microseconds from the epoch to its midnight.
IST_OFFSET_US = -day_start_us(trading_date(0))
_DAY = f"CAST((ts_us + {IST_OFFSET_US}) // {US_PER_DAY} AS INTEGER)"
#: In the year 2286: what lies behind it would not even be counted in days.
LAST_US = 10**16

#: Staged columns besides day, symbol, ts_us and refused.
VALUES = {
    "candles": {"open": "DOUBLE", "high": "DOUBLE", "low": "DOUBLE", "close": "DOUBLE", "volume": "BIGINT"},
    "ticks": {
        "price": "DOUBLE", "volume": "BIGINT", "bid": "DOUBLE", "ask": "DOUBLE", "volume_day": "BIGINT",
        "open_interest": "DOUBLE", "seq": "BIGINT",
    },
}  # fmt: skip
#: Columns of a day's file, but for what `every_row` says of all candles.
STORED = {name: ("symbol", "timestamp", *values) for name, values in VALUES.items()}

#: Thousands set apart, as in the West or in India.
_GROUPED = quote(r"\s*[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?\s*")

UNREADABLE_TIME = "the time cannot be read"
NO_PRICE = "a price is missing or no number"
NOT_ABOVE_ZERO = "a price is not above zero"
NOT_ENCLOSED = "high and low do not enclose open and close"
BAD_VOLUME = "a volume is no whole number of 0 or more"
NO_SYMBOL = "there is no symbol"
OFF_MINUTE = "the time is not the start of a minute"
TORN = "the line has too few or too many cells"


#: A refused row says which of these it is by its place, from 1; a good row has none.
REASONS = (UNREADABLE_TIME, NO_PRICE, NOT_ABOVE_ZERO, NOT_ENCLOSED, OFF_MINUTE, BAD_VOLUME, NO_SYMBOL)


def staging_ddl(data_type: str) -> str:
    """Give the statement that makes the table all files are read into.

    A refused row has its text where a good one has its symbol: a column for it, empty in nearly every row, would cost
    as much to write as four prices.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in VALUES[data_type].items())
    return f"CREATE TABLE rows (day INTEGER, symbol VARCHAR, ts_us BIGINT, {columns}, refused UTINYINT)"


def staging_select(plan: FilePlan, request: ImportRequest, *, strict: bool = False) -> str:
    """Give the SELECT whose rows go into it by name, in the order of the file.

    `strict`, it takes numbers for numbers, which is faster by half, and fails at the first bad row.
    """
    found = plan.columns
    values = VALUES[request.data_type]
    symbol = identifier(found["symbol"]) if "symbol" in found else quote(plan.symbol)
    if strict:
        source, moment_sql = _strict_source(plan, values)
        parts = [f"CAST({symbol} AS VARCHAR) AS symbol", f"{moment_sql} AS ts_us"]
        parts += [f"{_strict_value(found.get(name), kind)} AS {name}" for name, kind in values.items()]
    else:
        source = plan.source
        parts = [f"trim(CAST({symbol} AS VARCHAR)) AS symbol", f"{_moment(plan)} AS ts_us"]
        parts += [f"{_value(found.get(name), kind)} AS {name}" for name, kind in values.items()]
        bad = " OR ".join(
            f"({identifier(found[name])} IS NOT NULL AND {_value(found[name], kind)} IS NULL)"
            for name, kind in values.items()
            if kind == "BIGINT" and name in found
        )
        raw = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in found.values())
        parts += [f"({bad or 'false'}) AS bad_volume", f"concat_ws(',', {raw}) AS line"]
    return (
        f"SELECT {_refused(request, strict=strict)} AS refused, {_day_and_moment(request)}, {', '.join(values)},"
        f" {'symbol' if strict else 'CASE WHEN refused IS NULL THEN symbol ELSE line END AS symbol'}"
        f" FROM (SELECT {', '.join(parts)} FROM {source})"
    )


def moments_select(plan: FilePlan, request: ImportRequest, source: str) -> str:
    """Give the SELECT of day and moment of each text of a time; NULL where a row of that time would be refused."""
    off = f" AND ts_us % {US_PER_MINUTE} = 0" if is_by_minute(request) else ""
    return (
        f"SELECT {_day_and_moment(request)}"
        f" FROM (SELECT CASE WHEN ts_us >= 0{off} THEN ts_us END AS ts_us FROM (SELECT {_moment(plan)} AS ts_us"
        f" FROM {source}))"
    )


def _moment(plan: FilePlan) -> str:
    return f"CASE WHEN {plan.moment_sql} BETWEEN 0 AND {LAST_US} THEN {plan.moment_sql} END"


def _day_and_moment(request: ImportRequest) -> str:
    """Spell both; a day's bar is stamped with its midnight, whenever the vendor thinks it was."""
    moment = f"{_DAY}::BIGINT * {US_PER_DAY} - {IST_OFFSET_US}" if request.timeframe == "1d" else "ts_us"
    return f"{_DAY} AS day, {moment} AS ts_us"


def is_by_minute(request: ImportRequest) -> bool:
    """Whether rows are of whole minutes."""
    return request.data_type == "candles" and request.timeframe != "1d"


def _strict_source(plan: FilePlan, values: Mapping[str, str]) -> tuple[str, str]:
    """Give the SQL of a file's rows with numbers in them, and of their moments.

    A cell comes out as `TRY_CAST` would read its text, in a CSV too. Times stay text unless the reader can be told
    their one form: that spares looking for an offset in each. So does a column that is taken for two things.
    """
    if not plan.csv:
        return plan.source, plan.moment_sql
    found = plan.columns
    once = {column for column, fields in Counter(found.values()).items() if fields == 1}
    kinds = {found[name]: kind for name, kind in values.items() if found.get(name) in once}
    if not plan.time_form:
        return plan.csv.sql(kinds, strict=True), plan.moment_sql
    times = {found["timestamp"]: "TIMESTAMP"}
    return plan.csv.sql(kinds | times, plan.time_form, strict=True), plan.naive_sql


def _strict_value(column: str | None, kind: str) -> str:
    return f"CAST({identifier(column) if column else 'NULL'} AS {kind})"


def _value(column: str | None, kind: str) -> str:
    """Read a number; 1,234.50 and 1,00,000 are such, and 100,5 is none: it would be taken for ten times as much."""
    if column is None:
        return f"NULL::{kind}"
    name = identifier(column)
    text = f"CAST({name} AS VARCHAR)"
    grouped = f"CASE WHEN regexp_full_match({text}, {_GROUPED}) THEN TRY_CAST(replace({text}, ',', '') AS {kind}) END"
    return f"coalesce(TRY_CAST({name} AS {kind}), {grouped})"


def _refused(request: ImportRequest, *, strict: bool) -> str:
    rules = _rules(request)
    if strict:  # which rule is broken does not matter: the file is then looked at again, as text
        good = " AND ".join(holds for _, holds, _ in rules)
        return f"CAST(CASE WHEN {good} THEN NULL ELSE error('a row that cannot be taken') END AS UTINYINT)"
    cases = " ".join(f"WHEN {broken} THEN {REASONS.index(why) + 1}" for why, _, broken in rules)
    return f"CAST(CASE {cases} END AS UTINYINT)"


def _rules(request: ImportRequest) -> list[tuple[str, str, str]]:
    """Give the reasons to refuse a row in their order: each with what holds of a good row, and what does not.

    The first is spelled for speed, without a function call a row; DuckDB orders NaN above infinity. Of a symbol it sees
    only the text as it stands in the file: one behind a space, and none, are before the first letter or sign.
    """
    in_time = f"ts_us BETWEEN 0 AND {LAST_US}"
    rules = [(UNREADABLE_TIME, in_time, f"ts_us IS NULL OR NOT {in_time}")]
    if request.data_type == "candles":
        rules += [
            (
                NO_PRICE, "high < 'infinity'::DOUBLE",
                "NOT coalesce(isfinite(open) AND isfinite(high) AND isfinite(low) AND isfinite(close), false)",
            ),
            (NOT_ABOVE_ZERO, "low > 0", "least(open, high, low, close) <= 0"),
            (
                NOT_ENCLOSED, "low <= open AND low <= close AND high >= open AND high >= close",
                "low > least(open, close) OR high < greatest(open, close)",
            ),
        ]  # fmt: skip
        if is_by_minute(request):
            rules.append((OFF_MINUTE, f"ts_us % {US_PER_MINUTE} = 0", f"ts_us % {US_PER_MINUTE} <> 0"))
    else:
        rules += [
            (NO_PRICE, "price < 'infinity'::DOUBLE", "NOT coalesce(isfinite(price), false)"),
            (NOT_ABOVE_ZERO, "price > 0", "price <= 0"),
        ]
    return [
        *rules,
        (BAD_VOLUME, "coalesce(volume, 0) >= 0", "bad_volume OR coalesce(volume, 0) < 0"),
        (NO_SYMBOL, "symbol >= '!'", "coalesce(symbol, '') = ''"),
    ]
