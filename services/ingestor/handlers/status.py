"""`status`: what the ingestor is doing, for `fleet status` and for tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from libs.dbaccess.journal import Journal
from libs.feeds import FeedSupervisor
from libs.feeds.replay import ReplayFeed
from services.ingestor.archiving import Archiver
from services.ingestor.backfilling import Backfiller
from services.ingestor.capture import Capture
from services.ingestor.flusher import Flusher
from services.ingestor.records import CANDLES, STREAMS, TICKS
from services.ingestor.rollover import DayCloser


def status(
    capture: Capture, supervisor: FeedSupervisor, flusher: Flusher, journal: Journal, closer: DayCloser,
    backfiller: Backfiller, archiver: Archiver,
) -> dict[str, Any]:  # fmt: skip
    """Say it in figures."""
    day = capture.day
    gap = day.gaps.open
    # Late and refused ticks have a seq, too, but nobody is told of them.
    ticks = [seq for name, seq in journal.heads().items() if name.startswith("tick.")]
    return {
        "feed": {
            "state": supervisor.state.value,
            "error": supervisor.last_error,
            **asdict(supervisor.figures),
            "held": isinstance(supervisor.feed, ReplayFeed) and supervisor.feed.is_held,
        },
        "capture": asdict(capture.figures),
        "flush": asdict(flusher.figures),
        "journal": {stream: {"head": journal.head(stream), "synced": journal.synced(stream)} for stream in STREAMS},
        "told": {TICKS: max(ticks, default=0), CANDLES: journal.head(CANDLES)},
        "session": {
            "date": day.session.date.isoformat(),
            "now_us": capture.session_clock.now_us(),
            "closed_through_us": day.aggregator.closed_through_us,
            "gap_since_us": gap.timestamp_us if gap else 0,
        },
        "rows_waiting": len(capture.rows),
        "archive": asdict(archiver.figures),
        "rollover": asdict(closer.figures),
        "backfill": {"waiting": backfiller.waiting, **asdict(backfiller.figures)},
    }
