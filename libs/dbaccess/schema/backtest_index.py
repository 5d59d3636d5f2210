"""The index of backtest runs, SQLite. It can be rebuilt from the run files."""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY

STATEMENTS: tuple[str, ...] = (
    *IDENTITY,
    """
CREATE TABLE sweeps (
    -- Many runs of one strategy over parameters.
    sweep_id TEXT PRIMARY KEY,  -- its name
    kind TEXT NOT NULL CHECK (kind IN ('grid', 'optimize', 'walk_forward')),  -- how parameters are chosen
    strategy TEXT NOT NULL,  -- id of its code in the registry
    space_json TEXT NOT NULL CHECK (space_json GLOB '{*}'),  -- the grid or space
    metric TEXT NOT NULL DEFAULT '',  -- what is optimised
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'killed', 'partial')),  -- how far it is
    trials INTEGER NOT NULL CHECK (trials >= 0),  -- how many there will be
    trials_done INTEGER NOT NULL DEFAULT 0 CHECK (trials_done BETWEEN 0 AND trials),  -- how many there are
    path TEXT NOT NULL DEFAULT '',  -- file of its results, relative to the data root
    created_at_us INTEGER NOT NULL,  -- when it began
    finished_at_us INTEGER  -- when it ended
) STRICT
""",
    """
CREATE TABLE runs (
    -- A backtest: what was asked, what came out, where its file is.
    run_id TEXT PRIMARY KEY CHECK (run_id GLOB 'run_????????_??????_*'),  -- its name, also its file's
    sweep_id TEXT REFERENCES sweeps,  -- the sweep it belongs to
    strategy TEXT NOT NULL,  -- id of its code in the registry
    parameters_json TEXT NOT NULL CHECK (parameters_json GLOB '{*}'),  -- as run
    exchange TEXT NOT NULL,  -- where
    symbols_json TEXT NOT NULL CHECK (symbols_json GLOB '[[]*]'),  -- what
    timeframe TEXT NOT NULL,  -- its bars
    date_from TEXT NOT NULL CHECK (date_from GLOB '????-??-??'),  -- first day
    date_to TEXT NOT NULL CHECK (date_to >= date_from),  -- last day
    fill_model TEXT NOT NULL CHECK (fill_model IN ('next_bar_open', 'next_tick')),  -- how orders fill
    cash_paise INTEGER NOT NULL CHECK (cash_paise >= 0),  -- at the start
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'killed', 'partial')),  -- how it stands
    error TEXT NOT NULL DEFAULT '',  -- why it failed
    equity_paise INTEGER,  -- at the end
    profit_paise INTEGER,  -- net of fees
    fees_paise INTEGER CHECK (fees_paise >= 0),  -- charges
    trades INTEGER CHECK (trades >= 0),  -- closed trades
    return_ratio REAL,  -- profit over cash
    sharpe REAL,  -- yearly
    drawdown_max_ratio REAL,  -- deepest fall of equity
    metrics_json TEXT NOT NULL DEFAULT '{}' CHECK (metrics_json GLOB '{*}'),  -- all of them
    data_fingerprint TEXT NOT NULL DEFAULT '',  -- hash of the days and counts it read
    code_version TEXT NOT NULL,  -- version that ran it
    path TEXT NOT NULL,  -- its file, relative to the data root
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),  -- size of the file
    pid INTEGER,  -- process that runs it
    is_kept INTEGER NOT NULL DEFAULT 0 CHECK (is_kept IN (0, 1)),  -- 1: clean-up leaves it alone
    created_at_us INTEGER NOT NULL,  -- when it began
    finished_at_us INTEGER,  -- when it ended
    CHECK ((state = 'running') = (finished_at_us IS NULL))
) STRICT
""",
    "CREATE INDEX runs_by_time ON runs (created_at_us)",
    "CREATE INDEX runs_by_strategy ON runs (strategy, created_at_us)",
    "CREATE INDEX runs_by_state ON runs (state, created_at_us)",
    "CREATE INDEX runs_by_sweep ON runs (sweep_id)",
    """
CREATE TABLE jobs (
    -- A run that was asked for and waits for a worker.
    job_id TEXT PRIMARY KEY,  -- chosen by the sender; makes a repeat harmless
    request_json TEXT NOT NULL CHECK (request_json GLOB '{*}'),  -- what to run
    requested_by TEXT NOT NULL,  -- user or program
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),  -- how far it is
    run_id TEXT REFERENCES runs ON DELETE SET NULL,  -- the run it became
    error TEXT NOT NULL DEFAULT '',  -- why it failed
    requested_at_us INTEGER NOT NULL,  -- when
    started_at_us INTEGER,  -- when a worker took it
    finished_at_us INTEGER  -- when it ended
) STRICT
""",
    "CREATE INDEX jobs_by_state ON jobs (state, requested_at_us)",
    "CREATE INDEX jobs_by_run ON jobs (run_id)",
)
