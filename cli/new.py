"""`fleet new`: a file to start from."""

from __future__ import annotations

import argparse
import keyword
from pathlib import Path
from typing import Any

from cli.exits import FAILED, OK
from libs.core.errors import Refused
from libs.settings import PROJECT_ROOT, load_settings
from libs.strategies.user import load_directory

TEMPLATE = PROJECT_ROOT / "libs" / "strategies" / "_template.py"


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("new", help="a strategy from the template")
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    strategy = kinds.add_parser("strategy", help="a file in your strategy directory, ready to run")
    strategy.add_argument("name", help="what settings and signals will call it: small letters, digits and _")
    strategy.add_argument("--directory", type=Path, help="another directory than strategies.user_directory")
    strategy.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file, load it, and say what comes next."""
    name: str = options.name
    if not name.isidentifier() or name != name.lower() or name.startswith("_") or keyword.iskeyword(name):
        raise Refused(f"{name!r} cannot name a strategy; expected small letters, digits and _, a letter first")
    settings = load_settings()
    directory: Path = options.directory or settings.strategies.directory(settings.data_root)
    path = directory / f"{name}.py"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(filled(TEMPLATE.read_text("utf-8"), name))
    except FileExistsError as e:
        raise Refused(f"{path} is already there; choose another name, or edit it") from e
    broken = [problem for problem in load_directory(directory).broken if problem.path == str(path)]
    for problem in broken:
        path.unlink()
        print(f"not written: {problem}")
    if broken:
        return FAILED
    print(f"wrote {path}")
    print("Next: write your idea into process_bar, and see it in `fleet strategies`.")
    return OK


def filled(template: str, name: str) -> str:
    """Put the name into the template."""
    return template.replace("Template", "".join(part.capitalize() for part in name.split("_"))).replace(
        '"template"', f'"{name}"'
    )
