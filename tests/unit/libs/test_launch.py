"""I1: SIGHUP at any moment of a service's start is a reload, never its end; SIGTERM is its end, and a good one."""

from __future__ import annotations

import os
import signal

import pytest

from tests.kit.processes import run_code, running_code

#: Loading it takes for ever, as far as a signal can tell.
SLOW = """
import os, signal
os.kill(os.getpid(), signal.SIGHUP)

async def serve(settings, clock, stop):
    await stop.wait()
"""


def test_a_hangup_while_modules_are_loaded_is_a_reload_afterwards(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    code = """
        import sys
        from libs.core.clock import SystemClock
        from libs.runtime.launch import launch

        sys.exit(launch("slow", "slow", SystemClock()))
    """
    with running_code(code, PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}") as process:
        lines = [process.stderr.readline()]
        while lines[-1] and "process.reloaded" not in lines[-1]:
            lines.append(process.stderr.readline())
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0, lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_while_modules_are_loaded_it_ends_well(tmp_path, number):
    """By the signal itself it would end as if it had failed, and its supervisor would start it again."""
    (tmp_path / "slow.py").write_text(f"import os, time\nos.kill(os.getpid(), {number:d})\ntime.sleep(60)\n")
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from libs.core.clock import SystemClock
        from libs.runtime.launch import launch

        sys.exit(launch("slow", "slow", SystemClock()))
    """

    assert run_code(code, tmp_path).returncode == 0
