"""When the feed gave nothing although the session was open: a gap begins, a gap ends. Pure."""

from __future__ import annotations

import msgspec

from libs.contracts import FeedGap
from libs.contracts.sessions import Session
from libs.core.ids import content_id


class GapTracker:
    """Follows one feed. Times are the exchange's but for `recorded_at_us`."""

    def __init__(self, exchange: str) -> None:
        self.open: FeedGap | None = None
        self._exchange = exchange
        self._life_us = 0
        self._cause, self._detail = "start", ""
        self._connected = False

    @property
    def life_us(self) -> int:
        """The exchange's time at the last sign of life."""
        return self._life_us

    def recover(self, life_us: int) -> None:
        """Take up where the process before this one saw the last tick."""
        self._life_us = max(self._life_us, life_us)

    def replay(self, gap: FeedGap) -> None:
        """Take note of a gap in the journal."""
        self.open = None if gap.to_us else gap

    def on_lost(self, cause: str, detail: str) -> None:
        """The feed is gone."""
        if self._connected:
            self._cause, self._detail = cause, detail
        self._connected = False

    def on_frame(self, exchange_us: int, session: Session, now_us: int) -> FeedGap | None:
        """The feed lives; give the gap this ends, whole, when there was one."""
        ended = None
        if not self._connected:
            self._connected = True
            begun = self.open or self._begun(exchange_us - 1, session, now_us)
            if begun is not None:
                ended = msgspec.structs.replace(
                    begun, to_us=max(exchange_us, begun.timestamp_us), recorded_at_us=now_us
                )
            self.open = None
        self._life_us = max(self._life_us, exchange_us)
        return ended

    def on_time(self, session_now_us: int, session: Session, now_us: int) -> FeedGap | None:
        """Give a gap that begins: the feed is gone and the session is open."""
        if self._connected or self.open is not None or not session_now_us:
            return None
        if not session.is_open(session_now_us):
            return None
        self.open = self._begun(session_now_us, session, now_us)
        return self.open

    def end_day(self, session: Session, now_us: int) -> FeedGap | None:
        """A date is over and the feed is not back: give the gap that ends with its session, if there is one.

        What it misses of the next session is a gap of that day, which can be filled then.
        """
        if self._connected:
            return None
        begun = self.open or self._begun(session.last_us - 1, session, now_us)
        self.open = None
        if begun is None:
            return None
        return msgspec.structs.replace(begun, to_us=max(session.last_us, begun.timestamp_us), recorded_at_us=now_us)

    def _begun(self, until_us: int, session: Session, now_us: int) -> FeedGap | None:
        """Give the gap from the last life, or the session's opening if that is later, unless nothing was open in it."""
        from_us = max(self._life_us, session.open_us)
        if from_us > until_us or from_us >= session.close_us:
            return None
        name = content_id(self._exchange, from_us, self._cause)
        return FeedGap(self._exchange, from_us, name, self._cause, 0, self._detail, now_us)
