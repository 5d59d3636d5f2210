"""How much of a Sharpe ratio is left when one knows how many were tried.

The best of many worthless strategies looks good. The deflated ratio (Bailey and López de Prado, 2014) is the
probability that the true one is above what the best of so many without skill would show, given the length, skewness
and tails of the returns. Ratios here are per period, not per year: of a day for daily returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from libs.core.errors import Refused

_EULER = 0.5772156649015329
_NORMAL = NormalDist()


class DeflatedSharpe(msgspec.Struct, frozen=True, kw_only=True):
    """`probability` is the answer: below 0.95 the best of the sweep is likely luck.

    `sharpe_expected` is what the best of `trials_effective` strategies without skill shows; `probability_single` what
    one would believe had it been the only one tried.
    """

    sharpe: float
    sharpe_expected: float
    trials: int
    trials_effective: float
    periods: int
    skewness: float
    kurtosis: float
    probability: float
    probability_single: float


def deflated_sharpe(
    returns: npt.ArrayLike, sharpes_tried: Sequence[float], *, trials_effective: float | None = None
) -> DeflatedSharpe | None:
    """Deflate the Sharpe ratio of the best trial's returns by the ratios of all trials, its own among them.

    Without `trials_effective` the trials count as independent, which is the strict side. None when the returns are too
    few (3) or never differ, or no ratio is known.
    """
    held = np.asarray(returns, dtype=np.float64)
    if not np.isfinite(held).all():
        raise Refused("returns with missing values; leave those periods out")
    known = [ratio for ratio in sharpes_tried if math.isfinite(ratio)]
    deviation = float(np.std(held, ddof=1)) if held.size > 2 else 0.0
    if not known or deviation <= abs(float(held.mean())) * 1e-12:
        return None
    centred = held - held.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    skewness = float(np.mean(centred**3)) / spread**3
    kurtosis = float(np.mean(centred**4)) / spread**4
    sharpe = float(held.mean()) / deviation
    trials = float(len(known)) if trials_effective is None else min(max(trials_effective, 1.0), float(len(known)))
    among = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    expected = expected_best(trials, among)
    # Its square is above 0 for any real returns: kurtosis is at least 1 + skewness squared.
    error = math.sqrt(1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2)
    certainty = math.sqrt(held.size - 1.0) / max(error, 1e-12)
    return DeflatedSharpe(
        sharpe=sharpe,
        sharpe_expected=expected,
        trials=len(known),
        trials_effective=trials,
        periods=held.size,
        skewness=skewness,
        kurtosis=kurtosis,
        probability=_NORMAL.cdf((sharpe - expected) * certainty),
        probability_single=_NORMAL.cdf(sharpe * certainty),
    )


def expected_best(trials: float, deviation: float) -> float:
    """Give the Sharpe ratio that the best of so many trials without skill is expected to show.

    `deviation` is that of the ratios over the trials. One trial is expected to show nothing.
    """
    if trials <= 1.0:
        return 0.0
    # Between one and two trials the formula would fall below nothing.
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return max(0.0, deviation * ((1.0 - _EULER) * first + _EULER * second))


def effective_trials(returns: npt.ArrayLike) -> float:
    """Count the independent trials behind a table of returns, trials x periods.

    Neighbours in a sweep trade alike: with the mean correlation between them the count shrinks towards 1. Trials that
    never moved count as one more, all of them together.
    """
    table = np.atleast_2d(np.asarray(returns, dtype=np.float64))
    if not table.size:
        return 0.0
    moving = table[table.std(axis=1) > 0.0]
    still = 1.0 if len(moving) < len(table) else 0.0
    if len(moving) < 2:
        return len(moving) + still
    correlations = np.corrcoef(moving)
    many = len(moving)
    mean = (float(correlations.sum()) - many) / (many * (many - 1))
    shared = min(max(mean, 0.0), 1.0)
    return shared + (1.0 - shared) * many + still
