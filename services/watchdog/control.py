"""The supervisor, asked and told over its own socket. Every call may block and belongs in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from xmlrpc.client import Error, ServerProxy  # our own supervisor, over a 0700 socket

from libs.core.errors import RetryLater


@dataclass(frozen=True)
class Program:
    """A program as the supervisor sees it; `running_s` since it started."""

    name: str
    state: str
    pid: int
    running_s: int
    exit_code: int


class Supervisor:
    """Supervisord, at the address it gave its listener."""

    def __init__(self, url: str) -> None:
        self._url = url

    def programs(self) -> list[Program]:
        """Every program there is."""
        found = self._call("getAllProcessInfo")
        return [
            Program(
                str(each["name"]), str(each["statename"]), int(each["pid"]), int(each["now"]) - int(each["start"]),
                int(each["exitstatus"]),
            )
            for each in found
        ]  # fmt: skip

    def kill(self, name: str) -> None:
        """SIGKILL: a hung process hears nothing else. The supervisor starts it again by itself."""
        self._call("signalProcess", name, "KILL")

    def stop(self, name: str) -> None:
        """Stop it, and leave it stopped."""
        self._call("stopProcess", name, False)

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, self._url)
        try:
            return getattr(ServerProxy("http://127.0.0.1", transport=transport).supervisor, method)(*arguments)
        except (OSError, HTTPException, Error) as e:
            raise RetryLater(f"supervisord, {method} {' '.join(map(str, arguments))}: {e}") from e
        finally:
            transport.close()
