"""`fleet strategies`: what is registered, shipped and the user's own."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cli.exits import FAILED, OK
from cli.output import add_json, print_json, print_table
from libs.settings import load_settings
from libs.strategies import registry
from libs.strategies.interface import BaseStrategy, ParameterInfo, describe_parameters
from libs.strategies.user import Loaded, load_directory


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "strategies",
        help="what is registered, shipped and your own, with parameters and ranges",
        description="List every strategy with its parameters and their ranges. Your own come from the directory of the "
        "setting strategies.user_directory; a file that is broken is named with its line, and the exit code is 1.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line a strategy, or all of it as JSON; 1 when a file of the user's is broken."""
    settings = load_settings()
    loaded = load_directory(settings.strategies.directory(settings.data_root))
    entries = [_entry(name, kind, loaded) for name, kind in registry.classes()]
    if options.json:
        broken = [problem._asdict() for problem in loaded.broken]
        print_json({"strategies": entries, "broken": broken})
    else:
        print_table(
            ("strategy", "version", "warm-up", "parameters", "what it does"),
            [
                (entry["strategy_id"], entry["version"], entry["warmup_bars"], entry["in_words"], entry["purpose"])
                for entry in entries
            ],
        )
    for problem in loaded.broken:
        print(f"fleet: {problem}", file=sys.stderr)
    return FAILED if loaded.broken else OK


def in_words(parameter: ParameterInfo) -> str:
    """Spell a parameter with its default and its range."""
    if parameter.kind == "bool":
        return f"{parameter.name}={str(parameter.default).lower()}"
    if parameter.minimum is None or parameter.maximum is None:
        return f"{parameter.name}={parameter.default}"
    return f"{parameter.name}={parameter.default:g} ({parameter.minimum:g}..{parameter.maximum:g})"


def _entry(name: str, kind: type[BaseStrategy[Any]], loaded: Loaded) -> dict[str, Any]:
    parameters = describe_parameters(kind)
    return {
        "strategy_id": name,
        "version": str(kind.version),
        "purpose": kind.purpose or (kind.__doc__ or "").split("\n")[0],
        "warmup_bars": int(kind().warmup_bars),
        "parameters": [parameter._asdict() for parameter in parameters],
        "in_words": ", ".join(map(in_words, parameters)),
        "file": str(loaded.strategies.get(name, "")),
    }
