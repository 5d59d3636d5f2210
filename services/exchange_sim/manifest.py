"""What the simulator is wired to: nothing of the fleet's. It owns no store and is not on the bus."""

from __future__ import annotations

NAME = "exchange_sim"
CONSUMES: tuple[str, ...] = ()
PUBLISHES: tuple[str, ...] = ()
OWNS: tuple[str, ...] = ()
