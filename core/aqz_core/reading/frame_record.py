"""What a store's own record says of the frames of one array: how many came, and which.

The attribute ``aqz`` counts the frames that came in order; the log of frames tells which came by
index and which were left out. Numbers of a damaged record are never trusted with memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.errors import StorageError
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.reading.chunks import chunks_per_shard
from aqz_core.reading.extent import axis_names
from aqz_core.reading.frame_log import logged_frames
from aqz_core.reading.shard_indexes import INDEX_ENTRY_NBYTES

if TYPE_CHECKING:
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node

__all__ = [
    "FrameRecord",
    "held_frames",
    "impossible_length",
    "impossible_record",
    "most_frames",
    "read_record",
]

Index = tuple[int, ...]
Flags = npt.NDArray[np.bool_]

_MOST_FRAMES = 2**28
"""Frames whose flags are kept, each of a byte; three days at a thousand a second."""

_MOST_ABSENT = 2**24
"""Frames that an array may be long without a file for them: skipped, or before a far index."""


@dataclass(frozen=True)
class FrameRecord:
    """What is on record about the frames of one array.

    Attributes
    ----------
    axes
        Names of the axes in front of the frame's own, in the order of arrival.
    order
        For each index axis as stored, its position in the order of arrival.
    shape
        Sizes of the index axes as the array reaches by now, in the order of arrival; those that
        were declared where the first axis in the store is not the first of arrival.
    length
        Length of the array's first axis by now.
    router
        From numbers of frames to places in the store.
    in_order
        Whether frames are counted; they came by index where not.
    gaps
        Whether frames may be missing on purpose.
    closed
        Whether the stream was closed.
    live
        Whether shards have an index at their start, too.
    has_log
        Whether there is a log of frames.
    told
        Which frames are on record as recorded, by number, shape (frames,).
    flushed
        Which of those a flush promised, where they came by index.
    lost
        Which were recorded, but not found by a recording that resumed the one before.
    """

    axes: tuple[str, ...]
    order: Index
    shape: Index
    length: int
    router: FrameRouter
    in_order: bool
    gaps: bool
    closed: bool
    live: bool
    has_log: bool
    told: Flags
    flushed: Flags
    lost: Flags

    def proves(self, *, idle: bool) -> bool:
        """Return whether every chunk of every frame that is `told` must be stored.

        Frames by index are logged before they are stored, so that the log proves nothing before
        the stream is closed; frames that were left out stand in the log alone. Shards that are
        hidden until they are finished are counted before that.

        Parameters
        ----------
        idle
            Whether the store is on a filesystem, and nobody has written it since before it was
            listed.
        """
        if self.closed:
            return self.has_log or (self.in_order and not self.gaps)
        return self.in_order and not self.gaps and self.live and idle

    def planes(self) -> Flags:
        """Return which planes are on record, by storage index, as far as the array reaches."""
        planes = self.told.reshape(self.shape).transpose(self.order)
        return planes[: self.length] if self.order else planes

    def numbered(self, planes: Flags) -> Flags:
        """Return flags of planes as of frames, by number; the reverse of `planes`."""
        if self.order:
            beyond = self.shape[self.order[0]] - len(planes)
            planes = np.pad(planes, [(0, beyond)] + [(0, 0)] * (planes.ndim - 1))
        return np.asarray(planes.transpose(np.argsort(self.order)).ravel())


def held_frames(base: Node) -> int:
    """Return how many frames the files of an array can hold at most, whatever its metadata say."""
    array = base.array
    assert array is not None
    planes = math.prod(array.chunk_shape[:-2])
    chunks = math.prod(chunks_per_shard(array))
    if array.shard_shape is None:
        return len(base.files) * planes
    return sum(min(chunks, file.nbytes // INDEX_ENTRY_NBYTES) for file in base.files) * planes


def most_frames(base: Node) -> int:
    """Return how many frames an array can reach over at most: memory and time go by this number."""
    return min(held_frames(base) + _MOST_ABSENT, _MOST_FRAMES)


def read_record(files: StoredFiles, owner: Node, base: Node) -> FrameRecord:
    """Return what is on record about the frames of an array.

    Parameters
    ----------
    files
        The store.
    owner
        The node with the attribute ``aqz``.
    base
        The array at full resolution.

    Raises
    ------
    StorageError
        The record is malformed, or has more frames than there can be.
    """
    assert base.array is not None
    axes = _leading_axes(owner)
    order = _storage_order(axes, owner, base)
    stored = base.array.shape[: len(axes)]
    shape = tuple(stored[order.index(position)] for position in range(len(axes)))
    if order and order[0] != 0:
        shape = _declared_sizes(owner, base, shape, order)
    frames = math.prod(shape)
    most = most_frames(base)
    if frames > most:
        raise StorageError(
            f"{base.where}: the shape {base.array.shape} has room for {frames:,} frames, but what "
            f"is stored for {most:,} at most; it cannot be right"
        )
    router = FrameRouter(shape, order)
    certain = owner.aqz.get("frames")
    logged = logged_frames(files, base.log if frames else None, router, frames)
    told, flushed, lost = (np.zeros(frames, bool) for _ in range(3))
    flushed[: len(logged.flushed)] = logged.flushed
    lost[: len(logged.lost)] = logged.lost
    if type(certain) is int:
        told[: max(0, certain)] = True
        told[: len(logged.skipped)] &= ~(logged.skipped | logged.lost)
    else:
        told[: len(logged.recorded)] = logged.recorded
    return FrameRecord(
        axes=axes,
        order=order,
        shape=shape,
        length=stored[0] if stored else 0,
        router=router,
        in_order=type(certain) is int,
        gaps=owner.aqz.get("gaps") is not False,
        closed=owner.aqz.get("state") == "complete",
        live=owner.aqz.get("live") is True,
        has_log=base.log is not None,
        told=told,
        flushed=flushed,
        lost=lost,
    )


def impossible_record(owner: Node) -> str | None:
    """Say what cannot be right about the attribute ``aqz`` of a node, if anything."""
    if "aqz" not in owner.attributes:
        return None
    found = owner.attributes["aqz"]
    if not isinstance(found, dict):
        return f"the attribute aqz is {found!r}, not an object"
    frames = found.get("frames")
    if frames is not None and (type(frames) is not int or frames < 0):
        return f"the attribute aqz speaks of {frames!r} frames"
    return None


def impossible_length(owner: Node, base: Node, *, idle: bool) -> str | None:
    """Say why an array cannot be as long as its metadata say, if that is so.

    Parameters
    ----------
    owner
        The node with the attribute ``aqz``.
    base
        The array at full resolution.
    idle
        Whether the store is on a filesystem, and nobody has written it since before it was listed.
    """
    frames, array = owner.aqz.get("frames"), base.array
    if array is None or type(frames) is not int or impossible_record(owner):
        return None
    try:
        axes = _leading_axes(owner)
        order = _storage_order(axes, owner, base)
    except StorageError:
        return None
    sizes = [axis.get("size") for axis in owner.aqz["axes"][: len(axes)]]
    room = math.prod(sizes) if all(type(size) is int for size in sizes) else 0
    if room and frames > room:
        return f"the attribute aqz speaks of {frames} frames, but the axes have room for {room}"
    if not axes or order[0] != 0:
        return None
    stored = array.shape[: len(axes)]
    length = -(-frames // max(1, math.prod(stored[1:])))
    told = f"{frames} frames make a length of {length}, but the shape is {array.shape}"
    if owner.aqz.get("state") == "complete":
        return None if stored[0] == length else told
    # Zarr V2 has the shape in one file and the state in another: a log may know of gaps before it.
    may_have_gaps = owner.aqz.get("gaps") is not False or base.log is not None
    if may_have_gaps or not owner.aqz.get("live") or not idle:
        return None
    extent = (array.shard_shape or array.chunk_shape)[0]
    reach = max((file.coordinate[0] + 1 for file in base.files), default=0) * extent
    return told if max(stored[0], length) > max(reach, min(stored[0], length)) else None


def _leading_axes(owner: Node) -> tuple[str, ...]:
    """Return the names of the axes in front of the frame's own, in the order of arrival."""
    try:
        return tuple(str(axis["name"]) for axis in owner.aqz["axes"][:-2])
    except (TypeError, KeyError) as error:
        raise StorageError(f"{owner.where}: the attribute aqz is malformed: {error!r}") from error


def _declared_sizes(owner: Node, base: Node, shape: Index, order: Index) -> Index:
    """Return the sizes of the index axes in the order of arrival, the first in the store's too."""
    size = owner.aqz["axes"][order[0]].get("size")
    if type(size) is not int or size < shape[order[0]]:
        raise StorageError(
            f"{base.where}: the axis {owner.aqz['axes'][order[0]].get('name')!r} has size {size!r} "
            f"in the attribute aqz, and {shape[order[0]]} in the array"
        )
    return tuple(size if axis == order[0] else n for axis, n in enumerate(shape))


def _storage_order(axes: tuple[str, ...], owner: Node, base: Node) -> Index:
    """Return, for each index axis as stored, its position in the order of arrival."""
    assert base.array is not None
    names = axis_names(owner, base.array)[: len(axes)]
    if len(base.array.shape) != len(axes) + 2 or sorted(map(str, names)) != sorted(axes):
        raise StorageError(
            f"{base.where}: the attribute aqz names the axes {list(axes)} in front of the frame's, "
            f"the array {names}"
        )
    return tuple(axes.index(str(name)) for name in names)
