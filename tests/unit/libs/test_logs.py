"""Logs: JSON lines for programs, text for terminals, one line per unit of work, never a secret."""

from __future__ import annotations

import io
import json

import pytest

from libs.core.clock import SystemClock
from libs.runtime.logs import bound_context, configure_logs, get_logger
from libs.settings.storage import Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream: io.StringIO, settings: Log, work) -> list[str]:
    configure_logs("ingestor", settings, SystemClock(), stream)
    work(get_logger())
    return stream.getvalue().splitlines()


def test_line_is_json_where_nobody_watches():
    (line,) = logged(io.StringIO(), Log(), lambda log: log.info("day.closed", rows=3))
    found = json.loads(line)

    assert {key: found[key] for key in ("event", "rows", "service", "level")} == {
        "event": "day.closed", "rows": 3, "service": "ingestor", "level": "info",
    }  # fmt: skip
    assert found["timestamp"].endswith("+00:00")


def test_a_line_is_written_whole():
    """Killed between a line and its end, a process would have its last line continued by the first of the next one."""

    class Written(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return super().write(text)

    pieces: list[str] = []
    logged(Written(), Log(), lambda log: [log.info("day.closed", rows=n) for n in range(2)])

    assert [piece.count("\n") for piece in pieces] == [1, 1]
    assert all(piece.endswith("\n") for piece in pieces)


def test_line_is_text_on_a_terminal():
    (line,) = logged(Terminal(), Log(), lambda log: log.info("day.closed", rows=3))

    assert "day.closed" in line
    with pytest.raises(ValueError):
        json.loads(line)


def test_format_can_be_forced():
    (line,) = logged(Terminal(), Log(format="json"), lambda log: log.info("day.closed"))

    assert json.loads(line)["event"] == "day.closed"


def test_lines_below_the_level_are_not_written():
    assert logged(io.StringIO(), Log(level="warning"), lambda log: log.info("day.closed")) == []


@pytest.mark.parametrize(
    "key", ["token", "access_token", "client_secret", "password", "Authorization", "session_cookie"]
)
def test_secret_never_reaches_a_line(key):
    (line,) = logged(io.StringIO(), Log(), lambda log: log.info("login", **{key: "s3cr3t"}))

    assert "s3cr3t" not in line


def test_bound_context_is_on_every_line_of_the_block_only():
    def work(log):
        with bound_context(order="o-1"):
            log.info("order.sent")
        log.info("idle")

    first, second = (json.loads(line) for line in logged(io.StringIO(), Log(), work))
    assert first["order"] == "o-1"
    assert "order" not in second
