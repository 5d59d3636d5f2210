"""Everything a run did, kept in memory until it is written: signals, what became of them, orders, fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from libs.contracts.signals import SignalEvent
from libs.orders.direct import KeptTrade, PlainOrder
from libs.orders.model import FINAL, Fill
from libs.orders.news import FillRecorded, Transition
from libs.trading.decisions import Ignored, Placed, Refusal
from libs.trading.desk import Desk
from libs.trading.loop import LoopEvent

_SAYS = ("ignored", "rejected", "approved")
_APPROVED = ("approved", "")
#: What became of a signal nobody decided on.
UNDECIDED = ("undecided", "")


class LogRow(NamedTuple):
    """One line of the run's log."""

    at_us: int | None
    level: str
    event: str
    detail: dict[str, Any]

    @property
    def detail_json(self) -> str:
        """Give the detail as it stands in the file."""
        return msgspec.json.encode(self.detail, order="sorted").decode()


class RunRecorder:
    """Takes a replay's events; gives rows when it is over."""

    def __init__(self, desk: Desk, on_progress: Callable[[int, int, int], None] | None = None) -> None:
        self._desk = desk
        self._on_progress = on_progress
        self.signals: list[SignalEvent] = []
        self._decisions: dict[str, tuple[str, str]] = {}
        self._reasons: dict[str, str] = {}
        self._finished_us: dict[str, int] = {}
        self._fills: list[Fill] = []
        #: Orders that were placed and not spelled out yet.
        self._placed: list[PlainOrder] = []
        self._traded: list[KeptTrade] = []
        self.log: list[LogRow] = []
        self.bars = 0
        self._days_until_us = 0

    @property
    def ran_until_us(self) -> int:
        """Say how far it came for certain: every bar that began before this instant was run."""
        signal_us = self.signals[-1].timestamp_us if self.signals else -1
        fill_us = self._traded[-1].timestamp_us if self._traded else -1
        return max(self._days_until_us, signal_us + 1, fill_us + 1)

    def on_signals(self, signals: Sequence[SignalEvent]) -> None:
        """Keep the signals."""
        self.signals.extend(signals)

    def on_events(self, events: Sequence[LoopEvent]) -> None:
        """Keep decisions, ends and fills."""
        for event in events:
            kind = type(event)
            if kind is FillRecorded:
                self._traded.append(event.fill)  # type: ignore[union-attr]  # its type was just looked at
            elif kind is Transition:
                if event.status_to in FINAL:  # type: ignore[union-attr]  # likewise
                    self._finished_us[event.order_id] = event.at_us  # type: ignore[union-attr]  # likewise
            elif isinstance(event, Placed):
                self._reasons[event.order.order_id] = event.reason
                self._decide(event.order.signal_id, "approved", "")
            elif isinstance(event, Refusal):
                self._refused(event)
            elif isinstance(event, Ignored):
                self._decide(event.signal_id, "ignored", event.reason)

    def on_plain(self, plain: PlainOrder) -> None:
        """Keep an order that was sent, as `on_events` does of `Placed`."""
        self._placed.append(plain)

    def on_plain_filled(self, plain: PlainOrder) -> None:
        """Keep the one trade of an order, as `on_events` does of its news."""
        self._traded.append(plain)

    @property
    def decisions(self) -> dict[str, tuple[str, str]]:
        """Give what became of each signal, and why."""
        self._spell_out()
        return self._decisions

    @property
    def reasons(self) -> dict[str, str]:
        """Give why each order was placed."""
        self._spell_out()
        return self._reasons

    @property
    def finished_us(self) -> dict[str, int]:
        """Give when each order that is over was."""
        self._spell_out()
        return self._finished_us

    @property
    def traded(self) -> Sequence[KeptTrade]:
        """Give every trade as it was kept, in order."""
        return self._traded

    @property
    def fills(self) -> list[Fill]:
        """Give every trade spelled out, in order."""
        new = self._traded[len(self._fills) :]
        self._fills += [each if isinstance(each, Fill) else self._fill_of(each) for each in new]
        return self._fills

    def on_day(self, bars_done: int, at_us: int) -> None:
        """Say how far it is."""
        self.bars, self._days_until_us = bars_done, at_us
        if self._on_progress is not None:
            self._on_progress(bars_done, at_us, self._desk.equity_paise)

    def note(self, level: str, event: str, at_us: int | None = None, **detail: Any) -> None:
        """Add a line to the log."""
        self.log.append(LogRow(at_us, level, event, detail))

    def _fill_of(self, plain: PlainOrder) -> Fill:
        """Give a plain order's trade; without fees it is the very one its order has."""
        return plain.fill(plain.fees_paise) if plain.fees_paise else self._desk.orders.get(plain.order_id).fills[0]

    def _spell_out(self) -> None:
        if not self._placed:
            return
        for plain in self._placed:
            order_id, signal_id = plain.order_id, plain.signal_id
            self._reasons[order_id] = plain.reason
            if signal_id in self._decisions:
                self._decide(signal_id, *_APPROVED)
            elif signal_id:
                self._decisions[signal_id] = _APPROVED
            if plain.trade_number:
                self._finished_us[order_id] = plain.timestamp_us
        self._placed = [plain for plain in self._placed if not plain.trade_number]

    def _refused(self, event: Refusal) -> None:
        rejected = event.rejected
        if event.request.signal_id:
            self._decide(event.request.signal_id, "rejected", f"{rejected.check}: {rejected.reason}")
            return
        # An exit nobody signalled was refused: the position stays, and somebody should know.
        self.note(
            "warning", "exit.refused", event.request.signal_us or None,
            symbol=event.request.symbol, check=rejected.check, reason=rejected.reason,
        )  # fmt: skip

    def _decide(self, signal_id: str, decision: str, reason: str) -> None:
        """A signal that closes and enters has two decisions: what became an order says most, as it does live."""
        known = self._decisions.get(signal_id)
        if signal_id and (known is None or _SAYS.index(decision) > _SAYS.index(known[0])):
            self._decisions[signal_id] = (decision, reason)
