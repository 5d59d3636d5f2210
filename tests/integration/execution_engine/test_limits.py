"""F2: limits come from the config store, and a wrong row changes nothing."""

from __future__ import annotations

import json

import msgspec

from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.layout import Layout
from services.api.changes import Asked, perform
from services.execution_engine.corrections import CorrectedInstruments
from services.execution_engine.limits import ConfiguredLimits
from services.execution_engine.plans import instruments_path
from tests.kit.engine import INSTRUMENTS, engine_rig


def put(root, *row):
    with DatabaseManager(root, Role.API).config_writer() as connection:
        connection.execute("INSERT OR REPLACE INTO risk_limits VALUES (?, ?, ?, ?, 1)", row)


def test_a_limit_of_the_config_store_holds_at_once(tmp_path):
    root = tmp_path / "data"
    with engine_rig(root) as rig:
        limits = ConfiguredLimits(DatabaseManager(root), rig.engine.desk.gate, rig.settings.risk)
        rig.tick(100.0)
        put(root, "instrument", "nse:ACME", "symbol_order_value_max_rupees", 500)
        assert limits.refresh(rig.engine.store, 1)
        rig.tick(100.0, symbol="BETA")
        rig.signal("enter_long")
        rig.signal("enter_long", symbol="BETA")

        assert rig.rows("SELECT symbol FROM orders") == [("BETA",)]
        assert rig.rows("SELECT check_name, symbol FROM risk_events WHERE kind = 'rejected'") == [
            ("order_size", "ACME")
        ]

        put(root, "instrument", "nse:ACME", "no_such_limit", 1)
        assert not limits.refresh(rig.engine.store, 2)
        assert not limits.refresh(rig.engine.store, 3)
        assert rig.rows("SELECT severity FROM risk_events WHERE kind = 'limits'") == [("info",), ("error",)]
        assert rig.engine.desk.gate.limits.resolve("trend", "ACME").order_value_max == 500_00


def test_an_instrument_corrected_by_hand_holds_until_the_next_import(tmp_path):
    """The engine takes the correction over while it runs, keeps it over a new day, and lets go of it again."""
    root, at_us = tmp_path / "data", iter(range(1, 10))

    def perform_(change, **given):
        with DatabaseManager(root, Role.API).config_writer() as connection:
            perform(connection, change, Asked("test", "", next(at_us), given))

    with engine_rig(root) as rig:
        state = rig.engine.desk.gate.state
        corrected = CorrectedInstruments(DatabaseManager(root), state, "nse", lambda: INSTRUMENTS)
        row = {"symbol": "ACME", "instrument_key": "NSE_EQ|1", "segment": "NSE_EQ", "instrument_type": "EQ"}
        perform_("instrument.save", **row, day="2026-01-01", lot_size=1, tick_size=0.05, freeze_quantity=10)
        assert corrected.refresh(rig.engine.store, 1)
        assert not corrected.refresh(rig.engine.store, 2)
        corrected.reload()

        assert state.symbol("nse", "ACME").instrument.freeze_quantity == 10
        assert state.symbol("nse", "BETA").instrument.freeze_quantity == 1_000

        file = tmp_path / "nse.json"
        broker = {"segment": "NSE_EQ", "exchange": "NSE", "trading_symbol": "ACME", "instrument_key": "NSE_EQ|1",
                  "instrument_type": "EQ", "lot_size": 1, "tick_size": 5.0, "freeze_quantity": 1000.0}  # fmt: skip
        file.write_text(json.dumps([broker]))
        perform_("instruments.import", path=str(file), day="2026-01-02")
        assert corrected.refresh(rig.engine.store, 3)
        assert state.symbol("nse", "ACME").instrument.freeze_quantity == 1_000


def test_an_engine_that_was_there_first_learns_the_instruments_later(tmp_path):
    """On a new machine the ingestor fetches the file after the engine looked; it must not refuse all day for that."""
    root, listed = tmp_path / "data", []
    with engine_rig(root) as rig:
        state = rig.engine.desk.gate.state
        corrected = CorrectedInstruments(DatabaseManager(root), state, "nse", lambda: listed)
        corrected.refresh(rig.engine.store, 1)
        assert corrected.listed == 0

        listed.extend(msgspec.structs.replace(each, freeze_quantity=7) for each in INSTRUMENTS)
        path = instruments_path(Layout(root).market, "nse")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        corrected.refresh(rig.engine.store, 2)

        assert corrected.listed == len(INSTRUMENTS)
        assert state.symbol("nse", "ACME").instrument.freeze_quantity == 7
