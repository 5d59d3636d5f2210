"""What an expression reads: one symbol's columns, every bar of them; or the newest bars of a whole market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from libs.indicators import registry
from libs.indicators.columns import Column, Floats
from libs.scanners.panel import Panel


class Figures(Protocol):
    """Columns and indicators of one shape; the last axis is time."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def column(self, name: str) -> Floats: ...
    def indicator(self, name: str, output: str, source: str, parameters: Mapping[str, Any]) -> Floats: ...


class EveryBar:
    """One symbol's bars in time order."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self._columns["close"])

    def column(self, name: str) -> Floats:
        return np.asarray(self._columns[name], dtype=float)

    def indicator(self, name: str, output: str, source: str, parameters: Mapping[str, Any]) -> Floats:
        columns: Mapping[str, Column] = self._columns
        if source:  # only where one column is read
            columns = {**columns, registry.describe(name).inputs[0]: columns[source]}
        return registry.compute(name, columns, **parameters)[output]


class NewestBars:
    """The newest bars of every symbol, of those it traded in."""

    def __init__(self, panel: Panel, bars: int) -> None:
        self._panel = panel
        self._bars = bars

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._panel.symbols), self._bars

    def column(self, name: str) -> Floats:
        return self._panel.newest(name, self._bars)

    def indicator(self, name: str, output: str, source: str, parameters: Mapping[str, Any]) -> Floats:
        return self._panel.running.newest(self._panel, name, parameters, source, self._bars)[output]
