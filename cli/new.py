"""`fleet new`: a file to start from."""

from __future__ import annotations

import argparse
import keyword
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cli.exits import FAILED, OK, WrongUsage
from libs.core.errors import Refused
from libs.core.userfiles import Broken
from libs.scanners.user import load_directory as load_scans
from libs.settings import PROJECT_ROOT, Settings, load_settings
from libs.strategies.user import load_directory as load_strategies


class Kind(NamedTuple):
    """What can be begun: its template, where the user's own are, what checks a file, and what comes next."""

    template: Path
    directory: Callable[[Settings], Path]
    broken: Callable[[Path], tuple[Broken, ...]]
    setting: str
    next: str


KINDS = {
    "strategy": Kind(
        PROJECT_ROOT / "libs" / "strategies" / "_template.py",
        lambda settings: settings.strategies.directory(settings.data_root),
        lambda directory: load_strategies(directory).broken,
        "strategies.user_directory",
        "write your idea into process_bar, and see it in `fleet strategies`.",
    ),
    "scan": Kind(
        PROJECT_ROOT / "libs" / "scanners" / "_template.py",
        lambda settings: settings.scanner.scans_directory(settings.data_root),
        lambda directory: load_scans(directory).broken,
        "scanner.user_scans_directory",
        "write your idea into scan, see it in `fleet scans`, and name it in scanner.scans.",
    ),
}


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("new", help="a strategy or a scan from the template")
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    for name, kind in KINDS.items():
        made = kinds.add_parser(name, help=f"a file in your {name} directory, checked and ready to run")
        made.add_argument("name", help="what settings and results will call it: small letters, digits and _")
        made.add_argument("--directory", type=Path, help=f"another directory than {kind.setting}")
        made.set_defaults(run=run, kind=name)


def run(options: argparse.Namespace) -> int:
    """Write the file, load it, and say what comes next."""
    name: str = options.name
    kind = KINDS[options.kind]
    if not name.isidentifier() or name != name.lower() or name.startswith("_") or keyword.iskeyword(name):
        raise WrongUsage(f"{name!r} cannot name a {options.kind}; expected small letters, digits and _, a letter first")
    directory: Path = options.directory or kind.directory(load_settings())
    path = directory / f"{name}.py"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(filled(kind.template.read_text("utf-8"), name))
    except FileExistsError as e:
        raise Refused(f"{path} is already there; choose another name, or edit it") from e
    broken = [problem for problem in kind.broken(directory) if problem.path == str(path)]
    for problem in broken:
        path.unlink()
        print(f"not written: {problem}")
    if broken:
        return FAILED
    print(f"wrote {path}")
    print(f"Next: {kind.next}")
    return OK


def filled(template: str, name: str) -> str:
    """Put the name into the template."""
    return template.replace("Template", "".join(part.capitalize() for part in name.split("_"))).replace(
        '"template"', f'"{name}"'
    )
