"""How fast the machine could be: the two bounds that no writer can beat.

* :func:`copy_and_write` copies each frame once into aligned memory and writes the bytes that the
  case stores, in as many files, each synced: what is left of a recording without any tiling,
  codec or metadata. Eight threads write, past the page cache where the filesystem lets them.
* :func:`encode_alone` runs nothing but the codec, on every core, over the case's real chunks.

The limit of a raw case is the first; of a compressed one, the larger time of the two.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numcodecs
import numcodecs.blosc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.cases import Case

__all__ = ["Encoding", "copy_and_write", "encode_alone", "pyramid_factor"]

_BLOCK = 4096
_BATCH = 8 << 20
_BUDGET = 512 << 20
_WRITERS = 8
_CODEC_SAMPLE = 1 << 30


class Encoding(NamedTuple):
    """Seconds that the codec alone needs for the case, and stored bytes per raw byte."""

    seconds: float
    stored_fraction: float


def pyramid_factor(case: Case) -> float:
    """Return the bytes of all levels per byte of the full-resolution one."""
    return 4 / 3 if case.pyramid else 1.0


def encode_alone(case: Case, ring: NDArray[Any]) -> Encoding:
    """Encode the case's chunks on all cores, up to 1 GiB of them, and scale to the whole case.

    Parameters
    ----------
    ring : ndarray, shape (16, Y, X)
        Frames as :func:`benchmarks.frames.make_ring` returns them.
    """
    encode = _encoder(case)
    total = case.padded_bytes * pyramid_factor(case)
    chunks = list(_chunks(case, ring))
    rounds = max(1, round(min(total, _CODEC_SAMPLE) / (len(chunks) * chunks[0].nbytes)))
    work = chunks * rounds
    raw = sum(chunk.nbytes for chunk in work)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(encode, chunks[:4]))  # starts the threads
        start = time.perf_counter()
        stored = sum(pool.map(encode, work))
        seconds = time.perf_counter() - start
    return Encoding(seconds * total / raw, stored / raw)


def _encoder(case: Case) -> Callable[[NDArray[Any]], int]:
    """Return the function from a chunk to its encoded length."""
    numcodecs.blosc.use_threads = False
    if case.codec == "plain-zstd":
        codec: Any = numcodecs.Zstd(case.level)
    else:
        codec = numcodecs.Blosc(case.codec, case.level, numcodecs.Blosc.SHUFFLE)
    return lambda chunk: len(codec.encode(chunk))


def _chunks(case: Case, ring: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield whole chunks cut from the ring: as many as one stack of frames holds."""
    *outer, height, width = case.chunk
    depth = math.prod(outer)
    stack = ring[np.arange(depth) % len(ring)]
    for y, x in itertools.product(
        range(0, max(case.frame[0] - height, 0) + 1, height),
        range(0, max(case.frame[1] - width, 0) + 1, width),
    ):
        yield np.ascontiguousarray(stack[:, y : y + height, x : x + width])


class _ShardFile:
    """One output file, opened by its first batch and synced and closed by its last."""

    def __init__(self, path: Path, batches: int) -> None:
        self._path = path
        self._left = batches
        self._lock = threading.Lock()
        self._descriptor = -1

    def write(self, batch: memoryview, offset: int) -> None:
        """Write one batch; any thread, any order."""
        with self._lock:
            if self._descriptor < 0:
                self._descriptor = _open_direct(self._path)
        while batch:
            written = os.pwrite(self._descriptor, batch, offset)
            batch, offset = batch[written:], offset + written
        with self._lock:
            self._left -= 1
            finished = not self._left
        if finished:
            os.fdatasync(self._descriptor)
            os.close(self._descriptor)


def _open_direct(path: Path) -> int:
    """Create the file, past the page cache where the filesystem and the system know how."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0))
    except OSError:
        return os.open(path, os.O_WRONLY | os.O_CREAT)


def copy_and_write(
    case: Case, ring: NDArray[Any], folder: Path, stored_fraction: float = 1.0
) -> float:
    """Copy every frame once, write the case's bytes in as many files; return the seconds.

    Parameters
    ----------
    ring : ndarray, shape (16, Y, X)
        Frames; copied whole, whatever part of them is written.
    folder : Path
        Existing folder for the files.
    stored_fraction : float
        Bytes written per byte copied: below one for a codec, above one for a pyramid.
    """
    frames = ring.reshape(len(ring), -1).view(np.uint8)
    raw_file = math.ceil(case.total_bytes / case.shard_count)
    batches = math.ceil(raw_file / _BATCH)
    raw_batch = math.ceil(raw_file / batches)
    stored_batch = math.ceil(raw_batch * stored_fraction / _BLOCK) * _BLOCK
    buffers = _aligned_buffers(max(raw_batch, stored_batch), case.total_bytes)
    planned = math.ceil(case.total_bytes / raw_batch)
    pending: list[Future[None]] = []
    with ThreadPoolExecutor(_WRITERS) as pool:
        start = time.perf_counter()
        for number, buffer in enumerate(_filled(case, frames, buffers, raw_batch)):
            index, batch = divmod(number, batches)
            if not batch:
                file = _ShardFile(folder / str(index), min(batches, planned - number))
            pending.append(pool.submit(_store, file, buffer, stored_batch, batch, buffers))
        for future in pending:
            future.result()
        return time.perf_counter() - start


def _store(
    file: _ShardFile, buffer: mmap.mmap, size: int, batch: int, buffers: queue.Queue[mmap.mmap]
) -> None:
    """Write the buffer as the file's batch and give the buffer back."""
    file.write(memoryview(buffer)[:size], batch * size)
    buffers.put(buffer)


def _aligned_buffers(size: int, total: int) -> queue.Queue[mmap.mmap]:
    """Return page-aligned buffers, touched, within the budget and no more than needed."""
    buffers: queue.Queue[mmap.mmap] = queue.Queue()
    for _ in range(max(2, min(_BUDGET, total) // size)):
        buffer = mmap.mmap(-1, size)
        np.frombuffer(buffer, np.uint8).fill(1)
        buffers.put(buffer)
    return buffers


def _filled(
    case: Case, frames: NDArray[np.uint8], buffers: queue.Queue[mmap.mmap], size: int
) -> Iterator[mmap.mmap]:
    """Copy the recording's frames one after another into buffers; yield each with `size` bytes."""
    buffer, used = buffers.get(), 0
    target = np.frombuffer(buffer, np.uint8)
    for number in range(case.frames):
        frame, taken = frames[number % len(frames)], 0
        while taken < frame.size:
            part = min(frame.size - taken, size - used)
            target[used : used + part] = frame[taken : taken + part]
            taken, used = taken + part, used + part
            if used == size:
                yield buffer
                buffer, used = buffers.get(), 0
                target = np.frombuffer(buffer, np.uint8)
    if used:
        yield buffer
