"""The lease: no seq above it was ever used. It is on disk before the first seq below it is.

A killed process loses nothing that it wrote, the machine does. So after a death of the process the seqs go on where
the journal ends; after one of the machine, or when the journal's end is damaged, they go on after the lease.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import msgspec

from libs.core.faults import crash_point
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import write_atomically

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Lease(msgspec.Struct, frozen=True):
    """`through` is the last seq each stream may use; `segment` the newest segment there was."""

    epoch: str
    boot: str
    segment: int
    through: dict[str, int]


def this_boot() -> str:
    """Name the boot of this machine; empty where the system does not tell, which counts as a new boot every time."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read_lease(path: Path) -> Lease | None:
    """Give the stored lease, or None when there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    body = data[4:]
    if len(data) < 4 or crc32(body) != int.from_bytes(data[:4], "little"):
        raise StoreCorrupt(
            f"{path}: the lease does not match its checksum, so used seqs cannot be told; set the journal's directory "
            "aside: the next start begins a new epoch after the store's watermarks"
        )
    return msgspec.json.decode(body, type=Lease)


def write_lease(path: Path, lease: Lease) -> None:
    """Put a lease on disk; durable when this returns."""
    body = msgspec.json.encode(lease)
    crash_point("journal.lease.before")
    write_atomically(path, crc32(body).to_bytes(4, "little") + body)
    crash_point("journal.lease.after")
