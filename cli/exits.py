"""Exit codes, the same for every command."""

from __future__ import annotations

from libs.core.errors import FleetError

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
NOT_FOUND = 4


def exit_code_of(error: Exception) -> int | None:
    """Say which exit code an error means, or None when it is a bug that deserves its traceback."""
    if isinstance(error, FileNotFoundError):
        return NOT_FOUND
    if type(error).__name__ in {"OwnershipError", "WriterLockHeld"}:  # by name: importing dbaccess costs every start
        return REFUSED
    if type(error).__name__ == "SettingsError":
        return USAGE
    if isinstance(error, (FleetError, OSError)):
        return FAILED
    return None
