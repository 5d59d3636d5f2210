"""A rollover to kill anywhere: a live buffer of three dates, a process that rolls it over, and what must come of it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from libs.dbaccess import DatabaseManager, EODRollover, Role
from libs.dbaccess.layout import closed_days
from libs.dbaccess.live.paths import LivePaths
from tests.kit.market_days import MONDAY, OPEN_MINUTE, arrow, at_us, candle, minutes, stores, tick

FRIDAY = MONDAY - timedelta(days=3)
TUESDAY = MONDAY + timedelta(days=1)
WATERMARKS = {"ticks": 5000, "candles": 900}

#: Every row there is, by where it is: a file of history, or `live ticks`, `live candles`.
Rows = dict[str, list[tuple[Any, ...]]]


def ingestor(root: Path) -> DatabaseManager:
    return stores(root, Role.INGESTOR)


def day_ticks(day: date, first_seq: int, count: int = 40) -> list[dict[str, Any]]:
    """Ticks of three symbols, two of them in every instant."""
    symbols = ("TCS", "INFY", "ACC")
    return [tick(symbols[n % 3], at_us(day, OPEN_MINUTE + n // 2), first_seq + n, 100.0 + n % 7) for n in range(count)]


def fill(root: Path) -> None:
    """Friday forgotten, Monday whole, and the first ticks of Tuesday."""
    with ingestor(root).live_buffer_writer() as buffer:
        buffer.append("ticks", arrow(day_ticks(FRIDAY, 1)))
        buffer.append("candles", arrow(minutes("INFY", FRIDAY, 12)))
        buffer.flush()
        buffer.append("ticks", arrow(day_ticks(TUESDAY, 201, 5) + day_ticks(MONDAY, 101)))
        candles = minutes("TCS", MONDAY, 20) + minutes("INFY", MONDAY, 20)
        for timeframe in ("5m", "15m", "1d"):
            candles.append(candle("TCS", at_us(MONDAY, OPEN_MINUTE), 104.0, timeframe=timeframe, volume=15))
        buffer.append("candles", arrow(candles))
        buffer.flush(watermarks=WATERMARKS)


def everything(root: Path) -> Rows:
    """Read every row of history and of the live buffer's snapshot."""
    db = ingestor(root)
    found: Rows = {}
    for folder, table in db.layout.all_series():
        for day, path in closed_days(folder):
            exchange, _, *timeframe = folder.relative_to(db.layout.market).parts
            with db.historical_reader(exchange, table, timeframe[0] if timeframe else None, day) as connection:
                rows = connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            found[path.relative_to(db.layout.market).as_posix()] = rows
    with db.live_buffer_reader() as connections:
        for table, connection in connections.items():
            found[f"live {table}"] = connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
    return found


def leftovers(root: Path) -> list[str]:
    """Files that a finished rollover may not leave behind."""
    db = ingestor(root)
    live = LivePaths(db.layout).root
    names = [path.name for path in live.iterdir() if "next" in path.name or "rollover" in path.name]
    return names + [path.name for path in db.layout.market.rglob("*.staged*")]


def main(arguments: list[str]) -> None:
    """Roll over a root: the life that is killed."""
    root, day = arguments
    EODRollover(ingestor(Path(root))).execute(date.fromisoformat(day))
