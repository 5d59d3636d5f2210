"""Insights in the signals store: each row replaces the one it had, for it says the same of the same bars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from libs.analytics.study import Findings

_CONFLUENCE = "INSERT OR REPLACE INTO confluence_insights VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{}', ?, ?)"
_REGIME = "INSERT OR REPLACE INTO regime VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PATTERN = "INSERT OR REPLACE INTO pattern_cache VALUES (?, ?, ?, ?, ?, ?, ?, '{}', ?, ?)"
_FEATURES = "INSERT OR REPLACE INTO feature_snapshots VALUES (?, ?, ?, ?, ?, ?, ?)"


def write(connection: Any, found: Iterable[Findings], now_us: int) -> int:
    """Write rows inside the caller's transaction; give how many."""
    rows = 0
    for each in found:
        connection.executemany(
            _CONFLUENCE,
            [
                (*_place(row), row.direction.value, row.score, row.confidence, _json(row.reasons), row.version, now_us)
                for row in each.confluence
            ],
        )
        connection.executemany(
            _REGIME,
            [(*_place(row), row.regime.value, row.confidence, _json(row.figures), now_us) for row in each.regime],
        )
        connection.executemany(
            _PATTERN,
            [
                (*_place(row), row.pattern, row.direction.value, row.strength, row.version, now_us)
                for row in each.patterns
            ],
        )
        connection.executemany(
            _FEATURES, [(row.feature_set, *_place(row), _json(row.features), now_us) for row in each.features]
        )
        rows += len(each.confluence) + len(each.regime) + len(each.patterns) + len(each.features)
    return rows


def _place(row: Any) -> tuple[object, ...]:
    return row.exchange, row.symbol, row.timeframe, row.timestamp_us


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
