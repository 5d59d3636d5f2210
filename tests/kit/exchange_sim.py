"""The exchange simulator as a process beside the test, and its control API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until

#: A Monday with a session; ten o'clock is in the middle of it.
IN_SESSION = "2026-02-02T10:00:00"
TRADING_TOKEN = "simulated-trading-token"
ANALYTICS_TOKEN = "simulated-analytics-token"


@dataclass
class Simulator:
    """A running simulator."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where REST is served; the streams are on the same port."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """Make a request and give status and decoded body; an HTTP error is an answer, too."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310  # our own address
        try:
            with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)

    def state(self) -> dict[str, Any]:
        """The simulator's truth."""
        return self._control("GET", "/_sim/state")

    def ticks(self) -> dict[str, list[tuple[str, int, float, int]]]:
        """Every recorded tick, (key, ltt, ltp, vtt), by connection; needs record_ticks."""
        found = self._control("GET", "/_sim/ticks")
        return {number: [tuple(row) for row in rows] for number, rows in found.items()}

    def clock(self, **change: Any) -> dict[str, Any]:
        """Read the market's clock, or change it: speed, paused, advance_s, play_to, jump_to."""
        return self._control("POST", "/_sim/clock", change) if change else self._control("GET", "/_sim/clock")

    def add_fault(self, kind: str, **options: Any) -> int:
        """Set a fault and give its id."""
        return int(self._control("POST", "/_sim/faults", {"kind": kind, **options})["id"])

    def clear_faults(self) -> None:
        """Take every fault away."""
        self._control("DELETE", "/_sim/faults")

    def token(self, scope: str = "trading", **options: Any) -> str:
        """Make an access token."""
        return str(self._control("POST", "/_sim/tokens", {"scope": scope, **options})["access_token"])

    def login_code(self, client_id: str, redirect_uri: str) -> str:
        """Go through the login dialog and give the one-time code it sends back."""
        query = urlencode({"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri})
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"/v2/login/authorization/dialog?{query}")
        location = connection.getresponse().headers["Location"]
        connection.close()
        return parse_qs(urlsplit(location).query)["code"][0]

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.ask(method, path, body)
        assert status == 200, f"{method} {path}: {status} {answer}"
        return answer


@contextmanager
def running_simulator(
    *,
    start: str | None = IN_SESSION,
    speed: float = 1.0,
    symbols: int = 50,
    record_ticks: bool = True,
    **environment: str,
) -> Iterator[Simulator]:
    """Run a simulator on a free port; killed at the end of the block at the latest.

    Settings go in as TRADEFLEET_EXCHANGE_SIM_…, in capitals. Without a start it goes on where one of its data root was.
    """
    with tempfile.TemporaryDirectory(prefix="tradefleet-sim-") as directory:
        port_file, log = Path(directory, "port"), Path(directory, "log")
        options = ["--port", "0", "--port-file", port_file, "--speed", speed, "--symbols", symbols]
        options += ["--start", start] if start else []
        options += ["--record-ticks"] if record_ticks else []
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.exchange_sim", *map(str, options)],
                cwd=PROJECT, env=os.environ | environment, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            wait_until(lambda: port_file.exists() or process.poll() is not None, "the simulator to serve")
            assert port_file.exists(), f"the simulator died: {log.read_text()}"
            yield Simulator(process, int(port_file.read_text()))
        finally:
            process.kill()
            process.wait()
