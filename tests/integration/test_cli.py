"""The command line: quick to say what it can do, and the same manners in every command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cli.main import COMMANDS
from tests.kit.paths import PROJECT
from tests.kit.processes import fleet, run_code

#: What makes a start slow: none of it is needed to print a help text.
HEAVY = ("duckdb", "pandas", "polars", "pyarrow", "numpy", "numba", "zmq", "aiohttp", "upstox_client", "structlog")


def test_help_imports_nothing_heavy():
    """`fleet --help` in under 0.3 s: what it must not import is a fact, what it takes is the bench's business."""
    done = run_code(
        """
        import sys
        from cli.main import main
        try:
            main(["--help"])
        except SystemExit:
            print("loaded:", *(name for name in sys.argv[1:] if name in sys.modules), file=sys.stderr)
        """,
        *HEAVY,
    )

    assert done.stderr.strip() == "loaded:"
    assert [name for name in COMMANDS if name not in done.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    done = fleet(command, "--help")

    assert done.returncode == 0, done.stderr
    assert command in done.stdout


def test_version_is_the_packages():
    from libs.core.version import CODE_VERSION

    assert fleet("--version").stdout.split() == ["tradefleet", CODE_VERSION]


def test_end_loses_nothing_and_takes_nothing_apart():
    """What was said is out, what was to be done at exit is done, threads are waited for; then the process is gone."""
    done = run_code(
        """
        import atexit
        import threading
        import time
        from cli import main

        class Kept:
            def __del__(self):
                print("taken apart")

        def command():
            atexit.register(print, "handled")
            threading.Thread(target=lambda: (time.sleep(0.05), print("waited for"))).start()
            print("said")
            return 3

        kept = Kept()
        main.main = command
        main.run()
        """
    )

    assert (done.returncode, done.stdout.split("\n"), done.stderr) == (3, ["said", "waited for", "handled", ""], "")


def test_no_command_is_wrong_usage():
    assert fleet().returncode == 2
    assert fleet("nonsense").returncode == 2


def test_wrong_setting_is_wrong_usage_and_named(tmp_path):
    done = fleet("init", TRADEFLEET_DATA=str(tmp_path), TRADEFLEET_LIVE_FLUSH_INTERVAL_MS="soon")

    assert done.returncode == 2
    assert "TRADEFLEET_LIVE_FLUSH_INTERVAL_MS" in done.stderr
    assert "Traceback" not in done.stderr


def test_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m cli indicators | head -1"
    done = subprocess.run(command, shell=True, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S602 - the pipe is what is tested

    assert done.stdout
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_crash_point_nobody_hits_fails_the_whole_suite(tmp_path):
    """A kill matrix is only worth what it reaches: a suite of one idle test misses every registered point."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text((PROJECT / "tests" / "conftest.py").read_text("utf-8"))
    (tmp_path / "tests" / "test_idle.py").write_text("def test_idle():\n    assert True\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEFLEET_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False, env=environment | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr
    assert "crash points no test hit" in done.stdout
    assert "sqlite.commit.before" in done.stdout
