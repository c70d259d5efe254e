"""Chunks that a recording stored and that are gone: told from what is on record about its frames.

aqz stores every chunk of every frame, those of zeros, too. So a chunk may be absent only where no
frame was ever recorded: where frames were left out, or never written by index.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.recovery.chunks import chunks_per_shard
from aqz_core.recovery.extent import level_name, level_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_core.recovery.frames_on_record import FrameRecord
    from aqz_core.recovery.survey import Node
    from aqz_core.stored_array import StoredArray

__all__ = ["lost_chunks", "recorded_levels"]

Flags = npt.NDArray[np.bool_]
Coordinates = npt.NDArray[np.int64]

_MOST_CHUNKS = 2**27
"""A hundred megabytes of flags; more chunks than any array of a recording has."""
_MOST_RANGES = 5


def recorded_levels(nodes: Mapping[str, Node]) -> dict[str, tuple[Node, Node]]:
    """Return, for every array of a recording, by its name, what its record is read from.

    That is the node with the attribute ``aqz`` and the array at full resolution. Recordings whose
    full resolution cannot be read are left out.
    """
    found: dict[str, tuple[Node, Node]] = {}
    for owner in nodes.values():
        if "axes" not in owner.aqz:
            continue
        names = (level_name(owner, path) for path in level_paths(owner))
        levels = [owner] if owner.array is not None else [nodes.get(name or "") for name in names]
        if levels and levels[0] is not None and levels[0].array is not None:
            arrays = (level.name for level in levels if level is not None)
            found |= dict.fromkeys(arrays, (owner, levels[0]))
    return found


def lost_chunks(record: FrameRecord, node: Node, stored: Iterable[Coordinates]) -> str | None:
    """Say which chunks of an array are gone though frames in them are on record, if any.

    Parameters
    ----------
    record
        Of the recording, whose first level has the shape that it tells.
    node
        The array, of any level.
    stored
        Coordinates of the chunks that are there, each of shape (chunks, axes).
    """
    array = node.array
    assert array is not None
    grid = _grid(array.shape, array.chunk_shape)
    planes = _planes_of_level(record, array)
    if planes is None or not planes.any() or math.prod(grid) > _MOST_CHUNKS:
        return None
    lead = len(record.shape)
    wanted = _any_in_blocks(planes, array.chunk_shape[:lead])
    there = np.zeros(grid, bool)
    for coordinates in stored:
        inside = coordinates[(coordinates < np.array(grid)).all(axis=1)]
        there[tuple(inside.T)] = True
    lost = wanted[..., None, None] & ~there
    if not lost.any():
        return None
    first = tuple(map(int, np.argwhere(lost)[0]))
    files = {file.coordinate for file in node.files}
    name = _file_coordinate(array, first)
    what = "is not there" if name not in files else "does not hold"
    key = array.key_prefix + array.key_separator.join(map(str, name))
    file = f"the file {key} {what}" + ("" if name not in files else f" chunk {first}")
    told = f"{int(lost.sum())} chunks that were recorded are missing: {file}"
    layers: Flags = np.any(lost, axis=(-2, -1))
    return told + _frames_in(record, array, layers)


def _frames_in(record: FrameRecord, array: StoredArray, lost: Flags) -> str:
    """Name the frames that have no pixels left in some chunk; nothing at lower resolutions."""
    lead = len(record.shape)
    if array.shape[:lead] != tuple(record.shape[position] for position in record.order):
        return ""
    planes = lost
    for axis, size in enumerate(array.chunk_shape[:lead]):
        planes = np.repeat(planes, size, axis=axis)
    planes = planes[tuple(slice(n) for n in array.shape[:lead])] & record.planes()
    numbers = np.flatnonzero(planes.transpose(np.argsort(record.order)))
    starts = np.flatnonzero(np.diff(numbers, prepend=-2) > 1)
    stops = [*starts[1:], len(numbers)]
    ranges = [
        f"{numbers[a]}" if b - a == 1 else f"{numbers[a]} to {numbers[b - 1]}"
        for a, b in zip(starts[:_MOST_RANGES], stops, strict=False)
    ]
    more = ", ..." if len(starts) > _MOST_RANGES else ""
    return f". Frames, in the order of arrival from 0: {', '.join(ranges)}{more}"


def _planes_of_level(record: FrameRecord, array: StoredArray) -> Flags | None:
    """Return which planes of a level have frames; None if its shape is none of such a pyramid."""
    planes = record.planes()
    if len(array.shape) != planes.ndim + 2:
        return None
    factors = [_factor(n, level) for n, level in zip(planes.shape, array.shape, strict=False)]
    if any(factor is None for factor in factors):
        return None
    return _any_in_blocks(planes, [factor or 1 for factor in factors])


def _factor(base: int, level: int) -> int | None:
    """Return the power of two by which an axis was reduced, or None if by none."""
    factor = 1
    while -(-base // factor) > level > 0:
        factor *= 2
    return factor if -(-base // factor) == level else None


def _any_in_blocks(flags: Flags, sizes: Iterable[int]) -> Flags:
    """Return whether any flag is set in each block of some size on every axis."""
    for axis, size in enumerate(sizes):
        if size > 1 and flags.shape[axis]:
            starts = np.arange(0, flags.shape[axis], size)
            flags = np.logical_or.reduceat(flags, starts, axis=axis)
    return flags


def _grid(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many chunks there are on every axis."""
    return tuple(-(-n // size) for n, size in zip(shape, chunk_shape, strict=True))


def _file_coordinate(array: StoredArray, chunk: tuple[int, ...]) -> tuple[int, ...]:
    """Return the place of the file that holds a chunk."""
    return tuple(k // n for k, n in zip(chunk, chunks_per_shard(array), strict=True))
