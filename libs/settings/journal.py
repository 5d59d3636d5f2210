"""Settings of the ingestor's journal."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a segment grows, how far the lease looks ahead, how often the journal is forced to disk."""

    segment_bytes_max: Annotated[int, Meta(ge=4096)] = 67_108_864
    lease_span: Annotated[int, Meta(ge=1)] = 5_000_000
    sync_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 200
