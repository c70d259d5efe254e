"""Chunks that a recording stored and that are gone, by what is on record about its frames.

aqz stores every chunk of every frame, those of zeros, too. So a chunk may be absent only where no
frame was ever recorded: where frames were left out, or never written by index.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.reading.chunks import chunks_per_shard, coordinates_in, indexes_of
from aqz_core.reading.extent import first_level, level_name, level_names, level_paths
from aqz_core.reading.files import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.frame_record import FrameRecord
    from aqz_core.reading.node import ChunkFile, Node
    from aqz_core.reading.stored_array import StoredArray

__all__ = [
    "any_in_blocks",
    "lost_chunks",
    "lost_files",
    "lost_frames",
    "missing_levels",
    "recorded_levels",
]

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
        base = first_level(owner, nodes)
        if base is not None and base.array is not None:
            stored = (name for name in level_names(owner) if name is not None and name in nodes)
            found |= dict.fromkeys(stored, (owner, base))
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
    lost = _lost(record, array, stored)
    if lost is None or not lost.any():
        return None
    first = tuple(map(int, np.argwhere(lost)[0]))
    name = tuple(k // n for k, n in zip(first, chunks_per_shard(array), strict=True))
    key = array.key_prefix + array.key_separator.join(map(str, name))
    is_there = any(file.coordinate == name for file in node.files)
    told = f"the file {key} " + (f"does not hold chunk {first}" if is_there else "is not there")
    layers: Flags = np.any(lost, axis=(-2, -1))
    return (
        f"{int(lost.sum())} chunks that were recorded are missing: {told}"
        f"{_told_frames(record, array, layers)}"
    )


def lost_files(record: FrameRecord, node: Node) -> str | None:
    """Say which files of an array are gone though frames in them are on record, if any.

    Parameters as for `lost_chunks`; nothing is read.
    """
    array = node.array
    if array is None:
        return None
    planes = _planes_of_level(record, array)
    sizes = array.shard_shape or array.chunk_shape
    grid = tuple(-(-n // size) for n, size in zip(array.shape, sizes, strict=True))
    if planes is None or not planes.any() or math.prod(grid) > _MOST_CHUNKS:
        return None
    lost = np.zeros(grid, bool)
    lost |= any_in_blocks(planes, sizes[:-2])[..., None, None]
    for file in node.files:
        if all(k < n for k, n in zip(file.coordinate, grid, strict=True)):
            lost[file.coordinate] = False
    if not lost.any():
        return None
    first = array.key_separator.join(map(str, np.argwhere(lost)[0].tolist()))
    return (
        f"{int(lost.sum())} files that were recorded are missing, {array.key_prefix}{first} the "
        "first of them; their pixels read as the fill value"
    )


def missing_levels(owner: Node, nodes: Mapping[str, Node]) -> list[str]:
    """Return the paths of the levels that an image's metadata name and that are not there."""
    names = {path: level_name(owner, path) for path in level_paths(owner)}
    found = {path: nodes.get(name) for path, name in names.items() if name is not None}
    return [path for path in names if (node := found.get(path)) is None or not node.has_metadata]


def lost_frames(record: FrameRecord, files: StoredFiles, base: Node) -> Flags:
    """Return which frames on record lack chunks, by number, shape (frames,).

    Parameters
    ----------
    record
        Of the recording.
    files, base
        The store, and the array at full resolution. The index of every shard is read.
    """
    array = base.array
    assert array is not None

    def stored(file: ChunkFile) -> Coordinates:
        try:
            indexes = indexes_of(files, array, file) if array.shard_shape is not None else None
        except UnreadableFileError:
            return np.empty((0, len(array.shape)), np.int64)
        return coordinates_in(array, file, indexes)

    with ThreadPoolExecutor(files.reads_at_once) as threads:
        lost = _lost(record, array, threads.map(stored, base.files))
    if lost is None:
        return np.zeros_like(record.told)
    return _frames(record, array, np.any(lost, axis=(-2, -1)))


def _lost(record: FrameRecord, array: StoredArray, stored: Iterable[Coordinates]) -> Flags | None:
    """Return which chunks are gone though frames in them are on record; None if that is unknown."""
    planes = _planes_of_level(record, array)
    grid = tuple(-(-n // size) for n, size in zip(array.shape, array.chunk_shape, strict=True))
    if planes is None or not planes.any() or math.prod(grid) > _MOST_CHUNKS:
        return None
    wanted = any_in_blocks(planes, array.chunk_shape[: planes.ndim])
    there = np.zeros(grid, bool)
    for coordinates in stored:
        inside = coordinates[(coordinates < np.array(grid)).all(axis=1)]
        there[tuple(inside.T)] = True
    lost: Flags = wanted[..., None, None] & ~there
    return lost


def _told_frames(record: FrameRecord, array: StoredArray, layers: Flags) -> str:
    """Name the frames of some chunks; nothing where the level has not every plane."""
    if array.shape[:-2] != record.planes().shape:
        return ""
    numbers = np.flatnonzero(_frames(record, array, layers))
    starts = np.flatnonzero(np.diff(numbers, prepend=-2) > 1)
    stops = [*starts[1:], len(numbers)]
    ranges = [
        f"{numbers[a]}" if b - a == 1 else f"{numbers[a]} to {numbers[b - 1]}"
        for a, b in zip(starts[:_MOST_RANGES], stops, strict=False)
    ]
    more = ", ..." if len(starts) > _MOST_RANGES else ""
    return f". Frames, in the order of arrival from 0: {', '.join(ranges)}{more}"


def _frames(record: FrameRecord, array: StoredArray, layers: Flags) -> Flags:
    """Return which frames on record lie in some layers of chunks, by number."""
    sizes = zip(array.shape[:-2], array.chunk_shape[:-2], strict=True)
    planes = layers[np.ix_(*(np.arange(n) // size for n, size in sizes))]
    return record.numbered(planes & record.planes())


def _planes_of_level(record: FrameRecord, array: StoredArray) -> Flags | None:
    """Return which planes of a level have frames; None if its shape fits no such pyramid."""
    planes = record.planes()
    if len(array.shape) != planes.ndim + 2:
        return None
    factors = [_factor(n, level) for n, level in zip(planes.shape, array.shape, strict=False)]
    if any(factor is None for factor in factors):
        return None
    return any_in_blocks(planes, [factor or 1 for factor in factors])


def _factor(base: int, level: int) -> int | None:
    """Return the power of two by which an axis was reduced, or None if by none."""
    factor = 1
    while -(-base // factor) > level > 0:
        factor *= 2
    return factor if -(-base // factor) == level else None


def any_in_blocks(flags: Flags, sizes: Iterable[int]) -> Flags:
    """Return whether any flag is set in each block of some size on every axis."""
    for axis, size in enumerate(sizes):
        if size > 1 and flags.shape[axis]:
            starts = np.arange(0, flags.shape[axis], size)
            flags = np.logical_or.reduceat(flags, starts, axis=axis)
    return flags
