"""The results as one picture: throughput of each writer, and the ratios that matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.ratios import MEASURES
from benchmarks.runner import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.cases import Case
    from benchmarks.results import Results

__all__ = ["save_plot"]

# Told apart by colour-blind readers as well; the limit comes last and stays grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#999999")
_RATIOS = {"throughput": "o", "cpu": "s", "rss_above": "^"}
_ABOVE: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "ncols": 6,
    "frameon": False,
}
_LEGEND = {"throughput": "throughput", "cpu": "CPU time", "rss_above": "memory"}


def save_plot(results: Results, path: Path) -> None:
    """Draw throughput bars, and the ratios where two writers were compared, into a PNG."""
    cases = [case for case in results.plan.cases if case.measure == "throughput"]
    row_height = 0.25 + 0.1 * len([*results.plan.compared, *results.plan.context])
    panels = 1 + (len(results.plan.compared) > 1)
    figure, axes = plt.subplots(
        1, panels, figsize=(6 * panels, 1.5 + row_height * len(cases)), sharey=True, squeeze=False
    )
    _draw_throughput(axes[0][0], results, cases)
    if panels > 1:
        _draw_ratios(axes[0][1], results, cases)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_throughput(axes: Axes, results: Results, cases: list[Case]) -> None:
    """Draw one group of bars per case, with every round as a dot."""
    entrants = [*results.plan.compared, *results.plan.context]
    height = 0.8 / len(entrants)
    rows = np.arange(len(cases), dtype=float)
    for i, entrant in enumerate(entrants):
        colour = _COLOURS[-1 if entrant.writer == LIMIT else i % (len(_COLOURS) - 1)]
        offset = rows - 0.4 + (i + 0.5) * height
        values = [results.median(c, entrant.label, MEASURES[0], paced=False) or 0 for c in cases]
        axes.barh(offset, values, height, label=entrant.label, color=colour)
        for y, case in zip(offset, cases, strict=True):
            rounds = [r.throughput for r in results.of(case, entrant.label) if not r.error]
            axes.plot(rounds, [y] * len(rounds), ".", color="black", markersize=3)
    axes.set_yticks(rows, [case.name for case in cases])
    axes.invert_yaxis()
    axes.set_xlabel("GB/s, first append to end of close (bar: median, dots: rounds)")
    axes.legend(**_ABOVE)


def _draw_ratios(axes: Axes, results: Results, cases: list[Case]) -> None:
    """Draw each ratio on a logarithmic scale around 1."""
    first, second = (entrant.label for entrant in results.plan.compared[:2])
    for quantity in (q for q in MEASURES if q.key in _RATIOS):
        known = [(results.ratio(case, quantity), row) for row, case in enumerate(cases)]
        points = [(ratio, row) for ratio, row in known if ratio]
        if points:  # nothing to draw where one of the two never finished
            label = _LEGEND[quantity.key]
            axes.plot(*zip(*points, strict=True), _RATIOS[quantity.key], label=label)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.45), max(high, 2.2))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"{first} / {second} (throughput: more is better; others: less)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**_ABOVE)
