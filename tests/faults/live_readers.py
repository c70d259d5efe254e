"""Readers in processes of their own that look at a store all the time while it is recorded.

A reader opens the array anew in each turn, checks that it never shrinks, reads frames from its end
and from anywhere, and compares every pixel. A read that fails is repeated: a reader that meets the
index of a shard just as it is rewritten sees a wrong checksum. Anything else ends it with an error.

    python -m tests.faults.live_readers zarr-python STORE SEED
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import numpy as np
import numpy.typing as npt

import aqz_core as aqz

__all__ = ["READERS", "Soak", "soak"]

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS, COLUMNS, TILE = 64, 64, 16
CHUNKS = (ROWS // TILE) * (COLUMNS // TILE)
"""Chunks of a frame."""

FRAMES_AT_ONCE = 16
FLUSH = 256
ATTEMPTS = 100
"""How often a read is repeated; the wait grows up to a tenth of a second."""


@dataclass
class Soak:
    """What readers met.

    ``retries`` counts reads that failed at first; wrong pixels and other errors raise instead.
    """

    chunks: int = 0
    turns: int = 0
    frames: int = 0
    retries: int = 0

    def add(self, other: Soak) -> None:
        """Count what another met as well."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def pixels(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Return frames by their numbers, shape (n, Y, X); no two neighbours are alike."""
    plane = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    return (1 + (plane + 7919 * numbers[:, None, None]) % 65521).astype(np.uint16)


# ---- readers ------------------------------------------------------------------------------------


def _zarr_python(store: Path) -> tuple[int, Callable[[slice], Any]]:
    """Open with zarr-python."""
    import zarr

    array: Any = zarr.open_array(store, mode="r")
    return array.shape[0], lambda part: array[part]


def _zarrs(store: Path) -> tuple[int, Callable[[slice], Any]]:
    """Open with zarr-python and the codecs of zarrs."""
    import zarr
    import zarrs  # noqa: F401  # registers its codec pipeline

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return _zarr_python(store)


def _tensorstore(store: Path) -> tuple[int, Callable[[slice], Any]]:
    """Open with TensorStore."""
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": f"file://{store}/"}
    array = tensorstore.open(spec, open=True).result()
    return array.shape[0], lambda part: array[part].read().result()


READERS = {"zarr-python": _zarr_python, "zarrs": _zarrs, "tensorstore": _tensorstore}


def _insisting(call: Callable[[], Any], met: Soak) -> Any:
    """Return what a call returns; repeat it when it fails."""
    for attempt in range(ATTEMPTS):
        try:
            result = call()
        except Exception as error:
            if attempt == ATTEMPTS - 1:
                raise
            met.retries += attempt == 0
            del error
            sleep(min(0.001 * 2**attempt, 0.1))
        else:
            return result
    raise AssertionError("not reached")


def read_on(reader: str, store: Path, seed: int) -> Soak:
    """Read until the recording is complete, and once more then."""
    random, met, length = Random(seed), Soak(), 0
    while True:
        attributes = json.loads((store / "zarr.json").read_bytes())["attributes"]
        complete = attributes["aqz"]["state"] == "complete"
        now, read = _insisting(lambda: READERS[reader](store), met)
        assert now >= length, f"the array shrank from {length} to {now} frames"
        if met.turns == 0:
            print("ready", flush=True)
        length = now
        starts = [max(0, length - FRAMES_AT_ONCE), random.randrange(max(1, length))]
        if complete:
            starts = list(range(0, length, FRAMES_AT_ONCE))
        for start in starts if length else ():
            part = slice(start, min(start + FRAMES_AT_ONCE, length))
            found = _insisting(lambda read=read, part=part: read(part), met)
            wanted = pixels(np.arange(part.start, part.stop))
            if not np.array_equal(found, wanted):
                wrong = part.start + np.flatnonzero((found != wanted).any(axis=(1, 2)))
                raise AssertionError(f"{reader}: of {length} frames, {wrong.tolist()} are wrong")
            met.frames += len(wanted)
        met.turns += 1
        if complete:
            return met


# ---- the recording ------------------------------------------------------------------------------


def soak(store: Path, chunks: int, seed: int, *, until: float | None = None) -> dict[str, Soak]:
    """Record that many chunks while every reader reads; return what each met.

    Parameters
    ----------
    store
        Where to record.
    chunks
        How many chunks are published.
    seed
        Of the readers' choices.
    until
        Time by `monotonic` at which to stop even if there are fewer.

    Raises
    ------
    AssertionError
        A reader met a wrong pixel or an error that stayed.
    """
    dimensions = [
        aqz.Dimension(
            name=name, kind=kind, array_size_px=size, chunk_size_px=chunk, shard_size_chunks=shard
        )
        for name, kind, size, chunk, shard in (
            ("t", aqz.DimensionType.TIME, 0, 1, 64),
            ("y", aqz.DimensionType.SPACE, ROWS, TILE, ROWS // TILE),
            ("x", aqz.DimensionType.SPACE, COLUMNS, TILE, COLUMNS // TILE),
        )
    ]
    array = aqz.ArraySettings(dimensions=dimensions, data_type=np.uint16)
    settings = aqz.StreamSettings(store_path=store, arrays=[array], durability="none")
    frames = 0
    with contextlib.ExitStack() as stack:
        with aqz.ZarrStream(settings) as stream:
            readers = {
                name: stack.enter_context(_started(name, store, seed + number))
                for number, name in enumerate(READERS)
            }
            for process in readers.values():
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n", "a reader did not start"
            while frames * CHUNKS < chunks and (until is None or monotonic() < until):
                stream.append(pixels(np.arange(frames, frames + 8)))
                frames += 8
                if frames % FLUSH == 0:
                    stream.flush()
                    assert all(process.poll() is None for process in readers.values())
        met = {}
        for name, process in readers.items():
            told, _ = process.communicate(timeout=600)
            assert process.returncode == 0, f"{name} ended with {process.returncode}"
            met[name] = Soak(**json.loads(told.splitlines()[-1]))
            met[name].chunks = frames * CHUNKS
    return met


@contextlib.contextmanager
def _started(name: str, store: Path, seed: int):
    """Start a reader; end it, whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.live_readers", name, str(store), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


if __name__ == "__main__":
    print(json.dumps(asdict(read_on(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))))
