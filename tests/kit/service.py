"""Any service of the fleet as a process beside the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libs.core.errors import FleetError
from libs.messaging import CommandClient
from libs.settings import Settings, load_settings
from tests.kit.paths import PROJECT
from tests.kit.processes import ASK_EVERY_S, DEADLINE_S, wait_until


@dataclass
class Service:
    """One program and its environment; its log is beside the data root."""

    name: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default=Path())

    @property
    def data_root(self) -> Path:
        """Where its stores are."""
        return Path(self.environment["TRADEFLEET_DATA"])

    def settings(self) -> Settings:
        """The settings the process has."""
        return load_settings(environment=self.environment)

    def start(self) -> None:
        """Start it; returns at once."""
        if self.log == Path():
            self.log = self.data_root.parent / f"{self.name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}"], cwd=PROJECT, env=os.environ | self.environment,
                stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; give the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def status(self) -> dict[str, Any] | None:
        """Ask it how it is; None while it does not answer."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} died: {self.log.read_text()[-3000:]}"
        with CommandClient(self.name, settings=self.settings()) as client:
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
            found = wait_until(look, what, every_s=ASK_EVERY_S)
        except AssertionError as e:
            raise AssertionError(f"{e}; log: {self.log.read_text()[-3000:]}") from e
        assert isinstance(found, dict)
        return found


@contextmanager
def service(name: str, environment: dict[str, str]) -> Iterator[Service]:
    """Give a service that is not started yet; killed at the end of the block at the latest."""
    made = Service(name, environment)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()
