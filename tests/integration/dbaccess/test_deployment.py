"""Issue 4: trading is copied before a deployment, by whatever starts the new code, and nothing starts without."""

from __future__ import annotations

import json
import shutil

import pytest

from libs.core.errors import Refused
from libs.dbaccess import BackupManager, deployed
from libs.dbaccess.backup import copy_before_deployment, list_copies
from tests.kit.commands import fleet_here
from tests.kit.roots import copy_stores, settings


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


@pytest.fixture
def new_code(monkeypatch):
    """Change the code that runs, to what the test calls it."""

    def change(name: str) -> None:
        monkeypatch.setattr(deployed, "code_fingerprint", lambda _: name)

    return change


def init(root, *options):
    return fleet_here("init", "--data-root", root, "--json", *options)


def copies(root):
    return sorted(each.store for each in list_copies(root / "backups", settings().sqlite, verify=True))


def test_code_that_never_ran_here_copies_first_and_code_that_did_does_not(root, new_code):
    """Also back to the code of before, which is a deployment like any other."""
    counts = []
    for name in ("monday's", "monday's", "tuesday's", "tuesday's", "monday's"):
        new_code(name)
        done = init(root)
        assert done.returncode == 0, done.stderr
        counts.append((len(json.loads(done.stdout)["copied"]), copies(root).count("trading")))

    assert counts == [(2, 1), (0, 1), (2, 2), (0, 2), (2, 3)]


def test_stores_that_are_not_there_yet_need_no_copy(data_root, new_code):
    new_code("monday's")
    assert json.loads(init(data_root).stdout)["copied"] == {}

    assert copy_before_deployment(BackupManager(data_root)) == {}, "the init that made them noted its code"


def test_new_code_touches_nothing_when_the_copy_cannot_be_made(root, new_code):
    """The copy before the deployment is the way back; a store that is damaged already is seen now and not later."""
    new_code("monday's")
    init(root)
    store = root / "trading" / "trading.db"
    store.write_bytes(b"no database" * 100)
    shutil.rmtree(root / "run")
    new_code("tuesday's")
    refused = init(root)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "trading.db" in refused.stderr
    assert "fleet init --no-backup" in refused.stderr
    assert not (root / "run").exists(), "init went on"
    with pytest.raises(Refused, match="first time"):
        copy_before_deployment(BackupManager(root))
    store.unlink()
    assert init(root, "--no-backup").returncode == 0
    assert copy_before_deployment(BackupManager(root)) == {}


@pytest.mark.parametrize("command", [["up"], ["restart", "ops"]])
def test_whatever_starts_code_copies_first(root, new_code, monkeypatch, command):
    """`fleet init` may be forgotten, and so may be said of one service only: its code is as new."""
    from cli import fleet

    new_code("wednesday's")
    started = []

    def control(*words):
        running = command[0] == "restart"
        if words[0] == "restart":
            started.append(copies(root))
        return fleet.subprocess.CompletedProcess(words, 0 if running else 1, "ops: started", "")

    def supervisord(*_, **__):
        started.append(copies(root))
        return fleet.subprocess.CompletedProcess([], 1, "", "not in a test")

    monkeypatch.setattr(fleet, "_control", control)
    monkeypatch.setattr(fleet.subprocess, "run", supervisord)
    done = fleet_here(*command, TRADEFLEET_DATA=str(root), TRADEFLEET_PROFILE="demo")

    assert started == [["config", "trading"]]
    assert "trading was copied before" in done.stdout


def test_any_other_byte_of_code_is_other_code(tmp_path):
    (tmp_path / "libs").mkdir()
    path = tmp_path / "libs" / "a.py"
    path.write_text("x = 1\n")
    plain = deployed.code_fingerprint.__wrapped__
    before = plain(tmp_path)
    path.touch()
    assert plain(tmp_path) == before
    path.write_text("x = 2\n")
    changed = plain(tmp_path)
    (tmp_path / "requirements.lock").write_text("msgspec==1\n")

    assert len({before, changed, plain(tmp_path)}) == 3
