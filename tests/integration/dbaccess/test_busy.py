"""A3, B3: who is in the way is said, and a reader that stays too long is seen."""

from __future__ import annotations

import sqlite3

import pytest

from libs.core.errors import Refused, RetryLater
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.errors import StoreBusy
from libs.dbaccess.roles import Store
from libs.settings import load_settings

IMPATIENT = {"TRADEFLEET_SQLITE_BUSY_TIMEOUT_MS": "50", "TRADEFLEET_SQLITE_CHECKPOINT_TRANSACTIONS_MAX": "1"}


@pytest.fixture
def db(data_root):
    manager = DatabaseManager(data_root, Role.API, settings=load_settings(environment=IMPATIENT))
    with manager.config_writer():
        pass
    return manager


def test_another_tools_transaction_is_named_and_may_be_tried_again(db):
    path = db.layout.store(Store.CONFIG)
    tool = sqlite3.connect(path, isolation_level=None)
    tool.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreBusy, match=r"config\.db") as caught, db.config_writer():
            pytest.fail("the transaction began")
        assert isinstance(caught.value, RetryLater)
    finally:
        tool.close()

    with db.config_writer() as connection:
        connection.execute("SELECT 1")


def test_a_reader_in_an_old_snapshot_is_counted_until_it_goes(db):
    def change():
        with db.config_writer() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS filler (x)")
            connection.execute("INSERT INTO filler VALUES (zeroblob(20000))")

    change()
    policy = db.checkpoints(Store.CONFIG)
    before = policy.checkpoints_hindered
    with db.config_reader() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        change()
        change()
        assert policy.checkpoints_hindered > before
        assert policy.pages_waiting > 0
    change()

    assert policy.pages_waiting == 0


def test_a_store_that_is_no_sqlite_file_says_so(db):
    with pytest.raises(Refused, match="no SQLite store"), db.reader(Store.HISTORY):
        pass
