"""Processes that tests start, wait for and kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.kit.paths import PROJECT

#: Generous: a loaded machine is slow, and a condition that holds is met long before.
DEADLINE_S = 100.0
#: How often to ask a process how it is: often enough, and the machine is left to it.
ASK_EVERY_S = 0.04


def wait_until(
    condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S, *, every_s: float = 0.005
) -> object:
    """Wait for a condition and give its value, or fail saying what was waited for.

    A look that costs the process waited for something, such as asking it, is taken `every_s` less often.
    """
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(every_s)
    raise AssertionError(f"waited {deadline_s} s in vain for: {what}")


def run_code(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own and wait for it."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


@contextmanager
def running_code(code: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code beside the test; killed at the end of the block at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=PROJECT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the process to say its first line; fail with its error when it dies silent."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(f"the process said nothing; its error: {process.stderr.read()}")
    return line


def fleet(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `fleet` command."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
