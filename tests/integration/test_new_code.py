"""Issue 4: a supervisor starts changed code as well; the owner of a store copies it before it writes a thing."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from libs.core.clock import US_PER_DAY, SystemClock
from libs.dbaccess import BackupManager, DatabaseManager, Role, Store, connections, deployed
from libs.dbaccess.backup import (
    copy_before_deployment,
    copy_before_first_write,
    deployment,
    list_copies,
    newest_copy,
    note_deployment,
    place,
)
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreBusy
from libs.dbaccess.layout import Layout
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.migrate import PLANS, latest, migrate
from libs.messaging import subscribe
from libs.runtime.deployment import take_store
from libs.settings import PROJECT_ROOT
from services.execution_engine.service import serve
from tests.kit.api import add_users, log_in, running_api
from tests.kit.clock import ManualClock
from tests.kit.processes import DEADLINE_S, wait_until
from tests.kit.roots import copy_stores, settings
from tests.kit.service import service
from tests.kit.stores import ORDER, insert

NOTE = "backups/.deployed_code_trading"


def left_by_a_kill(root: Path, version: int) -> Path:
    """Make the root of an engine that was killed while an order was on its way; what it wrote is in the log alone."""
    copy_stores(root)
    trading, killed = root / "trading", root / "killed"
    (trading / "trading.db").unlink()
    with sqlite_writer(trading / "trading.db", settings().sqlite, durable=True) as connection:
        migrate(connection, "trading", clock=SystemClock(), backup=None, plan=PLANS["trading"][:version])
        insert(connection, "orders", ORDER | {"status": "sent", "sending_at_us": 2, "updated_at_us": 2})
        shutil.copytree(trading, killed)
    shutil.rmtree(trading)
    killed.rename(trading)
    assert (trading / "trading.db-wal").stat().st_size
    return root


@pytest.fixture
def root(data_root):
    return left_by_a_kill(data_root, latest("trading"))


@pytest.fixture
def older(data_root):
    """The same, by code whose store is to be upgraded."""
    return left_by_a_kill(data_root, latest("trading") - 1)


@pytest.fixture
def new_code(monkeypatch):
    """Change the code that runs. Named behind the root, which it did not run on."""
    monkeypatch.setattr(deployed, "code_fingerprint", lambda _: "tuesday's")


@contextmanager
def running_engine(root: Path) -> Iterator[None]:
    """Have the engine of the service run beside the block."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    work = serve(settings(TRADEFLEET_DATA=str(root)), SystemClock(), stop)
    thread = threading.Thread(target=loop.run_until_complete, args=(work,))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def start(root: Path) -> str:
    """Take the store as the service does, write to it, and end; give why it was not copied."""
    manager = DatabaseManager(root, Role.EXECUTION_ENGINE, settings=settings())
    with take_store(manager, Store.TRADING) as (session, problem), session.transaction() as connection:
        connection.execute("UPDATE orders SET quantity = quantity + 1")
    return problem


def copies(root: Path) -> list[Path]:
    found = [each for each in list_copies(root / "backups", settings().sqlite, verify=True) if each.store == "trading"]
    assert {each.state for each in found} <= {"whole"}
    return [Path(each.path) for each in found]


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def stored(root: Path) -> list[str]:
    return rows(root / "trading" / "trading.db")


def test_the_copy_is_the_store_as_the_old_code_left_it(older, new_code):
    """Not even upgraded: the old code could not read it then."""
    before = stored(older)
    with running_engine(older):
        wait_until(lambda: stored(older) != before, "the order that was on its way to be settled")

    (copy,) = copies(older)
    assert rows(copy) == before
    assert (older / NOTE).read_text() == "tuesday's"
    assert start(older) == ""
    assert copies(older) == [copy], "copied again by code that was here before"


def test_code_that_was_here_before_does_not_copy(root, monkeypatch):
    monkeypatch.setattr(deployment, "_copy", None)

    assert start(root) == ""
    assert copies(root) == []


def test_killed_before_it_could_note_its_copy_it_copies_again(root):
    """The real process and `kill -9`, as a supervisor would start it."""
    (root / NOTE).write_text("monday's")
    before = stored(root)
    environment = {"TRADEFLEET_DATA": str(root), "TRADEFLEET_PROFILE": "demo"}
    with service("execution_engine", environment | {"TRADEFLEET_CRASH_AT": "backup.rename.after"}) as engine:
        engine.start()
        assert engine.process.wait(DEADLINE_S) == -9, engine.log.read_text()
    assert (len(copies(root)), (root / NOTE).read_text(), stored(root)) == (1, "monday's", before)

    assert start(root) == ""
    assert [rows(copy) for copy in copies(root)] == [before, before]
    assert (root / NOTE).read_text() == deployed.code_fingerprint(PROJECT_ROOT)


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "what", "instead", "words"),
    [
        (place, "sync_file", refuse, "No space left"),
        (deployment, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=0)), "more than half"),
        (deployment, "_OWNER_COPIES_S", -1, "takes longer than"),
        (deployment, "note_code", refuse, "No space left"),
        (deployment, "_copy_in_time", lambda *_: 1 / 0, "division by zero"),
    ],
    ids=["no room", "too little room", "too slow", "no note", "new code fails"],
)
def test_a_copy_that_cannot_be_made_keeps_nobody_from_the_store(
    root, new_code, monkeypatch, where, what, instead, words
):
    """It is said, nothing of it is left, and the next start copies."""
    with monkeypatch.context() as broken:
        broken.setattr(where, what, instead)
        before = stored(root)
        assert words in start(root)

    assert stored(root) != before
    assert not list((root / "backups").rglob("*.partial"))
    made = len(copies(root))
    assert start(root) == ""
    assert len(copies(root)) == made + 1


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_of_their_own_for_copies_keeps_nobody_from_the_store(root, new_code, trouble):
    at, before = root / "backups", stored(root)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(at)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a tmpfs; writes that are refused are covered above")
    try:
        if trouble == "full":
            (at / "ballast").write_bytes(bytes(1_000_000))
        else:
            subprocess.run(["mount", "-o", "remount,ro", at], check=True)
        assert str(at) in start(root)
        assert not list(at.rglob("*trading_*"))
    finally:
        subprocess.run(["umount", "-l", at], check=True)

    assert stored(root) != before


def test_an_engine_without_its_copy_trades_and_is_unwell(root, new_code, monkeypatch):
    """Its heartbeat says so as long as it lives, of which ops makes an alert."""
    monkeypatch.setattr(place, "sync_file", refuse)
    before = stored(root)
    with structlog.testing.capture_logs() as logged, running_engine(root):
        beat = next(subscribe("telemetry.health.execution_engine", settings=settings(TRADEFLEET_DATA=str(root))))
        wait_until(lambda: stored(root) != before, "the order that was on its way to be settled")

    assert beat.state == "warning"
    assert "new code is on trading" in beat.detail
    assert "deployment.not_copied" in [each["event"] for each in logged]


def test_the_api_copies_its_store_under_a_name_no_daily_copy_takes(data_root):
    copy_stores(data_root)
    add_users(data_root, asha="admin", vik="viewer")
    before = rows(data_root / "config" / "config.db")
    (data_root / "backups" / ".deployed_code_config").write_text("monday's")
    with running_api(data_root) as api:
        log_in(api.client, "asha")
        BackupManager(data_root).backup_config_db()

    daily, made = sorted((data_root / "backups" / "config").glob("config_*.db"))
    assert rows(made) == before != rows(daily)
    assert newest_copy(data_root / "backups", "config") == daily
    assert copies(data_root) == [], "trading is the engine's"
    BackupManager(data_root, clock=ManualClock(SystemClock().now_us() + 31 * US_PER_DAY)).backup_config_db()
    assert not made.exists(), "it has an age like any other copy"


@pytest.mark.parametrize(("pages", "steps"), [(100, 10**9), (10**9, 10_000)], ids=["copying", "checking"])
def test_a_copy_that_takes_too_long_ends_wherever_it_is(root, new_code, monkeypatch, pages, steps):
    monkeypatch.setattr(connections, "_PAGES_A_STEP", pages)
    monkeypatch.setattr(connections, "_STEPS_A_LOOK", steps)
    with DatabaseManager(root, Role.EXECUTION_ENGINE).trading_writer() as connection:
        connection.execute("CREATE TABLE big (text TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO big VALUES (?)", ((f"{n:0300}",) for n in range(10_000)))

    class Slow(SystemClock):
        """Time is up at the n-th look."""

        def __init__(self, looks: int) -> None:
            self.looks = count(-looks)

        def monotonic_ns(self) -> int:
            return 10**15 if next(self.looks) >= 0 else 0

    made: list[Path | None] = []
    said: set[str] = set()
    for looks in range(2, 500):
        try:
            made.append(copy_before_first_write(BackupManager(root, clock=Slow(looks)), Store.TRADING))
        except StoreBusy as e:
            said.add(str(e))
        if made:
            break
        assert not list((root / "backups").rglob("*trading_*"))

    assert len(said) == 1
    assert "takes longer than" in said.pop()
    assert looks > 10, "it is asked too seldom whether it is late"
    assert copies(root) == made


def test_several_at_once_copy_once_and_an_engine_waits_for_its_turn(root, new_code):
    """Commands side by side have the turn first; nothing is written before they are done, and nobody copies again."""
    turn = WriterLock(root / "backups" / ".deploying_trading.lock")
    copying, noted, copy = threading.Event(), threading.Event(), BackupManager.copy_for_deployment

    class Slow(BackupManager):
        def copy_for_deployment(self, *words):
            copying.set()
            assert noted.wait(DEADLINE_S)
            return copy(self, *words)

    before = stored(root)
    commands = [threading.Thread(target=copy_before_deployment, args=(Slow(root),)) for _ in range(4)]
    for each in commands:
        each.start()
    assert copying.wait(DEADLINE_S)
    engine = threading.Thread(target=start, args=(root,))
    engine.start()
    lock = WriterLock(root / "trading" / ".writer.lock")
    wait_until(lock.is_held_by_anyone, "the engine to hold its store")
    assert turn.is_held_by_anyone()
    assert (copies(root), stored(root)) == ([], before)
    noted.set()
    for each in [*commands, engine]:
        each.join()

    (made,) = copies(root)
    assert rows(made) == before
    assert stored(root) != before


def test_who_has_the_turn_and_never_ends_keeps_nobody_down(root, new_code, monkeypatch):
    monkeypatch.setattr(deployment, "_WAITS_S", 0.05)
    before = stored(root)
    with WriterLock(root / "backups" / ".deploying_trading.lock"):
        assert ".deploying_trading.lock" in start(root)

    assert stored(root) != before


def test_what_a_living_engine_writes_after_a_commands_copy_is_in_its_successors(root, new_code):
    """`fleet init` beside a fleet that runs: the old code goes on, and may end hours later."""
    with DatabaseManager(root, Role.EXECUTION_ENGINE).writer_session(Store.TRADING) as session:
        assert copy_before_deployment(BackupManager(root)).keys() == {"trading", "config"}
        note_deployment(Layout(root))
        with session.transaction() as connection:
            insert(connection, "orders", ORDER | {"order_id": "tf2", "signal_id_reference": "s2"})
    before = stored(root)
    assert start(root) == ""

    newest, first = copies(root)
    assert rows(newest) == before != rows(first)
