"""Looking at a journal without touching it: for the health check, while nobody writes it."""

from __future__ import annotations

from pathlib import Path

from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.journal.format import decode_header
from libs.dbaccess.journal.lease import read_lease
from libs.dbaccess.journal.segments import scan, segment_paths

_HEADER_BYTES_MAX = 64 * 1024


def check(directory: Path, *, deep: bool) -> int:
    """Give the number of segments, each with a sound header; deep reads every record. Damage is `StoreCorrupt`.

    A torn tail of the last segment is what `kill -9` leaves: the next start cuts it, so it is no damage.
    """
    read_lease(directory / "lease")
    paths = segment_paths(directory)
    for path in paths:
        if not deep:
            with path.open("rb") as file:
                decode_header(file.read(_HEADER_BYTES_MAX), path)
            continue
        segment, torn_bytes = scan(path)
        if torn_bytes and path is not paths[-1]:
            raise StoreCorrupt(f"{path}: a bad record at offset {segment.index.size}, and segments follow")
    return len(paths)
