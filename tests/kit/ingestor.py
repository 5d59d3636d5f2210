"""The ingestor as a process beside the test, fed by a simulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from libs.core.errors import FleetError
from libs.messaging import CommandClient
from libs.settings import Settings, load_settings
from tests.kit.exchange_sim import Simulator
from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until


@dataclass
class Ingestor:
    """One data root and the process that captures into it, if one runs."""

    data_root: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default=Path())

    def settings(self) -> Settings:
        """The settings the process has."""
        return load_settings(environment=self.environment)

    def start(self) -> None:
        """Start it; returns at once."""
        self.log = self.data_root.parent / "ingestor.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.ingestor"], cwd=PROJECT, env=os.environ | self.environment,
                stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; give the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def status(self) -> dict[str, Any] | None:
        """Ask it how it is; None while it does not answer."""
        assert self.process is not None
        assert self.process.poll() is None, f"the ingestor died: {self.log.read_text()}"
        with CommandClient("ingestor", settings=self.settings()) as client:
            try:
                return client.call("status", timeout_ms=1000)
            except FleetError:
                return None

    def wait_for(self, condition: Any, what: str) -> dict[str, Any]:
        """Wait until its status fulfils a condition."""

        def look() -> dict[str, Any] | None:
            status = self.status()
            return status if status and condition(status) else None

        try:
            found = wait_until(look, what)
        except AssertionError as e:
            raise AssertionError(f"{e}; log: {self.log.read_text()[-3000:]}") from e
        assert isinstance(found, dict)
        return found


@contextmanager
def ingestor(data_root: Path, sim: Simulator | None, **environment: str) -> Iterator[Ingestor]:
    """Give an ingestor that is not started yet; killed at the end of the block at the latest."""
    settings = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_PROFILE": "demo"} | environment
    if sim is not None:
        settings["TRADEFLEET_UPSTOX_API_URL"] = sim.url
    made = Ingestor(data_root, settings)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()


def with_root(settings: Settings, data_root: Path) -> Settings:
    return msgspec.structs.replace(settings, data_root=str(data_root))
