"""Checks with a verdict: what was looked at, what was found, what to do. GO when nothing failed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.exits import FAILED, OK
from cli.output import add_json, print_json
from libs.core.errors import FleetError

if TYPE_CHECKING:
    from libs.settings import Settings


class Check(NamedTuple):
    """One thing that was looked at. A warning does not stop anybody."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    is_warning: bool = False

    @property
    def word(self) -> str:
        return "ok" if self.ok else "warning" if self.is_warning else "NO-GO"


def command(subparsers: Any, name: str, purpose: str, description: str, run: Callable[[Any], int]) -> ArgumentParser:
    """Add a command whose exit code is its verdict."""
    parser: ArgumentParser = subparsers.add_parser(
        name, help=purpose, description=f"{description} Exit 0 for GO, 1 for NO-GO."
    )
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def attempt(name: str, look: Callable[[], Iterable[Check]], advice: str) -> Iterator[Check]:
    """Look; a check that cannot be made is a check that failed."""
    try:
        yield from look()
    except (FleetError, OSError) as e:
        yield Check(name, ok=False, found=str(e), advice=advice)


def ask(service: str, settings: Settings) -> dict[str, Any]:
    """Ask a service how it is; raises what the bus raises when it does not answer."""
    from libs.messaging import CommandClient

    with CommandClient(service, settings=settings) as client:
        status: dict[str, Any] = client.call("status", timeout_ms=1000)
    return status


def verdict(checks: Iterable[Check], *, as_json: bool, **more: Any) -> int:
    """Print what was found, as it is found, and the verdict last."""
    found: list[Check] = []
    for check in checks:
        found.append(check)
        if as_json:
            continue
        print(f"{check.word:8} {check.name}: {check.found}")
        if not check.ok and check.advice:
            print(f"{'':8} -> {check.advice}")
    failed = [check.name for check in found if not check.ok and not check.is_warning]
    if as_json:
        rows = [{**check._asdict(), "state": check.word} for check in found]
        print_json({"verdict": "NO-GO" if failed else "GO", "failed": failed, "checks": rows, **more})
    else:
        print(f"NO-GO: {', '.join(failed)}" if failed else "GO")
    return FAILED if failed else OK
