"""Lives of an engine, each a process of its own that a kill ends: forked from one that has imported everything.

A matrix starts hundreds of engines, and most of what a start costs is imports. The parent opens nothing, runs no
thread of ours and connects nowhere, so what it forks is a fresh process in all but its modules.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.kit.paths import PROJECT


class Ended(msgspec.Struct, frozen=True):
    """How a life ended: -9 where it was killed."""

    returncode: int
    error: str


class Lives:
    """Begins one life after the other."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._errors = directory / "error.txt"

    def live(self, root: Path, url: str, symbols: list[str], crash_at: str = "") -> Ended:
        """Run an engine on a root until it dies at the crash point, or is done."""
        asked = {"root": str(root), "url": url, "symbols": symbols, "crash_at": crash_at, "errors": str(self._errors)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the parent of all lives died"
        return Ended(int(answer), self._errors.read_text("utf-8", errors="replace")[-3000:])


@contextmanager
def engine_lives(directory: Path) -> Iterator[Lives]:
    """Keep a parent for lives; it and what it begat are gone at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.engine_lives"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield Lives(process, directory)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def main() -> None:
    from libs.core import faults
    from tests.kit import engine_process

    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            errors = os.open(asked["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(errors, 1)
            os.dup2(errors, 2)
            faults._armed = asked["crash_at"]
            signal.alarm(int(engine_process.DEADLINE_S) + 100)
            code = 1
            try:
                code = engine_process.main(asked["root"], asked["url"], *asked["symbols"])
            except BaseException:  # noqa: BLE001  # whatever it was, it is the life's end, and its story is told
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
