"""One recording in one fresh process: started by :mod:`benchmarks.compare`, prints one JSON line.

Order matters for the figures: import the writer, make the frames, take the memory baseline, open,
append, close, take the totals; only then read back what was written.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import limits
from benchmarks.cases import Case
from benchmarks.frames import make_ring
from benchmarks.measure import (
    Run,
    cpu_seconds,
    latency_summary,
    machine_cpu_seconds,
    peak_rss,
    reset_peak_rss,
)
from benchmarks.writers import Opened, array_folder, load_writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LIMIT", "Timeline", "drive", "measure_limit", "measure_writer", "verify"]

LIMIT = "limit"
"""Name of the pseudo-writer that measures the bounds of :mod:`benchmarks.limits`."""

_SLEEPABLE = 50e-6  # seconds: a shorter sleep would take longer than that


@dataclass(frozen=True, slots=True)
class Timeline:
    """When things happened, in seconds: per-append latencies, and both ends of the recording."""

    latencies: NDArray[np.float64]
    append: float
    wall: float
    lag: float


def measure_writer(case: Case, writer: str, store: Path, pace: float = 0.0) -> Run:
    """Record the case into `store` and return its figures.

    Parameters
    ----------
    pace : float
        Frames per second of the camera; 0 appends as fast as the writer takes them.

    Raises
    ------
    ValueError
        If what was stored is not what was appended.
    """
    opener = load_writer(writer)
    ring = make_ring(case)
    frames = list(ring)
    latencies = np.full(case.frames, np.nan)
    gc.collect()
    reset_peak_rss()
    baseline, cpu, machine = peak_rss(), cpu_seconds(), machine_cpu_seconds()
    start = time.perf_counter()
    opened = opener(case, store)
    opening = time.perf_counter() - start
    timeline = drive(opened, frames, latencies, pace)
    used = cpu_seconds() - cpu
    run = Run(
        case=case.name,
        writer=writer,
        frames=case.frames,
        total_bytes=case.total_bytes,
        open=opening,
        append=timeline.append,
        wall=timeline.wall,
        cpu=used,
        cpu_others=max(machine_cpu_seconds() - machine - used, 0.0),
        rss_baseline=baseline,
        rss_peak=peak_rss(),
        pace=pace,
        lag=timeline.lag,
    )
    run = replace(run, **latency_summary(timeline.latencies))
    return replace(run, stored_bytes=verify(case, store, ring))


def drive(
    opened: Opened, frames: list[NDArray[Any]], latencies: NDArray[np.float64], pace: float
) -> Timeline:
    """Append `latencies.size` frames from the ring, at `pace` frames per second, and close.

    Frames go to the arrays in turn. A paced camera does not wait for the writer: after a slow
    append, the frames that fell due meanwhile follow at once; ``lag`` is the worst delay.
    """
    appends, ring, clock = opened.appends, len(frames), time.perf_counter
    interval = 1 / pace if pace else 0.0
    lag = 0.0
    start = clock()
    for number in range(latencies.size):
        if interval:
            due = start + number * interval
            if due - clock() > _SLEEPABLE:
                time.sleep(due - clock())
        before = clock()
        appends[number % len(appends)](frames[number % ring])
        after = clock()
        latencies[number] = after - before
        if interval:
            lag = max(lag, after - due)
    appended = clock()
    opened.close()
    return Timeline(latencies, appended - start, clock() - start, lag)


def verify(case: Case, store: Path, ring: NDArray[Any]) -> int:
    """Check shapes, size and some pixels of what was stored; return its bytes.

    Pixels are those of the first and of the last frame of each array, in two corners.
    """
    stored = sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    if case.codec == "raw" and stored < case.total_bytes:
        msg = f"{stored} bytes stored, {case.total_bytes} appended"
        raise ValueError(msg)
    for index in range(case.arrays):
        folder = array_folder(store, case, index)
        shape = tuple(json.loads((folder / "zarr.json").read_bytes())["shape"])
        if shape != case.shape:
            msg = f"shape {shape} stored for array {index}, {case.shape} appended"
            raise ValueError(msg)
        _verify_pixels(case, folder, ring, index)
    return stored


def _verify_pixels(case: Case, folder: Path, ring: NDArray[Any], index: int) -> None:
    """Compare corners of the array's first and last frame with the ring."""
    import tensorstore  # after the measurement, so that its memory does not count

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
    array = tensorstore.open(spec, read=True).result()
    last = (case.frames - 1 - index) // case.arrays
    for number, corner in ((0, slice(0, 64)), (last, slice(-64, None))):
        position = np.unravel_index(number, (case.steps, *case.inner))
        rows, columns = (range(size)[corner] for size in case.frame)
        region = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        found = array[tuple(int(i) for i in position)][region].read().result()
        expected = ring[(number * case.arrays + index) % len(ring)][region]
        if not np.array_equal(found, expected):
            msg = f"frame {number} of array {index} reads back different"
            raise ValueError(msg)


def measure_limit(case: Case, folder: Path) -> Run:
    """Return the case's limit as a run whose ``wall`` is the least time possible."""
    ring = make_ring(case)
    cpu = cpu_seconds()
    encoding = limits.Encoding(0.0, 1.0)
    if case.codec != "raw":
        encoding = limits.encode_alone(case, ring)
    folder.mkdir()
    fraction = encoding.stored_fraction * limits.pyramid_factor(case)
    writing = limits.copy_and_write(case, ring, folder, fraction)
    return Run(
        case=case.name,
        writer=LIMIT,
        frames=case.frames,
        total_bytes=case.total_bytes,
        stored_bytes=math.ceil(case.total_bytes * fraction),
        append=writing,
        wall=max(writing, encoding.seconds),
        cpu=cpu_seconds() - cpu,
    )


def main(request: str) -> None:
    """Do what the JSON request asks for and print the run."""
    asked = json.loads(request)
    case = Case.from_dict(asked["case"])
    store = Path(asked["store"])
    if asked["writer"] == LIMIT:
        run = measure_limit(case, store)
    else:
        run = measure_writer(case, asked["writer"], store, asked["pace"])
    print(json.dumps(run.as_dict()))


if __name__ == "__main__":
    main(sys.argv[1])
