"""The whole fleet under supervisord, in a home of its own: its stores, its ports, its supervisor's socket."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from libs.core.errors import FleetError, Refused
from libs.messaging import CommandClient
from libs.settings import Settings, load_settings
from services.watchdog.control import Program, Supervisor
from tests.kit.exchange_sim import Simulator
from tests.kit.paths import PROJECT
from tests.kit.processes import ASK_EVERY_S, wait_until
from tests.kit.processes import fleet as fleet_command
from tests.kit.roots import ROOMY

#: In the order of `fleet down`, from the one nothing depends on.
SERVICES = ("watchdog", "api", "ops", "backtest", "execution_engine", "scanner", "ingestor")

#: Below those of Linux's outgoing connections, 32768 and up, and above what services commonly have.
_PORTS = 20_000, 32_000


class WholeFleet:
    """A checkout of its own, by links, so that a running demo is not disturbed. Socket paths are short: 99 bytes."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.data_root = home / "data"
        for name in ("cli", "libs", "services", "config", "pyproject.toml"):
            (home / name).symlink_to(PROJECT / name)
        (home / ".venv" / "bin").mkdir(parents=True)
        (home / ".venv" / "bin" / "python").symlink_to(sys.executable)
        (home / "supervisord.conf").write_text((PROJECT / "supervisord.conf").read_text("utf-8"))
        (self.data_root / "run").mkdir(parents=True, mode=0o700)
        self.data_root.chmod(0o700)
        self.port = free_port()
        self.environment = {
            "TRADEFLEET_DATA": str(self.data_root), "TRADEFLEET_PROFILE": "demo",
            "TRADEFLEET_EXCHANGE_SIM_PORT": str(self.port), "TRADEFLEET_API_PORT": str(free_port()), **ROOMY,
        } | environment  # fmt: skip
        self.supervisor = Supervisor(f"unix://{self.data_root}/run/s.sock")

    @property
    def settings(self) -> Settings:
        """What the processes run with."""
        return load_settings(environment=self.environment)

    @property
    def market(self) -> Simulator:
        """The simulator's control."""
        return Simulator(None, self.port)  # type: ignore[arg-type]  # supervisord has the process

    def start(self) -> None:
        """Make the stores and start supervisord, which starts the rest."""
        made = fleet_command("init", **self.environment)
        assert made.returncode == 0, made.stderr
        self.control("supervisord")
        wait_until(lambda: self.programs() is not None, "supervisord to answer")

    def control(self, program: str, *words: str) -> str:
        """Run `supervisord` or `supervisorctl` as one types it."""
        command = [sys.executable, "-m", f"supervisor.{program}", "-c", str(self.home / "supervisord.conf"), *words]
        environment = os.environ | self.environment | {"PYTHONPATH": os.pathsep.join([str(self.home), *sys.path])}
        done = subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    def programs(self) -> dict[str, Program] | None:
        """Every program as the supervisor sees it; None while there is no supervisor."""
        try:
            return {each.name: each for each in self.supervisor.programs()}
        except FleetError:
            return None

    def pids(self) -> dict[str, int]:
        """Program to process; 0 for one that does not run."""
        return {name: each.pid for name, each in (self.programs() or {}).items()}

    def answers(self, service: str) -> dict[str, object] | None:
        """Ask a service how it is; None while it does not answer."""
        if service == "api":
            return self._system_info()
        with CommandClient(service, settings=self.settings) as client:
            try:
                status = client.call("status", timeout_ms=1000)
            except Refused:
                return {"knows": "no status"}
            except FleetError:
                return None
        assert isinstance(status, dict)
        return status

    def _system_info(self) -> dict[str, object] | None:
        url = f"http://127.0.0.1:{self.settings.api.port}/api/system/info"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # our own address
                return dict(json.load(response))
        except OSError:
            return None

    def wait_for(self, service: str, condition, what: str) -> dict[str, object]:
        """Wait until a service's status fulfils a condition."""
        try:
            return wait_until(  # type: ignore[return-value]
                lambda: (status := self.answers(service)) and condition(status) and status, what, every_s=ASK_EVERY_S
            )
        except AssertionError as e:
            raise AssertionError(f"{e}; last status {self.answers(service)}; {self.log(service)}") from e

    def signal(self, service: str, number: signal.Signals) -> None:
        """Send a signal to a service's process."""
        os.kill(self.pids()[service], number)

    def back(self, service: str, before: dict[str, int]) -> dict[str, int]:
        """Wait until a service runs as another process; give everybody's pids, the others' being as before."""

        def found() -> dict[str, int] | None:
            now = self.pids()
            return now if now.get(service) and now[service] != before[service] else None

        after = wait_until(found, f"{service} to be back", every_s=ASK_EVERY_S)
        assert isinstance(after, dict)
        assert {**after, service: 0} == {**before, service: 0}, f"others were disturbed when {service} died"
        return after

    def log(self, service: str) -> str:
        """Give the end of a service's log."""
        path = self.data_root / "run" / f"{service}.log"
        return f"{service}: {path.read_text()[-3000:]}" if path.exists() else f"{service}: no log"

    def stop(self) -> None:
        """Shut down; nothing of it is left, whatever it takes."""
        path = self.data_root / "run" / "supervisord.pid"
        if not path.exists():
            return
        try:
            supervisord = psutil.Process(int(path.read_text()))
            everybody = [supervisord, *supervisord.children(recursive=True)]
        except (psutil.NoSuchProcess, ValueError):
            return
        self.control("supervisorctl", "shutdown")
        _, left = psutil.wait_procs(everybody, timeout=180)
        for process in left:
            process.kill()
        assert not left, f"still there after a shutdown: {left}"


@contextmanager
def whole_fleet(**environment: str) -> Iterator[WholeFleet]:
    """Give a fleet that is not started yet; gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as home:
        made = WholeFleet(Path(home), **environment)
        try:
            yield made
        finally:
            made.stop()


def free_port() -> int:
    """Give a port nobody has just now, nor is given by the kernel to a connection until it is bound."""
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port
