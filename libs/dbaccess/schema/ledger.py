"""What the ingestor knows about its data beyond the data, SQLite: `data/market_data/ledger.db`.

It outlives the live buffer's daily reset. Rows are facts; a repair is a row of its own.
"""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY, append_only, fixed_columns, never_deleted

STATEMENTS: tuple[str, ...] = (
    *IDENTITY,
    """
CREATE TABLE feed_gaps (
    -- A time in which the feed gave nothing although the session was open.
    gap_id TEXT PRIMARY KEY,  -- name of the gap
    exchange TEXT NOT NULL,  -- whose feed
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- exchange's date it began on
    symbol TEXT,  -- the one symbol concerned, NULL for the whole feed
    from_us INTEGER NOT NULL,  -- last life before it
    to_us INTEGER CHECK (to_us >= from_us),  -- first life after it; NULL while it lasts, set once
    cause TEXT NOT NULL CHECK (cause IN ('disconnect', 'stall', 'start', 'overflow', 'replay', 'unknown')),  -- why
    detail TEXT NOT NULL DEFAULT '',  -- what was seen, e.g. the close code
    recorded_at_us INTEGER NOT NULL  -- when it was noticed
) STRICT
""",
    "CREATE INDEX feed_gaps_by_day ON feed_gaps (exchange, trading_date)",
    "CREATE INDEX feed_gaps_open ON feed_gaps (from_us) WHERE to_us IS NULL",
    fixed_columns("feed_gaps", "gap_id", "exchange", "trading_date", "symbol", "from_us", "cause", "recorded_at_us"),
    """
CREATE TRIGGER feed_gaps_end_once BEFORE UPDATE OF to_us ON feed_gaps
WHEN OLD.to_us IS NOT NULL AND NEW.to_us IS NOT OLD.to_us
BEGIN SELECT RAISE(ABORT, 'feed_gaps: the end of a gap is set once'); END
""",
    never_deleted("feed_gaps"),
    """
CREATE TABLE backfills (
    -- An attempt to repair candles from the broker's history.
    backfill_id INTEGER PRIMARY KEY,  -- counts
    gap_id TEXT REFERENCES feed_gaps,  -- the gap it was for, NULL when asked for otherwise
    exchange TEXT NOT NULL,  -- of the symbol
    symbol TEXT NOT NULL,  -- what was asked for
    timeframe TEXT NOT NULL,  -- of the candles
    from_us INTEGER NOT NULL,  -- start of the range, inclusive
    to_us INTEGER NOT NULL CHECK (to_us > from_us),  -- end of the range, exclusive
    rows_added INTEGER NOT NULL CHECK (rows_added >= 0),  -- candles that were missing and now are there
    rows_differing INTEGER NOT NULL DEFAULT 0 CHECK (rows_differing >= 0),  -- published candles that disagree; kept
    outcome TEXT NOT NULL CHECK (outcome IN ('complete', 'partial', 'nothing', 'failed')),  -- how it ended
    detail TEXT NOT NULL DEFAULT '',  -- the error, or what was left out
    recorded_at_us INTEGER NOT NULL  -- when it ended
) STRICT
""",
    "CREATE INDEX backfills_by_range ON backfills (exchange, symbol, timeframe, from_us)",
    "CREATE INDEX backfills_by_gap ON backfills (gap_id)",
    *append_only("backfills"),
    """
CREATE TABLE late_ticks (
    -- A tick that came after its candle was published; it is in no candle and in no table of ticks.
    late_tick_id INTEGER PRIMARY KEY,  -- counts
    exchange TEXT NOT NULL,  -- of the symbol
    symbol TEXT NOT NULL,  -- whose tick
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- exchange's date
    timestamp_us INTEGER NOT NULL,  -- the exchange's trade time
    price REAL NOT NULL,  -- traded price
    volume INTEGER NOT NULL CHECK (volume >= 0),  -- traded since the tick before
    tick_seq INTEGER,  -- its position in the stream of ticks
    bar_us INTEGER NOT NULL,  -- start of the minute it would have belonged to
    received_at_us INTEGER NOT NULL  -- when it came
) STRICT
""",
    "CREATE INDEX late_ticks_by_day ON late_ticks (exchange, trading_date, symbol)",
    "CREATE UNIQUE INDEX late_ticks_once ON late_ticks (exchange, trading_date, tick_seq)",
    *append_only("late_ticks"),
    """
CREATE TABLE quarantine (
    -- A message of the feed that failed validation; never in a candle.
    quarantine_id INTEGER PRIMARY KEY,  -- counts
    exchange TEXT NOT NULL,  -- whose feed
    symbol TEXT,  -- as the feed named it, NULL when it could not be read
    reason TEXT NOT NULL,  -- the check that refused it
    timestamp_us INTEGER,  -- its own time, NULL when it had none
    received_at_us INTEGER NOT NULL,  -- when it came
    raw BLOB NOT NULL  -- the message, for a person to look at
) STRICT
""",
    "CREATE INDEX quarantine_by_time ON quarantine (received_at_us)",
    *append_only("quarantine", deletes=True),
    """
CREATE TABLE repairs (
    -- A change to stored data that was not capture: a backfill merged, a day rebuilt, a file restored.
    repair_id INTEGER PRIMARY KEY,  -- counts
    kind TEXT NOT NULL,  -- what was done
    exchange TEXT NOT NULL,  -- of the data
    data_type TEXT NOT NULL CHECK (data_type IN ('ticks', 'candles')),  -- which data
    timeframe TEXT,  -- of candles, NULL for ticks
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- which day
    rows_before INTEGER CHECK (rows_before >= 0),  -- rows it had
    rows_after INTEGER CHECK (rows_after >= 0),  -- rows it has
    reason TEXT NOT NULL,  -- why
    recorded_at_us INTEGER NOT NULL  -- when
) STRICT
""",
    "CREATE INDEX repairs_by_day ON repairs (exchange, trading_date)",
    *append_only("repairs"),
    """
CREATE TABLE rollover_steps (
    -- A finished step of the rollover of a day; a restart goes on behind the last one.
    exchange TEXT NOT NULL,  -- whose day
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- which day
    number INTEGER NOT NULL CHECK (number > 0),  -- counts within the day
    step TEXT NOT NULL,  -- name of the step
    detail_json TEXT NOT NULL DEFAULT '{}' CHECK (detail_json GLOB '{*}'),  -- files, counts, checksums
    recorded_at_us INTEGER NOT NULL,  -- when it was finished
    PRIMARY KEY (exchange, trading_date, number)
) STRICT, WITHOUT ROWID
""",
    *append_only("rollover_steps"),
)
