"""How much memory shards take on their way into an object store: pure arithmetic.

Such a store takes the bytes of a shard in order, in parts of some size. Every shard that is open
keeps one part that is being filled; the parts that are full are in flight for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.storage.objects.part_sizes import part_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aqz_core.codecs import CodecChain
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.layout import ArrayLayout

__all__ = ["PartNeeds", "object_bound", "open_shards", "part_needs"]

LEAST_IN_FLIGHT = 2
COMFORTABLE_IN_FLIGHT = 8

CLIENT_NBYTES = 32 << 20
"""What a client takes beside the parts: its tables, buffers of sockets, slices on their way,
answers. Measured with 64 shards open and 8 parts in flight: up to 20 MiB."""


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
        The array's lattice.
    arrival
        For each leading axis, its position in the order in which planes come; in storage order if
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
