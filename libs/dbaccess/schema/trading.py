"""The trading store, SQLite: orders, what the broker said about them, trades and what we hold. Money is exact.

What steers trading (limits, locks, commands, reconciliation, the log of latencies) is in `trading_control`.
What the broker did is recorded even when it should not be: an overfill is a row and an alarm, never a refused write.
"""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY, OUTBOX, append_only, fixed_columns, never_deleted
from libs.dbaccess.schema.trading_control import STATEMENTS as CONTROL

_ORDERS = (
    """
CREATE TABLE orders (
    -- An intent of ours: committed before anything leaves, then moved by evidence only.
    order_id TEXT PRIMARY KEY CHECK (length(order_id) BETWEEN 1 AND 40),  -- our name for it, the broker's `tag`
    signal_id_reference TEXT NOT NULL,  -- the signal that caused it; an exit of ours names the entry's signal
    strategy_id TEXT NOT NULL,  -- strategy instance it belongs to
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),  -- which way shares move
    order_type TEXT NOT NULL CHECK (order_type IN ('market', 'limit', 'sl', 'sl_m')),  -- how it asks for its price
    product TEXT NOT NULL CHECK (product IN ('intraday', 'delivery')),  -- how long the broker lets it live
    purpose TEXT NOT NULL CHECK (purpose IN ('entry', 'exit', 'flatten')),  -- only an entry may add to a position
    quantity INTEGER NOT NULL CHECK (quantity > 0),  -- shares wanted
    price REAL CHECK (price > 0),  -- limit, NULL for a market order
    price_trigger REAL CHECK (price_trigger > 0),  -- trigger of a stop order
    status TEXT NOT NULL CHECK (status IN ('intent', 'sent', 'acknowledged', 'open', 'partially_filled', 'filled',
        'cancel_sent', 'cancelled', 'rejected', 'expired', 'unknown')),  -- as the evidence says
    sequence INTEGER NOT NULL DEFAULT 0 CHECK (sequence >= 0),  -- counts its transitions
    reason TEXT NOT NULL DEFAULT '',  -- of the last transition, in the broker's words where it gave some
    quantity_filled INTEGER NOT NULL DEFAULT 0 CHECK (quantity_filled >= 0),  -- the broker's figure
    quantity_traded INTEGER NOT NULL DEFAULT 0 CHECK (quantity_traded >= 0),  -- sum of its trades known to us
    fees_paise INTEGER NOT NULL DEFAULT 0 CHECK (fees_paise >= 0),  -- charges so far
    is_unanswered INTEGER NOT NULL DEFAULT 0 CHECK (is_unanswered IN (0, 1)),  -- the place request got no answer
    is_complete INTEGER NOT NULL DEFAULT 0 CHECK (is_complete IN (0, 1)),  -- all its broker orders are known
    is_refused INTEGER NOT NULL DEFAULT 0 CHECK (is_refused IN (0, 1)),  -- the broker said no to the place request
    is_lapsed INTEGER NOT NULL DEFAULT 0 CHECK (is_lapsed IN (0, 1)),  -- never sent, no longer wanted
    cancel_number INTEGER NOT NULL DEFAULT 0 CHECK (cancel_number >= 0),  -- counts cancels that may have left
    cancel_refused_number INTEGER NOT NULL DEFAULT 0 CHECK (cancel_refused_number >= 0),  -- last one refused
    change_number INTEGER NOT NULL DEFAULT 0 CHECK (change_number >= 0),  -- counts modifications that may have left
    change_json TEXT CHECK (change_json GLOB '{*}'),  -- terms of the one not answered yet
    replaces TEXT REFERENCES orders,  -- the cancelled order this one replaces
    created_at_us INTEGER NOT NULL,  -- when the intent was committed
    sending_at_us INTEGER,  -- when `sending` was committed: from here on it may be at the broker
    updated_at_us INTEGER NOT NULL,  -- when the row last changed
    CHECK (order_type NOT IN ('limit', 'sl') OR price IS NOT NULL),
    CHECK (order_type NOT IN ('sl', 'sl_m') OR price_trigger IS NOT NULL),
    CHECK (status <> 'sent' OR sending_at_us IS NOT NULL),
    CHECK (status <> 'intent' OR sending_at_us IS NULL),
    CHECK (cancel_refused_number <= cancel_number)
) STRICT
""",
    "CREATE INDEX orders_by_status ON orders (status, symbol)",
    "CREATE INDEX orders_by_symbol ON orders (symbol, created_at_us)",
    "CREATE INDEX orders_by_signal ON orders (signal_id_reference)",
    "CREATE INDEX orders_by_strategy ON orders (strategy_id, created_at_us)",
    "CREATE INDEX orders_by_time ON orders (created_at_us)",
    fixed_columns(
        "orders",
        "order_id",
        "signal_id_reference",
        "strategy_id",
        "exchange",
        "symbol",
        "side",
        "product",
        "purpose",
        "created_at_us",
    ),
    """
CREATE TRIGGER orders_sending_once BEFORE UPDATE OF sending_at_us ON orders
WHEN OLD.sending_at_us IS NOT NULL AND NEW.sending_at_us IS NOT OLD.sending_at_us
BEGIN SELECT RAISE(ABORT, 'orders: what may have left is not unsent, and leaves once'); END
""",
    """
CREATE TRIGGER orders_filled_is_final BEFORE UPDATE OF status ON orders
WHEN OLD.status = 'filled' AND NEW.status <> 'filled'
BEGIN SELECT RAISE(ABORT, 'orders: filled is never left'); END
""",
    never_deleted("orders"),
    """
CREATE TABLE broker_orders (
    -- An order at the broker that an intent of ours became; a sliced intent has several.
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- the order book's day
    exchange TEXT NOT NULL,  -- where
    broker_order_id TEXT NOT NULL CHECK (broker_order_id <> ''),  -- the broker's name for it
    order_id TEXT NOT NULL REFERENCES orders,  -- the intent
    status TEXT NOT NULL CHECK (status IN ('acknowledged', 'open', 'partially_filled', 'filled', 'cancelled',
        'rejected', 'expired', 'unknown')),  -- the broker's word, in ours
    quantity INTEGER NOT NULL DEFAULT 0 CHECK (quantity >= 0),  -- shares; 0 while not reported
    quantity_filled INTEGER NOT NULL DEFAULT 0 CHECK (quantity_filled >= 0),  -- the broker's figure
    quantity_traded INTEGER NOT NULL DEFAULT 0 CHECK (quantity_traded >= 0),  -- sum of its trades known to us
    terms_us INTEGER NOT NULL DEFAULT 0,  -- the broker's time of the newest terms we saw
    reason TEXT NOT NULL DEFAULT '',  -- the broker's words
    first_seen_us INTEGER NOT NULL,  -- when we learned of it
    updated_at_us INTEGER NOT NULL,  -- when the row last changed
    PRIMARY KEY (trading_date, exchange, broker_order_id)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX broker_orders_by_order ON broker_orders (order_id)",
    "CREATE INDEX broker_orders_by_id ON broker_orders (broker_order_id)",
    fixed_columns("broker_orders", "trading_date", "exchange", "broker_order_id", "order_id"),
    never_deleted("broker_orders"),
    """
CREATE TABLE order_events (
    -- Something that happened to an order, with its cause: the order's journal.
    event_id INTEGER PRIMARY KEY,  -- counts
    order_id TEXT NOT NULL REFERENCES orders,  -- which order
    kind TEXT NOT NULL CHECK (kind IN ('intent', 'sending', 'transition', 'fill', 'fill_reversed', 'terms_changed',
        'anomaly', 'evidence')),  -- what happened
    sequence INTEGER CHECK (sequence > 0),  -- of a transition: its number
    status_from TEXT CHECK (status_from IN ('intent', 'sent', 'acknowledged', 'open', 'partially_filled', 'filled',
        'cancel_sent', 'cancelled', 'rejected', 'expired', 'unknown')),  -- of a transition: status before
    status_to TEXT CHECK (status_to IN ('intent', 'sent', 'acknowledged', 'open', 'partially_filled', 'filled',
        'cancel_sent', 'cancelled', 'rejected', 'expired', 'unknown')),  -- of a transition: status after
    cause TEXT NOT NULL,  -- tag of the evidence or command behind it
    quantity_traded INTEGER CHECK (quantity_traded >= 0),  -- shares whose trades were known then
    fill_pending INTEGER,  -- shares reported filled whose trades were not known then
    reason TEXT NOT NULL DEFAULT '',  -- in words
    detail_json TEXT NOT NULL DEFAULT '{}' CHECK (detail_json GLOB '{*}'),  -- the evidence itself
    at_us INTEGER NOT NULL,  -- when it was so, by the broker's time where it gave one
    recorded_at_us INTEGER NOT NULL,  -- when we stored it
    CHECK ((kind = 'transition') = (sequence IS NOT NULL)),
    CHECK (kind <> 'transition' OR (status_from IS NOT NULL AND status_to IS NOT NULL AND status_from <> status_to))
) STRICT
""",
    "CREATE INDEX order_events_by_order ON order_events (order_id, event_id)",
    "CREATE UNIQUE INDEX order_events_transition_once ON order_events (order_id, sequence) WHERE kind = 'transition'",
    *append_only("order_events"),
)

_HOLDINGS = (
    """
CREATE TABLE trades (
    -- A fill. Positions move by these (and by adjustments) and by nothing else; the key makes a repeat harmless.
    trading_date TEXT NOT NULL CHECK (trading_date GLOB '????-??-??'),  -- exchange's date
    exchange TEXT NOT NULL,  -- where
    broker_order_id TEXT NOT NULL CHECK (broker_order_id <> ''),  -- the broker's order it belongs to
    trade_id TEXT NOT NULL CHECK (trade_id <> ''),  -- the exchange's number; alone it repeats over days and orders
    order_id TEXT NOT NULL REFERENCES orders,  -- our order
    signal_id_reference TEXT NOT NULL,  -- the signal behind it
    strategy_id TEXT NOT NULL,  -- strategy instance it belongs to
    symbol TEXT NOT NULL,  -- what
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),  -- which way shares moved
    direction TEXT NOT NULL CHECK (direction IN ('long', 'short')),  -- side of the position it belongs to
    product TEXT NOT NULL CHECK (product IN ('intraday', 'delivery')),  -- of its order
    status TEXT NOT NULL CHECK (status IN ('filled', 'reversed')),  -- whether it stands
    quantity INTEGER NOT NULL CHECK (quantity > 0),  -- shares
    price REAL NOT NULL CHECK (price > 0),  -- the exchange's
    fees_paise INTEGER NOT NULL DEFAULT 0 CHECK (fees_paise >= 0),  -- what it added to its order's charges
    profit_paise INTEGER,  -- realised by it before fees, NULL when it opened
    timestamp_us INTEGER NOT NULL,  -- the exchange's trade time
    recorded_at_us INTEGER NOT NULL,  -- when we stored it
    PRIMARY KEY (trading_date, exchange, broker_order_id, trade_id)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX trades_by_order ON trades (order_id)",
    "CREATE INDEX trades_by_symbol ON trades (symbol, timestamp_us)",
    "CREATE INDEX trades_by_strategy ON trades (strategy_id, timestamp_us)",
    "CREATE INDEX trades_by_time ON trades (timestamp_us)",
    "CREATE INDEX trades_by_signal ON trades (signal_id_reference)",
    fixed_columns(
        "trades",
        "trading_date",
        "exchange",
        "broker_order_id",
        "trade_id",
        "order_id",
        "signal_id_reference",
        "strategy_id",
        "symbol",
        "side",
        "direction",
        "product",
        "quantity",
        "price",
        "timestamp_us",
    ),
    """
CREATE TRIGGER trades_reversed_is_final BEFORE UPDATE OF status ON trades
WHEN OLD.status = 'reversed' AND NEW.status <> 'reversed'
BEGIN SELECT RAISE(ABORT, 'trades: a reversal is final'); END
""",
    never_deleted("trades"),
    """
CREATE TABLE positions (
    -- What a strategy instance holds of an instrument: the sum of its trades and adjustments, kept for quick reading.
    strategy_id TEXT NOT NULL,  -- whose
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    product TEXT NOT NULL CHECK (product IN ('intraday', 'delivery')),  -- as traded
    quantity INTEGER NOT NULL,  -- shares; negative when short
    price_average REAL CHECK (price_average > 0),  -- of the open shares, NULL when flat
    cost_paise INTEGER NOT NULL DEFAULT 0,  -- exact cost of the open shares; negative when short
    profit_realised_paise INTEGER NOT NULL DEFAULT 0,  -- of what was closed, before fees
    fees_paise INTEGER NOT NULL DEFAULT 0 CHECK (fees_paise >= 0),  -- charges of all its trades
    price_mark REAL CHECK (price_mark > 0),  -- last price it was valued at
    profit_unrealised_paise INTEGER NOT NULL DEFAULT 0,  -- of the open shares at that price
    trades INTEGER NOT NULL DEFAULT 0 CHECK (trades >= 0),  -- how many trades made it
    opened_at_us INTEGER,  -- when the open shares' first was traded, NULL when flat
    updated_at_us INTEGER NOT NULL,  -- when the row last changed
    PRIMARY KEY (strategy_id, exchange, symbol, product),
    CHECK ((quantity = 0) = (price_average IS NULL))
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX positions_by_symbol ON positions (exchange, symbol)",
    "CREATE INDEX positions_open ON positions (exchange, symbol, quantity) WHERE quantity <> 0",
    """
CREATE TABLE adjustments (
    -- A change of a position that no order of ours made: foreign fills, settlement by an operator, corporate actions.
    adjustment_id TEXT PRIMARY KEY,  -- name that makes a repeat harmless
    strategy_id TEXT NOT NULL,  -- whose position
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    product TEXT NOT NULL CHECK (product IN ('intraday', 'delivery')),  -- of the position
    quantity INTEGER NOT NULL CHECK (quantity <> 0),  -- shares; negative takes away
    price REAL CHECK (price > 0),  -- at which, NULL when unknown
    kind TEXT NOT NULL CHECK (kind IN ('foreign_fill', 'settlement', 'corporate_action', 'operator')),  -- what it was
    evidence_json TEXT NOT NULL CHECK (evidence_json GLOB '{*}'),  -- what it rests on
    made_by TEXT NOT NULL,  -- rule or operator
    timestamp_us INTEGER NOT NULL,  -- when it took effect
    recorded_at_us INTEGER NOT NULL  -- when we stored it
) STRICT
""",
    "CREATE INDEX adjustments_by_symbol ON adjustments (exchange, symbol)",
    *append_only("adjustments"),
    """
CREATE TABLE exit_plans (
    -- When an open position is left by itself; survives restarts, goes with the position.
    strategy_id TEXT NOT NULL,  -- whose position
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    product TEXT NOT NULL,  -- of the position
    signal_id_reference TEXT NOT NULL,  -- the entry's signal
    price_stop REAL CHECK (price_stop > 0),  -- leave at or beyond it
    price_target REAL CHECK (price_target > 0),  -- leave at or beyond it
    trail_distance REAL CHECK (trail_distance > 0),  -- the stop follows the best price at this distance
    price_best REAL CHECK (price_best > 0),  -- best price since the entry
    bars_max INTEGER CHECK (bars_max > 0),  -- leave after so many bars
    leave_at_us INTEGER,  -- leave at this time
    updated_at_us INTEGER NOT NULL,  -- when the row last changed
    PRIMARY KEY (strategy_id, exchange, symbol, product),
    FOREIGN KEY (strategy_id, exchange, symbol, product) REFERENCES positions
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE portfolio_snapshots (
    -- The whole account at one moment: each minute and at the close.
    timestamp_us INTEGER NOT NULL,  -- by the session clock
    kind TEXT NOT NULL CHECK (kind IN ('minute', 'close', 'start', 'manual')),  -- why it was taken
    cash_paise INTEGER NOT NULL,  -- cash
    equity_paise INTEGER NOT NULL,  -- cash and positions
    exposure_gross_paise INTEGER NOT NULL CHECK (exposure_gross_paise >= 0),  -- sum of the positions' absolute values
    exposure_net_paise INTEGER NOT NULL,  -- long less short
    profit_realised_paise INTEGER NOT NULL,  -- of the day, before fees
    profit_unrealised_paise INTEGER NOT NULL,  -- of open positions
    fees_paise INTEGER NOT NULL CHECK (fees_paise >= 0),  -- of the day
    drawdown_paise INTEGER NOT NULL CHECK (drawdown_paise >= 0),  -- below the highest equity
    positions_open INTEGER NOT NULL CHECK (positions_open >= 0),  -- how many
    orders_open INTEGER NOT NULL CHECK (orders_open >= 0),  -- how many
    PRIMARY KEY (timestamp_us, kind),
    CHECK (abs(exposure_net_paise) <= exposure_gross_paise)
) STRICT, WITHOUT ROWID
""",
)

#: Released as version 1; never edited.
V1: tuple[str, ...] = (*IDENTITY, *OUTBOX, *_ORDERS, *_HOLDINGS, *CONTROL)
#: Orders that are not over, or whose trades are not all known. A start finds these without looking through the rest.
NOT_SETTLED = (
    "status IN ('intent', 'sent', 'acknowledged', 'open', 'partially_filled', 'cancel_sent', 'unknown') "
    "OR quantity_filled > quantity_traded"
)
V2: tuple[str, ...] = (f"CREATE INDEX orders_not_settled ON orders (order_id) WHERE {NOT_SETTLED}",)
#: Indexes nobody asked all day, each of which every order paid for with pages of its commit.
#: See `docs/decisions/one-commit-before-the-request.md`.
_NOT_ASKED = ("outbox_by_topic", "orders_by_status", "processed_signals_by_time", "processed_signals_by_order")
V3: tuple[str, ...] = tuple(f"DROP INDEX {name}" for name in _NOT_ASKED)
STATEMENTS: tuple[str, ...] = (*V1, *V2, *V3)
