"""C5: who waits for the ingestor's rollover hears of the ingestor's end, not fifteen minutes later."""

from __future__ import annotations

import os
import threading
import time
from datetime import date

import pytest

from cli.rollover import roll_over
from libs.core.errors import RetryLater
from libs.dbaccess import Store, WriterLock
from libs.dbaccess.layout import Layout
from libs.messaging import CommandServer
from tests.kit.processes import DEADLINE_S
from tests.kit.roots import copy_stores, settings

MONDAY = date(2026, 2, 2)


@pytest.mark.parametrize("successor", [None, 2**30])
def test_an_ingestor_that_ends_meanwhile_is_noticed(data_root, successor):
    """Its successor owns the buffer, has counted nothing and may not reach the broker yet: it answers no status."""
    copy_stores(data_root)
    mine = settings(TRADEFLEET_DATA=str(data_root))
    lock = WriterLock(Layout(data_root).lock(Store.LIVE))
    assert lock.acquire()
    stop, ready = threading.Event(), threading.Event()

    def on_command(request):
        if request.name == "rollover":
            if successor is None:
                lock.release()
            else:
                lock.path.write_text(f"{successor}\n")
            return {"date": str(MONDAY), "attempts": 0, "pid": os.getpid()}
        raise RetryLater("the ingestor has no feed yet")

    def ingest():
        with CommandServer.open("ingestor", on_command, settings=mine) as server:
            ready.set()
            while not stop.wait(0.002):
                server.pump()

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        assert ready.wait(DEADLINE_S)
        before = time.monotonic()
        with pytest.raises(RetryLater, match="the ingestor ended"):
            roll_over(mine, MONDAY)
        assert time.monotonic() - before < DEADLINE_S
    finally:
        stop.set()
        thread.join()
        lock.release()
