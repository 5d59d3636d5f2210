"""The `fleet` command in the test's own process: where the process is not what is tested, its start is saved."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from cli.main import main


def fleet_here(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as `tests.kit.processes.fleet` does; an error that is none of ours is the test's."""
    words = [str(each) for each in arguments]
    out, error = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(error):
        try:
            code = main(words)
        except SystemExit as ended:  # argparse, on wrong use and for --help
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())
