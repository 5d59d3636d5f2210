"""I1: SIGHUP at any moment of a service's start is a reload, never its end."""

from __future__ import annotations

import os
import signal

from tests.kit.processes import running_code

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
