"""Which frames of an image are stored, so that those that never came are told from zeros.

A recording of aqz keeps a record of its frames. Of stores of other writers only the chunks tell:
a plane counts as recorded if any chunk of it is stored, or if nothing at all is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.errors import ResumeError, StorageError
from aqz_core.reading.chunks import coordinates_in, indexes_of
from aqz_core.recovery.frame_listing import stored_frames

if TYPE_CHECKING:
    from aqz_core.dataset.view import StoreView
    from aqz_core.reading.node import Node

__all__ = ["recorded_planes"]

Flags = npt.NDArray[np.bool_]


def recorded_planes(view: StoreView, owner: Node, base: Node) -> Flags:
    """Return which planes are recorded: a flag for each index in front of Y and X, as stored.

    Parameters
    ----------
    view
        The store.
    owner, base
        The image, and its array at full resolution.

    Raises
    ------
    StorageError
        The record is damaged, or the store cannot be read.
    """
    assert base.array is not None
    if "axes" not in owner.aqz:
        return _planes_with_chunks(view, base)
    try:
        record, flags = stored_frames(view.files, owner, base, view.providers, idle=view.idle)
    except ResumeError as error:  # of the planes that are looked at
        raise StorageError(str(error)) from error
    planes = flags.reshape(record.shape).transpose(record.order) if record.order else flags
    shape = base.array.shape[:-2]
    return np.array(planes.reshape(-1)[0]) if not shape else planes[: shape[0]]


def _planes_with_chunks(view: StoreView, base: Node) -> Flags:
    """Return which planes have a chunk that is stored."""
    array = base.array
    assert array is not None
    grid = [-(-n // size) for n, size in zip(array.shape, array.chunk_shape, strict=True)][:-2]
    layers = np.zeros(grid, bool)
    for file in base.files:
        try:
            indexes = None if array.shard_shape is None else indexes_of(view.files, array, file)
        except FileNotFoundError:
            continue
        lead = coordinates_in(array, file, indexes)[:, :-2]
        inside = lead[(lead < np.array(grid, int)).all(axis=1)]
        layers[tuple(inside.T)] = True
    sizes = zip(array.shape[:-2], array.chunk_shape[:-2], strict=True)
    return np.asarray(layers[np.ix_(*(np.arange(n) // size for n, size in sizes))])
