"""Opening is recovery: check the segments, cut a torn tail, decide which seq comes next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from libs.core.ids import random_id
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import make_directory
from libs.dbaccess.journal.format import Header
from libs.dbaccess.journal.lease import Lease, read_lease
from libs.dbaccess.journal.segments import Segment, create, cut, load_sealed, scan, segment_paths, sweep


class Recovered(msgspec.Struct, frozen=True):
    """What opening found, for the log and the health report.

    `heads` are the last seqs that were in the journal; `skipped` maps a stream to (last seq known, lease).
    """

    heads: Mapping[str, int]
    torn_bytes: int = 0
    torn_kept: Path | None = None
    skipped: Mapping[str, tuple[int, int]] = {}


class Opened(NamedTuple):
    """A checked directory: its segments, the last one to be appended to, and the last seq known of each stream."""

    epoch: str
    segments: list[Segment]
    known: dict[str, int]
    recovered: Recovered


def open_directory(directory: Path, streams: tuple[str, ...], watermarks: Mapping[str, int], boot: str) -> Opened:
    """Bring a journal's directory into order. The caller holds the writer lock."""
    make_directory(directory, directory.parent)
    sweep(directory)
    lease = read_lease(directory / "lease")
    paths = segment_paths(directory)
    segments = [load_sealed(path) for path in paths[:-1]]
    torn_bytes, torn_kept = 0, None
    if paths:
        last, torn_bytes = scan(paths[-1])
        torn_kept = cut(last) if torn_bytes else None
        segments.append(last)
    epoch = _epoch(directory, segments, lease)
    written = {stream: segments[-1].last(n) for n, stream in enumerate(segments[-1].header.streams)} if segments else {}
    names = dict.fromkeys((*streams, *written))  # a stream nobody writes any more keeps its seqs
    known = {stream: max(written.get(stream, 0), watermarks.get(stream, 0)) for stream in names}
    skipped = _skipped(known, lease, intact=not torn_bytes and _intact(lease, boot, segments))
    if not segments:
        segments.append(create(directory, Header(epoch, 1, streams, tuple(known[stream] + 1 for stream in streams))))
    return Opened(epoch, segments, known, Recovered(written, torn_bytes, torn_kept, skipped))


def _epoch(directory: Path, segments: list[Segment], lease: Lease | None) -> str:
    epochs = {segment.header.epoch for segment in segments} | ({lease.epoch} if lease else set())
    if len(epochs) > 1:
        raise StoreCorrupt(
            f"{directory}: segments of {len(epochs)} journals lie here: epochs {', '.join(sorted(epochs))}"
        )
    return epochs.pop() if epochs else random_id()


def _intact(lease: Lease | None, boot: str, segments: list[Segment]) -> bool:
    """Whether every seq that was used is in the journal: what a process wrote outlives it, but not its machine."""
    if lease is None:
        return True
    same_files = bool(segments) and segments[-1].header.number >= lease.segment
    return same_files and bool(boot) and lease.boot == boot


def _skipped(known: dict[str, int], lease: Lease | None, *, intact: bool) -> dict[str, tuple[int, int]]:
    """Say which streams go on after their lease. A journal that was closed left its lease at its last seq."""
    if lease is None or intact:
        return {}
    through = {stream: lease.through.get(stream, 0) for stream in known}
    return {stream: (known[stream], seq) for stream, seq in through.items() if seq > known[stream]}
