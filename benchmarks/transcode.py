"""Transcoding against zarr-python with Dask, and against ngff-zarr.

    python -m benchmarks.transcode --folder /data --gigabytes 4 --rounds 3

Makes a store of raw pixels, as a camera with shot noise gives them, and from it, in turn, stores of
zstd with a pyramid: with `aqz_core.transcode` in threads and in two processes; with Dask's
`rechunk` and zarr-python, the levels by `coarsen`; and with ngff-zarr. Each is a process of its
own, so that its peak of memory is its own. Medians are compared; on a machine that is not idle the
ratio of neighbours in time says more.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

SHARD, CHUNK, PLANE = (16, 1024, 1024), (1, 512, 512), (1024, 1024)
ROUTES = ("threads", "processes", "dask", "ngff-zarr")


def make_source(path, nbytes):
    """Record raw frames with shot noise; return how many."""
    import aqz_core

    random = np.random.default_rng(0)
    some = random.poisson(200, (8, *PLANE)).astype(np.uint16)
    frames = max(16, int(nbytes / some[0].nbytes) // 16 * 16)
    with aqz_core.open_stream(
        path,
        shape=(frames, *PLANE),
        dtype="uint16",
        axes="tyx",
        chunks=(1, *PLANE),
        shards=(16, 1, 1),
        compression="none",
        overwrite=True,
    ) as stream:
        for number in range(frames):
            stream.append(np.roll(some[number % 8], number))
    return frames


def with_aqz(source, made, **options):
    import aqz_core

    shards = tuple(a // b for a, b in zip(SHARD, CHUNK, strict=True))
    aqz_core.transcode(source, made, chunks=CHUNK, shards=shards, pyramid="mean", **options)


def with_dask(source, made):
    """The plain route: rechunk to the shards, store, then each level from the one before."""
    import dask
    import dask.array as da
    import zarr
    from zarr.codecs import ZstdCodec

    dask.config.set(scheduler="threads")
    root = zarr.create_group(made)
    pixels = da.from_zarr(str(source / "0"))
    for level in range(2):
        if level:
            pixels = da.coarsen(np.mean, da.from_zarr(str(made / "0")), {1: 2, 2: 2}).astype("u2")
        shard = tuple(map(min, SHARD, pixels.shape))
        array = root.create_array(
            str(level),
            shape=pixels.shape,
            chunks=CHUNK,
            shards=shard,
            dtype="uint16",
            compressors=ZstdCodec(level=3),
        )
        da.store(pixels.rechunk(shard), array, lock=False)


def with_ngff_zarr(source, made):
    import dask.array as da
    import ngff_zarr

    image = ngff_zarr.to_ngff_image(da.from_zarr(str(source / "0")), dims=["t", "y", "x"])
    scales = ngff_zarr.to_multiscales(image, scale_factors=[{"t": 1, "y": 2, "x": 2}], chunks=CHUNK)
    ngff_zarr.to_ngff_zarr(str(made), scales, version="0.5")


def run_route(route, source, made):
    """What a child process does."""
    if route in ("threads", "processes"):
        with_aqz(source, made, **({"workers": 2} if route == "processes" else {"threads": 2}))
    else:
        {"dask": with_dask, "ngff-zarr": with_ngff_zarr}[route](source, made)


def busy_seconds():
    """Processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(route, source, made):
    """Return seconds, and the peak of memory of the process and its children, bytes."""
    shutil.rmtree(made, ignore_errors=True)
    began, busy = time.perf_counter(), busy_seconds()
    command = [sys.executable, "-m", "benchmarks.transcode", "--run", route, str(source), str(made)]
    peak, read, written = 0, 0, 0
    with subprocess.Popen(command) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                peak = max(peak, *(one.memory_info().rss for one in family))
                counters = [one.io_counters() for one in family]
            except psutil.Error:
                continue
            read = max(read, sum(one.read_chars for one in counters))
            written = max(written, sum(one.write_chars for one in counters))
            time.sleep(0.05)
    if child.returncode:
        raise SystemExit(f"{route} failed")
    seconds, cpu = time.perf_counter() - began, busy_seconds() - busy
    stored = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
    print(f"{route}: {seconds:.1f} s, {peak / 1e6:.0f} MB", flush=True)
    return {
        "route": route,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_nbytes": peak,
        "read_nbytes": read,
        "written_nbytes": written,
        "stored_nbytes": stored,
    }


def report(figures, nbytes):
    """Print a line for each route."""
    titles = f"{'seconds':>9}{'CPU s':>8}{'MB/s':>8}{'peak MB':>9}{'read x':>8}{'stored MB':>11}"
    print(f"{'route':<12}{titles}")
    by_route = {route: [one for one in figures if one["route"] == route] for route in ROUTES}
    for route, found in by_route.items():
        if found:
            seconds = statistics.median(one["seconds"] for one in found)
            cpu = statistics.median(one["cpu_seconds"] for one in found)
            peak = max(one["peak_nbytes"] for one in found) / 1e6
            read = statistics.median(one["read_nbytes"] for one in found) / nbytes
            stored = found[0]["stored_nbytes"] / 1e6
            speed = nbytes / seconds / 1e6
            print(
                f"{route:<12}{seconds:>9.1f}{cpu:>8.1f}{speed:>8.0f}{peak:>9.0f}{read:>8.2f}{stored:>11.0f}"
            )
    for route in ("threads", "processes", "ngff-zarr"):
        pairs = zip(by_route[route], by_route["dask"], strict=False)
        ratios = [dask["seconds"] / one["seconds"] for one, dask in pairs]
        if ratios:
            print(f"{route} is {statistics.median(ratios):.2f} times as fast as dask")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--routes", nargs="*", default=list(ROUTES), choices=ROUTES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        route, source, made = options.run
        run_route(route, Path(source), Path(made))
        return
    source, made = options.folder / "transcode-source.zarr", options.folder / "transcode-made.zarr"
    frames = make_source(source, options.gigabytes * 1e9)
    nbytes = frames * int(np.prod(PLANE)) * 2
    figures = []
    try:
        for _ in range(options.rounds):
            figures += [measure(route, source, made) for route in options.routes]
    finally:
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)
    report(figures, nbytes)
    if options.json:
        options.json.write_text(json.dumps({"nbytes": nbytes, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
