"""What ops makes of the settings before it starts."""

from __future__ import annotations

import stat
from pathlib import Path

from libs.calendar import Calendar, CalendarError
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings


def checked(settings: Settings) -> tuple[Calendar, list[str]]:
    """Give the calendar and the addresses alerts go to; those are secrets, in a private file, one a line."""
    try:
        calendar = Calendar.load(settings.data.exchange)
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e
    if not settings.ops.alert_urls_file:
        return calendar, []
    path = Path(settings.ops.alert_urls_file).expanduser()
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8").splitlines()
    except OSError as e:
        raise WrongConfiguration(f"ops.alert_urls_file {path}: {e.strerror}") from e
    if mode & 0o077:
        raise WrongConfiguration(f"ops.alert_urls_file {path} is {stat.filemode(mode)}; it holds secrets: chmod 600")
    return calendar, [line.strip() for line in lines if line.strip() and not line.startswith("#")]
