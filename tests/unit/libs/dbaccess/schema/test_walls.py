"""Rows that would cost money are refused by the store itself, whoever writes them."""

from __future__ import annotations

import sqlite3

import duckdb
import pytest

from tests.kit.stores import INSIGHT, ORDER, POSITION, PROCESSED, TRADE, insert, new_duckdb, new_sqlite


@pytest.fixture
def trading(tmp_path):
    with new_sqlite(tmp_path / "trading.db", "trading") as connection:
        insert(connection, "orders", ORDER, status="sent", sending_at_us=1)
        insert(connection, "trades", TRADE)
        insert(connection, "positions", POSITION)
        insert(connection, "processed_signals", PROCESSED)
        yield connection


@pytest.fixture
def signals(tmp_path):
    with new_sqlite(tmp_path / "signals.db", "signals") as connection:
        yield connection


NEW_ORDER = {"order_id": "tf2"}
NEW_TRADE = {"trade_id": "t2"}
SNAPSHOT = {
    "timestamp_us": 1, "kind": "minute", "cash_paise": 1, "equity_paise": 1, "exposure_gross_paise": 5,
    "exposure_net_paise": -5, "profit_realised_paise": -1, "profit_unrealised_paise": 0, "fees_paise": 0,
    "drawdown_paise": 0, "positions_open": 1, "orders_open": 0,
}  # fmt: skip
STATE = {"scope_kind": "account", "state": "halted", "cause": "command", "reason": "test", "set_by": "me",
         "since_us": 1}  # fmt: skip
COMMAND = {"command_id": "c", "kind": "halt", "sender": "me", "state": "accepted", "received_at_us": 1}
BAD_ROWS = [
    ("orders", ORDER, NEW_ORDER | {"status": "sending"}, "status"),
    ("orders", ORDER, NEW_ORDER | {"status": "sent"}, "sending_at_us IS NOT NULL"),
    ("orders", ORDER, NEW_ORDER | {"sending_at_us": 5}, "sending_at_us IS NULL"),
    ("orders", ORDER, NEW_ORDER | {"side": "hold"}, "side"),
    ("orders", ORDER, NEW_ORDER | {"order_type": "stop"}, "order_type"),
    ("orders", ORDER, NEW_ORDER | {"order_type": "limit"}, "price IS NOT NULL"),
    ("orders", ORDER, NEW_ORDER | {"order_type": "sl_m"}, "price_trigger IS NOT NULL"),
    ("orders", ORDER, NEW_ORDER | {"purpose": "add"}, "purpose"),
    ("orders", ORDER, NEW_ORDER | {"product": "margin"}, "product"),
    ("orders", ORDER, NEW_ORDER | {"quantity": 0}, "quantity > 0"),
    ("orders", ORDER, NEW_ORDER | {"quantity": -1}, "quantity > 0"),
    ("orders", ORDER, NEW_ORDER | {"quantity": 1.5}, "cannot store REAL value in INTEGER"),
    ("orders", ORDER, NEW_ORDER | {"quantity": "ten"}, "cannot store TEXT value in INTEGER"),
    ("orders", ORDER, NEW_ORDER | {"price": -1.0}, "price > 0"),
    ("orders", ORDER, NEW_ORDER | {"quantity_filled": -1}, "quantity_filled"),
    ("orders", ORDER, NEW_ORDER | {"fees_paise": -1}, "fees_paise"),
    ("orders", ORDER, NEW_ORDER | {"replaces": "tf9"}, "FOREIGN KEY"),
    ("orders", ORDER, NEW_ORDER | {"order_id": "x" * 41}, "length"),
    ("orders", ORDER, {}, "UNIQUE"),
    ("orders", ORDER, NEW_ORDER | {"symbol": None}, "NOT NULL"),
    ("trades", TRADE, {}, "UNIQUE"),
    ("trades", TRADE, NEW_TRADE | {"order_id": "tf9"}, "FOREIGN KEY"),
    ("trades", TRADE, NEW_TRADE | {"quantity": 0}, "quantity > 0"),
    ("trades", TRADE, NEW_TRADE | {"price": 0.0}, "price > 0"),
    ("trades", TRADE, NEW_TRADE | {"side": "both"}, "side"),
    ("trades", TRADE, NEW_TRADE | {"direction": "flat"}, "direction"),
    ("trades", TRADE, NEW_TRADE | {"status": "open"}, "status"),
    ("trades", TRADE, NEW_TRADE | {"fees_paise": -1}, "fees_paise"),
    ("trades", TRADE, NEW_TRADE | {"fees_paise": 1.5}, "cannot store REAL value in INTEGER"),
    ("trades", TRADE, NEW_TRADE | {"trading_date": "2.2.26"}, "trading_date"),
    ("trades", TRADE, {"trade_id": ""}, "trade_id"),
    ("positions", POSITION, {}, "UNIQUE"),
    ("positions", POSITION, {"symbol": "TCS", "price_average": None}, "price_average IS NULL"),
    ("positions", POSITION, {"symbol": "TCS", "quantity": 0}, "price_average IS NULL"),
    ("processed_signals", PROCESSED, {}, "UNIQUE"),
    ("processed_signals", PROCESSED, {"signal_id": "s2"}, "UNIQUE"),
    ("processed_signals", PROCESSED, {"signal_id": "s2", "bar_us": 2, "decision": "maybe"}, "decision"),
    ("processed_signals", PROCESSED, {"signal_id": "s2", "bar_us": 2, "order_id": "tf9"}, "FOREIGN KEY"),
    ("processed_signals", PROCESSED, {"signal_id": "s2", "leg": 2, "decision": "stale", "order_id": "tf1"}, "order_id"),
    ("portfolio_snapshots", SNAPSHOT, {"exposure_net_paise": 6}, "exposure_gross_paise"),
    ("portfolio_snapshots", SNAPSHOT, {"drawdown_paise": -1}, "drawdown_paise"),
    ("portfolio_snapshots", SNAPSHOT, {"cash_paise": 0.5}, "cannot store REAL value in INTEGER"),
    ("trading_states", STATE, {"state": "paused"}, "state"),
    ("trading_states", STATE, {"reason": " "}, "reason"),
    ("trading_states", STATE, {"scope": "sma"}, "scope"),
    ("commands", COMMAND, {"state": "done"}, "finished_at_us"),
    ("broker_orders", {"trading_date": "2026-02-02", "exchange": "nse", "broker_order_id": "b1", "order_id": "tf9",
                       "status": "open", "first_seen_us": 1, "updated_at_us": 1}, {}, "FOREIGN KEY"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "row", "changes", "complaint"), BAD_ROWS)
def test_bad_row_is_refused(trading, table, row, changes, complaint):
    with pytest.raises(sqlite3.IntegrityError) as refused:
        insert(trading, table, row, **changes)

    assert complaint in str(refused.value)


@pytest.mark.parametrize(("table", "row"), [("portfolio_snapshots", SNAPSHOT), ("trading_states", STATE),
                                            ("commands", COMMAND)])  # fmt: skip
def test_the_rows_that_are_made_wrong_were_right(trading, table, row):
    insert(trading, table, row)


BAD_CHANGES = [
    ("UPDATE orders SET sending_at_us = NULL", "not unsent"),
    ("UPDATE orders SET sending_at_us = 7", "leaves once"),
    ("UPDATE orders SET side = 'sell'", "never change"),
    ("UPDATE orders SET signal_id_reference = 's2'", "never change"),
    ("UPDATE trades SET quantity = 11", "never change"),
    ("UPDATE trades SET price = 99.0", "never change"),
    ("UPDATE trades SET trade_id = 't9'", "never change"),
    ("DELETE FROM orders", "never deleted"),
    ("DELETE FROM trades", "never deleted"),
    ("DELETE FROM processed_signals", "no DELETE"),
    ("UPDATE processed_signals SET decision = 'ignored'", "no UPDATE"),
]


@pytest.mark.parametrize(("sql", "complaint"), BAD_CHANGES)
def test_what_happened_stays(trading, sql, complaint):
    with pytest.raises(sqlite3.IntegrityError, match=complaint):
        trading.execute(sql)


def test_filled_is_never_left_and_a_reversal_is_final(trading):
    """A cancelled order may turn out filled; a filled one turns into nothing else."""
    trading.execute("UPDATE orders SET status = 'cancelled'")
    trading.execute("UPDATE orders SET status = 'filled'")
    trading.execute("UPDATE trades SET status = 'reversed'")
    for sql in ("UPDATE orders SET status = 'open'", "UPDATE trades SET status = 'filled'"):
        with pytest.raises(sqlite3.IntegrityError, match=r"never left|final"):
            trading.execute(sql)


def test_a_changed_parameter_does_not_trade_the_bar_twice(trading):
    """The same instance, symbol, bar, kind and leg under another signal id is only ever a duplicate."""
    insert(trading, "processed_signals", PROCESSED, signal_id="s2", decision="duplicate")
    insert(trading, "processed_signals", PROCESSED, signal_id="s3", decision="duplicate")
    insert(trading, "processed_signals", PROCESSED, signal_id="s4", leg=1)


def test_an_overfill_is_recorded(trading):
    """What the exchange did is stored even when it should not be: refusing it would lose a fill."""
    trading.execute("UPDATE orders SET quantity_filled = 25, quantity_traded = 25")
    insert(trading, "trades", TRADE, trade_id="t2", quantity=15)


def test_a_cursor_goes_back_only_for_a_new_store(trading):
    trading.execute("INSERT INTO signal_cursors VALUES ('signals', 'u1', 5, 1)")
    trading.execute("UPDATE signal_cursors SET store_uuid = 'u2', outbox_seq = 0")
    trading.execute("UPDATE signal_cursors SET outbox_seq = 3")

    with pytest.raises(sqlite3.IntegrityError, match="only moves forward"):
        trading.execute("UPDATE signal_cursors SET outbox_seq = 2")


def test_a_transition_is_recorded_once(trading):
    event = {"order_id": "tf1", "kind": "transition", "sequence": 1, "status_from": "intent", "status_to": "sent",
             "cause": "sending", "at_us": 1, "recorded_at_us": 1}  # fmt: skip
    insert(trading, "order_events", event)

    for changes in ({}, {"sequence": None}, {"sequence": 2, "status_to": "intent"}, {"sequence": 2, "status_to": "x"}):
        with pytest.raises(sqlite3.IntegrityError):
            insert(trading, "order_events", event, **changes)


SIZING = [
    '{"quantity": 1}', '{"QTY": 1}', '{"a": {"b": [{"Stop_Loss": 1}]}}', '{"take-profit": 1}', '{"T.P": 1}',
    '{"position size": 1}', r'{"\u0073top": 1}', '{"price_target": 1}', '{"SL": 1}', '{"lots": 2}', '{"s_t_o_p": 1}',
    r'{"note": "{\"quantity\": 1}"}', '{"a": 1, "a": {"target": 2}}', '{"max_quantity_per_order": 1}',
]  # fmt: skip


@pytest.mark.parametrize("text", SIZING)
@pytest.mark.parametrize("how", ["metadata", "reasons", "update", "upsert"])
def test_an_insight_cannot_hold_sizing(signals, text, how):
    """A4: no quantity, stop or target, at any depth, in any case, in either JSON column, by any way in."""
    with pytest.raises(sqlite3.IntegrityError, match="no quantity, stop or target"):
        if how == "metadata":
            insert(signals, "confluence_insights", INSIGHT, metadata_json=text)
        elif how == "reasons":
            insert(signals, "confluence_insights", INSIGHT, reasons_json=f"[{text}]")
        else:
            insert(signals, "confluence_insights", INSIGHT)
            column = "metadata_json = ?" if how == "update" else "reasons_json = '[' || ? || ']'"
            signals.execute(f"UPDATE confluence_insights SET {column}", [text])


def test_an_insight_has_no_column_for_sizing(signals):
    columns = {row[1] for row in signals.execute("PRAGMA table_info(confluence_insights)")}

    assert not [name for name in columns for word in ("quantity", "qty", "stop", "target", "size") if word in name]


def test_a_signal_is_stored_once(signals):
    """E4: a replay inserts nothing new and takes no place in the outbox."""
    row = "('s1', 1, 'sma', '', 'nse', 'TCS', '1m', 1, 'enter_long', 0, 0.5, NULL, NULL, '{}', 2)"
    for expected in (1, 0):
        assert signals.execute(f"INSERT INTO signals VALUES {row} ON CONFLICT DO NOTHING").rowcount == expected

    for bad in (row.replace("0.5", "1.5"), row.replace("enter_long", "buy")):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            signals.execute(f"INSERT INTO signals VALUES {bad.replace('s1', 's2').replace(', 1,', ', 2,', 1)}")


CANDLE = "('A', '1m', '2026-02-02 09:15:00+05:30', {}, 0, 'live', 1)"
BAD_CANDLES = ["10, 9, 8, 10", "10, 11, 10.5, 10.5", "'nan', 11, 9, 10", "10, 'inf', 9, 10"]


@pytest.mark.parametrize("prices", BAD_CANDLES)
@pytest.mark.parametrize("store", ["live_candles", "history_candles"])
def test_an_impossible_candle_is_refused(tmp_path, store, prices):
    with new_duckdb(tmp_path / "c.duckdb", store) as connection:
        connection.execute(f"INSERT INTO candles VALUES {CANDLE.format('10, 11, 9, 10')}")
        connection.execute("DELETE FROM candles")

        with pytest.raises(duckdb.ConstraintException):
            connection.execute(f"INSERT INTO candles VALUES {CANDLE.format(prices)}")


def test_ticks_may_share_an_instant_and_live_candles_may_not(tmp_path):
    with new_duckdb(tmp_path / "t.duckdb", "live_ticks") as connection:
        tick = "('A', '2026-02-02 09:15:00+05:30', 1.0, {}, NULL, NULL, 0, NULL, 1)"
        connection.execute(f"INSERT INTO ticks VALUES {tick.format(0)}, {tick.format(0)}")
        with pytest.raises(duckdb.ConstraintException):
            connection.execute(f"INSERT INTO ticks VALUES {tick.format(-1)}")
    with new_duckdb(tmp_path / "c.duckdb", "live_candles") as connection:
        candle = CANDLE.format("10, 11, 9, 10")
        with pytest.raises(duckdb.ConstraintException):
            connection.execute(f"INSERT INTO candles VALUES {candle}, {candle}")


def test_repairs_of_the_feed_are_rows_of_their_own(tmp_path):
    """C4: a gap's end is set once; late ticks and backfills are only added."""
    with new_sqlite(tmp_path / "ledger.db", "ledger") as ledger:
        ledger.execute("INSERT INTO feed_gaps VALUES ('g', 'nse', '2026-02-02', NULL, 5, NULL, 'stall', '', 6)")
        ledger.execute("UPDATE feed_gaps SET to_us = 9")
        for sql in ("UPDATE feed_gaps SET to_us = 10", "UPDATE feed_gaps SET from_us = 1", "DELETE FROM feed_gaps"):
            with pytest.raises(sqlite3.IntegrityError):
                ledger.execute(sql)


def test_config_refuses_what_cannot_be(tmp_path):
    """H2: a plain password, an unknown role, two users of one name, a changed audit."""
    with new_sqlite(tmp_path / "config.db", "config") as config:
        user = "INSERT INTO users (name, password_hash, created_at_us, updated_at_us) VALUES (?, ?, 1, 1)"
        config.execute(user, ["asha", "$argon2id$v=19$x"])
        config.execute("INSERT INTO user_roles VALUES (1, 'viewer', 1)")
        config.execute("INSERT INTO audit_log (at_us, actor, action, subject) VALUES (1, 'asha', 'x', 'y')")
        limit = "INSERT INTO risk_limits VALUES ('account', '', 'order_value_max_paise', ?, 1)"
        for sql, values in (
            (user, ["ravi", "secret"]), (user, ["ASHA", None]), (limit, [-1]), (limit, [0.5]),
            ("INSERT INTO user_roles VALUES (1, 'owner', 1)", []), ("DELETE FROM audit_log", []),
            ("UPDATE audit_log SET actor = 'x'", []), ("DELETE FROM roles WHERE role = 'viewer'", []),
        ):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError):
                config.execute(sql, values)
