"""C1: the broker's file into the config store by command: dated, repeatable, by the owner or under its lock."""

from __future__ import annotations

import gzip
import json
from datetime import date

from libs.dbaccess import DatabaseManager, Role, Store
from services.api.changes import Asked, perform
from services.api.instruments import book
from services.exchange_sim.market.instruments import Listing
from tests.kit.commands import fleet_here
from tests.kit.roots import copy_stores

RELIANCE = "NSE_EQ|INE002A01018"


def test_a_file_is_imported_found_and_kept_apart_by_date(data_root, tmp_path):
    """A later file ends what it lists no more and begins what changed; the past stays as it was known then."""
    copy_stores(data_root)
    environment = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_BUS_COMMAND_TIMEOUT_MS": "500"}
    rows = Listing(20, 7).rows()
    file = tmp_path / "nse.json.gz"
    file.write_bytes(gzip.compress(json.dumps([*rows, {"segment": "NSE_EQ"}]).encode()))
    done = fleet_here("instruments", "import", file, "--date", "2026-02-02", "--json", **environment)
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    changed = [{**row, "lot_size": 5} if row["instrument_key"] == RELIANCE else row for row in rows[:-2]]
    second = tmp_path / "second.json"
    second.write_text(json.dumps(changed))
    db = DatabaseManager(data_root, Role.API)
    reports = []
    for path, day in ((file, "2026-02-02"), (second, "2026-02-10"), (second, "2026-02-10")):
        given = {"path": str(path), "day": day}
        with db.config_writer() as connection:
            reports.append(perform(connection, "instruments.import", Asked("test", "", 1, given)).result)
    with db.config_reader() as connection:
        known = book(connection)
        lines = connection.execute("SELECT count(*) FROM audit_log WHERE action = 'instruments.import'").fetchone()
    with db.writer_session(Store.CONFIG):
        refused = fleet_here("instruments", "import", file, "--date", "2026-02-11", **environment)
        found = fleet_here("instruments", "search", "relia", "--json", **environment)
    nothing = fleet_here("instruments", "search", "no such thing", **environment)

    assert (first["listed"], first["begun"], first["ended"], first["refused"]) == (len(rows), len(rows), 0, 1)
    assert [(each["begun"], each["ended"]) for each in reports] == [(0, 0), (1, 3), (0, 0)]
    assert known.find("RELIANCE", day=date(2026, 2, 9)).lot_size == 1
    assert known.find("RELIANCE").lot_size == 5
    assert known.find(rows[-1]["trading_symbol"], day=date(2026, 2, 10)) is None
    assert known.key_of("RELIANCE", day=date(2026, 2, 5)) == RELIANCE
    assert lines == (4,)
    assert refused.returncode == 3, (refused.stdout, refused.stderr)
    assert [row["instrument_key"] for row in json.loads(found.stdout)] == [RELIANCE]
    assert nothing.returncode == 4
