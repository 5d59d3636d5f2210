"""`fleet scans`: what can be looked for over the whole market."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from msgspec import inspect

from cli.exits import FAILED, OK
from cli.output import add_json, print_json, print_table
from libs.scanners import registry
from libs.scanners.user import load_directory
from libs.settings import load_settings


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "scans",
        help="what can be looked for over the whole market, with parameters",
        description="List every scan with its parameters. Your own come from the directory of the setting "
        "scanner.user_scans_directory; a file that is broken is named with its line, and the exit code is 1.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line a scan, or all of it as JSON; 1 when a file of the user's is broken."""
    settings = load_settings()
    loaded = load_directory(settings.scanner.scans_directory(settings.data_root))
    entries = [_entry(name) | {"file": str(loaded.scans.get(name, ""))} for name in registry.names()]
    for problem in loaded.broken:
        print(f"fleet: {problem}", file=sys.stderr)
    code = FAILED if loaded.broken else OK
    if options.json:
        print_json(entries)
        return code
    print_table(
        ("scan", "version", "bars", "parameters", "what it picks"),
        [
            (
                entry["scan_id"], entry["version"], entry["bars_needed"],
                ", ".join(f"{name}={value}" for name, value in entry["parameters"].items()), entry["purpose"],
            )
            for entry in entries
        ],
    )  # fmt: skip
    return code


def _entry(name: str) -> dict[str, Any]:
    kind = registry.find(name)
    info = inspect.type_info(kind.parameters_type)
    assert isinstance(info, inspect.StructType)
    return {
        "scan_id": name, "version": kind.version, "purpose": kind.purpose, "bars_needed": kind().bars_needed,
        "parameters": {field.name: field.default for field in info.fields},
    }  # fmt: skip
