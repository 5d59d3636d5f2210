"""I3: a copy goes into another root as well, and one that is not whole, or points out of it, goes nowhere."""

from __future__ import annotations

import json
from datetime import timedelta

import pandas as pd
import pytest

from libs.core.errors import Refused
from libs.dbaccess import BackupManager, DatabaseManager, MarketDataQuery, Role, StoreCorrupt, UnsafeName
from libs.dbaccess.backup import MARKET_LIST, restore_market
from tests.kit.commands import fleet_here
from tests.kit.market_days import MONDAY, archive_day, close_day, minutes, stores
from tests.kit.roots import make_stores
from tests.kit.stores import ORDER, insert

TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)


@pytest.fixture
def root(data_root):
    make_stores(data_root)
    close_day(data_root, MONDAY, minutes("INFY", MONDAY, 30))
    archive_day(data_root, TUESDAY, minutes("INFY", TUESDAY, 20))
    with DatabaseManager(data_root, Role.EXECUTION_ENGINE).trading_writer() as connection:
        insert(connection, "orders", ORDER)
    return data_root


@pytest.fixture
def other(root, tmp_path):
    """A new machine: stores, and nothing in them."""
    other = tmp_path / "other"
    make_stores(other)
    return other


def candles(root) -> pd.DataFrame:
    with MarketDataQuery(stores(root)) as query:
        return query.get_candles("INFY", "nse", "1m", MONDAY, WEDNESDAY)


def files(root) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / "market_data").rglob("*") if "20" in path.name)


def test_a_new_machine_has_everything_back(root, other):
    made = fleet_here("backup", "all", "--data-root", root, "--json")
    assert made.returncode == 0, made.stderr
    for store in ("trading", "config", "market"):
        done = fleet_here("restore", store, "latest", "--data-root", other, "--backup-root", root / "backups", "--json")
        assert done.returncode == 0, done.stderr

    pd.testing.assert_frame_equal(candles(other), candles(root))
    assert len(candles(other)) == 50
    with DatabaseManager(other).trading_reader() as trading:
        assert trading.execute("SELECT order_id FROM orders").fetchall() == [(ORDER["order_id"],)]


def lost(copy, listed):
    next(copy.rglob("*.duckdb")).unlink()


def spoiled(copy, listed):
    path = next(copy.rglob("*.duckdb"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()  # it shares its bytes with the copies before
    path.write_bytes(data)


def unfinished(copy, listed):
    (copy / MARKET_LIST).unlink()


def no_list(copy, listed):
    (copy / MARKET_LIST).write_text("[]")


def elsewhere(copy, listed):
    (copy.parent.parent.parent / "evil.duckdb").write_bytes(b"x")
    listed["files"] = {"../../evil.duckdb": "00"}
    (copy / MARKET_LIST).write_text(json.dumps(listed))


@pytest.mark.parametrize(
    ("harm", "error"),
    [(lost, OSError), (spoiled, StoreCorrupt), (unfinished, Refused), (no_list, StoreCorrupt), (elsewhere, UnsafeName)],
    ids=lambda each: each.__name__,
)
def test_a_copy_that_is_not_whole_puts_no_bad_day_anywhere(root, other, harm, error):
    copy = BackupManager(root).backup_market_data(WEDNESDAY)
    harm(copy, json.loads((copy / MARKET_LIST).read_text()))
    with pytest.raises(error):
        restore_market(DatabaseManager(other, Role.INGESTOR), copy, report=lambda *_: None)

    assert [name for name in files(other) if name.endswith(".duckdb")] == []
    assert not list(other.rglob("*.partial"))
    assert not (other.parent / "evil.duckdb").exists()
