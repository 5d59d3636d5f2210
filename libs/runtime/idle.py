"""Programs of the supervisor that have nothing to do under a profile: they end with 0, and nobody minds."""

from __future__ import annotations


def idle_programs(profile: str) -> frozenset[str]:
    """Name them. The broker's stand-in serves the demo only."""
    return frozenset() if profile == "demo" else frozenset({"exchange_sim"})
