"""Where every plane of an array goes: pure arithmetic on one chunk and shard chunk grid.

An array of N axes is recorded as *planes* (its last two axes, Y and X). The N - 2 axes in front of
them are the *leading* axes; the first of those is the append axis and may be unlimited (size 0).

A plane is cut into tiles, one for each chunk it crosses. Tiles are collected in *buffers*: a buffer
holds, for one *column* (a rectangle of chunks inside one shard), either a run of planes of one
chunk layer, or several whole chunk layers. All buffers that the same planes go to form a *layer*.
This module says which layer and slot a plane has, and which chunks a buffer holds; it touches no
memory, no file and no thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from aqz_core.storage.alignment import PAGE, align

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

__all__ = ["ArrayLayout", "Column", "LayerKey", "PlaneSlot", "plan_layout"]


MAX_SLAB_NBYTES = 16 << 20
"""A column is split by chunk rows until its buffer is about this small, so that memory comes free
in steps and several threads share the work on one layer."""

MIN_SLAB_NBYTES = 512 << 10
"""Small chunk layers share a buffer until it is this large, so that one write carries many."""

MAX_PIECE_LAYER_NBYTES = 128 << 20
"""An uncompressed chunk layer larger than this is written in pieces while it fills."""

MIN_PIECE_NBYTES = 64 << 10
"""Pieces smaller than this would cost more in write calls than they save in memory."""

LayerKey = tuple[int, ...]
"""Chunk coordinate on each index axis (the last one in groups), then the piece number."""


class PlaneSlot(NamedTuple):
    """Where a plane is stored, and for how many following planes the next slot is right."""

    layer: LayerKey
    slot: int
    run: int


@dataclass(frozen=True, slots=True)
class Column:
    """A rectangle of chunks that lies in one shard: rows and columns of the chunk chunk grid.

    Attributes
    ----------
    rows, cols
        Chunk coordinates on Y and X, inside the array.
    shard
        Shard coordinate on Y and X.
    """

    rows: range
    cols: range
    shard: tuple[int, int]

    @property
    def chunks(self) -> int:
        """Number of chunks in one layer of this column."""
        return len(self.rows) * len(self.cols)


@dataclass(frozen=True)
class ArrayLayout:
    """The chunk grid of one stored array (one level of a pyramid).

    Parameters
    ----------
    shape
        Size in pixels on each axis, in storage order; ``shape[0] == 0`` means unlimited and needs
        at least three axes.
    chunk_shape
        Size of a chunk in pixels on each axis.
    shard_chunks
        Number of chunks of a shard on each axis, or None when every chunk is a file.
    dtype
        Little-endian pixel type.
    fill_value
        What pixels that were never recorded read as.
    buffer_planes
        Planes of one chunk layer that a buffer holds; all of them unless chunks go out in pieces.
    buffer_chunks
        Chunk layers, along the last index axis, that a buffer holds.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    shard_chunks: tuple[int, ...] | None
    dtype: np.dtype[np.generic]
    fill_value: int | float = 0
    buffer_planes: int = 1
    buffer_chunks: int = 1

    # ---- sizes ------------------------------------------------------------------------------

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane, in pixels."""
        return self.shape[-2], self.shape[-1]

    @cached_property
    def frame_nbytes(self) -> int:
        """Bytes of one plane as it is appended."""
        return self.shape[-2] * self.shape[-1] * self.dtype.itemsize

    @property
    def lead_shape(self) -> tuple[int, ...]:
        """Sizes of the index axes."""
        return self.shape[:-2]

    @property
    def lead_chunk(self) -> tuple[int, ...]:
        """Chunk sizes on the index axes."""
        return self.chunk_shape[:-2]

    @cached_property
    def tile_nbytes(self) -> int:
        """Bytes that one plane takes in one chunk, edges padded."""
        return self.chunk_shape[-2] * self.chunk_shape[-1] * self.dtype.itemsize

    @cached_property
    def chunk_planes(self) -> int:
        """Planes that a chunk holds."""
        return math.prod(self.lead_chunk)

    @cached_property
    def chunk_nbytes(self) -> int:
        """Bytes of one chunk before its codecs."""
        return self.chunk_planes * self.tile_nbytes

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks on each axis; 0 on an unlimited append axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))

    @cached_property
    def slots(self) -> int:
        """Planes that a layer has room for."""
        return self.buffer_planes * self.buffer_chunks

    @property
    def in_pieces(self) -> bool:
        """Whether a chunk is written in several runs of planes."""
        return self.buffer_planes < self.chunk_planes

    @cached_property
    def layer_nbytes(self) -> int:
        """Bytes of pixels of all buffers of one layer."""
        return self.slots * self.tile_nbytes * math.prod(self.grid[-2:])

    # ---- columns and shards -----------------------------------------------------------------

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns that a plane is scattered into, shard by shard."""
        return tuple(self._columns())

    def _columns(self) -> Iterator[Column]:
        """Cut each shard of a plane into columns of about `MAX_SLAB_NBYTES`."""
        rows, cols = self.grid[-2:]
        per_shard = self.shard_chunks[-2:] if self.shard_chunks else (rows, cols)
        for y0 in range(0, rows, per_shard[0]):
            for x0 in range(0, cols, per_shard[1]):
                shard_rows = range(y0, min(y0 + per_shard[0], rows))
                shard_cols = range(x0, min(x0 + per_shard[1], cols))
                row_nbytes = len(shard_cols) * self.tile_nbytes * self.slots
                step = max(1, min(len(shard_rows), MAX_SLAB_NBYTES // row_nbytes))
                if (
                    self.buffer_chunks > 1
                ):  # a buffer of several layers must be one run of the shard
                    step = len(shard_rows)
                for first in range(0, len(shard_rows), step):
                    part = shard_rows[first : first + step]
                    yield Column(part, shard_cols, (y0 // per_shard[0], x0 // per_shard[1]))

    def buffer_nbytes(self, column: Column) -> int:
        """Bytes of pixels that a buffer of `column` holds."""
        return self.slots * self.tile_nbytes * column.chunks

    @cached_property
    def chunks_per_shard(self) -> int:
        """Entries in a shard's index."""
        return math.prod(self.shard_chunks) if self.shard_chunks else 1

    def shard_of(self, lead_chunk: tuple[int, ...], column: Column) -> tuple[int, ...]:
        """Return the coordinate of the shard that holds a chunk layer's column."""
        assert self.shard_chunks is not None
        lead = zip(lead_chunk, self.shard_chunks, strict=False)
        return tuple(k // s for k, s in lead) + column.shard

    def shard_extent(self, shard: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many chunks of a shard lie inside the array, on each axis."""
        assert self.shard_chunks is not None
        return tuple(
            min(s, n - k * s) if n else s
            for k, s, n in zip(shard, self.shard_chunks, self.grid, strict=True)
        )

    @property
    def index_room(self) -> int:
        """Bytes of a shard's two indexes, page-aligned; 0 without shards."""
        return 2 * align(16 * self.chunks_per_shard + 4) if self.shard_chunks else 0

    # ---- planes to layers, and back ---------------------------------------------------------

    def place(self, lead: tuple[int, ...]) -> PlaneSlot:
        """Return where the plane at index `lead` is stored.

        ``run`` counts the planes, this one included, that follow it on the last index axis into
        the next slots of the same layer.
        """
        if len(lead) == 1:
            return self._place_on_one_axis(lead[0])
        if not lead:
            return PlaneSlot((0,), 0, 1)
        plane = 0
        chunk = []
        for index, size in zip(lead, self.lead_chunk, strict=True):
            k, rest = divmod(index, size)
            chunk.append(k)
            plane = plane * size + rest
        size, last = self.lead_chunk[-1], lead[-1]
        if self.buffer_chunks > 1:
            group, member = divmod(chunk[-1], self.buffer_chunks)
            chunk[-1] = group
            slot = member * size + plane
            end = (group + 1) * self.buffer_chunks * size
            return PlaneSlot((*chunk, 0), slot, min(end, self.shape[-3]) - last)
        piece, slot = divmod(plane, self.buffer_planes)
        end = min((chunk[-1] + 1) * size, self.shape[-3])
        return PlaneSlot((*chunk, piece), slot, min(end - last, self.buffer_planes - slot))

    def _place_on_one_axis(self, index: int) -> PlaneSlot:
        """Do the same with one index axis, where slots simply count on."""
        layer, slot = divmod(index, self.slots)
        pieces = self.chunk_planes // self.buffer_planes
        if pieces > 1:
            return PlaneSlot(divmod(layer, pieces), slot, self.slots - slot)
        return PlaneSlot((layer, 0), slot, self.slots - slot)

    def lead_of(self, key: LayerKey, slot: int) -> tuple[int, ...]:
        """Return the index of a slot: the inverse of `place`."""
        if len(self.lead_shape) == 0:
            return ()
        *chunk, piece = key
        member, plane = divmod(slot, self.buffer_planes)
        plane += piece * self.buffer_planes
        chunk[-1] = chunk[-1] * self.buffer_chunks + member
        lead = []
        for k, size in zip(reversed(chunk), reversed(self.lead_chunk), strict=True):
            plane, rest = divmod(plane, size)
            lead.append(k * size + rest)
        return tuple(reversed(lead))

    def expected_slots(self, key: LayerKey) -> int:
        """Return how many slots of a layer lie inside the array."""
        *chunk, piece = key
        count = 1
        for axis, (k, n, c) in enumerate(
            zip(chunk, self.lead_shape, self.lead_chunk, strict=False)
        ):
            size = c * self.buffer_chunks if axis == len(self.lead_shape) - 1 else c
            valid = min(size, n - k * size) if n else size
            if self.in_pieces and c > 1:  # the only axis that has more than one plane a chunk
                valid = min(self.buffer_planes, valid - piece * self.buffer_planes)
            count *= valid
        return count

    def pieces_of(self, lead_chunk: tuple[int, ...]) -> int:
        """Return in how many pieces the planes of a chunk layer that lie in the array come."""
        return math.prod(
            -(-(min(c, n - k * c) if n else c) // self.buffer_planes)
            for k, n, c in zip(lead_chunk, self.lead_shape, self.lead_chunk, strict=True)
        )

    def group_of(self, lead_chunk: tuple[int, ...]) -> tuple[int, ...]:
        """Return what is the same for all chunk layers that share a buffer with this one."""
        if not lead_chunk:
            return ()
        return (*lead_chunk[:-1], lead_chunk[-1] // self.buffer_chunks)

    def lead_chunks(self, key: LayerKey) -> list[tuple[int, ...]]:
        """Return the index chunk coordinates of a layer that lie inside the array."""
        *chunk, _ = key
        if not self.lead_shape:
            return [()]
        first = chunk[-1] * self.buffer_chunks
        stop = first + self.buffer_chunks
        if self.grid[-3]:
            stop = min(stop, self.grid[-3])
        return [(*chunk[:-1], last) for last in range(first, stop)]

    # ---- the append axis --------------------------------------------------------------------

    @cached_property
    def append_unit(self) -> int:
        """Indices of the append axis that one chunk coordinate of a `LayerKey` stands for."""
        if not self.lead_shape:
            return 1
        return self.lead_chunk[0] * (self.buffer_chunks if len(self.lead_shape) == 1 else 1)

    @cached_property
    def layers(self) -> int:
        """How many layers the array has; 0 if it has no end."""
        count = 1
        for axis, (n, c) in enumerate(zip(self.lead_shape, self.lead_chunk, strict=True)):
            size = c * self.buffer_chunks if axis == len(self.lead_shape) - 1 else c
            step = self.buffer_planes if self.in_pieces and c > 1 else size
            count *= -(-n // step)
        return count

    def buffers_per_unit(self, unit: int) -> int:
        """Return how many buffers hold the planes of one unit of the append axis."""
        count = len(self.columns)
        for axis, (n, c) in enumerate(zip(self.lead_shape, self.lead_chunk, strict=True)):
            size = c * self.buffer_chunks if axis == len(self.lead_shape) - 1 else c
            first = unit * size if axis == 0 else 0
            stop = first + size if axis == 0 else n
            if axis == 0 and n:
                stop = min(stop, n)
            step = self.buffer_planes if self.in_pieces and c > 1 else size
            count *= -(-(stop - first) // step)
        return count

    def open_layers(self, arrival: Sequence[int] = ()) -> int:
        """Return how many layers planes that come in a fixed order keep incomplete at most.

        Parameters
        ----------
        arrival
            For each index axis, its position in the order of arrival, slowest first; left out
            where planes come in storage order.
        """
        depth = 1
        outer_open = False
        for axis in _by_position(arrival, len(self.lead_shape)):
            n, c = self.lead_shape[axis], self.lead_chunk[axis]
            if axis == len(self.lead_shape) - 1:
                c *= self.buffer_chunks
            if outer_open:
                depth *= max(1, -(-n // c))
            outer_open = outer_open or (c > 1 and n != 1)
        return depth

    def waiting_planes(self, arrival: Sequence[int] = ()) -> int:
        """Return how many planes wait at most for their neighbour on the last index axis.

        Parameters
        ----------
        arrival
            As for `open_layers`.
        """
        order = _by_position(arrival, len(self.lead_shape))
        if not order:
            return 0
        last = len(self.lead_shape) - 1
        rank = order.index(last)
        outer = math.prod(
            min(self.lead_chunk[axis], self.lead_shape[axis] or self.lead_chunk[axis])
            for axis in order[:rank]
        )
        return outer * math.prod(self.lead_shape[a] for a in order[rank + 1 :])


def plan_layout(
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    shard_chunks: tuple[int, ...] | None,
    dtype: np.dtype[np.generic],
    *,
    fill_value: int | float = 0,
    pieces: bool = False,
    grouped: bool = True,
) -> ArrayLayout:
    """Choose how many planes and chunk layers a buffer holds.

    Parameters
    ----------
    shape, chunk_shape, shard_chunks, dtype, fill_value
        See `ArrayLayout`.
    pieces
        Whether chunks may be written in runs of planes while they fill: chunks are stored without
        a codec, in shards that can be written at any offset, and unwritten bytes read as the fill
        value.
    grouped
        Whether small chunk layers may share a buffer. They should not where that buffer would stay
        incomplete for long: planes come in another order, or many arrays take turns.

    Returns
    -------
    ArrayLayout
        With the buffer sizes set.
    """
    whole = ArrayLayout(
        shape, chunk_shape, shard_chunks, dtype, fill_value, math.prod(chunk_shape[:-2]), 1
    )
    if pieces and shard_chunks is not None:
        planes = _piece_planes(whole)
        if planes < whole.chunk_planes:
            return ArrayLayout(shape, chunk_shape, shard_chunks, dtype, fill_value, planes, 1)
    group = _grouped_chunks(whole) if grouped else 1
    return ArrayLayout(
        shape, chunk_shape, shard_chunks, dtype, fill_value, whole.chunk_planes, group
    )


def _by_position(arrival: Sequence[int], axes: int) -> list[int]:
    """Return the index axes in the order of arrival, slowest first."""
    return sorted(range(axes), key=lambda axis: arrival[axis] if arrival else axis)


def _piece_planes(whole: ArrayLayout) -> int:
    """Return the planes of a piece: the most that keep a layer small and writes aligned."""
    planes = whole.chunk_planes
    one_axis = sum(c > 1 for c in whole.lead_chunk) == 1
    if whole.layer_nbytes <= MAX_PIECE_LAYER_NBYTES or not one_axis or whole.chunk_nbytes % PAGE:
        return planes
    frame = whole.layer_nbytes // planes
    best = planes
    for candidate in range(planes - 1, 0, -1):
        piece = candidate * whole.tile_nbytes
        if planes % candidate or piece % PAGE or piece < MIN_PIECE_NBYTES:
            continue
        best = candidate
        if candidate * frame <= MAX_PIECE_LAYER_NBYTES:
            break
    return best


def _grouped_chunks(whole: ArrayLayout) -> int:
    """Return how many small chunk layers share a buffer without leaving their shard."""
    if not whole.lead_shape or any(c > 1 for c in whole.lead_chunk[:-1]):
        return 1
    wanted = MIN_SLAB_NBYTES // whole.layer_nbytes
    if whole.grid[-3]:
        wanted = min(wanted, whole.grid[-3])
    if whole.shard_chunks is None:
        return max(1, wanted)
    in_shard = whole.shard_chunks[-3]
    return max((g for g in range(1, min(wanted, in_shard) + 1) if in_shard % g == 0), default=1)
