"""The signals store, SQLite: what the scanner derived from market data. It can be wiped and computed again.

Nothing here says how much to trade. An insight cannot hold a quantity, a stop or a target: it has no such column, and
triggers refuse JSON that has such a key at any depth, and texts in it that are JSON themselves.
JSON is otherwise checked by its brackets only: our connections trust no schema, and then SQLite allows no more.
"""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY, OUTBOX

#: A key of an insight's JSON may not contain one of these, whatever its case and separators …
FORBIDDEN_PARTS = ("quantity", "qty", "stop", "target", "size", "sizing", "takeprofit", "trailing")
#: … nor be one of these.
FORBIDDEN_KEYS = ("sl", "tp", "lot", "lots", "shares", "units")


def _refuse_sizing(table: str, *columns: str) -> tuple[str, ...]:
    """Refuse JSON with a forbidden key, on insert and on update."""
    key = "lower(replace(replace(replace(replace(key, '_', ''), '-', ''), ' ', ''), '.', ''))"
    parts = " OR ".join(f"instr({key}, '{part}')" for part in FORBIDDEN_PARTS)
    words = ", ".join(f"'{word}'" for word in FORBIDDEN_KEYS)
    hidden = "(type = 'text' AND atom GLOB '*{*\"*:*')"
    found = " OR ".join(
        f"EXISTS (SELECT 1 FROM json_tree(NEW.{column})\n"
        f"    WHERE (typeof(key) = 'text' AND ({parts} OR {key} IN ({words}))) OR {hidden})"
        for column in columns
    )
    return tuple(
        f"CREATE TRIGGER {table}_no_sizing_{kind.lower()} BEFORE {kind} ON {table}\n"
        f"WHEN {found}\n"
        f"BEGIN SELECT RAISE(ABORT, '{table}: an insight holds no quantity, stop or target'); END"
        for kind in ("INSERT", "UPDATE")
    )


STATEMENTS: tuple[str, ...] = (
    *IDENTITY,
    *OUTBOX,
    """
CREATE TABLE signals (
    -- What a strategy said on one bar; stored before it is published, once, whatever is replayed.
    signal_id TEXT PRIMARY KEY,  -- hash of what it says
    outbox_seq INTEGER NOT NULL UNIQUE CHECK (outbox_seq > 0),  -- its position in stream `signals` of the outbox
    strategy_id TEXT NOT NULL,  -- strategy instance
    strategy_version TEXT NOT NULL DEFAULT '',  -- version of its code; not part of the id
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar it was decided on
    signal_type TEXT NOT NULL
        CHECK (signal_type IN ('enter_long', 'exit_long', 'enter_short', 'exit_short')),  -- what it said
    leg INTEGER NOT NULL DEFAULT 0 CHECK (leg >= 0),  -- which of several of one kind
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),  -- the strategy's own
    stop REAL CHECK (stop > 0),  -- price at which the idea is wrong, if the strategy gave one
    target REAL CHECK (target > 0),  -- price at which it is done, if the strategy gave one
    metadata_json TEXT NOT NULL DEFAULT '{}' CHECK (metadata_json GLOB '{*}'),  -- what the strategy adds
    created_at_us INTEGER NOT NULL  -- when it was stored
) STRICT
""",
    "CREATE INDEX signals_by_strategy ON signals (strategy_id, timestamp_us)",
    "CREATE INDEX signals_by_symbol ON signals (symbol, timestamp_us)",
    "CREATE INDEX signals_by_time ON signals (timestamp_us)",
    """
CREATE TABLE decisions (
    -- A bar the scanner is done with: all its signals are stored.
    exchange TEXT NOT NULL,  -- whose bars
    timeframe TEXT NOT NULL,  -- of the bar
    bar_us INTEGER NOT NULL,  -- start of the bar
    signals INTEGER NOT NULL CHECK (signals >= 0),  -- how many it gave
    outbox_seq_last INTEGER NOT NULL CHECK (outbox_seq_last >= 0),  -- position of the last signal up to it
    decided_at_us INTEGER NOT NULL,  -- when
    PRIMARY KEY (exchange, timeframe, bar_us)
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE scan_results (
    -- A symbol a scan picked out of a watchlist or the whole universe at one bar.
    scan_id TEXT NOT NULL,  -- which scan
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    watchlist TEXT NOT NULL DEFAULT '',  -- the list it was run over; empty for the whole universe
    rank INTEGER NOT NULL CHECK (rank > 0),  -- 1 is the strongest
    score REAL NOT NULL,  -- the scan's own measure
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),  -- how sure
    features_json TEXT NOT NULL DEFAULT '{}' CHECK (features_json GLOB '{*}'),  -- the figures behind it
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (scan_id, timestamp_us, exchange, symbol, timeframe, watchlist)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX scan_results_by_symbol ON scan_results (symbol, timestamp_us)",
    "CREATE INDEX scan_results_by_time ON scan_results (timestamp_us)",
    """
CREATE TABLE scan_alerts (
    -- An alert of a scan; the same one again only counts.
    alert_key TEXT PRIMARY KEY,  -- what makes two alerts the same
    scan_id TEXT NOT NULL,  -- which scan
    symbol TEXT NOT NULL,  -- what
    first_us INTEGER NOT NULL,  -- first time
    last_us INTEGER NOT NULL CHECK (last_us >= first_us),  -- latest time
    repeats INTEGER NOT NULL DEFAULT 1 CHECK (repeats > 0)  -- how often
) STRICT
""",
    """
CREATE TABLE confluence_insights (
    -- What indicators over several timeframes agree on. Holds no quantity, stop or target, and never may.
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    direction TEXT NOT NULL CHECK (direction IN ('bullish', 'bearish', 'neutral')),  -- where it points
    score REAL NOT NULL CHECK (score BETWEEN -1 AND 1),  -- weighted agreement
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),  -- how much of the weight had data
    reasons_json TEXT NOT NULL DEFAULT '[]' CHECK (reasons_json GLOB '[[]*]'),  -- each indicator's word and weight
    metadata_json TEXT NOT NULL DEFAULT '{}' CHECK (metadata_json GLOB '{*}'),  -- anything else but sizing
    code_version TEXT NOT NULL DEFAULT '',  -- version that computed it
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (symbol, exchange, timeframe, timestamp_us)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX confluence_insights_by_time ON confluence_insights (timestamp_us)",
    *_refuse_sizing("confluence_insights", "reasons_json", "metadata_json"),
    """
CREATE TABLE feature_snapshots (
    -- The figures a decision could see at one bar.
    feature_set TEXT NOT NULL,  -- name of the set and its version
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    features_json TEXT NOT NULL CHECK (features_json GLOB '{*}'),  -- name to figure
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (symbol, exchange, timeframe, timestamp_us, feature_set)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX feature_snapshots_by_time ON feature_snapshots (timestamp_us)",
    """
CREATE TABLE regime (
    -- What kind of market a symbol is in, by documented rules.
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    regime TEXT NOT NULL CHECK (regime IN ('trend_up', 'trend_down', 'range', 'volatile', 'unknown')),  -- which kind
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),  -- how sure
    figures_json TEXT NOT NULL DEFAULT '{}' CHECK (figures_json GLOB '{*}'),  -- the figures behind it
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (symbol, exchange, timeframe, timestamp_us)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX regime_by_time ON regime (timestamp_us)",
    """
CREATE TABLE pattern_cache (
    -- A candlestick pattern that was looked for, found or not, so that nobody looks again.
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar it ends with
    pattern TEXT NOT NULL,  -- name of the pattern
    direction TEXT NOT NULL CHECK (direction IN ('bullish', 'bearish', 'neutral', 'none')),  -- none: not found
    strength REAL NOT NULL CHECK (strength BETWEEN 0 AND 1),  -- how clear
    detail_json TEXT NOT NULL DEFAULT '{}' CHECK (detail_json GLOB '{*}'),  -- figures behind it
    code_version TEXT NOT NULL DEFAULT '',  -- version that computed it; another one looks again
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (symbol, exchange, timeframe, timestamp_us, pattern)
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE model_results (
    -- What a model said about a symbol at one bar.
    model_id TEXT NOT NULL,  -- which model
    model_version TEXT NOT NULL,  -- and which version of it
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    label TEXT NOT NULL DEFAULT '',  -- class it chose, if it chooses
    prediction REAL,  -- value it gave, if it gives one
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),  -- how sure
    detail_json TEXT NOT NULL DEFAULT '{}' CHECK (detail_json GLOB '{*}'),  -- inputs and the like
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (symbol, exchange, timeframe, timestamp_us, model_id, model_version)
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE analytics_metrics (
    -- A figure computed ahead for screens and checks.
    metric TEXT NOT NULL,  -- its name
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL DEFAULT '',  -- what; empty for the whole market
    timeframe TEXT NOT NULL,  -- of the bar
    timestamp_us INTEGER NOT NULL,  -- start of the bar
    value REAL NOT NULL,  -- the figure
    created_at_us INTEGER NOT NULL,  -- when it was computed
    PRIMARY KEY (metric, symbol, exchange, timeframe, timestamp_us)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX analytics_metrics_by_time ON analytics_metrics (timestamp_us)",
    """
CREATE TABLE runner_state (
    -- Where a strategy instance or scan stood after a bar, so that a restart in mid-day goes on from there.
    runner TEXT NOT NULL,  -- strategy instance or scan
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL DEFAULT '',  -- what; empty for a scan over many
    timeframe TEXT NOT NULL,  -- of its bars
    bar_us INTEGER NOT NULL,  -- start of the last bar it has seen
    parameters_hash TEXT NOT NULL,  -- other parameters: the state is of no use
    code_version TEXT NOT NULL,  -- another version: the state is of no use
    state BLOB NOT NULL,  -- the runner's own, opaque
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'failed')),  -- suspended: over its time budget
    detail TEXT NOT NULL DEFAULT '',  -- why it is not active
    updated_at_us INTEGER NOT NULL,  -- when it was stored
    PRIMARY KEY (runner, exchange, symbol, timeframe)
) STRICT, WITHOUT ROWID
""",
)
