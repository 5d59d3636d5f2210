"""From ticks to bars and from bars to longer bars: streaming and vectorised, completeness, validation. Pure."""

from libs.bars.aggregator import BarAggregator, Outcome
from libs.bars.completeness import Certificate, certify, missing_bars
from libs.bars.resample import Resampler
from libs.bars.validate import Quarantined, Reason, TickValidator

__all__ = [
    "BarAggregator",
    "Certificate",
    "Outcome",
    "Quarantined",
    "Reason",
    "Resampler",
    "TickValidator",
    "certify",
    "missing_bars",
]
