"""Bars that many runs go over, with what was computed of them."""

from __future__ import annotations

from collections.abc import Iterable

from libs.core.errors import Corrupt
from libs.indicators.columns import Remembering
from libs.trading.columns import Columns

#: Runs of so many warm-ups have their bars kept; those of further ones begin anew.
_VIEWS_MAX = 4


class Views:
    """The bars of runs, each with its warm-up, and what was computed of them: kept for runs of other parameters.

    Runs differ in how much of the warm-up they take, from its end on.
    """

    def __init__(self, columns: Iterable[Columns], warm_up: Iterable[Columns], bytes_max: int) -> None:
        before = {each.symbol: each for each in warm_up}
        self._all = {
            each.symbol: before[each.symbol].joined(each) if each.symbol in before else each for each in columns
        }
        self._bytes_max = bytes_max
        self._kept: dict[tuple[str, int], Remembering] = {}

    def ending(self, symbol: str, bars: int) -> Remembering:
        """Give the last so many bars, which are a run's and its warm-up's."""
        found = self._kept.get((symbol, bars))
        if found is None:
            if len(self._kept) >= _VIEWS_MAX:
                self._kept.clear()
            all_ = self._all[symbol]
            if bars > len(all_):
                raise Corrupt(f"{bars} bars of {symbol} asked for, of which {len(all_)} are there")
            part = all_.part(len(all_) - bars, len(all_))
            found = self._kept[symbol, bars] = Remembering(part.by_name(), self._bytes_max)
        return found
