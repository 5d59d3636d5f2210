"""The supervisor, asked over its own socket; without one the services run by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy  # our own supervisor, over a 0700 socket

from libs.core.errors import Refused, RetryLater
from libs.settings import PROJECT_ROOT


def _proxy() -> Any:
    from supervisor.xmlrpc import SupervisorTransport

    # Its own supervisor, when it runs under one; else the one that `fleet up` starts.
    url = os.environ.get("SUPERVISOR_SERVER_URL") or f"unix://{PROJECT_ROOT / 'data' / 'run' / 's.sock'}"
    return ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, url)).supervisor


def programs() -> dict[str, dict[str, Any]]:
    """Each program's state and what the supervisor says of it; empty when there is no supervisor."""
    try:
        found = _proxy().getAllProcessInfo()
    except (OSError, Fault):
        return {}
    return {str(each["name"]): {"state": each["statename"], "detail": each["description"]} for each in found}


def log_path(name: str) -> Path:
    """Where the supervisor writes a program's log; where the one of this project does, when none answers."""
    try:
        return Path(_proxy().getProcessInfo(name)["stdout_logfile"])
    except (OSError, Fault):
        return PROJECT_ROOT / "data" / "run" / f"{name}.log"


def restart(name: str) -> str:
    """Stop and start one program; give its state."""
    proxy = _proxy()
    try:
        if name not in programs():
            raise Refused(f"the supervisor knows no program {name!r}, or does not run (`fleet up`)")
        if proxy.getProcessInfo(name)["statename"] in {"RUNNING", "STARTING"}:
            proxy.stopProcess(name)
        proxy.startProcess(name)
        return str(proxy.getProcessInfo(name)["statename"])
    except Fault as e:
        raise RetryLater(f"{name}: {e.faultString}") from e
    except OSError as e:
        raise RetryLater(f"the supervisor does not answer: {e}") from e
