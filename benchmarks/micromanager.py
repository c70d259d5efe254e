"""What recording costs a Micro-Manager acquisition: ``python -m benchmarks.micromanager``.

The real engine of pycro-manager with the DemoCamera in its fastest mode, as one camera sequence,
unpaced (more than most disks take) and at the rate of a fast real camera, with: a processor that
only returns None; `ZarrProcessor` with its defaults and without compression; and the engine's own
NDTiff files, alone and behind a processor that hands frames on ("pass"), for a processor costs a
thread and a queue whatever it does. The engine's own queue holds 30 frames (250 MB of 2048 x 2048)
whenever a processor is busy for that long, which is part of the memory shown. Each run has a
process of its own, and the writers take turns, so that what else the machine does disturbs all
alike. Needs the extra ``micromanager``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import peak_rss, reset_peak_rss

WRITERS = ("none", "zarr", "zarr plain", "ndtiff", "ndtiff pass")
CASES = ((512, 0.1, 2000), (2048, 0.1, 120), (2048, 20.0, 120))  # edge, exposure in ms, frames
WARM_UP = 20  # frames: the first touch of a new camera buffer is slow


def acquire(
    writer: str, size: int, exposure: float, frames: int, folder: Path, buffer_mb: int
) -> dict[str, float]:
    """Run one acquisition in this process and return its figures."""
    import mm_test_adapters
    from mmpycorex import Core
    from pycromanager import Acquisition, multi_d_acquisition_events, start_headless

    import aqz_core as aqz
    from aqz_micromanager import ZarrProcessor

    start_headless(
        mm_app_path=mm_test_adapters.device_adapter_path(),
        config_file="MMConfig_demo.cfg",
        python_backend=True,
        buffer_size_mb=buffer_mb,
    )
    core = Core()
    for name, value in (
        ("OnCameraCCDXSize", size),
        ("OnCameraCCDYSize", size),
        ("PixelType", "16bit"),
        ("Mode", "Noise"),
    ):
        core.set_property("Camera", name, str(value))
    core.set_exposure(0.1)
    core.snap_image()  # from now on the camera sends this one: without it, black frames
    core.set_property("Camera", "FastImage", "1")

    # Twice the buffer: every page of it has been touched once.
    touched = max(WARM_UP, int(2 * buffer_mb * 2**20 / (size * size * 2)))
    with Acquisition(directory=None, image_process_fn=lambda image, tags: None) as acq:
        acq.acquire(multi_d_acquisition_events(num_time_points=touched))

    core.set_exposure(exposure)
    events = multi_d_acquisition_events(num_time_points=frames)
    latencies: list[float] = []
    plain = aqz.StreamSettings(arrays=[aqz.ArraySettings()]) if writer == "zarr plain" else None
    zarr = None
    if writer.startswith("zarr"):
        zarr = ZarrProcessor(folder / "run.zarr", events, core=core, settings=plain)

    def process(image, metadata):
        begun = time.perf_counter()
        result = zarr(image, metadata) if zarr is not None else None
        if writer == "ndtiff pass":
            result = (image, metadata)
        latencies.append(time.perf_counter() - begun)
        return result

    reset_peak_rss()
    baseline = peak_rss()
    begun = time.perf_counter()
    where = str(folder) if writer.startswith("ndtiff") else None
    with Acquisition(
        directory=where, name="run", image_process_fn=None if writer == "ndtiff" else process
    ) as acq:
        acq.acquire(events)
    acquired = time.perf_counter() - begun
    if zarr is not None:
        zarr.close()
        assert zarr.state == "complete", zarr.state
    finished = time.perf_counter() - begun
    figures = {
        "fps": frames / acquired,
        "fps_closed": frames / finished,
        "mb_s": frames * size * size * 2 / 1e6 / acquired,
        "rss_mb": (peak_rss() - baseline) / 1e6,
    }
    if zarr is not None:
        figures["queue"] = zarr.statistics().peak_queue_fill
    if latencies:
        figures["latency_ms_p50"] = 1e3 * float(np.quantile(latencies, 0.5))
        figures["latency_ms_p99"] = 1e3 * float(np.quantile(latencies, 0.99))
    return figures


def measure(
    writer: str, size: int, exposure: float, frames: int, where: Path | None, buffer_mb: int
) -> dict[str, float]:
    """Run one acquisition in a process of its own."""
    folder = Path(tempfile.mkdtemp(dir=where))
    job = json.dumps([writer, size, exposure, frames, str(folder), buffer_mb])
    try:
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.micromanager", "--job", job],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if not lines:
        if "Sequence buffer overflow" in run.stderr:  # faster than the writer and the buffer took
            return dict.fromkeys(("fps", "fps_closed", "mb_s", "rss_mb"), float("nan"))
        raise RuntimeError(f"{writer} at {size} failed:\n{run.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(lines[-1])
    return figures


def compare(
    size: int, exposure: float, frames: int, repeats: int, where: Path | None, buffer_mb: int
) -> None:
    """Measure all writers in turns and print the medians."""
    runs: dict[str, list[dict[str, float]]] = {writer: [] for writer in WRITERS}
    for _ in range(repeats):
        for writer in WRITERS:
            runs[writer].append(measure(writer, size, exposure, frames, where, buffer_mb))
    print(f"\n{size} x {size} uint16, {exposure} ms, {frames} frames, median of {repeats}")
    print("writer       frames/s   MB/s   of none   closed f/s   +RSS MB  queue  call p50 / p99 ms")
    for writer, results in runs.items():
        keys = max(results, key=len)
        middle = {
            key: statistics.median(run.get(key, float("nan")) for run in results) for key in keys
        }
        ratios = statistics.median(
            run["fps"] / other["fps"] for run, other in zip(results, runs["none"], strict=True)
        )
        print(
            f"{writer:<12} {middle['fps']:8.1f} {middle['mb_s']:6.0f} {ratios:8.2f}"
            f" {middle['fps_closed']:12.1f} {middle['rss_mb']:9.0f}"
            f" {100 * middle.get('queue', float('nan')):5.0f}%"
            f"   {middle.get('latency_ms_p50', float('nan')):.2f}"
            f" / {middle.get('latency_ms_p99', float('nan')):.2f}",
            flush=True,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--where", type=Path, help="folder on the disk to record to")
    parser.add_argument("--buffer", type=int, default=1024, help="camera buffer, MiB")
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="only this one")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of frames")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        writer, size, exposure, frames, folder, buffer_mb = json.loads(options.job)
        figures = acquire(writer, size, exposure, frames, Path(folder), buffer_mb)
        print(json.dumps(figures), flush=True)
        os._exit(0)
    chosen = CASES if options.case is None else CASES[options.case : options.case + 1]
    for size, exposure, frames in chosen:
        count = max(20, int(frames * options.share))
        compare(size, exposure, count, options.repeats, options.where, options.buffer)


if __name__ == "__main__":
    main()
