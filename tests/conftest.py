"""Fixtures everybody uses, the long runs that stay out of `make test`, and the account of crash points."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from libs.core.faults import POINTS

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

_LONG = ("matrix", "soak")
_SEEN = "TRADEFLEET_CRASH_SEEN"


def pytest_configure(config: pytest.Config) -> None:
    # A busy machine is slow, not wrong: no property may fail for the time it took. The examples are the same each time:
    # what is new in a run is the change under test. `--hypothesis-profile search` looks for new ones, and far more.
    slow = [HealthCheck.too_slow]
    settings.register_profile(
        "fleet", deadline=None, suppress_health_check=slow, max_examples=60, derandomize=True, database=None
    )
    settings.register_profile("search", deadline=None, suppress_health_check=slow, max_examples=1_000)
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("fleet")
    # A container may forbid Python to keep compiled code; each of the hundreds of processes then compiles ours anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell starts what it puts behind itself (`make test &`) deaf to Ctrl-C, and so would be all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Before any product module of a test process is imported, and inherited by every process the tests start.
    if _SEEN not in os.environ:
        os.environ[_SEEN] = tempfile.mkdtemp(prefix="tradefleet-crash-points-")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long runs have their own targets: `make matrix`, `make soak`."""
    chosen = config.getoption("-m") or ""
    for item in items:
        for mark in _LONG:
            if item.get_closest_marker(mark) and mark not in chosen:
                item.add_marker(pytest.mark.skip(reason=f"long: make {mark}"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A crash point that the whole suite never reached fails it: nothing proves what a kill there leaves behind."""
    is_worker = hasattr(session.config, "workerinput")
    whole_suite = not session.config.getoption("-m") and not session.config.getoption("-k")
    asked_for = [Path(str(argument)).name for argument in session.config.args]
    if is_worker or not whole_suite or asked_for != ["tests"] or exitstatus != pytest.ExitCode.OK:
        return
    missed = sorted(set(POINTS) - {path.name for path in Path(os.environ[_SEEN]).iterdir()})
    if missed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter:
            reporter.write_line(f"crash points no test hit: {', '.join(missed)}", red=True)


@pytest.fixture(scope="session")
def chromium() -> Iterator[WebDriver | None]:
    """One browser for every test of a process that wants one: starting it is dear. None where there is none."""
    from tests.kit.browser import chromium as running

    with running() as driver:
        yield driver


@pytest.fixture
def browser(chromium: WebDriver | None) -> WebDriver:
    """The browser; skipped, and said so, where there is none."""
    if chromium is None:
        pytest.skip("no Chromium with its driver on this machine: the dashboard was not looked at")
    return chromium


@pytest.fixture(autouse=True)
def _nothing_stays_registered() -> Iterator[None]:
    """What a test registers as strategy or scan is gone after it: others list them."""
    modules = [sys.modules.get(f"libs.{name}.registry") for name in ("strategies", "scanners")]
    before = [(module._registered, dict(module._registered)) for module in modules if module]
    yield
    for registered, earlier in before:
        registered.clear()
        registered.update(earlier)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """An empty data root."""
    root = tmp_path / "data"
    root.mkdir(mode=0o700)
    return root
