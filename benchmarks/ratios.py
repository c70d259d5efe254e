"""Numbers out of runs: medians, paired ratios, geometric means. Pure functions, nothing printed.

A ratio is formed within a round, between runs that were neighbours in time, and the median is
taken over rounds: a machine that slows down for a minute slows down both.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.measure import Run

__all__ = ["MEASURES", "PACED", "Quantity", "geometric_mean", "median", "paired_ratio"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Quantity:
    """One column: how to take it from a run, in the unit of its title; some have no ratios."""

    key: str
    title: str
    of: Callable[[Run], float]
    compared: bool = True


MEASURES = (
    Quantity("throughput", "GB/s", lambda r: r.throughput),
    Quantity("append_throughput", "append\nGB/s", lambda r: r.append_throughput),
    Quantity("frame", "us per\nframe", lambda r: r.wall / r.frames * 1e6 if r.frames else 0.0),
    Quantity("p50", "p50\nms", lambda r: r.latency_p50 * 1e3),
    Quantity("p99", "p99\nms", lambda r: r.latency_p99 * 1e3),
    Quantity("max", "max\nms", lambda r: r.latency_max * 1e3),
    Quantity("cpu", "CPU\ns", lambda r: r.cpu),
    Quantity("cpu_per_gb", "CPU\ns/GB", lambda r: r.cpu_per_gb),
    Quantity("cpu_others", "others\nCPU s", lambda r: r.cpu_others, compared=False),
    Quantity("rss_peak", "RSS\nMiB", lambda r: r.rss_peak / _MIB),
    # Less than a MiB is the noise of the allocator: it would make ratios of nothing.
    Quantity("rss_above", "above\nMiB", lambda r: max(r.rss_above / _MIB, 1.0)),
    Quantity("open", "open\nms", lambda r: r.open * 1e3),
    Quantity("drift", "last /\nfirst", lambda r: r.drift, compared=False),
)
"""What the main table shows. ``drift`` is the mean append of the last tenth over the first."""

PACED = (
    Quantity("pace", "frames\nper s", lambda r: r.pace, compared=False),
    Quantity("p50", "p50\nms", lambda r: r.latency_p50 * 1e3),
    Quantity("p99", "p99\nms", lambda r: r.latency_p99 * 1e3),
    Quantity("max", "max\nms", lambda r: r.latency_max * 1e3),
    Quantity("lag", "worst\nlag ms", lambda r: r.lag * 1e3),
    Quantity("cpu", "CPU\ns", lambda r: r.cpu),
    Quantity("rss_above", "above\nMiB", lambda r: max(r.rss_above / _MIB, 1.0)),
)
"""What the table of the paced camera shows."""


def median(runs: Iterable[Run], quantity: Quantity) -> float | None:
    """Return the median over the runs that finished, None if none did."""
    values = [quantity.of(run) for run in runs if not run.error]
    return statistics.median(values) if values else None


def paired_ratio(ours: Sequence[Run], theirs: Sequence[Run], quantity: Quantity) -> float | None:
    """Return the median over rounds of ours / theirs, None without a common finished round."""
    theirs_by_round = {run.round: run for run in theirs if not run.error}
    ratios = [
        quantity.of(run) / quantity.of(other)
        for run in ours
        if not run.error and (other := theirs_by_round.get(run.round)) and quantity.of(other)
    ]
    return statistics.median(ratios) if ratios else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of the positive values, None without any."""
    known = [value for value in values if value]
    return statistics.geometric_mean(known) if known else None
