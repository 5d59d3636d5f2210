"""The import contracts catch what they are for: a small tree that breaks each of them is reported by name."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.kit.paths import PROJECT

CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]

#: What a sound tree of this shape holds; each violation adds to it.
SOUND = {
    "cli/__init__.py": "import services.scanner",
    "services/__init__.py": "",
    "services/scanner/__init__.py": "import libs.dbaccess",
    "services/api/__init__.py": "import libs.messaging",
    "libs/__init__.py": "",
    "libs/core/__init__.py": "",
    "libs/contracts/__init__.py": "import libs.core",
    "libs/bars/__init__.py": "import libs.contracts",
    "libs/orders/__init__.py": "",
    "libs/risk/__init__.py": "",
    "libs/indicators/__init__.py": "",
    "libs/strategies/__init__.py": "",
    "libs/scanners/__init__.py": "",
    "libs/analytics/__init__.py": "",
    "libs/trading/__init__.py": "",
    "libs/settings/__init__.py": "",
    "libs/feeds/__init__.py": "",
    "libs/brokers/__init__.py": "",
    "libs/upstox/__init__.py": "",
    "libs/upstox/session.py": "import upstox_client",
    "libs/messaging/__init__.py": "",
    "libs/messaging/sockets.py": "import zmq",
    "libs/dbaccess/__init__.py": "import libs.settings",
    "libs/dbaccess/connections.py": "import duckdb, sqlite3",
}

#: Contract -> the file that breaks it.
VIOLATIONS = {
    "programs": {"libs/core/up.py": "import services.scanner"},
    "layers": {"libs/core/up.py": "import libs.bars"},
    "services": {"services/scanner/sideways.py": "import services.api"},
    "one-door-stores": {"services/scanner/door.py": "import sqlite3"},
    "one-door-sockets": {"libs/feeds/door.py": "import zmq"},
    "one-door-broker": {"services/api/door.py": "import upstox_client"},
    "pure-core": {"libs/strategies/impure.py": "import libs.dbaccess"},
}


def lint(root: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "pyproject.toml").write_text((PROJECT / "pyproject.toml").read_text("utf-8"))
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_sound_tree_keeps_every_contract(tmp_path):
    done = lint(tmp_path, SOUND)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["id"])
def test_broken_contract_is_reported(tmp_path, contract):
    """A contract without a violation here is a contract nobody saw fail."""
    done = lint(tmp_path, SOUND | VIOLATIONS[contract["id"]])

    assert done.returncode != 0
    assert f"{contract['name']} BROKEN" in done.stdout


def test_package_without_a_layer_is_reported(tmp_path):
    """The layers are exhaustive: a new package in libs must be given its place."""
    done = lint(tmp_path, SOUND | {"libs/helpers/__init__.py": ""})

    assert done.returncode != 0
    assert "helpers" in done.stdout + done.stderr
