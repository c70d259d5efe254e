"""The results as text: one row per writer and case, a row of ratios, geometric means at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from benchmarks.ratios import MEASURES, PACED, Quantity
from benchmarks.runner import LIMIT

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.results import Results

__all__ = ["case_list", "failures", "main_table", "paced_table"]


def case_list(cases: list[Case]) -> Table:
    """Return the table of ``--list``."""
    table = Table(title="Benchmark cases")
    for title in ("name", "frames", "frame", "type", "axes", "chunk", "shard", "codec", "data"):
        table.add_column(title)
    table.add_column("GB", justify="right")
    for case in cases:
        codec = case.codec if case.codec == "raw" else f"{case.codec} {case.level}"
        extras = [case.pyramid and f"{case.pyramid} pyramid", case.arrays > 1 and "two arrays"]
        table.add_row(
            case.name,
            f"{case.frames:,}",
            _sizes(case.frame),
            case.dtype,
            case.axes,
            _sizes(case.chunk),
            _sizes(case.shard),
            ", ".join([codec, *(e for e in extras if e)]),
            case.data,
            f"{case.total_bytes / 1e9:.2f}",
        )
    return table


def main_table(results: Results) -> Table:
    """Return medians of every entrant and case, with ratios of the first two entrants."""
    return _table(results, MEASURES, paced=False, title="As fast as the writer takes frames")


def paced_table(results: Results) -> Table:
    """Return latencies under a paced camera."""
    title = "Camera at 60 % of what the slower writer sustains"
    return _table(results, PACED, paced=True, title=title)


def failures(results: Results) -> list[str]:
    """Return a line for each case and entrant with failed runs, naming the first error."""
    errors: dict[str, list[str]] = {}
    for run in results.runs:
        if run.error:
            paced = ", paced" if run.pace else ""
            errors.setdefault(f"{run.case}, {run.writer}{paced}", []).append(run.error)
    return [f"{where}: {len(found)} failed: {found[0]}" for where, found in errors.items()]


def _table(results: Results, quantities: tuple[Quantity, ...], *, paced: bool, title: str) -> Table:
    """Lay out rows per case: entrants, then their ratio."""
    plan = results.plan
    with_limit = not paced and any(e.writer == LIMIT for e in plan.context)
    table = Table(title=f"{title} (medians of {plan.rounds})")
    table.add_column("case", no_wrap=True)
    table.add_column("writer", no_wrap=True)
    for quantity in quantities:
        table.add_column(quantity.title, justify="right", no_wrap=True)
    if with_limit:
        table.add_column("of\nlimit", justify="right")
    entrants = plan.compared if paced else [*plan.compared, *plan.context]
    for case in plan.cases:
        for entrant in entrants:
            _add_entrant(table, results, case, entrant.label, quantities, paced, with_limit)
        if len(plan.compared) > 1:
            ratios = [_times(results.ratio(case, q, paced=paced)) for q in quantities]
            table.add_row(case.name, "ratio", *ratios, style="bold", end_section=True)
    if len(plan.compared) > 1:
        means = [_times(results.geometric_mean(q, paced=paced)) for q in quantities]
        first, second = (e.label for e in plan.compared[:2])
        table.add_row("geometric mean", f"{first} / {second}", *means, style="bold green")
    return table


def _add_entrant(
    table: Table,
    results: Results,
    case: Case,
    label: str,
    quantities: tuple[Quantity, ...],
    paced: bool,
    with_limit: bool,
) -> None:
    """Add one entrant's row, or its error."""
    runs = results.of(case, label, paced=paced)
    finished = [run for run in runs if not run.error]
    if runs and not finished:
        table.add_row(case.name, label, "failed", style="red")
    if finished:
        cells = [_number(results.median(case, label, q, paced=paced)) for q in quantities]
        if label == LIMIT:
            # The bounds have a duration and a processor cost; they append and keep nothing.
            shown = {"throughput", "frame", "cpu", "cpu_per_gb"}
            cells = [c if q.key in shown else "" for c, q in zip(cells, quantities, strict=True)]
        if with_limit and label != LIMIT:
            share = results.share_of_limit(case, label)
            cells.append("" if share is None else f"{share:.0%}")
        table.add_row(case.name, label, *cells)


def _number(value: float | None) -> str:
    """Write a value with three significant digits."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ratio: float | None) -> str:
    """Write a ratio."""
    return "" if ratio is None else f"{ratio:.2f}x"


def _sizes(sizes: tuple[int, ...]) -> str:
    """Write sizes joined by multiplication signs."""
    return " x ".join(map(str, sizes))
