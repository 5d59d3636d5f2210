"""I1: what the container and the unit name is there, in an order that works; neither can be run on every machine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from configparser import RawConfigParser

import pytest

from cli.fleet import _DOWN_DEADLINE_S
from cli.main import COMMANDS
from tests.kit.paths import PROJECT
from tests.tidy.test_services import supervisor

UNIT = PROJECT / "deploy" / "tradefleet.service"
DOCKERFILE = (PROJECT / "Dockerfile").read_text("utf-8")
#: Programs of the virtual environment, and the distribution that brings each.
SCRIPTS = {"python": "", "fleet": "", "supervisord": "supervisor"}


def unit() -> RawConfigParser:
    parser = RawConfigParser(strict=False, comment_prefixes=("#",), inline_comment_prefixes=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, "utf-8")
    return parser


def typed(text: str) -> list[list[str]]:
    """Every call of a program of the virtual environment in it, as words."""
    return [[program, *shlex.split(words)] for program, words in re.findall(r"\.venv/bin/(\w+)([^&;\"\n\\]*)", text)]


@pytest.mark.parametrize("text", [DOCKERFILE, UNIT.read_text("utf-8")], ids=["container", "unit"])
def test_what_is_started_exists(text):
    lock = (PROJECT / "requirements.lock").read_text("utf-8")
    calls = typed(text)
    assert {program for program, *_ in calls} <= set(SCRIPTS)
    assert {"init"} <= {words[1] for words in calls if words[0] == "fleet"}
    for program, *words in calls:
        assert not SCRIPTS[program] or f"\n{SCRIPTS[program]}==" in lock
        assert program != "fleet" or words[0] in COMMANDS
        for word in words:
            if word.endswith((".conf", ".lock")):
                assert (PROJECT / word.rpartition("/")[2]).is_file(), word


def test_the_container_copies_what_there_is_and_starts_what_it_copied():
    copied = [word for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]]
    command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[0])
    ignored = (PROJECT / ".dockerignore").read_text("utf-8").split()

    assert all((PROJECT / path).exists() for path in copied)
    assert DOCKERFILE.index("USER tradefleet") < DOCKERFILE.index("CMD")
    assert command[:2] == ["sh", "-c"]
    assert subprocess.run(["sh", "-n", "-c", command[2]], check=False).returncode == 0
    assert {"data/*", ".venv"} <= set(ignored)
    wanted = re.findall(r"^FROM python:(\d+)\.(\d+)", DOCKERFILE, re.MULTILINE)[0]
    assert tuple(map(int, wanted)) >= (3, 11)


def test_everybody_waits_for_the_slowest_stop():
    """Priority after priority, each as long as its slowest: who kills before that kills an engine that settles."""
    slowest: dict[int, int] = {}
    for name, program in supervisor().items():
        if name.startswith(("program:", "eventlistener:")):
            priority = int(program["priority"])
            slowest[priority] = max(slowest.get(priority, 0), int(program["stopwaitsecs"]))

    assert sum(slowest.values()) <= int(unit()["Service"]["TimeoutStopSec"])
    assert sum(slowest.values()) <= _DOWN_DEADLINE_S


def test_the_unit_writes_where_it_may():
    """Everything else of the disk is read-only to it, compiled kernels' own places too."""
    service = unit()["Service"]
    cache = dict(each.split("=", 1) for each in shlex.split(service["Environment"]))["NUMBA_CACHE_DIR"]

    assert service["ReadWritePaths"] == f"{service['WorkingDirectory']}/data"
    assert cache == f"/var/cache/{service['CacheDirectory']}"
    assert service["WorkingDirectory"] in (PROJECT / "docs" / "howto" / "run-at-boot.md").read_text("utf-8")


def test_systemd_understands_the_unit(tmp_path):
    """Every key and value, and that its programs can be executed where it looks for them."""
    if not (verify := shutil.which("systemd-analyze")):
        pytest.skip("no systemd-analyze on this machine: the unit was not read by systemd")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("fleet", "supervisord"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text("utf-8").replace(unit()["Service"]["WorkingDirectory"], str(tmp_path)))
    done = subprocess.run([verify, "verify", here], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
