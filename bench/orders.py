"""Signal on the bus to order request on the wire, with the paper broker and through the SDK at the simulator.

The scanner's side runs in a process of its own; the engine's is the product's, with synchronous=FULL and its events on
the bus. Its own part is shown without the commit an order waits for, and that commit beside it: what a sync costs is
the disk's affair. After every signal plain SQLite commits as many pages to a file on the same disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.order_way import GENEROUS, SYMBOLS, Way, ways
from bench.table import Measure, percentile, print_measures
from tests.kit.exchange_sim import running_simulator
from tests.kit.roots import make_stores

GOAL_US = 2000


def measures() -> Iterable[Measure]:
    """Give p50 and p99 of both brokers."""
    with running_simulator(record_ticks=False, symbols=SYMBOLS, **GENEROUS) as sim:
        for name in ("paper", "simulator"):
            with tempfile.TemporaryDirectory(prefix="tf-bench-") as directory:
                root = Path(directory) / "data"
                root.mkdir(mode=0o700)
                make_stores(root)
                found = ways(root, Path(directory) / "bare.db", sim if name == "simulator" else None)
            yield from _table(name, found)


def _table(name: str, found: list[Way]) -> Iterator[Measure]:
    commits, pages = (percentile([getattr(way, part) for way in found], 0.5) for part in ("commits", "pages"))
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        own, commit, bare, whole, sdk, from_bus = (
            percentile(values, share) for values in zip(*map(_parts, found), strict=True)
        )
        is_judged = label == "p99"
        beside = f"{commits:.0f} commit of {pages:.0f} pages"
        yield Measure(
            f"{name}: signal taken to order handed over, without its commit, {label}", f"{own:.0f} us",
            f"{beside}: {commit:.0f} us", None, f"{GOAL_US} us" if is_judged else "",
            own <= GOAL_US if is_judged else None,
        )  # fmt: skip
        yield Measure(
            f"{name}: the same with its commit, {label}", f"{whole:.0f} us", f"SQLite alone: {bare:.0f} us",
            bare / whole, f"{GOAL_US} us, or the disk beside it" if is_judged else "",
            whole <= GOAL_US or own <= GOAL_US if is_judged else None,
        )  # fmt: skip
        if name != "paper":
            yield Measure(f"{name}: from there through the SDK to its socket, {label}", f"{sdk:.0f} us", "", None, "",
                          None)  # fmt: skip
        yield Measure(
            f"{name}: signal on the bus to request on the wire, {label}", f"{from_bus:.0f} us", "", None, "", None
        )


def _parts(way: Way) -> tuple[float, ...]:
    whole = way.handed_us - way.taken_us
    return (
        whole - way.commit_us, way.commit_us, way.bare_us, whole, way.left_us - way.handed_us,
        way.left_us - way.published_us,
    )  # fmt: skip


if __name__ == "__main__":
    print_measures(measures())
