"""Settings of the strategy host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import Positive, in_data_root


class Strategies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the user's own strategies are, and how long one may take."""

    user_directory: str = "strategies"
    time_budget_per_bar_ms: Annotated[int, Meta(ge=1, le=60_000)] = 50
    overruns_in_a_row_max: Positive = 3

    def directory(self, data_root: str) -> Path:
        """The user's directory: beside the stores when it is relative."""
        return in_data_root(self.user_directory, data_root)
