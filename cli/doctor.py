"""`fleet doctor`: what commonly keeps a fleet from running, and the command that helps."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.verdict import Check, ask, attempt, command, verdict
from libs.core.errors import FleetError
from libs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from libs.settings import Settings

#: The longest path a Unix socket may have, less what the system keeps for itself.
_SOCKET_PATH_MAX = 99
_SERVICES = ("ingestor", "scanner", "execution_engine")


def add(subparsers: Any) -> None:
    """Add the command."""
    command(
        subparsers, "doctor", "find what commonly goes wrong, and the command that helps",
        "Look at Python, settings, paths, stores, disk, supervisor and services. Changes nothing.", run,
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Look at everything that needs no running fleet first."""
    from libs.settings import load_settings

    settings = load_settings()
    return verdict(_checks(settings), as_json=options.json)


def _checks(settings: Settings) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    yield Check("profile", ok=True, found=f"{settings.profile}, data in {settings.data_root}")
    socket = PROJECT_ROOT / "data" / "run" / "s.sock"
    yield Check(
        "socket path", len(str(socket)) <= _SOCKET_PATH_MAX, f"{len(str(socket))} of {_SOCKET_PATH_MAX} characters",
        "move the project to a shorter path",
    )  # fmt: skip
    root = Path(settings.data_root)
    yield Check("data root", root.is_dir(), str(root), "`fleet init`")
    if root.is_dir():
        yield from attempt("stores", lambda: _stores(settings), "`fleet health --verbose`")
    kill_file = root / "run" / "KILL"
    held = kill_file.exists()
    reason = kill_file.read_text("utf-8", "replace").splitlines()[:1] if held else []
    yield Check(
        "kill file", not held, f"{kill_file} {reason}" if held else "none", "remove it, then `fleet kill-switch resume`"
    )
    for service in _SERVICES:
        yield _answers(service, settings)


def _stores(settings: Settings) -> Iterator[Check]:
    from libs.contracts.health import HealthState
    from libs.dbaccess import HealthCheck

    check = HealthCheck(settings.data_root, settings=settings)
    check.run_all()
    ill = [each for each in check.findings if each.state is not HealthState.GREEN]
    for each in ill:
        is_warning = each.state is HealthState.WARNING
        yield Check(
            each.check, ok=False, found=f"{each.subject}: {each.detail}", advice=each.advice, is_warning=is_warning
        )
    if not ill:
        yield Check("stores", ok=True, found=f"{len(check.findings)} green")


def _answers(service: str, settings: Settings) -> Check:
    try:
        ask(service, settings)
    except FleetError as e:
        return Check(service, ok=False, found=str(e), advice=f"`fleet up`, or `fleet logs {service}`", is_warning=True)
    return Check(service, ok=True, found="answers")
