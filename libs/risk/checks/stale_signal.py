"""An entry on old news is no entry; news from the future means a clock is wrong."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected

#: A signal is known at the end of its bar; the machine's clock may lag the exchange's this much.
_SKEW_MAX_US = 2_000_000


def check(case: Case) -> Rejected | None:
    if not case.request.signal_us:
        return None
    age_us = case.now_us - case.request.signal_us
    if -_SKEW_MAX_US <= age_us <= case.limits.signal_age_max_us:
        return None
    figures = {"age_us": age_us, "age_max_us": case.limits.signal_age_max_us}
    return Rejected("stale_signal", "the signal is too old" if age_us > 0 else "the signal is of the future", figures)
