"""The automatic kill switch: what is watched, and what each finding does to the trading state."""

from __future__ import annotations

from collections import deque

from libs.contracts.risk import TradingState
from libs.core.clock import US_PER_SECOND, Clock
from libs.dbaccess.trading.control import StateChange
from libs.settings.execution import Execution
from services.execution_engine.market_clock import MarketClock

RULE = "rule"


class Watch:
    """Collects what went wrong; `due` says which states that asks for. It changes nothing itself."""

    def __init__(self, settings: Execution, market: MarketClock, clock: Clock, *, skew_max_us: int = 0) -> None:
        self._settings = settings
        self._market = market
        self._clock = clock
        self._skew_max_us = skew_max_us
        self._rejections: deque[int] = deque(maxlen=settings.reject_storm_max)
        self._found: list[StateChange] = []
        self._heartbeat_ns = 0
        self._started_ns = clock.monotonic_ns()

    def rejected(self, at_us: int, reason: str) -> None:
        """The broker rejected an order."""
        now_ns = self._clock.monotonic_ns()
        self._rejections.append(now_ns)
        full = len(self._rejections) == self._settings.reject_storm_max
        if full and now_ns - self._rejections[0] <= self._settings.reject_storm_window_s * 1_000_000_000:
            self._find(
                TradingState.REDUCING, "reject_storm",
                f"{len(self._rejections)} orders were rejected within {self._settings.reject_storm_window_s} s; "
                f"the last: {reason}", at_us,
            )  # fmt: skip
            self._rejections.clear()

    def contradiction(self, detail: str) -> None:
        """The broker said what cannot be true."""
        self._find(TradingState.HALTED, "contradiction", detail, self._clock.now_us())

    def difference(self, state: TradingState, detail: str, *, scope: str = "") -> None:
        """Our books and the broker's differ in what no rule repairs. `scope`: an instrument, else the account."""
        self._find(state, "reconciliation", detail, self._clock.now_us(), scope)

    def heartbeat(self) -> None:
        """The ingestor said it is alive."""
        self._heartbeat_ns = self._clock.monotonic_ns()

    def due(self, *, is_open: bool) -> list[StateChange]:
        """Give the states that what was found asks for, each once."""
        now_us = self._clock.now_us()
        if is_open:
            silent_s = self._market.silent_us() / US_PER_SECOND
            if silent_s > self._settings.feed_stale_s:
                self._find(TradingState.REDUCING, "stale_feed", f"no market data for {silent_s:.0f} s", now_us)
            if self.heartbeat_lost():
                self._find(TradingState.REDUCING, "lost_heartbeat", "the ingestor's heartbeat is gone", now_us)
            skew_us = abs(self._market.now_us() - now_us)
            if self._skew_max_us and skew_us > self._skew_max_us:
                text = f"the exchange's clock and ours differ by {skew_us / US_PER_SECOND:.1f} s"
                self._find(TradingState.HALTED, "clock_skew", text, now_us)
        found, self._found = self._found, []
        return found

    def heartbeat_lost(self) -> bool:
        """Say whether the ingestor has been silent for too long."""
        since_ns = self._heartbeat_ns or self._started_ns
        return self._clock.monotonic_ns() - since_ns > self._settings.heartbeat_lost_s * 1_000_000_000

    def has_recovered(self, cause: str) -> bool:
        """Say whether the cause of an automatic state is gone; silence since the start is no sign of it."""
        if cause == "stale_feed":
            is_fresh = self._market.silent_us() < US_PER_SECOND * self._settings.feed_stale_s // 2
            return self._market.is_known and is_fresh
        return cause == "lost_heartbeat" and self._heartbeat_ns > 0 and not self.heartbeat_lost()

    def _find(self, state: TradingState, cause: str, reason: str, at_us: int, scope: str = "") -> None:
        kind = "instrument" if scope else "account"
        self._found.append(
            StateChange(state=state, cause=cause, reason=reason, set_by=RULE, at_us=at_us, scope_kind=kind, scope=scope)
        )
