"""An hour of the whole fleet: memory, descriptors and lag of every service stay flat. `make soak`; SOAK_MINUTES."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections import defaultdict
from statistics import linear_regression, median

import pytest

from tests.kit.fleet import SERVICES, WholeFleet, whole_fleet
from tests.kit.paths import PROJECT
from tests.system.test_fleet import FAST, started

_EVERY_S = 5.0
#: What is looked at, by how much its last third may stand above its middle one, and a floor for small figures.
FLAT = {
    "process_memory_bytes": (1.2, 32 * 1_048_576),
    "process_descriptors": (1.2, 16),
    "loop_lag_seconds": (3.0, 0.25),
}
_WIDTH, _HEIGHT = 900, 220
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#17becf")

Series = dict[tuple[str, str], list[float]]


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_fleet_stays_flat():
    minutes = float(os.environ.get("SOAK_MINUTES", "60"))
    series: Series = defaultdict(list)
    settings = FAST | {"TRADEFLEET_EXCHANGE_SIM_SKIP_CLOSED": "true", "TRADEFLEET_WATCHDOG_HUNG_S": "20"}
    with whole_fleet(**settings) as fleet:
        started(fleet)
        before = fleet.pids()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            for (metric, service), value in sample(fleet).items():
                series[metric, service].append(value)
            time.sleep(_EVERY_S)
        after = fleet.pids()
    page = PROJECT / "bench" / "out" / "soak.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(plot(series, minutes), "utf-8")
    page.with_suffix(".json").write_text(json.dumps({" ".join(key): values for key, values in series.items()}))

    assert after == before, "a service did not live through it"
    assert {service for _, service in series} == set(SERVICES)
    assert grown(series) == [], f"see {page}"


def sample(fleet: WholeFleet) -> dict[tuple[str, str], float]:
    """Ask the api for what is looked at."""
    with urllib.request.urlopen(f"http://127.0.0.1:{fleet.settings.api.port}/metrics", timeout=30) as page:
        text = page.read().decode()
    found = re.findall(r'^tradefleet_(\w+)\{service="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {(metric, service): float(value) for metric, service, value in found if metric in FLAT}


def grown(series: Series) -> list[str]:
    """Name what went on growing after the first third, in which caches fill."""
    found = []
    for (metric, service), values in sorted(series.items()):
        third = len(values) // 3
        factor, floor = FLAT[metric]
        middle, last = median(values[third : 2 * third] or [0]), median(values[2 * third :])
        if last > middle * factor + floor:
            found.append(f"{service} {metric}: {middle:.6g} became {last:.6g}")
    return found


def slope(values: list[float]) -> float:
    """Give the growth in an hour: the straight line through all but the first third, in which caches fill."""
    later = values[len(values) // 3 :]
    hours = [n * _EVERY_S / 3600 for n in range(len(later))]
    return linear_regression(hours, later).slope if len(later) > 1 else 0.0


def plot(series: Series, minutes: float) -> str:
    """Draw a chart a figure, a line a service, in one file that needs nothing else."""
    parts = [f"<!doctype html><meta charset=utf-8><title>soak</title><h1>{minutes:g} minutes of the fleet</h1>"]
    for metric in FLAT:
        lines = {service: values for (name, service), values in sorted(series.items()) if name == metric}
        top = max((max(values) for values in lines.values()), default=0) or 1
        parts.append(f"<h2>{metric}, up to {top:.6g}</h2><svg width={_WIDTH} height={_HEIGHT}>")
        for colour, (service, values) in zip(_COLOURS, lines.items(), strict=False):
            step = _WIDTH / max(1, len(values) - 1)
            points = " ".join(f"{n * step:.1f},{_HEIGHT * (1 - value / top):.1f}" for n, value in enumerate(values))
            parts.append(f"<polyline fill=none stroke='{colour}' points='{points}'><title>{service}</title></polyline>")
        parts.append("</svg><p>" + " ".join(
            f"<span style='color:{colour}'>{service} {slope(lines[service]):+.3g}/h</span>"
            for colour, service in zip(_COLOURS, lines, strict=False)
        ))  # fmt: skip
    return "\n".join(parts)


def test_growth_is_seen_and_noise_is_not():
    """The judgement itself, on figures made up: a leak is named, a step in the first third is not."""
    flat = [100e6] * 10 + [300e6, 310e6, 305e6] * 7
    leak = [100e6 + 10e6 * n for n in range(31)]

    assert round(slope([5.0] * 720 + [5.0 + n / 360 for n in range(1440)])) == 2
    assert grown({("process_memory_bytes", "ops"): flat}) == []
    assert [each.split()[0] for each in grown({("process_memory_bytes", "api"): leak})] == ["api"]
