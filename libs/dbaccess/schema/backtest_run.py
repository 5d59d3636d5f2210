"""The file of one backtest run, DuckDB: everything it was given and everything it did. Written by its runner only."""

from __future__ import annotations

#: Stands in the run's own row.
VERSION = "1.0.0"

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE run (
    -- One row: what was asked, with what, and how it ended.
    run_id VARCHAR PRIMARY KEY,  -- its name, also the file's
    schema_version VARCHAR NOT NULL DEFAULT '1.0.0',  -- of this file
    strategy VARCHAR NOT NULL,  -- id of its code in the registry
    strategy_version VARCHAR NOT NULL,  -- version of its code
    parameters_json VARCHAR NOT NULL,  -- as run
    exchange VARCHAR NOT NULL,  -- where
    symbols_json VARCHAR NOT NULL,  -- what
    timeframe VARCHAR NOT NULL,  -- its bars
    date_from DATE NOT NULL,  -- first day
    date_to DATE NOT NULL,  -- last day
    fill_model VARCHAR NOT NULL CHECK (fill_model IN ('next_bar_open', 'next_tick')),  -- how orders fill
    settings_json VARCHAR NOT NULL,  -- costs, slippage, limits, sizing, exits
    cash_paise BIGINT NOT NULL CHECK (cash_paise >= 0),  -- at the start
    seed BIGINT NOT NULL DEFAULT 0,  -- of everything random
    data_fingerprint VARCHAR NOT NULL,  -- hash of the days and counts it read
    data_json VARCHAR NOT NULL DEFAULT '{}',  -- days, counts, completeness
    code_version VARCHAR NOT NULL,  -- version that ran it
    state VARCHAR NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'partial')),  -- how it ended
    error VARCHAR NOT NULL DEFAULT '',  -- why it failed
    bars BIGINT NOT NULL DEFAULT 0 CHECK (bars >= 0),  -- how many it went through
    created_at_us BIGINT NOT NULL,  -- when it began
    finished_at_us BIGINT  -- when it ended
)
""",
    """
CREATE TABLE signals (
    -- What the strategy said, and what became of it.
    signal_id VARCHAR NOT NULL,  -- the id it has live
    strategy_id VARCHAR NOT NULL,  -- strategy instance
    symbol VARCHAR NOT NULL,  -- what
    timestamp TIMESTAMPTZ NOT NULL,  -- start of the bar it was decided on
    signal_type VARCHAR NOT NULL
        CHECK (signal_type IN ('enter_long', 'exit_long', 'enter_short', 'exit_short')),  -- what it said
    leg INTEGER NOT NULL DEFAULT 0,  -- which of several of one kind
    confidence DOUBLE NOT NULL,  -- the strategy's own
    stop DOUBLE,  -- price at which the idea is wrong
    target DOUBLE,  -- price at which it is done
    decision VARCHAR NOT NULL,  -- approved, rejected, stale, …
    reason VARCHAR NOT NULL DEFAULT '',  -- why not
    metadata_json VARCHAR NOT NULL DEFAULT '{}'  -- what the strategy adds
)
""",
    """
CREATE TABLE orders (
    -- An order of the run.
    order_id VARCHAR NOT NULL,  -- its name
    signal_id_reference VARCHAR NOT NULL,  -- the signal that caused it
    strategy_id VARCHAR NOT NULL,  -- strategy instance
    symbol VARCHAR NOT NULL,  -- what
    side VARCHAR NOT NULL CHECK (side IN ('buy', 'sell')),  -- which way shares move
    order_type VARCHAR NOT NULL CHECK (order_type IN ('market', 'limit', 'sl', 'sl_m')),  -- how it asks for its price
    purpose VARCHAR NOT NULL,  -- entry, exit or flatten
    quantity BIGINT NOT NULL CHECK (quantity > 0),  -- shares wanted
    quantity_filled BIGINT NOT NULL CHECK (quantity_filled >= 0),  -- shares got
    price DOUBLE,  -- limit
    price_trigger DOUBLE,  -- trigger of a stop order
    status VARCHAR NOT NULL,  -- how it ended
    reason VARCHAR NOT NULL DEFAULT '',  -- of its end
    created TIMESTAMPTZ NOT NULL,  -- when it was decided
    finished TIMESTAMPTZ  -- when it ended
)
""",
    """
CREATE TABLE trades (
    -- A fill of the run.
    trade_id VARCHAR NOT NULL,  -- its name
    order_id VARCHAR NOT NULL,  -- its order
    signal_id_reference VARCHAR NOT NULL,  -- the signal behind it
    strategy_id VARCHAR NOT NULL,  -- strategy instance
    symbol VARCHAR NOT NULL,  -- what
    timestamp TIMESTAMPTZ NOT NULL,  -- when
    side VARCHAR NOT NULL CHECK (side IN ('buy', 'sell')),  -- which way shares moved
    direction VARCHAR NOT NULL CHECK (direction IN ('long', 'short')),  -- side of the position it belongs to
    quantity BIGINT NOT NULL CHECK (quantity > 0),  -- shares
    price DOUBLE NOT NULL,  -- at which
    fees_paise BIGINT NOT NULL CHECK (fees_paise >= 0),  -- charges
    profit_paise BIGINT,  -- realised by it before fees, NULL when it opened
    reason VARCHAR NOT NULL DEFAULT ''  -- signal, stop, target, trail, time, close, …
)
""",
    """
CREATE TABLE equity_curve (
    -- The account after each bar, or each day where that is enough.
    timestamp TIMESTAMPTZ NOT NULL,  -- start of the bar
    cash_paise BIGINT NOT NULL,  -- cash
    equity_paise BIGINT NOT NULL,  -- cash and positions
    exposure_paise BIGINT NOT NULL CHECK (exposure_paise >= 0),  -- sum of the positions' absolute values
    drawdown_paise BIGINT NOT NULL CHECK (drawdown_paise >= 0)  -- below the highest equity so far
)
""",
    """
CREATE TABLE positions (
    -- What the run held when it ended.
    strategy_id VARCHAR NOT NULL,  -- strategy instance
    symbol VARCHAR NOT NULL,  -- what
    quantity BIGINT NOT NULL,  -- shares; negative when short
    price_average DOUBLE,  -- of the open shares, NULL when flat
    profit_realised_paise BIGINT NOT NULL,  -- of what was closed, before fees
    profit_unrealised_paise BIGINT NOT NULL,  -- of the open shares at the last price
    fees_paise BIGINT NOT NULL CHECK (fees_paise >= 0)  -- charges
)
""",
    """
CREATE TABLE metrics (
    -- A figure of the run.
    metric VARCHAR NOT NULL,  -- its name
    scope VARCHAR NOT NULL DEFAULT '',  -- empty for all, else a symbol, a month, in_sample, …
    value DOUBLE,  -- NULL where it is not defined
    PRIMARY KEY (metric, scope)
)
""",
    """
CREATE TABLE sweep_results (
    -- One trial of a sweep, where this file is a sweep's.
    trial BIGINT PRIMARY KEY,  -- counts
    parameters_json VARCHAR NOT NULL,  -- as run
    sample VARCHAR NOT NULL DEFAULT '',  -- in_sample or out_of_sample with its window, in walk-forward
    form VARCHAR NOT NULL DEFAULT 'event',  -- event or vectorised
    state VARCHAR NOT NULL CHECK (state IN ('complete', 'failed', 'pruned')),  -- how it ended
    value DOUBLE,  -- of the metric that is optimised
    metrics_json VARCHAR NOT NULL DEFAULT '{}',  -- all metrics
    error VARCHAR NOT NULL DEFAULT ''  -- why it failed
)
""",
    """
CREATE TABLE log (
    -- What the run had to say.
    number BIGINT NOT NULL,  -- counts
    timestamp TIMESTAMPTZ,  -- market time it was about
    level VARCHAR NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),  -- how much it matters
    event VARCHAR NOT NULL,  -- what happened
    detail_json VARCHAR NOT NULL DEFAULT '{}'  -- its values
)
""",
)
