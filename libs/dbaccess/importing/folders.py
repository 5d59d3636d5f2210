"""Files to import, also given by the folder they lie in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from libs.core.errors import Refused

#: Endings of what a folder's files are taken for; a file named by itself may end as it likes.
ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".parquet", ".pq")


class NothingToImport(Refused, FileNotFoundError):
    """A file is not there, or a folder holds none that could be read."""

    def __str__(self) -> str:
        return str(self.args[0])


class FoundFiles(NamedTuple):
    """Files to read, each once, and what lies beside those of a folder and is not read."""

    files: tuple[Path, ...]
    passed_over: tuple[Path, ...] = ()


def files_in(paths: Iterable[Path]) -> FoundFiles:
    """Put in place of each folder its CSV and Parquet files, in order of name; folders in it are not looked into.

    Names that begin with a dot or an underscore are left alone: programs keep their notes and half-written files so.
    """
    files: dict[Path, None] = {}
    passed_over: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NothingToImport(f"{path}: no such file; expected a CSV or Parquet file, or a folder of them")
        if path.is_file():
            files[path] = None
            continue
        if not path.is_dir():  # a pipe can be read once; a file is looked at before it is read
            raise Refused(f"{path}: neither a file nor a folder; write what comes from it into a file first")
        inside = sorted(each for each in path.iterdir() if not each.name.startswith((".", "_")))
        wanted = [each for each in inside if each.is_file() and each.name.lower().endswith(ENDINGS)]
        beside = [each for each in inside if each not in wanted]
        if not wanted:
            held = f"only {_named(beside)}" if beside else "nothing"
            raise NothingToImport(f"{path}: expected files ending in {', '.join(ENDINGS)} in this folder, found {held}")
        files.update(dict.fromkeys(wanted))
        passed_over += beside
    return FoundFiles(tuple(files), tuple(passed_over))


def _named(paths: list[Path]) -> str:
    names = [each.name + "/" * each.is_dir() for each in paths[:5]]
    return ", ".join(names) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
