"""What every streaming indicator is: bars in one by one, a value out, state that is cheap to copy."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, ClassVar, Protocol, Self

from libs.indicators.parameters import validated

NAN = math.nan


class BarLike(Protocol):
    """What an indicator reads of a bar."""

    @property
    def timestamp_us(self) -> int: ...
    @property
    def open(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...
    @property
    def volume(self) -> float: ...


class Indicator:
    """Base of the streaming forms.

    `update` takes a float when `inputs` is one column, else a bar, and gives the value: NaN until it is warm.
    A bar with a missing (NaN or infinite) input is skipped: `update` gives NaN, and state, `value` and the other
    outputs stay what they were, so that every window counts valid bars.
    Parameters are checked against the ranges in their annotations.
    """

    #: Columns it reads, in the order its vectorised form takes them.
    inputs: ClassVar[tuple[str, ...]] = ("close",)
    #: What it gives; the first is `value`, each is an attribute.
    outputs: ClassVar[tuple[str, ...]] = ("value",)

    value: float = NAN

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in cls.__dict__:
            cls.__init__ = validated(cls.__init__)  # type: ignore[method-assign]  # same signature, checked

    @property
    def bars_needed(self) -> int:
        """Valid bars until the last output stops being NaN; 1 when the first bar has a value."""
        raise NotImplementedError

    @property
    def is_warm(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    def update(self, item: Any) -> float:
        """Take the next value or bar."""
        raise NotImplementedError

    def copy(self) -> Self:
        """Make a twin that goes its own way."""
        twin = object.__new__(type(self))
        twin.__dict__.update(
            {
                name: held.copy() if isinstance(held, (list, deque, Indicator)) else held
                for name, held in self.__dict__.items()
            }
        )
        return twin
