"""`fleet indicators`: what strategies and scans may compute."""

from __future__ import annotations

import argparse
from typing import Any

from cli.output import add_json, print_json, print_table
from libs.indicators import registry
from libs.indicators.parameters import Parameter


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "indicators", help="what strategies and scans may compute, with parameters and ranges"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line an indicator, or all of it as JSON."""
    found = [registry.describe(name) for name in registry.INDICATORS]
    if options.json:
        print_json([info._asdict() | {"parameters": [each._asdict() for each in info.parameters]} for info in found])
        return 0
    rows = [
        (info.name, ", ".join(map(in_words, info.parameters)), ", ".join(info.outputs), info.bars_needed, info.purpose)
        for info in found
    ]
    print_table(("name", "parameters", "outputs", "bars", "what it is"), rows)
    return 0


def in_words(parameter: Parameter) -> str:
    """Spell a parameter with its default and its range."""
    return f"{parameter.name}={parameter.default:g} ({parameter.minimum:g}..{parameter.maximum:g})"
