"""Which column of a stranger's file means what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from libs.core.errors import Refused

#: Field to the spellings it is known by, lower case, letters and digits only.
_COMMON = {
    "symbol": "symbol tradingsymbol ticker tckrsymb scrip scripname stock instrument instrumentname name code sym",
    "timestamp": "timestamp datetime dateandtime datetimeist time date ts tradedate traddt tradingdate date1 epoch "
    "unixtime starttime bartime candletime localtime exchangetimestamp lasttradetime ltt index indexlevel0 unnamed0",
    "volume": "volume vol v qty quantity tradedqty totaltradedquantity tottrdqty ttltrdqnty ttltradgvol noofshares "
    "volumetraded",
    "open_interest": "openinterest oi",
}
_CANDLES = _COMMON | {
    "open": "open o openprice openpric opnpric op",
    "high": "high h highprice hghpric hi",
    "low": "low l lowprice lwpric lo",
    "close": "close c closeprice clspric cl ltp last",
}
_TICKS = _COMMON | {
    "price": "price ltp lasttradedprice lastprice last tradeprice close rate px",
    "volume": "volume vol v qty quantity ltq lasttradedquantity lastquantity tradesize size tradedqty",
    "bid": "bid bidprice bestbid bestbidprice buyprice bp bid1 bidprice1",
    "ask": "ask askprice bestask bestaskprice sellprice offer ap ask1 askprice1",
    "volume_day": "volumeday dayvolume vtt volumetraded volumetradedtoday cumulativevolume cumvolume totalvolume "
    "totaltradedvolume vol_day",
    "seq": "seq sequence sequencenumber seqno",
}
FIELDS = {"candles": _CANDLES, "ticks": _TICKS}
#: Without these there is nothing to take.
REQUIRED = {"candles": ("timestamp", "open", "high", "low", "close"), "ticks": ("timestamp", "price")}
_DATE_WORDS = ("date", "tradedate", "traddt", "tradingdate", "day", "d")
_TIME_WORDS = ("time", "t", "tradetime", "starttime", "hour")

#: What a file of one symbol has in its name besides the symbol.
_NAME_ENDS = re.compile(
    r"[ _\-.](1m|1min|1minute|minute|5m|5min|5minute|15m|15min|15minute|1h|60min|hour|4h|1d|day|daily|eq|nse|bse|ns|bo|"
    r"candles?|ticks?|ohlcv?|data|historical|intraday|\d{4}-?\d{2}-?\d{2}|\d{4})$",
    re.IGNORECASE,
)


#: How charts name what they export: exchange, symbol, and the bars' length behind a comma.
_CHART = re.compile(r"^(?:NSE|BSE|NFO|MCX)_(.+), \w+$")


def guess(names: Sequence[str], data_type: str, chosen: Mapping[str, str], path: Path) -> dict[str, str]:
    """Give the column of each field; what the caller chose wins. `date` and `time` stand for a timestamp in two parts.

    Raise `Refused`, naming the columns there are, when a field nobody can do without is not among them.
    """
    fields = FIELDS[data_type]
    for field, column in chosen.items():
        if field not in {*fields, "date", "time"} or column not in names:
            raise Refused(
                f"{path}: --map {field}={column}: expected one of {', '.join(fields)} (or date, time), and a column of "
                f"{', '.join(names)}"
            )
    found = dict(chosen)
    for field, spellings in fields.items():
        taken = set(found.values())
        for spelling in spellings.split():
            same = (name for name in names if plain(name) == spelling and name not in taken)
            if field not in found and (name := next(same, "")):
                found[field] = name
    _split_timestamp(names, found, chosen)
    missing = [field for field in REQUIRED[data_type] if field not in found]
    if "timestamp" in missing and "date" in found:
        missing.remove("timestamp")
    if missing:
        raise Refused(
            f"{path}: no column for {', '.join(missing)}; it has {', '.join(names)}; say which is which with "
            f"--map {missing[0]}=COLUMN, or name the columns of a file without a header with --columns"
        )
    return found


def _split_timestamp(names: Sequence[str], found: dict[str, str], chosen: Mapping[str, str]) -> None:
    """Take a date in one column and a time in another for a timestamp in two parts."""
    if "timestamp" in chosen or "date" in chosen:
        if "date" in chosen:
            found.pop("timestamp", None)
        return
    others = set(found.values()) - {found.get("timestamp")}
    day = next((name for name in names if plain(name) in _DATE_WORDS and name not in others), None)
    hour = next((name for name in names if plain(name) in _TIME_WORDS and name not in others), None)
    if day and hour:
        found.pop("timestamp", None)
        found |= {"date": day, "time": hour}


def plain(name: str) -> str:
    """Reduce a column's name to what matters of it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_header(cells: Sequence[str], data_type: str) -> bool:
    """Whether a first line names columns: at least two of its cells are spellings we know."""
    known = {word for spellings in FIELDS[data_type].values() for word in spellings.split()} | {*_DATE_WORDS}
    return sum(plain(cell) in known for cell in cells) >= 2


def symbol_of_file(path: Path) -> str:
    """Read the symbol off the name of a file that holds only one."""
    stem = path.name
    for suffix in (".gz", ".zst", ".csv", ".txt", ".tsv", ".parquet", ".pq"):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    stem = _CHART.sub(r"\1", stem)
    while match := _NAME_ENDS.search(stem):
        stem = stem[: match.start()]
    return stem
