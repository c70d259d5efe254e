"""Chunks of frames that a resumed recording does not take up: they are removed before it begins.

Such a frame lacks chunks, so it comes again, or never. If one of its new chunks then failed to be
stored, a chunk that a crash left of the old frame would stand in for it, and the frame would count
as stored with pixels of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import MISSING, encode_index
from aqz_core.reading.chunks import chunk_coordinates, chunks_per_shard, indexes_of
from aqz_core.reading.shard_indexes import named
from aqz_core.recovery.changes import StoreChanges, changing
from aqz_core.recovery.missing_chunks import any_in_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.plugins import Hooks
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile, Node
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.storage.lock import StoreLock

__all__ = ["drop_chunks"]

Flags = npt.NDArray[np.bool_]
Change = Callable[[StoreChanges], None]

_MOST_PLANES = 2**28
"""Planes of one index of the first axis; no recording has as many."""


def drop_chunks(
    files: StoredFiles,
    hooks: Hooks,
    lock: StoreLock | None,
    plan: ArrayPlan,
    levels: Sequence[Node],
    keeps: Flags,
    *,
    live: bool,
) -> None:
    """Remove the chunks, at every level, that hold no frame which is to be kept.

    Chunks that hold such frames and others are rewritten when the kept ones are recorded again.

    Parameters
    ----------
    files, hooks, lock
        The store, locked.
    plan
        How the array is recorded.
    levels
        The arrays of its levels.
    keeps
        Which frames are kept, by number, shape (frames,).
    live
        Whether shards may be changed where they are; others are replaced as a whole later.

    Raises
    ------
    StorageError
        The store refuses a change.
    """
    if math.prod(plan.lead_shape[1:]) > _MOST_PLANES:
        return
    planes = _planes(plan, keeps)
    changes = [
        change
        for node, level in zip(levels, plan.geometry, strict=True)
        for change in _changes(
            files, node, any_in_blocks(planes, level.scale_factors[:-2]), live=live
        )
    ]
    if changes:
        with changing(files, hooks, lock) as store:
            for change in changes:
                change(store)


def _planes(plan: ArrayPlan, keeps: Flags) -> Flags:
    """Return which planes of the full resolution are kept, by storage index.

    Where frames are appended on the first axis of the store, it ends behind the last of `keeps`.
    """
    if not plan.lead_order:
        return np.asarray(keeps.any())
    first, *inner = plan.lead_shape
    reached = -(-len(keeps) // math.prod(inner))
    flags = np.zeros((reached if plan.lead_order[0] == 0 else first, *inner), bool)
    flags.reshape(-1)[: len(keeps)] = keeps
    return flags.transpose(plan.lead_order)


def _changes(files: StoredFiles, node: Node, planes: Flags, *, live: bool) -> Iterator[Change]:
    """Yield what is to be done to the files of one level."""
    array = node.array
    assert array is not None
    layers = any_in_blocks(planes, array.chunk_shape[:-2])
    extent = chunks_per_shard(array)[:-2]
    beyond = [(0, -size % step) for size, step in zip(layers.shape, extent, strict=True)]
    if beyond:  # a shard may hold layers behind the last one that is kept
        layers = np.pad(layers, beyond)
    coordinates = np.array([file.coordinate[:-2] for file in node.files], np.int64)
    coordinates = coordinates.reshape(len(node.files), len(extent))
    has_kept = _at(any_in_blocks(layers, extent), coordinates)
    has_others = ~has_kept | _at(any_in_blocks(~layers, extent), coordinates)
    for file, some, others in zip(node.files, has_kept, has_others, strict=True):
        if not some:
            yield partial(StoreChanges.remove, name=file.name)
        elif others and live and array.shard_shape is not None:
            yield from _index_changes(files, array, file, layers)


def _at(flags: Flags, coordinates: npt.NDArray[np.int64]) -> Flags:
    """Return flags at coordinates, shape (coordinates, axes); False beyond the last."""
    inside = (coordinates < flags.shape).all(axis=1)
    found = np.zeros(len(coordinates), bool)
    found[inside] = flags[tuple(coordinates[inside].T)]
    return found


def _index_changes(
    files: StoredFiles, array: StoredArray, file: ChunkFile, layers: Flags
) -> Iterator[Change]:
    """Yield how chunks are taken out of both indexes of a shard."""
    indexes = indexes_of(files, array, file)
    entries = indexes.best(prefer_end=array.index_at_end)
    if entries is None:
        return
    numbers = np.flatnonzero(named(entries))
    dropped = numbers[~_at(layers, chunk_coordinates(array, file.coordinate, numbers)[:, :-2])]
    if not dropped.size:
        return
    left = entries.copy()
    left[dropped] = MISSING
    block = encode_index(left)
    for offset, index in ((0, indexes.start), (indexes.nbytes - len(block), indexes.end)):
        if index is not None:
            yield partial(StoreChanges.write_at, name=file.name, offset=offset, data=block)
