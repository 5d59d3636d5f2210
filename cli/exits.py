"""Exit codes, the same for every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from libs.core.errors import FleetError, Refused

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
NOT_FOUND = 4


#: Errors of libraries that mean the words or the settings, by name for the sake of every start.
_WRONG_WORDS = {"SettingsError", "BadBounds", "BadKeyName", "BadName", "NoSuchCalendar"}


class WrongUsage(Refused):
    """What was typed cannot be meant; the same words will be refused again, whatever the stores hold."""


@contextmanager
def reading_words() -> Iterator[None]:
    """Say of whatever is refused while a command's words are read that they are wrong."""
    try:
        yield
    except Refused as e:
        raise WrongUsage(str(e)) from e


def exit_code_of(error: Exception) -> int | None:
    """Say which exit code an error means, or None when it is a bug that deserves its traceback."""
    if isinstance(error, FileNotFoundError):
        return NOT_FOUND
    if type(error).__name__ in {"OwnershipError", "WriterLockHeld"}:  # by name: importing dbaccess costs every start
        return REFUSED
    if isinstance(error, WrongUsage) or type(error).__name__ in _WRONG_WORDS:
        return USAGE
    if isinstance(error, (FleetError, OSError)):
        return FAILED
    return None
