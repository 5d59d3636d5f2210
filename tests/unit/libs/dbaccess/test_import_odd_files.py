"""C6: files as vendors, brokers, charts and frames write them are read, or refused, for what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from libs.core.clock import to_us
from libs.dbaccess.connections import duckdb_memory
from libs.dbaccess.importing import ImportRequest
from libs.dbaccess.importing.staging import _read_files

MINUTES = [datetime(2026, 2, 2, 3, 45, tzinfo=UTC) + timedelta(minutes=number) for number in range(3)]
HEAD = "time,open,high,low,close,Volume"
ROW = "100,101,99,100.5,1000"
INDIA = timedelta(hours=5, minutes=30)


def staged(path, **request):
    """Give the symbols and times of the good rows, the first of them whole, and why others are refused."""
    with duckdb_memory() as connection:
        found = _read_files(connection, [path], ImportRequest("candles", **request), lambda *_: None)
        good = connection.execute(
            "SELECT symbol, ts_us, open, high, low, close, volume FROM rows WHERE refused IS NULL ORDER BY ts_us"
        ).fetchall()
        names = dict(connection.execute("SELECT symbol, clean FROM names").fetchall())
    return [names[row[0]] for row in good], [row[1] for row in good], [row[2:] for row in good], found.refused


def local(form):
    return lambda moment: (moment + INDIA).strftime(form)


TIMES = {
    "kite": local("%Y-%m-%d %H:%M:%S+05:30"), "upstox": local("%Y-%m-%dT%H:%M:%S+05:30"),
    "no_colon": local("%Y-%m-%dT%H:%M:%S+0530"), "zulu": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "zulu_ms": lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "dashes": local("%d-%m-%Y %H:%M"),
    "fraction": local("%Y-%m-%d %H:%M:%S.%f"), "fraction_t": local("%Y-%m-%dT%H:%M:%S.%f"),
    "twelve": local("%d-%b-%Y %I:%M %p"), "glued": lambda moment: local("%d/%m/%Y %I:%M:%S%p")(moment).lower(),
    "browser": local('"%d/%m/%Y, %I:%M:%S %p"'), "sheet": local("%d/%m/%Y %H:%M"),
    "s": lambda moment: str(to_us(moment) // 10**6), "ms": lambda moment: str(to_us(moment) // 1000),
    "us": lambda moment: str(to_us(moment)), "ns": lambda moment: str(to_us(moment) * 1000),
}  # fmt: skip


@pytest.mark.parametrize("name", TIMES)
def test_times_as_text_and_numbers(tmp_path, name):
    path = tmp_path / "TCS_minute.csv"
    path.write_text("\n".join([HEAD, *(f"{TIMES[name](each)},{ROW}" for each in MINUTES)]) + "\n")
    symbols, times, rows, refused = staged(path)

    assert (symbols, times, refused) == (["TCS"] * 3, [to_us(each) for each in MINUTES], {})
    assert rows == [(100, 101, 99, 100.5, 1000)] * 3


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata", "UTC"])
def test_parquet_of_every_unit_and_decimals(tmp_path, unit, zone):
    path = tmp_path / "TCS.parquet"
    moments = MINUTES if zone else [(each + INDIA).replace(tzinfo=None) for each in MINUTES]
    prices = {"open": 100, "high": 101, "low": 99, "close": 100}
    columns = {name: pa.array([value] * 3).cast(pa.decimal128(22, 2)) for name, value in prices.items()}
    pq.write_table(pa.table({"date": pa.array(moments, pa.timestamp(unit, zone)), **columns}), path)
    symbols, times, rows, refused = staged(path)

    assert (symbols, times, refused) == (["TCS"] * 3, [to_us(each) for each in MINUTES], {})
    assert rows == [(100, 101, 99, 100, None)] * 3


def test_a_decimal_comma_is_no_thousands_separator(tmp_path):
    """Read as one, 100,5 would be 1005: a price ten times too high, and nobody told."""
    path = tmp_path / "TCS.csv"
    times = [local("%Y-%m-%d %H:%M")(each) for each in MINUTES]
    path.write_text(
        f"date;open;high;low;close;volume\n{times[0]};100,0;101,0;99,0;100,5;1000\n"
        f"{times[1]};1,00,000.5;1,00,001;99,999;1,00,000;12,34,567\n{times[2]};1,2,3;1,2,4;1,2,2;1,2,3;5\n"
    )
    _, times, rows, refused = staged(path)

    assert times == [to_us(MINUTES[1])]
    assert rows == [(100_000.5, 100_001, 99_999, 100_000, 1_234_567)]
    assert refused == {"a price is missing or no number": 2}


@pytest.mark.parametrize(
    ("name", "head", "row"),
    [
        ("NSE_TCS, 1.csv", HEAD, "{t},100,101,99,100.5,1000"),
        ("all.csv", "\ufeffTicker,Date,Time,Open,High,Low,Close,Volume,Open Interest",
         "TCS.NSE,02-02-2026,09:15:00,100,101,99,100.5,1000,0"),
        ("meta.csv", "<TICKER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
         "TCS,20260202,09:15,100,101,99,100.5,1000"),
        ("after.csv", "date,symbol,open,high,low,close,volume", "2026-02-02 09:15:00,TCS.NS  ,100,101,99,100.5,1000"),
        ("before.csv", "date,symbol,open,high,low,close,volume", "2026-02-02 09:15:00, TCS,100,101,99,100.5,1000"),
        ("TCS.NS.csv", "Datetime,Open,High,Low,Close,Adj Close,Volume", "{t},100,101,99,100.5,1,1000"),
    ],
)  # fmt: skip
def test_names_of_columns_and_symbols(tmp_path, name, head, row):
    path = tmp_path / name
    path.write_text(f"{head}\n{row.format(t=to_us(MINUTES[0]) // 10**6)}\n")

    assert staged(path) == (["TCS"], [to_us(MINUTES[0])], [(100, 101, 99, 100.5, 1000)], {})


BHAVCOPIES = {
    "sec_bhavdata_full.csv": (
        "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, TTL_TRD_QNTY",
        "TCS, EQ, 02-Feb-2026, 99, 100, 101, 99, 100, 100.5, 1000",
    ),
    "cm02FEB2026bhav.csv": (
        "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TIMESTAMP,ISIN,",
        "TCS,EQ,100,101,99,100.5,100,99,1000,02-FEB-2026,INE1,",
    ),
    "BhavCopy_NSE_CM.csv": (
        "TradDt,BizDt,Sgmt,ISIN,TckrSymb,SctySrs,OpnPric,HghPric,LwPric,ClsPric,LastPric,TtlTradgVol",
        "2026-02-02,2026-02-02,CM,INE1,TCS,EQ,100,101,99,100.5,100,1000",
    ),
}


@pytest.mark.parametrize("name", BHAVCOPIES)
def test_the_exchanges_own_files(tmp_path, name):
    path = tmp_path / name
    path.write_text("\n".join(BHAVCOPIES[name]) + "\n")
    midnight = to_us(datetime(2026, 2, 1, 18, 30, tzinfo=UTC))

    assert staged(path, timeframe="1d") == (["TCS"], [midnight], [(100, 101, 99, 100.5, 1000)], {})


def test_packed_with_zstd(tmp_path):
    path = tmp_path / "TCS_minute.csv.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write("\n".join([HEAD, *(f"{local('%Y-%m-%d %H:%M:%S')(each)},{ROW}" for each in MINUTES)]).encode())

    assert staged(path)[:2] == (["TCS"] * 3, [to_us(each) for each in MINUTES])
