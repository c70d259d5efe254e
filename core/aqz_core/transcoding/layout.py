"""How an image will be stored: levels, chunks, shards, and which levels one task can make at once.

A task makes a whole shard of a level. Where the shard of the next level is of exactly the same
pixels, as it is wherever shards hold whole planes, the task makes that one too, from what it has in
memory; otherwise the next level is made afterwards, from the level that is stored.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.enums import DimensionType
from aqz_core.errors import SettingsError
from aqz_core.planning.pyramid import level_geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from aqz_core.planning.pyramid import LevelGeometry
    from aqz_core.transcoding.source import SourceImage

__all__ = ["ImageLayout", "LevelLayout", "blocks_with_frames", "lay_out"]

_SHARD_NBYTES = 128 << 20
"""Pixels of a shard, before compression, if nobody says how many."""
_CHUNK_NBYTES = 1 << 20
_CHUNK_EDGE = 512
_KINDS = {
    "time": DimensionType.TIME,
    "channel": DimensionType.CHANNEL,
    "space": DimensionType.SPACE,
}


@dataclass(frozen=True, slots=True)
class LevelLayout:
    """How one level will be stored.

    Attributes
    ----------
    shape, chunk_shape
        Pixels on each axis of the level and of a chunk.
    block_shape
        Pixels on each axis of what a task makes: a shard, or some chunks where there are none.
    factors
        Pixels of full resolution for each of this level, on each axis.
    source
        The level of the source that it is copied from; None if it is made from the level before.
    halves_z
        Whether z is half of that of the level before.
    follows
        Whether a task for a block of the level before makes the block of this level, too.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    block_shape: tuple[int, ...]
    factors: tuple[float, ...]
    source: int | None
    halves_z: bool
    follows: bool

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks on each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.block_shape, strict=True))


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """How an image will be stored: its levels, full resolution first."""

    levels: tuple[LevelLayout, ...]
    dtype: np.dtype[Any]

    def block_nbytes(self, level: int) -> int:
        """Bytes of the pixels of a block."""
        one = self.levels[level]
        sizes = map(min, one.block_shape, one.shape)
        return math.prod(sizes) * self.dtype.itemsize


def lay_out(
    image: SourceImage,
    chunks: Sequence[int] | None,
    shards: Sequence[int] | None,
    pyramid: str | None,
) -> ImageLayout:
    """Return how an image will be stored.

    Parameters
    ----------
    image
        What will be.
    chunks, shards
        Pixels of a chunk, and chunks of a shard, on each axis; None for those of the source, or for
        usual ones where it has none.
    pyramid
        Method of the smaller levels; "none" for full resolution only; None for the levels of the
        source.

    Raises
    ------
    SettingsError
        They do not fit the image.
    """
    base = image.levels[0]
    rank, itemsize = len(base.shape), base.dtype.itemsize
    chunk_shape = _checked("chunks", chunks, rank, image) or _usual_chunks(image)
    if shards is not None:
        shard_chunks = _checked("shards", shards, rank, image)
    elif chunks is None and base.shard_shape is not None:
        shard_chunks = tuple(map(operator.floordiv, base.shard_shape, base.chunk_shape))
    else:
        shard_chunks = ()
    if pyramid in (None, "none"):
        kept = image.levels if pyramid is None else image.levels[:1]
        levels = []
        for number, one in enumerate(kept):
            factors = tuple(map(_ratio, one.scale, base.scale))
            counts = _counts(one.shape, chunk_shape, shard_chunks, itemsize)
            block = tuple(map(operator.mul, chunk_shape, counts))
            levels.append(LevelLayout(one.shape, chunk_shape, block, factors, number, False, False))
        return ImageLayout(tuple(levels), base.dtype)
    geometry = _geometry(image, chunk_shape)
    levels = []
    for number, made in enumerate(geometry):
        counts = _counts(made.shape, chunk_shape, shard_chunks, itemsize)
        level = LevelLayout(
            made.shape,
            chunk_shape,
            tuple(map(operator.mul, chunk_shape, counts)),
            tuple(map(float, made.scale_factors)),
            0 if number == 0 else None,
            made.halves_z,
            False,
        )
        if number and _is_same_block(levels[-1], level):
            level = replace(level, follows=True)
        levels.append(level)
    return ImageLayout(tuple(levels), base.dtype)


def blocks_with_frames(
    level: LevelLayout, recorded: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_] | None:
    """Return which blocks have recorded frames: a flag for each place in front of Y and X.

    None where all may have some.
    """
    factors = level.factors[:-2]
    if recorded is None or not all(factor.is_integer() for factor in factors):
        return None
    for axis, (blocks, size) in enumerate(zip(level.grid, level.block_shape[:-2], strict=False)):
        starts = np.arange(blocks) * size * int(factors[axis])
        last = max(recorded.shape[axis] - 1, 0)
        recorded = np.logical_or.reduceat(recorded, np.minimum(starts, last), axis)
    return recorded


def _checked(
    what: str, sizes: Sequence[int] | None, rank: int, image: SourceImage
) -> tuple[int, ...]:
    """Return sizes for each axis; where only the last ones are given, those in front are 1."""
    if sizes is None:
        return ()
    given = tuple(sizes)
    if not 1 <= len(given) <= rank or not all(type(n) is int and n >= 1 for n in given):
        names = ", ".join(str(axis["name"]) for axis in image.axes)
        raise SettingsError(
            f"{what} {given} must be up to {rank} whole numbers from 1, for the last of the axes "
            f"{names} of the image {image.key!r}"
        )
    return (1,) * (rank - len(given)) + given


def _usual_chunks(image: SourceImage) -> tuple[int, ...]:
    """Return the chunks of the source, or usual ones where those are whole planes of a file."""
    base = image.levels[0]
    nbytes = math.prod(base.chunk_shape) * base.dtype.itemsize
    is_usual = nbytes <= 4 * _CHUNK_NBYTES and math.prod(base.chunk_shape) > 1
    if base.shard_shape is not None or is_usual:
        return base.chunk_shape
    return (*(1,) * (len(base.shape) - 2), *(max(1, min(_CHUNK_EDGE, n)) for n in base.shape[-2:]))


def _counts(
    shape: Sequence[int], chunks: Sequence[int], wanted: Sequence[int], itemsize: int
) -> tuple[int, ...]:
    """Return the chunks of a shard on each axis: no more than there are, and enough if unsaid."""
    most = [max(1, -(-n // size)) for n, size in zip(shape, chunks, strict=True)]
    if wanted:
        return tuple(map(min, wanted, most))
    counts = [1] * len(most)
    nbytes = math.prod(chunks) * itemsize
    for axis in reversed(range(len(most))):
        counts[axis] = max(1, min(most[axis], _SHARD_NBYTES // (nbytes * math.prod(counts))))
        if counts[axis] < most[axis]:
            break
    return tuple(counts)


def _geometry(image: SourceImage, chunk_shape: tuple[int, ...]) -> tuple[LevelGeometry, ...]:
    """Return the levels of a new pyramid, as `open_stream` makes them."""
    base = image.levels[0]
    kinds = [_KINDS.get(str(axis.get("type")), DimensionType.OTHER) for axis in image.axes]
    has_z = len(kinds) > 2 and kinds[-3] is DimensionType.SPACE
    ratio = base.scale[-3] / base.scale[-1] if has_z and base.scale[-1] else math.inf
    return level_geometry(base.shape, chunk_shape, None, kinds, 0, ratio)


def _is_same_block(before: LevelLayout, level: LevelLayout) -> bool:
    """Return whether blocks of two levels are of the same pixels of full resolution."""
    for axis, (n, small) in enumerate(zip(before.shape, level.shape, strict=True)):
        factor = round(level.factors[axis] / before.factors[axis])
        covers = before.block_shape[axis] >= n and level.block_shape[axis] >= small
        if not covers and before.block_shape[axis] != factor * level.block_shape[axis]:
            return False
    return True


def _ratio(scale: float, base: float) -> float:
    """Return how many times larger the pixels of a level are; 1 where nothing tells."""
    ratio = scale / base if base and scale else 1.0
    return ratio if 0 < ratio < 2**31 else 1.0
