"""All runs of one comparison, and the questions the tables, the plot and the JSON ask of them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.measure import filesystem_of
from benchmarks.ratios import MEASURES, PACED, Quantity, geometric_mean, median, paired_ratio
from benchmarks.runner import LIMIT

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.measure import Run
    from benchmarks.schedule import Plan

__all__ = ["Results"]

_PACKAGES = ("aqz", "acquire-zarr", "numpy", "numcodecs", "tensorstore", "zarr")


@dataclass(slots=True)
class Results:
    """The runs so far, in order, with the plan they belong to."""

    plan: Plan
    runs: list[Run] = field(default_factory=list)

    def of(self, case: Case, label: str, *, paced: bool = False) -> list[Run]:
        """Return the runs of a case by one entrant, failed ones included."""
        return [
            run
            for run in self.runs
            if run.case == case.name and run.writer == label and bool(run.pace) == paced
        ]

    def median(self, case: Case, label: str, quantity: Quantity, *, paced: bool) -> float | None:
        """Return the median of a quantity over an entrant's rounds."""
        return median(self.of(case, label, paced=paced), quantity)

    def ratio(self, case: Case, quantity: Quantity, *, paced: bool = False) -> float | None:
        """Return first / second compared entrant, None unless there are two to compare."""
        if len(self.plan.compared) < 2 or not quantity.compared:
            return None
        first, second = (self.of(case, e.label, paced=paced) for e in self.plan.compared[:2])
        return paired_ratio(first, second, quantity)

    def geometric_mean(self, quantity: Quantity, *, paced: bool = False) -> float | None:
        """Return the mean ratio over the cases that are about that quantity."""
        wanted = "open" if quantity.key == "open" else "throughput"
        cases = (case for case in self.plan.cases if case.measure == wanted)
        return geometric_mean(self.ratio(case, quantity, paced=paced) for case in cases)

    def share_of_limit(self, case: Case, label: str) -> float | None:
        """Return the limit's time over the entrant's, as a median of rounds: 1.0 is the bound."""
        wall = Quantity("wall", "wall", lambda run: run.wall)
        return paired_ratio(self.of(case, LIMIT), self.of(case, label), wall)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON types: machine, cases, ratios, and each run."""
        return {
            "machine": self._machine(),
            "cases": [asdict(case) for case in self.plan.cases],
            "compared": [entrant.label for entrant in self.plan.compared],
            "ratios": {
                case.name: {q.key: self.ratio(case, q) for q in MEASURES}
                for case in self.plan.cases
            },
            "geometric_means": {q.key: self.geometric_mean(q) for q in MEASURES},
            "paced_geometric_means": {q.key: self.geometric_mean(q, paced=True) for q in PACED},
            "share_of_limit": {
                case.name: {e.label: self.share_of_limit(case, e.label) for e in self.plan.compared}
                for case in self.plan.cases
            },
            "runs": [run.as_dict() for run in self.runs],
        }

    def _machine(self) -> dict[str, Any]:
        """Return what the figures depend on besides the code."""
        return {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "filesystem": filesystem_of(self.plan.target),
            "packages": {name: _version(name) for name in _PACKAGES},
        }


def _version(package: str) -> str | None:
    """Return the installed version, None if the package is absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
