"""What a plan comes to: sizes of chunks and shards, files, memory, rates. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import aqz_core as aqz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_napari.form.recording_plan import ArrayPlan, RecordingPlan

__all__ = [
    "ArrayEstimate",
    "describe_need",
    "describe_plan",
    "estimate",
    "memory_needed",
    "readable_bytes",
]


@dataclass(frozen=True, slots=True)
class ArrayEstimate:
    """One array, uncompressed.

    Attributes
    ----------
    chunk_nbytes, shard_nbytes : int
        Bytes of a full chunk and of a full shard (of a chunk, where there are no shards).
    files_per_1000 : int
        Files for 1000 deliveries, the pyramid left out.
    nbytes_per_1000 : int
        Bytes of pixels of 1000 deliveries.
    """

    chunk_nbytes: int
    shard_nbytes: int
    files_per_1000: int
    nbytes_per_1000: int


def estimate(array: ArrayPlan) -> ArrayEstimate:
    """Work out the sizes of an array whose chunks and shards are positive."""
    itemsize = np.dtype(array.dtype).itemsize
    chunk = math.prod(axis.chunk for axis in array.axes) * itemsize
    per_shard = math.prod(max(1, axis.shard) for axis in array.axes)
    lead = array.axes[: len(array.axes) - len(array.update_shape)]
    inner = math.prod(max(1, axis.size) for axis in lead[1:])
    files = 1
    for position, axis in enumerate(array.axes):
        size = axis.size
        if size == 0 or (position == 0 and lead):
            size = min(axis.size, -(-1000 // inner)) if axis.size else -(-1000 // inner)
        files *= -(-size // (axis.chunk * max(1, axis.shard)))
    return ArrayEstimate(chunk, chunk * per_shard, files, 1000 * array.update_nbytes)


def memory_needed(plan: RecordingPlan) -> int | None:
    """Return the most bytes that the engine takes for pixels; None where it cannot say."""
    try:
        return int(plan.settings("estimate.zarr").get_maximum_memory_usage())
    except (aqz.AqzError, TypeError, ValueError):
        return None


def describe_plan(plan: RecordingPlan, array: ArrayPlan, rate: float | None) -> str:
    """Return in one line what a plan comes to.

    Parameters
    ----------
    plan : RecordingPlan
        For the memory of all arrays.
    array : ArrayPlan
        Whose chunks and files are told.
    rate : float or None
        Deliveries a second, where that is known.
    """
    sizes, memory = estimate(array), memory_needed(plan)
    plural = "s" * (sizes.files_per_1000 != 1)
    parts = [
        f"chunk {readable_bytes(sizes.chunk_nbytes)}",
        f"shard {readable_bytes(sizes.shard_nbytes)}",
        f"1000 frames: {readable_bytes(sizes.nbytes_per_1000)} raw, {sizes.files_per_1000} "
        f"file{plural}",
    ]
    if memory is not None:
        parts.append(f"memory {readable_bytes(memory)}")
    if rate:
        parts.append(f"needs {rate * array.update_nbytes / 1e6:.0f} MB/s")
    return " · ".join(parts)


def describe_need(plan: RecordingPlan, rates: Sequence[float | None], free: int | None) -> str:
    """Return in one line how much a recording needs, and how long it may last.

    Parameters
    ----------
    plan : RecordingPlan
        What is recorded.
    rates : sequence of float or None
        Deliveries a second of each array, where that is known.
    free : int or None
        Bytes that may be filled; None where nobody knows.
    """
    if not plan.arrays:
        return ""
    if not all(rates):
        each = sum(array.update_nbytes for array in plan.arrays)
        fits = f"{free // each:,}".replace(",", "\u202f") if free is not None and each else ""
        fit = f", {fits} frames fit" if fits else ""
        return f"{readable_bytes(each)} a frame, uncompressed{fit}"
    rate = sum(r * a.update_nbytes for r, a in zip(rates, plan.arrays, strict=True) if r)
    fit = f", {_readable_seconds(free / rate)} fit" if free is not None and rate else ""
    return f"about {readable_bytes(60 * rate)}/min, uncompressed{fit}"


def _readable_seconds(seconds: float) -> str:
    """Return a time as people say it: ``"29 min"``."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def readable_bytes(nbytes: float) -> str:
    """Return a size as people write it: ``"1.5 MB"``; powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return (
                f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 100 else f"{nbytes:.3g} {unit}"
            )
        nbytes /= 1000
    return f"{nbytes:.3g} TB"
