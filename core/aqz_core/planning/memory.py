"""How much memory a recording needs, and how its budget is divided: pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from aqz_core.errors import MemoryBudgetError
from aqz_core.planning.layout import ArrayLayout
from aqz_core.storage.alignment import align
from aqz_core.storage.objects.part_sizes import part_size
from aqz_core.storage.platform import machine_nbytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aqz_core.codecs import CodecChain
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.layout import ArrayLayout, Column

__all__ = [
    "ArrayMemory",
    "MemoryPlan",
    "PartNeeds",
    "buffer_nbytes",
    "machine_nbytes",
    "object_bound",
    "open_shards",
    "part_needs",
    "plan_memory",
    "size_class",
    "staging_nbytes",
]

LEAST_IN_FLIGHT = 2


COMFORTABLE_IN_FLIGHT = 8


CLIENT_NBYTES = 32 << 20
"""What a client takes beside the parts: its tables, buffers of sockets, slices on their way,
answers. Measured with 64 shards open and 8 parts in flight: up to 20 MiB."""


DEFAULT_BUDGET = 256 << 20
"""Budget in bytes when none is given, the layout needs no more, and so much can come."""

WAITING_FRAMES = 4096
"""Frames that may wait where the budget is not given: more than half a second of a fast camera."""


MIN_STAGING = 16 << 20


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A budget in bytes, divided.

    Attributes
    ----------
    total
        Bound of everything below together.
    pixels
        For buffers of level 0: frames that were appended and are not stored yet.
    staging
        For encoded chunks on their way to the store.
    minimum
        The smallest total that the layout could be recorded with.
    parts
        For parts of shards on their way into an object store.
    """

    total: int
    pixels: int
    staging: int
    minimum: int
    parts: int = 0


@dataclass(frozen=True)
class ArrayMemory:
    """What one array asks for, in bytes.

    Attributes
    ----------
    open_layers
        Level 0 buffers of layers that are incomplete at the same time.
    layer
        Level 0 buffers of one layer.
    upper_share
        Bytes that the other levels take for each byte of level 0 in flight.
    upper_open
        Buffers of incomplete layers of the other levels, and planes that wait for a neighbour.
    upper_layers
        Buffers of one layer of each of the other levels.
    staging
        The largest buffer, encoded as badly as can be; 0 if chunks are stored as they are.
    scratch
        What each worker needs to reduce a plane.
    plane_by_plane
        Whether every plane completes the chunks that it touches, on all levels: between two planes
        nothing is kept.
    frame
        One frame.
    whole
        All frames that the array will have, or as many as may wait.
    padded
        Level 0 buffers of all layers that the array will have; infinite if it has no end.
    encoded
        Buffers of all levels, encoded as badly as can be; infinite if it has no end.
    remedy
        What would make these needs smaller, for messages.
    """

    open_layers: int
    layer: int
    upper_share: float
    upper_open: int
    upper_layers: int
    staging: int
    scratch: int
    plane_by_plane: bool = False
    frame: int = 0
    whole: int = DEFAULT_BUDGET
    padded: float = math.inf
    encoded: float = math.inf
    remedy: str = "chunks with fewer planes"

    @property
    def need(self) -> int:
        """Bytes that the array takes by itself, roughly."""
        return self.open_layers + self.upper_open + self.staging

    @classmethod
    def of(
        cls,
        levels: Sequence[ArrayLayout],
        codecs: CodecChain,
        room: int,
        arrival: Sequence[int] = (),
    ) -> ArrayMemory:
        """Work out the needs of an array.

        Parameters
        ----------
        levels
            Full resolution first.
        codecs
            What chunks pass through.
        room
            Bytes that a buffer has in front and behind.
        arrival
            Order of the planes, as for `ArrayLayout.open_layers`.

        Raises
        ------
        MemoryBudgetError
            Not even a frame fits the machine; its chunks are then too many to be looked at.
        """
        machine = machine_nbytes()
        if machine is not None and levels[0].frame_nbytes > machine:
            raise MemoryBudgetError(
                f"A frame takes {levels[0].frame_nbytes:,} bytes, but the machine has "
                f"{machine:,}. Use smaller frames."
            )
        layers = [_layer_nbytes(level, room) for level in levels]
        base, *upper = levels
        open_layers = [level.open_layers(arrival) for level in levels]
        in_order = not arrival or list(arrival) == sorted(arrival)
        waiting = sum(_waiting_nbytes(*pair, arrival) for pair in pairwise(levels))
        staging = 0
        if not codecs.is_identity:
            staging = max(
                staging_nbytes(level, column, codecs, room)
                for level in levels
                for column in level.columns
            )
        return cls(
            open_layers=open_layers[0] * layers[0],
            layer=layers[0],
            upper_share=sum(level.frame_nbytes for level in upper) / base.frame_nbytes,
            upper_open=sum(
                (count + 1) * layer
                for count, layer in zip(open_layers[1:], layers[1:], strict=True)
            )
            + (0 if in_order else waiting),
            upper_layers=sum(layers[1:]),
            staging=staging,
            scratch=3 * base.frame_nbytes if upper else 0,
            plane_by_plane=all(math.prod(level.lead_chunk) == 1 for level in levels)
            and not any(_halves_z(*pair) for pair in pairwise(levels)),
            frame=base.frame_nbytes,
            whole=base.frame_nbytes
            * min(WAITING_FRAMES, math.prod(base.lead_shape) or WAITING_FRAMES),
            padded=layers[0] * base.layers or math.inf,
            encoded=staging * sum(level.layers * len(level.columns) for level in levels)
            if base.layers
            else math.inf,
            remedy=_remedy(levels, room),
        )


def plan_memory(
    arrays: Sequence[ArrayMemory],
    workers: int,
    max_memory: int | None,
    *,
    fields: Sequence[ArrayMemory] = (),
    parts: PartNeeds | None = None,
) -> MemoryPlan:
    """Divide a budget among the parts of a recording.

    Parameters
    ----------
    arrays
        The needs of each array that may be recorded at any time.
    fields
        The needs of the fields of plates. The budget is for one of them at least; as many more
        as fit are in memory at once, and the others are shelved. Arrays that are recorded plane by
        plane are counted like that, too, all but the first.
    parts
        What shards take on their way into an object store.
    workers
        Number of worker threads.
    max_memory
        The budget in bytes; None chooses one.

    Raises
    ------
    MemoryBudgetError
        The budget, or the machine, is too small for the layout.
    """
    every = [*arrays, *fields]
    in_turn = [array for array in arrays if array.plane_by_plane]
    arrays = [array for array in arrays if not array.plane_by_plane] + in_turn[:1]
    fields = [*fields, *in_turn[1:]]
    buffer = max((array.staging for array in every), default=0)
    encoded = sum(array.encoded for array in every if array.staging)
    staging = int(min(max(MIN_STAGING, (workers + 2) * buffer), encoded)) if buffer else 0
    share = 1 + max((array.upper_share for array in every), default=0.0)
    if fields:  # each that is in memory may begin a layer of every level
        share = max(share, 1 + max(field.upper_layers / field.layer for field in fields))
    fixed = (
        staging
        + workers * max((array.scratch for array in every), default=0)
        + sum(array.upper_open for array in arrays)
        + max((field.upper_open for field in fields), default=0)
        + (parts.least + parts.client if parts else 0)
    )
    more_parts = parts.comfortable - parts.least if parts else 0
    least = sum(array.open_layers for array in arrays)
    least += max((field.open_layers for field in fields), default=0)
    one_more = max((array.layer for array in every), default=0)
    minimum = fixed + int(least * share)
    comfortable = fixed + int((least + 2 * one_more) * share) + more_parts
    whole = fixed + more_parts + int(max((array.whole for array in every), default=0) * share)
    all_layers = sum(array.padded for array in every)
    useful = max(comfortable, min(DEFAULT_BUDGET, whole))
    useful = max(minimum, int(min(useful, fixed + more_parts + all_layers * share)))
    total = max_memory if max_memory is not None else useful
    if total < minimum:
        raise MemoryBudgetError(
            f"max_memory is {total:,} bytes, but this layout needs {minimum:,} at least and "
            f"{comfortable:,} to work well. Raise max_memory, or use "
            f"{_relief(every, total)}."
        )
    machine = machine_nbytes()
    if machine is not None and minimum > machine:
        raise MemoryBudgetError(
            f"This layout needs {minimum:,} bytes at least, but the machine has {machine:,}. "
            f"Use {_relief(every, machine)}."
        )
    more_parts = min(more_parts, (total - minimum) // 2)
    pixels = int((total - fixed - more_parts) / share)
    return MemoryPlan(total, pixels, staging, minimum, (parts.least if parts else 0) + more_parts)


def staging_nbytes(layout: ArrayLayout, column: Column, codecs: CodecChain, room: int) -> int:
    """Return the size of a buffer for all chunks of a column, encoded as badly as can be."""
    chunks = column.chunks * layout.buffer_chunks
    body = chunks * codecs.max_encoded_size(layout.chunk_nbytes)
    return size_class(buffer_nbytes(body, room))


def _relief(arrays: Sequence[ArrayMemory], limit: int) -> str:
    """Say what would help to fit a limit."""
    greediest = max(arrays, key=lambda array: array.need)
    if greediest.frame > limit:
        return "smaller frames: a region of the camera, or several arrays"
    return greediest.remedy


def _remedy(levels: Sequence[ArrayLayout], room: int) -> str:
    """Say what an array should have less of, to need less memory."""
    if 2 * room > max(level.buffer_nbytes(level.columns[0]) for level in levels):
        return "shards of fewer chunks"  # it is their indexes
    if max(level.chunk_planes for level in levels) > 1:
        return "chunks with fewer planes"
    return "smaller frames: a region of the camera, or several arrays"


def _layer_nbytes(layout: ArrayLayout, room: int) -> int:
    """Return the bytes of all buffers of one layer."""
    return sum(align(layout.buffer_nbytes(column)) + 2 * room for column in layout.columns)


def _waiting_nbytes(level: ArrayLayout, below: ArrayLayout, arrival: Sequence[int]) -> int:
    """Return the bytes of planes that wait for a neighbour in z to be reduced with."""
    if _halves_z(level, below):
        return level.waiting_planes(arrival) * below.frame_nbytes
    return 0


def _halves_z(level: ArrayLayout, below: ArrayLayout) -> bool:
    """Return whether two planes of a level make one of the next."""
    return bool(level.lead_shape) and below.shape[-3] != level.shape[-3]


@dataclass(frozen=True, slots=True)
class PartNeeds:
    """Bytes that parts take.

    Attributes
    ----------
    least
        Enough to record at all.
    comfortable
        Enough to keep the network busy.
    client
        For connections, whatever parts take.
    """

    least: int = 0
    comfortable: int = 0
    client: int = 0


def open_shards(layout: ArrayLayout, arrival: Sequence[int] = ()) -> int:
    """Return how many shards planes keep incomplete at most.

    Parameters
    ----------
    layout
        The array's chunk grid.
    arrival
        For each index axis, its position in the order in which planes come; in storage order if
        empty.
    """
    if layout.shard_chunks is None:
        return 0
    count = 1
    for chunks, shard in zip(layout.grid[-2:], layout.shard_chunks[-2:], strict=True):
        count *= -(-chunks // shard)
    axes = sorted(range(len(layout.lead_shape)), key=lambda axis: (arrival or [*range(8)])[axis])
    outer_open = False
    for axis in axes:
        size = layout.lead_chunk[axis] * layout.shard_chunks[axis]
        pixels = layout.lead_shape[axis]
        if outer_open:
            count *= max(1, -(-pixels // size))
        outer_open = outer_open or (size > 1 and pixels != 1)
    return count


def part_needs(
    arrays: Iterable[ArrayPlan], fields: Iterable[ArrayPlan], *, whole: bool
) -> PartNeeds:
    """Work out what the parts of a recording take.

    Parameters
    ----------
    arrays
        Arrays that may be recorded at any time.
    fields
        Fields of plates, of which one at a time is counted.
    whole
        Whether the store takes whole objects only.
    """
    always = [_of_array(plan, whole=whole) for plan in arrays]
    in_turn = [_of_array(plan, whole=whole) for plan in fields]
    opened = sum(nbytes for nbytes, _ in always)
    opened += max((nbytes for nbytes, _ in in_turn), default=0)
    largest = max((part for _, part in [*always, *in_turn]), default=0)
    least, comfortable = LEAST_IN_FLIGHT * largest, COMFORTABLE_IN_FLIGHT * largest
    return PartNeeds(opened + least, opened + comfortable, CLIENT_NBYTES)


def _of_array(plan: ArrayPlan, *, whole: bool) -> tuple[int, int]:
    """Return the bytes of parts being filled, and of the largest part, over all levels."""
    opened, largest = 0, 0
    for layout in plan.layouts:
        bound = object_bound(layout, plan.codecs)
        part = bound if whole else part_size(bound)
        opened += open_shards(layout, plan.lead_order) * part
        largest = max(largest, part)
    return opened, largest


def object_bound(layout: ArrayLayout, codecs: CodecChain) -> int:
    """Return the most bytes that a shard, or a chunk without shards, can have."""
    chunk = codecs.max_encoded_size(layout.chunk_nbytes)
    if layout.shard_chunks is None:
        return chunk
    return math.prod(layout.shard_chunks) * (chunk + 16) + 4


def size_class(nbytes: int) -> int:
    """Round up to one of a few sizes, an eighth apart at most, so that buffers fit again."""
    step = max(1 << 14, 1 << max(0, nbytes.bit_length() - 4))
    return align(nbytes, step)


def buffer_nbytes(body: int, room: int) -> int:
    """Return the size of a buffer for a body with `room` in front, and behind if there is any."""
    return room + align(body) + (align(room + 1) if room else 0)
