"""`fleet scans`: what can be looked for over the whole market."""

from __future__ import annotations

import argparse
from typing import Any

from msgspec import inspect

from cli.output import add_json, print_json, print_table
from libs.scanners import registry


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("scans", help="what can be looked for over the whole market, with parameters")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line a scan, or all of it as JSON."""
    entries = [_entry(name) for name in registry.SCANS]
    if options.json:
        print_json(entries)
        return 0
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
    return 0


def _entry(name: str) -> dict[str, Any]:
    kind = registry.find(name)
    info = inspect.type_info(kind.parameters_type)
    assert isinstance(info, inspect.StructType)
    return {
        "scan_id": name, "version": kind.version, "purpose": kind.purpose, "bars_needed": kind().bars_needed,
        "parameters": {field.name: field.default for field in info.fields},
    }  # fmt: skip
