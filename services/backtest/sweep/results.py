"""The one file of a sweep: a line that says what it is, then a line a point. A kill costs the line being written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from libs.core.errors import Corrupt, Refused
from services.backtest.sweep.point import PointResult

SUFFIX = ".jsonl"


class SweepHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep is; two with the same head are one sweep. `spec` holds its grid or space and how it is searched."""

    kind: str
    strategy: str
    strategy_version: str
    request: dict[str, Any]
    spec: dict[str, Any]
    refused: int = 0


class SweepResults:
    """Results on disk, read back when the sweep is begun again. One process writes; anybody may read."""

    def __init__(self, path: Path, head: SweepHead, results: dict[str, PointResult]) -> None:
        self.path = path
        self.head = head
        self._results = results

    @classmethod
    def begin(cls, path: Path, head: SweepHead) -> SweepResults:
        """Begin a sweep's file, or go on with it; refuse one that holds another sweep."""
        if path.exists() and path.stat().st_size:
            held = cls.read(path)
            if held.head != head:
                raise Refused(
                    f"{path} holds another sweep: of {held.head.strategy} version {held.head.strategy_version} "
                    f"({held.head.kind}), with other options; give --out another name, or remove it"
                )
            _cut_torn_line(path)
            return held
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, head)
        return cls(path, head, {})

    @classmethod
    def read(cls, path: Path) -> SweepResults:
        """Read a file, also while it grows; a last line without its end is not there yet."""
        try:
            text = path.read_bytes()
        except FileNotFoundError as e:
            raise Refused(f"no sweep at {path}") from e
        lines = text[: text.rfind(b"\n") + 1].splitlines()
        if not lines:
            raise Corrupt(f"{path} holds no whole line: no sweep was begun there; remove it")
        try:
            head = msgspec.json.decode(lines[0], type=SweepHead)
            found = [msgspec.json.decode(line, type=PointResult) for line in lines[1:]]
        except msgspec.DecodeError as e:
            raise Corrupt(f"{path} is no file of a sweep: {e}") from e
        return cls(path, head, {result.key: result for result in found})

    def __contains__(self, key: str) -> bool:
        return key in self._results

    def get(self, key: str) -> PointResult | None:
        """Give a point that is finished."""
        return self._results.get(key)

    @property
    def all(self) -> list[PointResult]:
        """Give the results so far, in the order they were finished."""
        return list(self._results.values())

    def add(self, result: PointResult) -> None:
        """Keep a result; refuse one that saw other data than those before it."""
        for earlier in self._results.values():
            # A fold is searched on some days and judged on others; a point that was refused saw none.
            is_alike = earlier.fold == result.fold and (earlier.trial < 0) == (result.trial < 0)
            if not is_alike or not (earlier.data_fingerprint and result.data_fingerprint):
                continue
            if earlier.data_fingerprint != result.data_fingerprint:
                raise Refused(
                    f"the data changed since {self.path} was begun (fingerprint {earlier.data_fingerprint}, now "
                    f"{result.data_fingerprint}): its results cannot stand beside new ones; remove the file"
                )
            break  # those before were compared when they came
        _append(self.path, result)
        self._results[result.key] = result


def _append(path: Path, line: msgspec.Struct) -> None:
    """Write one line in one call: a kill leaves it whole, torn at the end, or not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, msgspec.json.encode(line) + b"\n")
    finally:
        os.close(descriptor)


def _cut_torn_line(path: Path) -> None:
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)
