"""What history holds, SQLite: `data/market_data/catalogue.db`. It can be rebuilt from the files."""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY

#: Who closed a day.
ORIGINS = ("rollover", "import", "fetch", "migration", "found")

#: Released as version 1; never edited.
V1: tuple[str, ...] = (
    *IDENTITY,
    f"""
CREATE TABLE catalogue_days (
    -- A closed or archived day of one series.
    exchange TEXT NOT NULL,  -- whose day
    data_type TEXT NOT NULL CHECK (data_type IN ('ticks', 'candles')),  -- which data
    timeframe TEXT NOT NULL DEFAULT '',  -- of candles; empty for ticks
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- which day
    path TEXT NOT NULL,  -- file, or folder of the archive, relative to the data root
    rows INTEGER NOT NULL CHECK (rows >= 0),  -- how many rows
    symbols INTEGER NOT NULL CHECK (symbols >= 0),  -- how many symbols
    bytes INTEGER NOT NULL CHECK (bytes >= 0),  -- size on disk
    checksum TEXT NOT NULL,  -- hash of the file's bytes; of an archive, of its files in order of name
    origin TEXT NOT NULL CHECK (origin IN {ORIGINS}),  -- who closed it
    sync_status TEXT NOT NULL CHECK (sync_status IN ('hot', 'archiving', 'archived', 'missing', 'corrupt')),  -- where
    code_version TEXT NOT NULL,  -- version of the fleet that wrote it
    closed_at_us INTEGER NOT NULL,  -- when it was closed
    verified_at_us INTEGER,  -- when its bytes were last compared with the checksum
    PRIMARY KEY (exchange, data_type, timeframe, trading_date),
    CHECK ((data_type = 'ticks') = (timeframe = ''))
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX catalogue_days_by_date ON catalogue_days (trading_date)",
    """
CREATE TABLE catalogue_symbols (
    -- A symbol in a day of one series.
    exchange TEXT NOT NULL,  -- whose day
    data_type TEXT NOT NULL,  -- ticks or candles
    timeframe TEXT NOT NULL DEFAULT '',  -- of candles; empty for ticks
    trading_date TEXT NOT NULL,  -- which day
    symbol TEXT NOT NULL,  -- which symbol
    rows INTEGER NOT NULL CHECK (rows > 0),  -- how many rows
    first_us INTEGER NOT NULL,  -- time of its first row
    last_us INTEGER NOT NULL CHECK (last_us >= first_us),  -- time of its last row
    price_min REAL NOT NULL,  -- lowest price
    price_max REAL NOT NULL CHECK (price_max >= price_min),  -- highest price
    volume INTEGER NOT NULL CHECK (volume >= 0),  -- sum of the volumes
    PRIMARY KEY (exchange, data_type, timeframe, trading_date, symbol),
    FOREIGN KEY (exchange, data_type, timeframe, trading_date) REFERENCES catalogue_days ON DELETE CASCADE
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX catalogue_symbols_by_symbol ON catalogue_symbols (symbol, exchange, timeframe, trading_date)",
    """
CREATE TABLE completeness_certificates (
    -- How complete a symbol's minutes of a day are.
    exchange TEXT NOT NULL,  -- whose day
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- which day
    symbol TEXT NOT NULL,  -- which symbol
    bars_expected INTEGER NOT NULL CHECK (bars_expected >= 0),  -- minutes the calendar's session has
    bars_live INTEGER NOT NULL CHECK (bars_live >= 0),  -- made from ticks as they came
    bars_backfilled INTEGER NOT NULL CHECK (bars_backfilled >= 0),  -- from the broker's history, or imported
    bars_synthetic INTEGER NOT NULL CHECK (bars_synthetic >= 0),  -- without a trade
    bars_missing INTEGER NOT NULL CHECK (bars_missing >= 0),  -- not there
    late_ticks INTEGER NOT NULL CHECK (late_ticks >= 0),  -- ticks that came after their candle
    bars_compared INTEGER CHECK (bars_compared >= 0),  -- own candles compared with the broker's, NULL if not done
    bars_differing INTEGER CHECK (bars_differing BETWEEN 0 AND bars_compared),  -- of those, how many disagree
    difference_max REAL CHECK (difference_max >= 0),  -- largest disagreement of a price
    certified_at_us INTEGER NOT NULL,  -- when it was counted
    PRIMARY KEY (exchange, trading_date, symbol)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX completeness_by_symbol ON completeness_certificates (symbol, exchange, trading_date)",
)
#: Indexes nobody asked: whoever looks for a symbol knows the series and its days, which the keys begin with. They were
#: half of what it costs to list a day of two thousand symbols.
_NOT_ASKED = ("catalogue_symbols_by_symbol", "completeness_by_symbol")
V2: tuple[str, ...] = tuple(f"DROP INDEX {name}" for name in _NOT_ASKED)
STATEMENTS: tuple[str, ...] = (*V1, *V2)
