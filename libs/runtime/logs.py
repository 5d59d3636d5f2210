"""Structured logs: one line per unit of work, readable on a terminal, JSON lines otherwise, always on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from libs.core.clock import Clock, to_datetime
from libs.runtime.structured import structlog
from libs.settings.storage import Log

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

#: A value under such a key never reaches a log.
_SECRET_WORDS = ("token", "secret", "password", "authorization", "cookie")


def configure_logs(service: str, settings: Log, clock: Clock, stream: TextIO | None = None) -> None:
    """Set up logging for this process; call it once, in `__main__`."""
    out = stream or sys.stderr
    text = settings.format == "text" or (settings.format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(service, clock),
        _mask_secrets,
    ]
    renderer: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=28)]
        if text
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def get_logger() -> FilteringBoundLogger:
    """Give the process's logger; events are dotted names with values."""
    return cast("FilteringBoundLogger", structlog.get_logger())


@contextmanager
def bound_context(**values: Any) -> Iterator[None]:
    """Put these values on every line logged in the block, across calls and tasks."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def _stamp(service: str, clock: Clock) -> Processor:
    def stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["timestamp"] = to_datetime(clock.now_us()).isoformat(timespec="milliseconds")
        event["service"] = service
        return event

    return stamp


def _mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
    return event
