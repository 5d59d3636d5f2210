"""The trading store's other half: signals taken once, limits and locks, commands, reconciliation, latencies."""

from __future__ import annotations

from libs.dbaccess.schema.common import append_only, never_deleted

_SIGNALS_TAKEN = (
    """
CREATE TABLE processed_signals (
    -- A signal the engine has decided on: once, in the transaction of the decision.
    signal_id TEXT PRIMARY KEY,  -- the signal
    store_uuid TEXT NOT NULL,  -- signals store it came from
    outbox_seq INTEGER NOT NULL CHECK (outbox_seq >= 0),  -- its position there
    strategy_id TEXT NOT NULL,  -- strategy instance
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    timeframe TEXT NOT NULL,  -- of the bar
    bar_us INTEGER NOT NULL,  -- start of the bar it was decided on
    signal_type TEXT NOT NULL
        CHECK (signal_type IN ('enter_long', 'exit_long', 'enter_short', 'exit_short')),  -- what it said
    leg INTEGER NOT NULL DEFAULT 0 CHECK (leg >= 0),  -- which of several of one kind
    decision TEXT NOT NULL CHECK (decision IN ('approved', 'rejected', 'stale', 'duplicate', 'ignored')),  -- outcome
    order_id TEXT REFERENCES orders,  -- the order it became
    reason TEXT NOT NULL DEFAULT '',  -- why not
    processed_at_us INTEGER NOT NULL,  -- when
    CHECK (decision = 'approved' OR order_id IS NULL)
) STRICT
""",
    # Changed parameters give a signal another id; it still must not trade the same bar twice.
    """
CREATE UNIQUE INDEX processed_signals_once
ON processed_signals (strategy_id, exchange, symbol, timeframe, bar_us, signal_type, leg) WHERE decision <> 'duplicate'
""",
    "CREATE INDEX processed_signals_by_time ON processed_signals (processed_at_us)",
    "CREATE INDEX processed_signals_by_order ON processed_signals (order_id)",
    *append_only("processed_signals"),
    """
CREATE TABLE signal_cursors (
    -- How far a source of signals was read; moves in the transaction of `processed_signals`.
    source TEXT PRIMARY KEY,  -- name of the source, e.g. signals
    store_uuid TEXT NOT NULL,  -- the store read; another one means it was wiped: the day is scanned again
    outbox_seq INTEGER NOT NULL CHECK (outbox_seq >= 0),  -- last position read
    updated_at_us INTEGER NOT NULL  -- when it moved
) STRICT
""",
    """
CREATE TRIGGER signal_cursors_forward BEFORE UPDATE ON signal_cursors
WHEN NEW.store_uuid = OLD.store_uuid AND NEW.outbox_seq < OLD.outbox_seq
BEGIN SELECT RAISE(ABORT, 'signal_cursors: a cursor only moves forward within one store'); END
""",
    """
CREATE TABLE barrier_misses (
    -- A bar the engine went past without having heard that the scanner was done with it.
    exchange TEXT NOT NULL,  -- whose bars
    timeframe TEXT NOT NULL,  -- of the bar
    bar_us INTEGER NOT NULL,  -- start of the bar
    waited_us INTEGER NOT NULL CHECK (waited_us >= 0),  -- how long it waited
    recorded_at_us INTEGER NOT NULL,  -- when it went on
    PRIMARY KEY (exchange, timeframe, bar_us)
) STRICT, WITHOUT ROWID
""",
)

_STATE = (
    """
CREATE TABLE trading_states (
    -- Whether trading is allowed, per scope; the strictest that applies holds. Survives restarts.
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'strategy', 'instrument')),  -- how wide
    scope TEXT NOT NULL DEFAULT '',  -- strategy id or exchange:symbol; empty for the account
    state TEXT NOT NULL CHECK (state IN ('active', 'reducing', 'halted')),  -- reducing: exits only
    cause TEXT NOT NULL,  -- command, file, api, daily_loss, drawdown, reject_storm, stale_feed, …
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),  -- in words; resuming needs one too
    set_by TEXT NOT NULL,  -- rule or operator
    since_us INTEGER NOT NULL,  -- since when
    PRIMARY KEY (scope_kind, scope),
    CHECK ((scope_kind = 'account') = (scope = ''))
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE trading_state_changes (
    -- Every change of a trading state: the kill switch's history.
    change_id INTEGER PRIMARY KEY,  -- counts
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'strategy', 'instrument')),  -- how wide
    scope TEXT NOT NULL DEFAULT '',  -- strategy id or exchange:symbol; empty for the account
    state_from TEXT NOT NULL CHECK (state_from IN ('active', 'reducing', 'halted')),  -- before
    state_to TEXT NOT NULL CHECK (state_to IN ('active', 'reducing', 'halted')),  -- after
    cause TEXT NOT NULL,  -- what changed it
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),  -- in words
    set_by TEXT NOT NULL,  -- rule or operator
    command_id TEXT REFERENCES commands,  -- the command, if it was one
    at_us INTEGER NOT NULL  -- when
) STRICT
""",
    *append_only("trading_state_changes"),
    """
CREATE TABLE risk_locks (
    -- A limit of the day or the account that was hit and holds until it is cleared.
    lock_id INTEGER PRIMARY KEY,  -- counts
    kind TEXT NOT NULL CHECK (kind IN ('daily_loss', 'drawdown', 'daily_trades', 'unsettled_unknown')),  -- which limit
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'strategy', 'instrument')),  -- how wide
    scope TEXT NOT NULL DEFAULT '',  -- strategy id or exchange:symbol; empty for the account
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- day it was hit
    figures_json TEXT NOT NULL CHECK (figures_json GLOB '{*}'),  -- limit and use
    set_at_us INTEGER NOT NULL,  -- when it was hit
    cleared_at_us INTEGER CHECK (cleared_at_us >= set_at_us),  -- when it was lifted, NULL while it holds
    cleared_by TEXT,  -- rule or operator
    cleared_reason TEXT,  -- why it was lifted
    CHECK ((cleared_at_us IS NULL) = (cleared_by IS NULL)),
    CHECK ((cleared_at_us IS NULL) = (cleared_reason IS NULL))
) STRICT
""",
    """
CREATE UNIQUE INDEX risk_locks_holding ON risk_locks (kind, scope_kind, scope) WHERE cleared_at_us IS NULL
""",
    never_deleted("risk_locks"),
    """
CREATE TABLE risk_events (
    -- Something risk did or saw: a rejected signal or order with the figures behind it, a limit, a lock, a halt.
    event_id INTEGER PRIMARY KEY,  -- counts
    kind TEXT NOT NULL,  -- rejected, limit, lock, halt, resume, alarm, …
    severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'error')),  -- who should look, and when
    check_name TEXT NOT NULL DEFAULT '',  -- the risk check, where it was one
    strategy_id TEXT NOT NULL DEFAULT '',  -- strategy instance, where there is one
    exchange TEXT NOT NULL DEFAULT '',  -- where
    symbol TEXT NOT NULL DEFAULT '',  -- what
    signal_id_reference TEXT,  -- the signal concerned
    order_id TEXT REFERENCES orders,  -- the order concerned
    reason TEXT NOT NULL,  -- in words
    figures_json TEXT NOT NULL DEFAULT '{}' CHECK (figures_json GLOB '{*}'),  -- the numbers that decided
    timestamp_us INTEGER NOT NULL  -- when
) STRICT
""",
    "CREATE INDEX risk_events_by_time ON risk_events (timestamp_us)",
    "CREATE INDEX risk_events_by_signal ON risk_events (signal_id_reference)",
    "CREATE INDEX risk_events_by_order ON risk_events (order_id)",
    *append_only("risk_events"),
    """
CREATE TABLE trading_days (
    -- Figures of a day that daily limits are measured against, and whether the day was settled.
    trading_date TEXT PRIMARY KEY CHECK (trading_date GLOB '????-??-??'),  -- which day
    equity_start_paise INTEGER NOT NULL,  -- before the first order
    equity_high_paise INTEGER NOT NULL,  -- highest so far, over all days: drawdown is measured from it
    orders_sent INTEGER NOT NULL DEFAULT 0 CHECK (orders_sent >= 0),  -- how many
    reconciled_at_us INTEGER,  -- when the close was reconciled; NULL keeps `fleet eod` from GO
    updated_at_us INTEGER NOT NULL  -- when the row last changed
) STRICT
""",
    """
CREATE TABLE commands (
    -- An operator's or program's command to the engine; its id makes a repeat harmless.
    command_id TEXT PRIMARY KEY,  -- chosen by the sender
    kind TEXT NOT NULL,  -- halt, reduce, resume, flatten, cancel, square_off, reconcile, …
    arguments_json TEXT NOT NULL DEFAULT '{}' CHECK (arguments_json GLOB '{*}'),  -- its arguments
    sender TEXT NOT NULL,  -- user or program
    state TEXT NOT NULL CHECK (state IN ('accepted', 'done', 'refused', 'failed')),  -- how far it is
    answer_json TEXT CHECK (answer_json GLOB '{*}'),  -- what was answered; a repeat gets the same
    received_at_us INTEGER NOT NULL,  -- when it came
    finished_at_us INTEGER,  -- when it was answered
    CHECK ((state = 'accepted') = (finished_at_us IS NULL))
) STRICT
""",
    "CREATE INDEX commands_by_time ON commands (received_at_us)",
    "CREATE INDEX commands_unfinished ON commands (received_at_us) WHERE state = 'accepted'",
    never_deleted("commands"),
)

_BROKER = (
    """
CREATE TABLE broker_sync_state (
    -- Where we stand with a broker.
    broker TEXT PRIMARY KEY,  -- its name
    state TEXT NOT NULL CHECK (state IN ('never', 'equal', 'differing', 'unreachable')),  -- outcome of the last try
    reconciled_at_us INTEGER,  -- when we last agreed
    attempted_at_us INTEGER,  -- when we last tried
    stream_at_us INTEGER,  -- last word on the broker's push stream
    orders_seen INTEGER NOT NULL DEFAULT 0 CHECK (orders_seen >= 0),  -- rows of its order book
    trades_seen INTEGER NOT NULL DEFAULT 0 CHECK (trades_seen >= 0),  -- rows of its trade book
    positions_seen INTEGER NOT NULL DEFAULT 0 CHECK (positions_seen >= 0),  -- rows of its positions
    funds_paise INTEGER,  -- money it says we may use
    detail TEXT NOT NULL DEFAULT ''  -- last error
) STRICT
""",
    """
CREATE TABLE reconciliations (
    -- One comparison of our books with the broker's.
    reconciliation_id INTEGER PRIMARY KEY,  -- counts
    broker TEXT NOT NULL,  -- with whom
    cause TEXT NOT NULL CHECK (cause IN ('start', 'reconnect', 'timer', 'command', 'close')),  -- why now
    outcome TEXT NOT NULL CHECK (outcome IN ('equal', 'repaired', 'raised', 'failed')),  -- how it ended
    differences INTEGER NOT NULL CHECK (differences >= 0),  -- how many
    started_at_us INTEGER NOT NULL,  -- when it began
    finished_at_us INTEGER NOT NULL CHECK (finished_at_us >= started_at_us),  -- when it ended
    CHECK ((outcome = 'equal') <= (differences = 0))
) STRICT
""",
    "CREATE INDEX reconciliations_by_time ON reconciliations (started_at_us)",
    """
CREATE TABLE reconciliation_differences (
    -- One thing the broker's books and ours disagree on.
    difference_id INTEGER PRIMARY KEY,  -- counts
    reconciliation_id INTEGER NOT NULL REFERENCES reconciliations,  -- where it was found
    kind TEXT NOT NULL CHECK (kind IN ('order', 'trade', 'position', 'funds', 'foreign_order')),  -- what differs
    exchange TEXT NOT NULL DEFAULT '',  -- where
    symbol TEXT NOT NULL DEFAULT '',  -- what
    order_id TEXT REFERENCES orders,  -- our order, if one is concerned
    broker_order_id TEXT,  -- the broker's order, if one is concerned
    ours_json TEXT CHECK (ours_json GLOB '{*}'),  -- what we had
    theirs_json TEXT CHECK (theirs_json GLOB '{*}'),  -- what the broker had
    resolution TEXT NOT NULL CHECK (resolution IN ('open', 'repaired', 'raised', 'accepted')),  -- what became of it
    rule TEXT NOT NULL DEFAULT '',  -- rule that repaired or raised it
    resolved_by TEXT,  -- rule or operator
    resolved_at_us INTEGER  -- when
) STRICT
""",
    "CREATE INDEX reconciliation_differences_by_run ON reconciliation_differences (reconciliation_id)",
    "CREATE INDEX reconciliation_differences_by_order ON reconciliation_differences (order_id)",
    """
CREATE INDEX reconciliation_differences_open ON reconciliation_differences (symbol)
WHERE resolution IN ('open', 'raised')
""",
)

_LATENCIES = (
    """
CREATE TABLE execution_log (
    -- How long each step took from tick to fill. Steps inside the engine are measured by its monotonic clock.
    log_id INTEGER PRIMARY KEY,  -- counts
    recorded_at_us INTEGER NOT NULL,  -- when the order left, or when it was refused
    order_id TEXT REFERENCES orders,  -- the order, NULL when risk refused
    signal_id_reference TEXT,  -- the signal
    strategy_id TEXT NOT NULL,  -- strategy instance
    symbol TEXT NOT NULL,  -- what
    action TEXT NOT NULL CHECK (action IN ('place', 'modify', 'cancel', 'reject')),  -- what was done
    broker TEXT NOT NULL,  -- with whom
    tick_us INTEGER,  -- the exchange's time of the tick or bar behind it
    tick_to_signal_us INTEGER,  -- over two processes and the exchange's clock: may be negative
    signal_to_engine_us INTEGER,  -- over two processes: may be negative
    risk_us INTEGER CHECK (risk_us >= 0),  -- signal taken to verdict
    journal_us INTEGER CHECK (journal_us >= 0),  -- verdict to `sending` committed
    send_us INTEGER CHECK (send_us >= 0),  -- `sending` committed to request on the wire
    acknowledge_us INTEGER CHECK (acknowledge_us >= 0),  -- request to the broker's answer
    fill_us INTEGER CHECK (fill_us >= 0),  -- request to the first fill
    total_us INTEGER CHECK (total_us >= 0),  -- signal taken to the broker's answer
    outcome TEXT NOT NULL DEFAULT ''  -- accepted, rejected, unknown, …
) STRICT
""",
    "CREATE INDEX execution_log_by_time ON execution_log (recorded_at_us, total_us)",
    "CREATE INDEX execution_log_by_order ON execution_log (order_id)",
    "CREATE INDEX execution_log_by_strategy ON execution_log (strategy_id, recorded_at_us)",
)

STATEMENTS: tuple[str, ...] = (*_SIGNALS_TAKEN, *_STATE, *_BROKER, *_LATENCIES)
