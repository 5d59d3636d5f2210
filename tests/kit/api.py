"""The real api on a loopback port, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvloop
from litestar.exceptions import LitestarDeprecationWarning

from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role
from libs.settings import Settings
from services.api.changes import Asked, perform
from services.api.passwords import hash_password
from services.api.service import serve
from tests.kit.fleet import free_port
from tests.kit.processes import wait_until
from tests.kit.roots import copy_stores, settings

PASSWORD = "a long enough password"


class Api(NamedTuple):
    """An api that serves: a client to it, what it runs with, its data root, its event loop."""

    client: httpx.Client
    settings: Settings
    root: Path
    loop: asyncio.AbstractEventLoop

    def audit(self, action: str) -> list[dict[str, Any]]:
        """Give the audit log's lines of an action, the newest first."""
        answer = self.client.get("/api/audit", params={"filter_by": "action", "equals": action})
        return list(answer.json()["rows"])


def log_in(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Begin a session; the client has its cookie and its CSRF token from now on."""
    answer = client.post("/api/session", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["x-csrf-token"] = answer.json()["csrf_token"]
    return answer


def add_users(root: Path, **roles: str) -> None:
    """Put users into a config store that nobody owns just now; all have the one password."""
    hashed = hash_password(PASSWORD, 10)
    with DatabaseManager(root, Role.API).config_writer() as connection:
        for name, role in roles.items():
            given = {"name": name, "role": role, "password_hash": hashed}
            perform(connection, "user.add", Asked("test", "", SystemClock().now_us(), given))


@contextmanager
def running_api(root: Path, **environment: str) -> Iterator[Api]:
    """Run an api on a root (made where it is not there) in a thread, with asha the admin and vik the viewer."""
    if not root.exists():
        root.mkdir(mode=0o700, parents=True)
        copy_stores(root)
        add_users(root, asha="admin", vik="viewer")
    told = settings(**{"TRADEFLEET_DATA": str(root), "TRADEFLEET_API_PORT": str(free_port())} | environment)
    ended: list[BaseException] = []
    control: dict[str, Any] = {}

    async def run() -> None:
        control["loop"], control["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await serve(told, SystemClock(), control["stop"])

    def main() -> None:
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of the next major version, at every start
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run())
        except BaseException as e:  # noqa: BLE001  # told to the test below
            ended.append(e)

    thread = threading.Thread(target=main, name="api")
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{told.api.port}", timeout=60) as client:
            wait_until(lambda: ended or _answers(client), "the api to serve")
            assert not ended, ended
            yield Api(client, told, root, control["loop"])
    finally:
        if "stop" in control and thread.is_alive():
            control["loop"].call_soon_threadsafe(control["stop"].set)
        thread.join(30)
    assert not thread.is_alive()
    assert not ended, ended


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/login").status_code == 200
    except httpx.TransportError:
        return False
