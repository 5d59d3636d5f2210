"""F2: limits come from the config store, and a wrong row changes nothing."""

from __future__ import annotations

from libs.dbaccess import DatabaseManager, Role
from services.execution_engine.limits import ConfiguredLimits
from tests.kit.engine import engine_rig


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
