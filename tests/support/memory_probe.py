"""A process that records and watches its own memory (``python -m`` this, a JSON job on stdin).

The job: ``store``, ``codec`` and ``pyramid`` as for `open_stream`, ``shape`` of a frame,
``frames``, ``max_memory``, ``chunks`` and ``shards``; with ``s3``, arguments of `S3Settings`, the
store is in a bucket. The answer, one line of JSON, in bytes:
``above`` (the most that was resident above what was resident when the stream was opened),
``claimed`` (the most that the stream said it used), ``bound`` (the most that its settings allow).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

__all__ = ["probe_memory"]

_CHECKOUT = Path(__file__).resolve().parents[2]
RING = 4  # different frames


def probe_memory(job):
    """Record in a process of its own and return what it used."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.memory_probe"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def main():
    """Do the job on stdin."""
    import aqz_core as aqz

    job = json.load(sys.stdin)
    rng = np.random.default_rng(0)
    ring = rng.poisson(200, (RING, *job["shape"])).astype(np.uint16)

    # A small recording first, so that libraries and thread stacks are there already.
    with aqz.ZarrStream(settings_of(aqz, warming_up(job))) as stream:
        for _ in range(64):
            stream.append(np.ascontiguousarray(ring[0, :64, :64]))

    settings = settings_of(aqz, job)
    watch = Watch()
    stream = aqz.ZarrStream(settings)
    for number in range(job["frames"]):
        stream.append(ring[number % RING])
        watch.claim(stream.get_current_memory_usage())
    stream.close()
    watch.stop()
    print(
        json.dumps(
            {
                "above": watch.peak - watch.baseline,
                "claimed": watch.claimed,
                "bound": settings.get_maximum_memory_usage(),
            }
        )
    )


def warming_up(job):
    """Return the job of a small recording."""
    small = {"shape": (64, 64), "chunks": (1, 32, 32), "shards": (8, 2, 2), "max_memory": None}
    return {**job, **small}


def settings_of(aqz, job):
    """Return the settings of a job; nothing is forced to the disk."""
    from aqz_core.settings.compression import compression_settings

    sizes = (0, *job["shape"])
    return aqz.StreamSettings(
        store_path=job["store"],
        s3=aqz.S3Settings(**job["s3"]) if "s3" in job else None,
        overwrite=True,
        durability="none",
        max_memory=job["max_memory"],
        arrays=[
            aqz.ArraySettings(
                data_type="uint16",
                is_ngff=True,
                compression=compression_settings(job["codec"], "uint16"),
                downsampling_method=job["pyramid"] and aqz.DownsamplingMethod.MEAN,
                dimensions=[
                    aqz.Dimension(
                        name=name,
                        kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
                        array_size_px=size,
                        chunk_size_px=chunk,
                        shard_size_chunks=shard,
                    )
                    for name, size, chunk, shard in zip(
                        "tyx", sizes, job["chunks"], job["shards"], strict=True
                    )
                ],
            )
        ],
    )


class Watch:
    """Samples resident memory, a thousand times a second."""

    def __init__(self):
        self.baseline = self.peak = resident()
        self.claimed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def claim(self, nbytes):
        """Note what the stream says it uses."""
        self.claimed = max(self.claimed, nbytes)

    def stop(self):
        """Take the last sample."""
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(0.001):
            self.peak = max(self.peak, resident())


def resident():
    """Return the resident bytes of this process."""
    import psutil

    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    main()
