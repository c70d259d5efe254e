"""Who runs when: one process per recording, writers alternating, every store deleted afterwards.

A run that fails, hangs or stores wrong data becomes a :class:`~benchmarks.measure.Run` with an
``error`` and the schedule goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Run
from benchmarks.writers import can_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case

__all__ = ["PACED_SHARE", "Entrant", "Plan", "enter", "pace_of", "run_plan"]

PACED_SHARE = 0.6
"""Frame rate of the paced camera, as a share of what the slower writer sustained."""

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A writer in the comparison; the label tells two entries of the same writer apart."""

    label: str
    writer: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: the compared entrants in their order, those run for context, and how often."""

    cases: list[Case]
    compared: list[Entrant]
    context: list[Entrant]
    rounds: int
    target: Path
    timeout: float
    paced: bool


def enter(names: list[str]) -> list[Entrant]:
    """Give each writer name a label: a writer entered again becomes ``name#2``."""
    entrants: list[Entrant] = []
    for name in names:
        before = sum(e.writer == name for e in entrants)
        entrants.append(Entrant(f"{name}#{before + 1}" if before else name, name))
    return entrants


def run_plan(plan: Plan) -> Iterator[Run]:
    """Yield every run of the plan as it finishes: case by case, A B A B within a case."""
    for case in plan.cases:
        finished = []
        for number in range(plan.rounds):
            for entrant in (*plan.compared, *plan.context):
                if not can_record(entrant.writer, case):
                    continue
                run = _record(case, entrant, plan, pace=0.0)
                finished.append(run)
                yield replace(run, round=number)
        if not plan.paced or case.measure == "open":
            continue
        pace = pace_of(case, [r for r in finished if r.writer in {e.label for e in plan.compared}])
        for number in range(plan.rounds if pace else 0):
            for entrant in plan.compared:
                yield replace(_record(case, entrant, plan, pace), round=number)


def pace_of(case: Case, runs: list[Run]) -> float:
    """Return the frames per second of a camera that every writer should sustain, 0 without runs."""
    speeds: dict[str, list[float]] = {}
    for run in runs:
        if not run.error:
            speeds.setdefault(run.writer, []).append(run.frames / run.wall)
    return PACED_SHARE * min(map(statistics.median, speeds.values())) if speeds else 0.0


def _record(case: Case, entrant: Entrant, plan: Plan, pace: float) -> Run:
    """Run one recording in a fresh process, on a disk that has nothing else to write."""
    os.sync()
    folder = Path(tempfile.mkdtemp(prefix="aqz-benchmark-", dir=plan.target))
    request = {
        "case": asdict(case),
        "writer": entrant.writer,
        "store": str(folder / "store.zarr"),
        "pace": pace,
    }
    try:
        run = _run_child(json.dumps(request), plan.timeout)
    except (OSError, RuntimeError, ValueError) as error:
        run = Run(case.name, entrant.label, error=str(error), pace=pace)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(run, writer=entrant.label)


def _run_child(request: str, timeout: float) -> Run:
    """Start the runner and parse its last line.

    Raises
    ------
    RuntimeError
        If it fails or takes longer than `timeout` seconds; then it is killed with its children.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.runner", request],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        msg = f"no end after {timeout:g} s"
        raise RuntimeError(msg) from None
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    if child.returncode:
        last = (errors.strip().splitlines() or ["no message"])[-1]
        msg = f"exit status {child.returncode}: {last}"
        raise RuntimeError(msg)
    return Run(**json.loads(output.strip().splitlines()[-1]))
