"""J2: a backtest changes no byte of any live store, opens history to read and its own run file to write, no more."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.backtest import FIRST, LAST, make_history
from tests.kit.market_days import capture, minutes
from tests.kit.paths import PROJECT

RUN = """
import sys
from libs.dbaccess import DatabaseManager, Role
from services.backtest import BacktestRunner
print(BacktestRunner(DatabaseManager(sys.argv[1], Role.BACKTEST)).run("sma_cross", ["ACME"], sys.argv[2], sys.argv[3]))
"""


def fingerprints(root: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of every file outside the runs' folder."""
    return {
        path.relative_to(root).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file() and root / "backtest" / "runs" not in path.parents
    }


def test_a_run_touches_nothing_but_its_own_file(tmp_path):
    """The system calls of a whole run, over an interval that includes the day in the live buffer."""
    root = make_history(tmp_path / "data", ("ACME",))
    live_day = LAST.replace(day=LAST.day + 1)
    capture(root, minutes("ACME", live_day, 30))
    before = fingerprints(root)

    trace = tmp_path / "trace"
    calls_of_interest = "trace=open,openat,creat,rename,renameat2,link,linkat,unlink,mkdir"
    tracer = ["strace", "-f", "-qq", "-o", trace, "-e", calls_of_interest] if shutil.which("strace") else []
    done = subprocess.run(
        [*tracer, sys.executable, "-c", RUN, root, str(FIRST), str(live_day)],
        cwd=PROJECT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert fingerprints(root) == before
    if not tracer:
        pytest.skip("no byte changed; which files were opened only strace shows, and it is not installed")
    run_id = done.stdout.strip()
    calls = [
        line for line in trace.read_text(errors="replace").splitlines() if str(root) in line and "ENOENT" not in line
    ]
    strangers = [line for line in calls if not re.search(rf"{root}/(market_data/|backtest/runs)|{root}\"", line)]
    changing = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|rename|link|unlink|mkdir|creat\(")
    writes = [line for line in calls if changing.search(line) and f"{root}/backtest/runs/" not in line]
    foreign_runs = [line for line in calls if "/backtest/runs/" in line and run_id not in line]

    assert len(calls) > 5
    assert (strangers, writes, foreign_runs) == ([], [], [])
