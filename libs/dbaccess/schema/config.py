"""The config store, SQLite: who may do what, and what the fleet is to do. Written by the API service only."""

from __future__ import annotations

from libs.dbaccess.schema.common import IDENTITY, OUTBOX, append_only

_PEOPLE = (
    """
CREATE TABLE roles (
    -- What a user may be.
    role TEXT PRIMARY KEY,  -- its name
    description TEXT NOT NULL  -- what it may do
) STRICT
""",
    """
INSERT INTO roles VALUES ('admin', 'reads everything and changes everything'), ('viewer', 'reads everything')
""",
    """
CREATE TABLE users (
    -- A person or program that may log in.
    user_id INTEGER PRIMARY KEY,  -- counts
    name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (trim(name) <> ''),  -- login name, whatever its case
    password_hash TEXT,  -- argon2; NULL while only a one-time link lets in
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),  -- 0: may not log in
    failed_logins INTEGER NOT NULL DEFAULT 0 CHECK (failed_logins >= 0),  -- since the last good one
    locked_until_us INTEGER,  -- no login before this
    created_at_us INTEGER NOT NULL,  -- when it was made
    updated_at_us INTEGER NOT NULL,  -- when the row last changed
    CHECK (password_hash IS NULL OR password_hash GLOB '$argon2*')
) STRICT
""",
    """
CREATE TABLE user_roles (
    -- A role a user has.
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,  -- who
    role TEXT NOT NULL REFERENCES roles,  -- which role
    granted_at_us INTEGER NOT NULL,  -- since when
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX user_roles_by_role ON user_roles (role)",
    """
CREATE TABLE sessions (
    -- A login that lasts. The cookie itself is not stored, only its hash.
    session_hash TEXT PRIMARY KEY CHECK (length(session_hash) >= 32),  -- hash of the cookie
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,  -- who
    csrf_token TEXT NOT NULL,  -- what a form must bring back
    address TEXT NOT NULL DEFAULT '',  -- where from
    user_agent TEXT NOT NULL DEFAULT '',  -- with which program
    created_at_us INTEGER NOT NULL,  -- login
    seen_at_us INTEGER NOT NULL,  -- last request
    expires_at_us INTEGER NOT NULL CHECK (expires_at_us > created_at_us),  -- end at the latest
    revoked_at_us INTEGER  -- ended by the user or an admin
) STRICT
""",
    "CREATE INDEX sessions_by_user ON sessions (user_id)",
    "CREATE INDEX sessions_by_expiry ON sessions (expires_at_us)",
    """
CREATE TABLE api_tokens (
    -- A token of a program. The token itself is not stored, only its hash.
    token_id INTEGER PRIMARY KEY,  -- counts
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,  -- whose
    name TEXT NOT NULL,  -- what it is for
    token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) >= 32),  -- hash of the token
    scopes_json TEXT NOT NULL DEFAULT '[]' CHECK (scopes_json GLOB '[[]*]'),  -- what it may; never more than its user
    created_at_us INTEGER NOT NULL,  -- when it was made
    expires_at_us INTEGER,  -- NULL: until revoked
    used_at_us INTEGER,  -- last use
    revoked_at_us INTEGER,  -- ended by the user or an admin
    UNIQUE (user_id, name)
) STRICT
""",
    """
CREATE TABLE one_time_links (
    -- A link that lets in once: the first admin's, or for a new password.
    link_hash TEXT PRIMARY KEY CHECK (length(link_hash) >= 32),  -- hash of the secret in the link
    user_id INTEGER REFERENCES users ON DELETE CASCADE,  -- whose; NULL for the first admin
    purpose TEXT NOT NULL CHECK (purpose IN ('first_admin', 'password')),  -- what it is for
    created_at_us INTEGER NOT NULL,  -- when it was made
    expires_at_us INTEGER NOT NULL CHECK (expires_at_us > created_at_us),  -- good until
    used_at_us INTEGER  -- when it was used
) STRICT
""",
    "CREATE INDEX one_time_links_by_user ON one_time_links (user_id)",
    """
CREATE TABLE login_attempts (
    -- A failed login, for throttling by name and by address.
    attempt_id INTEGER PRIMARY KEY,  -- counts
    name TEXT NOT NULL COLLATE NOCASE,  -- as typed
    address TEXT NOT NULL,  -- where from
    at_us INTEGER NOT NULL  -- when
) STRICT
""",
    "CREATE INDEX login_attempts_by_name ON login_attempts (name, at_us)",
    "CREATE INDEX login_attempts_by_address ON login_attempts (address, at_us)",
    """
CREATE TABLE preferences (
    -- A user's choice for the screens.
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,  -- whose
    key TEXT NOT NULL,  -- which choice
    value_json TEXT NOT NULL CHECK (value_json <> ''),  -- what was chosen
    updated_at_us INTEGER NOT NULL,  -- when
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID
""",
)

_TRADING = (
    """
CREATE TABLE watchlists (
    -- A named list of symbols.
    watchlist_id INTEGER PRIMARY KEY,  -- counts
    name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (trim(name) <> ''),  -- its name
    owner_id INTEGER REFERENCES users ON DELETE SET NULL,  -- whose; NULL: everybody's
    created_at_us INTEGER NOT NULL,  -- when it was made
    updated_at_us INTEGER NOT NULL  -- when it or its items last changed
) STRICT
""",
    "CREATE INDEX watchlists_by_owner ON watchlists (owner_id)",
    """
CREATE TABLE watchlist_items (
    -- A symbol on a list.
    watchlist_id INTEGER NOT NULL REFERENCES watchlists ON DELETE CASCADE,  -- which list
    exchange TEXT NOT NULL,  -- where
    symbol TEXT NOT NULL,  -- what
    position INTEGER NOT NULL DEFAULT 0,  -- order on the screen
    PRIMARY KEY (watchlist_id, exchange, symbol)
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE strategy_configs (
    -- A strategy as it is to run: one instance.
    instance TEXT PRIMARY KEY CHECK (trim(instance) <> ''),  -- its name; `strategy_id` in signals and orders
    strategy TEXT NOT NULL,  -- id of its code in the registry
    is_enabled INTEGER NOT NULL DEFAULT 0 CHECK (is_enabled IN (0, 1)),  -- whether the scanner runs it
    exchange TEXT NOT NULL,  -- where
    timeframe TEXT NOT NULL CHECK (timeframe IN ('1m', '5m', '15m', '1h', '4h', '1d')),  -- its bars
    watchlist_id INTEGER REFERENCES watchlists,  -- the symbols it runs on, or …
    symbols_json TEXT CHECK (symbols_json GLOB '[[]*]'),  -- … the symbols themselves
    parameters_json TEXT NOT NULL DEFAULT '{}' CHECK (parameters_json GLOB '{*}'),  -- validated by the strategy
    sizing_json TEXT NOT NULL DEFAULT '{}' CHECK (sizing_json GLOB '{*}'),  -- how the engine sizes its entries
    exits_json TEXT NOT NULL DEFAULT '{}' CHECK (exits_json GLOB '{*}'),  -- how the engine leaves for it
    version INTEGER NOT NULL DEFAULT 1 CHECK (version > 0),  -- counts its changes
    updated_at_us INTEGER NOT NULL,  -- when it last changed
    CHECK ((watchlist_id IS NULL) <> (symbols_json IS NULL))
) STRICT
""",
    "CREATE INDEX strategy_configs_by_watchlist ON strategy_configs (watchlist_id)",
    """
CREATE TABLE scan_configs (
    -- A scan as it is to run; a user's own has an expression.
    scan_id TEXT PRIMARY KEY CHECK (trim(scan_id) <> ''),  -- its name
    scan TEXT NOT NULL,  -- id of its code in the registry
    expression TEXT NOT NULL DEFAULT '',  -- over indicators; parsed, never evaluated as code
    is_enabled INTEGER NOT NULL DEFAULT 0 CHECK (is_enabled IN (0, 1)),  -- whether the scanner runs it
    exchange TEXT NOT NULL,  -- where
    timeframe TEXT NOT NULL CHECK (timeframe IN ('1m', '5m', '15m', '1h', '4h', '1d')),  -- its bars
    watchlist_id INTEGER REFERENCES watchlists,  -- NULL: the whole universe
    parameters_json TEXT NOT NULL DEFAULT '{}' CHECK (parameters_json GLOB '{*}'),  -- validated by the scan
    updated_at_us INTEGER NOT NULL  -- when it last changed
) STRICT
""",
    "CREATE INDEX scan_configs_by_watchlist ON scan_configs (watchlist_id)",
    """
CREATE TABLE risk_limits (
    -- A limit of the risk gate, for the account, a strategy instance or a symbol; the strictest that applies holds.
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'strategy', 'instrument')),  -- how wide
    scope TEXT NOT NULL DEFAULT '',  -- instance or exchange:symbol; empty for the account
    limit_name TEXT NOT NULL CHECK (trim(limit_name) <> ''),  -- which limit, with its unit: order_value_max_paise, …
    value INTEGER NOT NULL CHECK (value >= 0),  -- in the unit the name says
    updated_at_us INTEGER NOT NULL,  -- when it last changed
    PRIMARY KEY (scope_kind, scope, limit_name),
    CHECK ((scope_kind = 'account') = (scope = ''))
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE alert_settings (
    -- Where alerts go and which.
    alert_setting_id INTEGER PRIMARY KEY,  -- counts
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,  -- its name
    severity_min TEXT NOT NULL CHECK (severity_min IN ('info', 'warning', 'error')),  -- from this on
    target_secret TEXT NOT NULL,  -- name of the secret that holds the address; never the address itself
    quiet_from TEXT CHECK (quiet_from GLOB '[0-2][0-9]:[0-5][0-9]'),  -- quiet hours begin, IST
    quiet_to TEXT CHECK (quiet_to GLOB '[0-2][0-9]:[0-5][0-9]'),  -- quiet hours end, IST
    is_enabled INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),  -- whether it is used
    updated_at_us INTEGER NOT NULL,  -- when it last changed
    CHECK ((quiet_from IS NULL) = (quiet_to IS NULL))
) STRICT
""",
    """
CREATE TABLE instruments (
    -- What can be traded, as the broker's file said from a date on.
    exchange TEXT NOT NULL,  -- where, e.g. nse
    symbol TEXT NOT NULL,  -- trading symbol
    valid_from TEXT NOT NULL CHECK (valid_from GLOB '????-??-??'),  -- first date this row holds for
    valid_to TEXT CHECK (valid_to >= valid_from),  -- last date, NULL while it is current
    instrument_key TEXT NOT NULL CHECK (instrument_key <> ''),  -- the broker's key
    segment TEXT NOT NULL,  -- the broker's segment, e.g. NSE_EQ
    instrument_type TEXT NOT NULL,  -- EQ, FUT, CE, PE, INDEX, …
    name TEXT NOT NULL DEFAULT '',  -- full name
    isin TEXT NOT NULL DEFAULT '',  -- international number
    lot_size INTEGER NOT NULL CHECK (lot_size > 0),  -- quantities are multiples of it
    tick_size REAL NOT NULL CHECK (tick_size > 0),  -- prices are multiples of it, rupees
    freeze_quantity INTEGER CHECK (freeze_quantity > 0),  -- largest quantity of one order
    expiry TEXT CHECK (expiry GLOB '????-??-??'),  -- of a derivative
    strike REAL CHECK (strike >= 0),  -- of an option
    underlying TEXT NOT NULL DEFAULT '',  -- of a derivative
    imported_at_us INTEGER NOT NULL,  -- when the file was read
    PRIMARY KEY (exchange, symbol, valid_from)
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX instruments_by_key ON instruments (instrument_key, valid_from)",
    "CREATE UNIQUE INDEX instruments_current ON instruments (exchange, symbol) WHERE valid_to IS NULL",
    "CREATE UNIQUE INDEX instruments_current_key ON instruments (instrument_key) WHERE valid_to IS NULL",
    """
CREATE TABLE audit_log (
    -- Who changed what, before and after. Only grows.
    audit_id INTEGER PRIMARY KEY,  -- counts
    at_us INTEGER NOT NULL,  -- when
    actor TEXT NOT NULL,  -- user, token or command
    address TEXT NOT NULL DEFAULT '',  -- where from
    action TEXT NOT NULL,  -- what was done
    subject TEXT NOT NULL,  -- table or thing it was done to
    subject_key TEXT NOT NULL DEFAULT '',  -- which row
    before_json TEXT CHECK (before_json GLOB '{*}'),  -- without secrets; NULL when it was not there
    after_json TEXT CHECK (after_json GLOB '{*}'),  -- without secrets; NULL when it was removed
    reason TEXT NOT NULL DEFAULT ''  -- as given
) STRICT
""",
    "CREATE INDEX audit_log_by_time ON audit_log (at_us)",
    "CREATE INDEX audit_log_by_subject ON audit_log (subject, subject_key, at_us)",
    *append_only("audit_log"),
)

STATEMENTS: tuple[str, ...] = (*IDENTITY, *OUTBOX, *_PEOPLE, *_TRADING)
