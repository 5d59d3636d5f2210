"""Where everything is below the data root, and the names that may stand in a path."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import to_us, trading_date
from libs.core.errors import Refused
from libs.dbaccess.errors import BadName, NoSuchRun, UnsafeName
from libs.dbaccess.roles import Store

DATA_TYPES = ("ticks", "candles")
_EXCHANGE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9&._ +\-]{0,63}")
_RUN_ID = re.compile(r"run_\d{8}_\d{6}_[0-9a-f]{4,32}")
_SQLITE_FILES = {
    Store.TRADING: "trading/trading.db",
    Store.SIGNALS: "signals/signals.db",
    Store.CONFIG: "config/config.db",
    Store.BACKTEST_INDEX: "backtest/summaries/backtest_index.db",
}
SQLITE_STORES = tuple(_SQLITE_FILES)


def exchange_name(text: str) -> str:
    """Give the exchange's name in lower case; refuse what could leave its folder."""
    name = text.lower()
    if not _EXCHANGE.fullmatch(name):
        raise BadName(f"exchange {text!r}: expected a word such as 'nse' (letters, digits, underscore)")
    return name


def symbol_name(text: str) -> str:
    """Give the symbol back, or refuse one no exchange would list."""
    if not _SYMBOL.fullmatch(text):
        raise BadName(f"symbol {text!r}: expected letters, digits and & . _ + - or space, 64 at most")
    return text


def timeframe_name(text: str | None) -> str:
    """Give the timeframe back, or say which there are."""
    if text not in TIMEFRAMES:
        raise UnsafeName(f"timeframe {text!r}: expected one of {', '.join(TIMEFRAMES)}")
    return str(text)


def day_of(day: date) -> date:
    """Give a date; an instant is taken in India, anything else is refused."""
    if isinstance(day, datetime):
        return trading_date(to_us(day))
    if not isinstance(day, date):
        raise UnsafeName(f"day {day!r}: expected a date, such as date(2026, 2, 2)")
    return day


class Layout:
    """Paths below one data root. Making one touches nothing."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @property
    def market(self) -> Path:
        return self.root / "market_data"

    @property
    def schema_version(self) -> Path:
        return self.market / ".schema_version"

    @property
    def catalogue(self) -> Path:
        """What history holds, day by day."""
        return self.market / "catalogue.db"

    @property
    def ledger(self) -> Path:
        """Gaps, late ticks, quarantine and repairs, which outlive the live buffer."""
        return self.market / "ledger.db"

    def calendar(self, exchange: str) -> Path:
        """What the ingestor learned from the broker about an exchange's sessions."""
        return self.market / f"calendar_{exchange_name(exchange)}.json"

    @property
    def live(self) -> Path:
        return self.root / "live_buffer"

    @property
    def journal(self) -> Path:
        """The ingestor's journal: what was captured since the last rollover."""
        return self.live / "journal"

    @property
    def runs(self) -> Path:
        return self.root / "backtest" / "runs"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def run(self) -> Path:
        """Sockets, pid files, the kill-switch file."""
        return self.root / "run"

    def directories(self) -> list[Path]:
        """The directories every installation has."""
        folders = [self.root, self.market, self.live, self.runs, self.root / "backtest", self.backups, self.run]
        return sorted({*folders, *(self.store(store).parent for store in SQLITE_STORES)})

    def live_files(self) -> tuple[Path, Path]:
        """The two files of the live buffer: ticks, candles. Only their owner opens them."""
        return self.live / "ticks_today.duckdb", self.live / "candles_today.duckdb"

    def all_series(self) -> list[tuple[Path, str]]:
        """Every series there is on disk, with the table its files hold."""
        ticks = [(folder, "ticks") for folder in self.market.glob("*/ticks")]
        candles = [(folder, "candles") for folder in self.market.glob("*/candles/*")]
        return sorted((folder, table) for folder, table in ticks + candles if folder.is_dir())

    def store(self, store: Store) -> Path:
        """The file of a SQLite store."""
        if store not in _SQLITE_FILES:
            raise Refused(f"{store.value} is no SQLite store; it has a reader and a writer of its own")
        return self.root / _SQLITE_FILES[store]

    def lock(self, store: Store) -> Path:
        """The writer lock of a store."""
        folders = {Store.HISTORY: self.market, Store.LIVE: self.live}
        return (folders.get(store) or self.store(store).parent) / ".writer.lock"

    def series(self, exchange: str, data_type: str, timeframe: str | None) -> Path:
        """The folder of an exchange's ticks, or of its candles of one timeframe."""
        if data_type not in DATA_TYPES:
            raise UnsafeName(f"data type {data_type!r}: expected one of {', '.join(DATA_TYPES)}")
        folder = self.market / exchange_name(exchange) / data_type
        if data_type == "candles":
            return folder / timeframe_name(timeframe)
        if timeframe not in {None, "", "tick"}:
            raise UnsafeName(f"ticks have no timeframe, got {timeframe!r}")
        return folder

    def day(self, exchange: str, data_type: str, timeframe: str | None, day: date) -> Path:
        """The file of one closed day; an instant means the date it has in India."""
        return self.series(exchange, data_type, timeframe) / f"{day_of(day).isoformat()}.duckdb"

    def backtest_run(self, run_id: str) -> Path:
        """The file of one backtest run."""
        if not _RUN_ID.fullmatch(run_id):
            raise NoSuchRun(
                f"no run {run_id!r}: expected run_<YYYYMMDD>_<HHMMSS>_<hash>; `fleet backtest list` shows them"
            )
        return self.runs / f"{run_id}.duckdb"

    def confined(self, path: Path) -> Path:
        """Give the path back unless it leads out of the data root, through a link or otherwise."""
        root = self.root.resolve()
        real = path.resolve()
        if real != root and root not in real.parents:
            raise UnsafeName(f"{path}: leads out of the data root {root} to {real}")
        return path


def closed_days(folder: Path) -> list[tuple[date, Path]]:
    """List the day files of a series in order of date; other names are not days."""
    days = []
    for path in folder.glob("????-??-??.duckdb"):
        try:
            days.append((date.fromisoformat(path.stem), path))
        except ValueError:
            continue
    return sorted(days)
