"""Chunks and shards that suit an array: a proposal from its shape and data type alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["LayoutSuggestion", "suggest_layout"]

CHUNK_EDGE = 512
"""Pixels along Y and X: large enough to compress well, small enough to look at a part."""

CHUNK_NBYTES = 1 << 20
"""Small planes share a chunk until it is about this large."""

SHARD_NBYTES = 128 << 20
"""A shard is about as large: few files, none of them unwieldy."""


@dataclass(frozen=True, slots=True)
class LayoutSuggestion:
    """A proposed layout.

    Attributes
    ----------
    chunk_shape
        Pixels of a chunk on each axis.
    shard_chunks
        Chunks of a shard on each axis.
    """

    chunk_shape: tuple[int, ...]
    shard_chunks: tuple[int, ...]


def suggest_layout(shape: Sequence[int], dtype: np.dtype[Any]) -> LayoutSuggestion:
    """Propose chunks and shards.

    Chunks are cut from planes; where planes are small, several along the axis that counts
    fastest share a chunk. A shard holds whole planes, as many along that axis as make it large.

    Parameters
    ----------
    shape
        Pixels on each axis, Y and X last; 0 on the first if unlimited.
    dtype
        Of the pixels.
    """
    height, width = (max(1, size) for size in shape[-2:])
    edges = [_even_part(height), _even_part(width)]
    in_plane = [math.ceil(height / edges[0]), math.ceil(width / edges[1])]
    lead = len(shape) - 2
    chunk, shard = [1] * lead, [1] * lead
    if lead:
        size = shape[-3] or 2**31
        plane_nbytes = height * width * dtype.itemsize
        tile_nbytes = math.prod(edges) * dtype.itemsize
        chunk[-1] = max(1, min(size, CHUNK_NBYTES // tile_nbytes))
        planes = max(1, SHARD_NBYTES // plane_nbytes // chunk[-1])
        shard[-1] = min(planes, math.ceil(size / chunk[-1]))
    return LayoutSuggestion((*chunk, *edges), (*shard, *in_plane))


def _even_part(size: int) -> int:
    """Return a chunk edge of about `CHUNK_EDGE` that divides an axis with little left over."""
    return math.ceil(size / max(1, round(size / CHUNK_EDGE)))
