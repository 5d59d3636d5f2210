"""The supervisor's event protocol on stdin and stdout. A stray line on stdout would end it, so nobody else has it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from libs.core.errors import RetryLater

_READY, _DONE = b"READY\n", b"RESULT 2\nOK"
_payload_bytes_max = 65536
_answers = 1


@dataclass(frozen=True)
class ProgramEvent:
    """A program changed its state. `expected`: its exit code is one of those that need no restart."""

    program: str
    state: str
    pid: int = 0
    expected: bool = True


def own_stdout() -> None:
    """Keep stdout for the protocol alone: whatever else is printed goes to stderr, and to the log."""
    global _answers  # noqa: PLW0603  # a process has one stdout
    _answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


async def events() -> AsyncIterator[ProgramEvent]:
    """Give what happens to programs. Each event is acknowledged at once, so that the supervisor never waits for us."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb"))
    os.write(_answers, _READY)
    while line := await reader.readline():
        header = fields(line.decode("utf-8", "replace"))
        payload = await reader.readexactly(min(int(header["len"]), _payload_bytes_max))
        os.write(_answers, _DONE + _READY)
        if event := program_event(header.get("eventname", ""), payload.decode("utf-8", "replace")):
            yield event
    raise RetryLater("supervisord closed its end: it is gone")


def program_event(name: str, payload: str) -> ProgramEvent | None:
    """Take an event apart; None for one that is not about a program's state."""
    if not name.startswith("PROCESS_STATE_"):
        return None
    values = fields(payload)
    return ProgramEvent(
        values["processname"], name.removeprefix("PROCESS_STATE_"), int(values.get("pid", "0")),
        values.get("expected", "1") == "1",
    )  # fmt: skip


def fields(line: str) -> dict[str, str]:
    """`a:1 b:2` as a mapping."""
    return dict(each.split(":", 1) for each in line.split() if ":" in each)
