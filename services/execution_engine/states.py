"""Whether trading is allowed, per account, strategy and instrument: the strictest holds, and survives restarts."""

from __future__ import annotations

from collections.abc import Mapping

from libs.contracts.risk import RiskEvent, TradingState
from libs.contracts.topics import topic
from libs.dbaccess.trading import Entry, TradingStore
from libs.dbaccess.trading.control import StateChange, set_state
from libs.dbaccess.trading.loading import Scope, StoredState

#: Causes that end by themselves, so that nobody has to resume after every outage of the feed.
RECOVERING = frozenset({"stale_feed", "lost_heartbeat"})
ACCOUNT: Scope = ("account", "")
#: Causes that end without anybody's word: by themselves, or with the day and its verdict. Any other takes a resume.
_STAYING = {"stale_feed": 0, "lost_heartbeat": 0, "daily_loss": 1, "preflight": 1}
_STAYS = 2
_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class States:
    """Every trading state there is, and the one way to change one."""

    def __init__(self, store: TradingStore, stored: Mapping[Scope, StoredState]) -> None:
        self._store = store
        self._states = dict(stored)

    @property
    def account(self) -> TradingState:
        """Give the account's state."""
        return self.find(ACCOUNT).state

    def find(self, scope: Scope) -> StoredState:
        """Give a scope's state and why it is so."""
        return self._states.get(scope) or StoredState(TradingState.ACTIVE, "none", "never changed", "nobody", 0)

    def all(self) -> dict[Scope, StoredState]:
        """List every scope whose state was ever changed."""
        return dict(self._states)

    def of(self, strategy_id: str, exchange: str, symbol: str) -> TradingState:
        """Give the strictest state that applies to a strategy in an instrument."""
        if self._states.keys() <= {ACCOUNT}:
            return self.account
        scopes = (ACCOUNT, ("strategy", strategy_id), ("instrument", f"{exchange}:{symbol}"))
        return max((self.find(scope).state for scope in scopes), key=lambda state: _STRICTNESS[state])

    def tighten(self, change: StateChange) -> bool:
        """Make a scope stricter, as rules may; what is as strict already stays, with its own cause."""
        now = self.find((change.scope_kind, change.scope))
        # A cause that ends before another must not take that other with it.
        outlasts = _STAYING.get(change.cause, _STAYS) > _STAYING.get(now.cause, _STAYS)
        takes_over = now.state is change.state and outlasts
        if _STRICTNESS[change.state] <= _STRICTNESS[now.state] and not takes_over:
            return False
        self.change(change)
        return True

    def change(self, change: StateChange) -> None:
        """Set a scope's state in a transaction of its own."""
        with self._store.transaction() as entry:
            self.write(entry, change)

    def write(self, entry: Entry, change: StateChange) -> None:
        """Set a scope's state inside the caller's transaction, with its history, a risk event and a message."""
        before = set_state(entry.connection, change)
        scope = (change.scope_kind, change.scope)
        self._states[scope] = StoredState(change.state, change.cause, change.reason, change.set_by, change.at_us)
        kind = "resume" if change.state is TradingState.ACTIVE else "halt"
        text = f"{change.scope_kind} {change.scope}".strip() + f": {before} to {change.state} ({change.cause})"
        entry.risk_event(
            kind, "warning" if kind == "resume" else "error", f"{text}: {change.reason}", change.at_us,
            strategy_id=change.scope if change.scope_kind == "strategy" else "",
        )  # fmt: skip
        event = RiskEvent("state", change.at_us, f"{text}: {change.reason}", trading_state=change.state)
        entry.tell("risk", topic("risk", "state"), event, change.at_us)
