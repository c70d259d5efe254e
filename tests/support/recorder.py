"""A process that records a plan with ``aqz_core`` and ends in a given way (``python -m`` this).

It takes a pickled `RecorderJob` on stdin and answers with one line of JSON: the names of the
classes of the errors that ``append`` and ``close`` raised, most special first. Used for what one
process cannot do to itself and live: end without closing, be killed, hit a file size limit.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.plans import StreamPlan, frames_of, settings_for

__all__ = ["Outcome", "RecorderJob", "run_recorder"]

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class RecorderJob:
    """What to record, and how to end: "close", "forget" (fall off the end) or "kill".

    ``file_limit`` is the size in bytes that no file may exceed, ``warnings`` the interpreter's -W.
    """

    store: str
    plan: StreamPlan
    ending: str = "close"
    file_limit: int | None = None
    warnings: str = "default"


@dataclass(frozen=True)
class Outcome:
    """How the process ended."""

    returncode: int
    stderr: str
    append_error: list[str]
    close_error: list[str]


def run_recorder(job: RecorderJob) -> Outcome:
    """Record in a process of its own and wait for its end."""
    run = subprocess.run(
        [sys.executable, "-W", job.warnings, "-m", "tests.support.recorder"],
        input=pickle.dumps(job),
        capture_output=True,
        cwd=_CHECKOUT,
        check=False,
    )
    report = json.loads(run.stdout) if run.stdout else {}
    return Outcome(
        run.returncode,
        run.stderr.decode(),
        report.get("append", []),
        report.get("close", []),
    )


def main() -> None:
    """Record the plan of the job on stdin."""
    import aqz_core as aqz

    job: RecorderJob = pickle.load(sys.stdin.buffer)
    if job.file_limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, job.file_limit))
    stream = aqz.ZarrStream(settings_for(aqz, job.plan, Path(job.store)))
    report: dict[str, list[str]] = {"append": [], "close": []}
    try:
        for key, frame in _turns(job.plan):
            stream.append(frame, key)
    except Exception as error:
        report["append"] = _class_names(error)
    if job.ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.ending == "close":
        try:
            stream.close()
        except Exception as error:
            report["close"] = _class_names(error)
    print(json.dumps(report), flush=True)
    if job.ending == "forget":
        global _forgotten
        _forgotten = stream  # alive until the interpreter takes modules apart


def _turns(plan: StreamPlan) -> Iterator[tuple[str, np.ndarray]]:
    """List single frames, the arrays of the plan one after the other."""
    for array in plan.arrays:
        for frame in frames_of(array):
            yield array.key, frame


def _class_names(error: BaseException) -> list[str]:
    """Name an error's class and its bases."""
    return [base.__name__ for base in type(error).__mro__]


_forgotten: object = None

if __name__ == "__main__":
    main()
