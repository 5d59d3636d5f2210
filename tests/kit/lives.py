"""Lives to kill, many and cheap: one process loads everything, and each life is a fork of it that knows nothing yet.

Loading takes a second of a core, the work that is to be killed a tenth of that. The product itself never forks; the
forking process here has opened nothing, so that no lock and no connection goes over.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.paths import PROJECT
from tests.kit.processes import DEADLINE_S


class Lives:
    """Begins one life at a time, of a module of the kit with `main(arguments)`."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._pid = 0

    def begin(self, *arguments: object, crash_at: str = "", seen: Path | None = None) -> None:
        """Let one begin; it dies at the crash point, and leaves a file per point that it passed in `seen`."""
        asked = {"arguments": [str(each) for each in arguments], "crash_at": crash_at, "seen": str(seen or "")}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        self._pid = self._answer(DEADLINE_S) or 0

    def end(self, after_s: float = DEADLINE_S) -> int:
        """Wait for its end, kill it when it lives too long, and give its code: minus the signal, as subprocess does."""
        code = self._answer(after_s)
        if code is None:
            os.kill(self._pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            code = self._answer(DEADLINE_S)
        assert code is not None
        return code

    def errors(self) -> str:
        """Everything the lives said."""
        return self._errors.read_text()

    def _answer(self, within_s: float) -> int | None:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], within_s)[0]:
            return None
        line = self._process.stdout.readline()
        assert line, f"the forking process ended: {self.errors()}"
        return int(line)


@contextmanager
def lives_of(module: str, errors: Path) -> Iterator[Lives]:
    """Load a module in a process to fork from, which ends with the block and its living child with it."""
    with errors.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.lives", module], cwd=PROJECT, stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            yield Lives(process, errors)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _serve(module: str) -> None:
    loaded, faults = importlib.import_module(module), importlib.import_module("libs.core.faults")
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            faults._armed = asked["crash_at"]
            faults._seen_directory = asked["seen"] or faults._seen_directory
            sys.stdout = sys.stderr
            loaded.main(asked["arguments"])
            os._exit(0)
        _say(pid)
        _, status = os.waitpid(pid, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
