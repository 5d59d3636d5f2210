"""`play`: a recording that was held begins, or goes on, now that those who are to hear it have joined or kept up."""

from __future__ import annotations

from libs.core.errors import Refused, RetryLater
from libs.feeds.replay import ReplayFeed
from libs.feeds.supervision import FeedSupervisor


def play(supervisor: FeedSupervisor | None) -> dict[str, str]:
    """Let it begin, or go on; one that plays already does so anyway."""
    if supervisor is None:
        raise RetryLater("the recording is not open yet; ask again")
    if not isinstance(supervisor.feed, ReplayFeed):
        raise Refused("the ingestor captures a live feed, no recording; there is nothing to begin")
    supervisor.feed.is_held = False
    return {"state": "playing"}
