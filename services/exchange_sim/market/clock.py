"""The market's own clock: runs at any speed, can be paused and moved, and never runs ahead of the simulator."""

from __future__ import annotations

from libs.core.clock import Clock
from libs.core.errors import Refused

SPEED_MAX = 10_000.0


class MarketClock:
    """Market time in milliseconds since the epoch, driven by the machine's monotonic clock."""

    def __init__(self, clock: Clock, start_ms: int, speed: float) -> None:
        self._clock = clock
        self._anchor_ms = float(start_ms)
        self._anchor_ns = clock.monotonic_ns()
        self._speed = _checked(speed)
        self.paused = False
        #: Market time given up because the simulator could not keep the asked speed.
        self.held_back_ms = 0.0

    @property
    def speed(self) -> float:
        """Market seconds for a real second."""
        return self._speed

    def now_ms(self) -> int:
        """Read market time."""
        if self.paused:
            return int(self._anchor_ms)
        return int(self._anchor_ms + (self._clock.monotonic_ns() - self._anchor_ns) * self._speed / 1e6)

    def real_seconds_until(self, instant_ms: int) -> float:
        """Give the real time until a market instant at the present speed; endless while paused."""
        if self.paused:
            return float("inf")
        return max(0.0, (instant_ms - self.now_ms()) / 1000.0 / self._speed)

    def set_speed(self, speed: float) -> None:
        """Change speed from this instant on."""
        speed = _checked(speed)
        self._anchor()
        self._speed = speed

    def pause(self) -> None:
        """Stop market time."""
        self._anchor()
        self.paused = True

    def resume(self) -> None:
        """Let market time go on from where it stands."""
        self._anchor()
        self.paused = False

    def set_to(self, instant_ms: int) -> None:
        """Put the clock to an instant."""
        self._anchor_ms = float(instant_ms)
        self._anchor_ns = self._clock.monotonic_ns()

    def hold_back_to(self, instant_ms: int) -> None:
        """Put the clock back to what was really played: a slow machine gives a slower market, not another one."""
        self.held_back_ms += max(0, self.now_ms() - instant_ms)
        self.set_to(instant_ms)

    def _anchor(self) -> None:
        self.set_to(self.now_ms())


def _checked(speed: float) -> float:
    if not 0 < speed <= SPEED_MAX:
        raise Refused(f"speed {speed} will not do: give more than 0 and at most {SPEED_MAX:g}; use pause to stop")
    return float(speed)
