"""Which levels a multiscale image has, and how large they are: pure arithmetic.

A pyramid is made while recording, each level from the one before, by halving pixels
in pairs. Level count, halved axes, chunk and shard sizes follow acquire-zarr 0.10.0,
so that the same settings give the same arrays. Where that release crashes (a z-stack
of unlimited depth) or writes arrays that do not fit their axes (a plain 2-D image), the
result here is the one that the NGFF axes ask for. Pixel values are made in `downsampling.methods`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aqz_core.enums import DimensionType

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LevelGeometry", "clamped", "level_geometry"]


@dataclass(frozen=True, slots=True)
class LevelGeometry:
    """Sizes of one resolution level, in storage order.

    Attributes
    ----------
    shape
        Pixels per axis; 0 on the first axis when it grows without a limit.
    chunk_shape
        Pixels of a chunk per axis; the same at every level, unless they are `clamped`.
    shard_chunks
        Chunks of a shard per axis, or None where chunks are stored one by one.
    halves_plane
        Y and X are half (rounded up) of the level before. False for level 0.
    halves_z
        Z, the third axis from the end, is half (rounded up) of the level before.
        False for level 0.
    scale_factors
        Pixel size of this level over the pixel size of level 0, per axis: a power of two.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    shard_chunks: tuple[int, ...] | None
    halves_plane: bool
    halves_z: bool
    scale_factors: tuple[int, ...]

    def append_size(self, base_size: int) -> int:
        """Return this level's size of the first axis when level 0 has ``base_size`` there.

        Parameters
        ----------
        base_size
            Size of the first axis at level 0, complete or so far, in pixels.

        Returns
        -------
        int
            ``base_size`` halved as often as the axis is, rounded up: an odd last
            plane makes a plane of its own.
        """
        return _ceil_div(base_size, self.scale_factors[0])


def level_geometry(
    shape: Sequence[int],
    chunk_shape: Sequence[int],
    shard_chunks: Sequence[int] | None,
    kinds: Sequence[DimensionType],
    max_levels: int,
    z_ratio: float | None = None,
) -> tuple[LevelGeometry, ...]:
    """Plan every level of a pyramid, the full resolution first.

    Y and X, the last two axes, are halved together while the smaller of them is larger
    than the larger of their chunk edges. Z, the third axis from the end if that is a
    space axis, is halved on its own while it is larger than its chunk. All other axes,
    channels and a z axis further to the front among them, keep their size.

    The number of halvings is ``ceil(log2(chunks))`` along Y or X, whichever needs fewer,
    or along Z where that needs more. A step that can halve nothing repeats the level
    before it, as acquire-zarr 0.10.0 does: it takes very unequal chunk edges.

    Z without a limit (``shape[0] == 0`` and the array is a z-stack) cannot say how many
    levels it needs: Y and X alone decide, and Z is halved at every level.

    With `z_ratio`, every level has smaller planes than the one before, and z is halved with them
    as long as its pixels are no larger than theirs: what a viewer asks a pyramid for.

    Parameters
    ----------
    shape
        Pixels per axis in storage order, two axes at least. 0 on the first axis: no limit.
    chunk_shape
        Pixels of a chunk per axis, each at least 1. Kept at every level, even where a
        chunk is larger than the level.
    shard_chunks
        Chunks of a shard per axis, each at least 1, or None for unsharded arrays. A halved
        axis has no more chunks in a shard than there are chunks.
    kinds
        What each axis stands for.
    max_levels
        Most levels to make below full resolution; 0 for no limit.
    z_ratio
        Size of a pixel along z over that along Y and X; infinite to leave z as it is. None halves
        z as acquire-zarr does.

    Returns
    -------
    tuple of LevelGeometry
        Level 0 (the recording itself) and the levels made from it.

    Raises
    ------
    ValueError
        The arguments do not have the same number of axes, or fewer than two.
    """
    axes = len(shape)
    per_axis = [chunk_shape, kinds] if shard_chunks is None else [chunk_shape, kinds, shard_chunks]
    if axes < 2 or any(len(values) != axes for values in per_axis):
        raise ValueError(
            f"shape {tuple(shape)}, chunk shape {tuple(chunk_shape)}, shard chunks {shard_chunks} "
            f"and {len(kinds)} axis kinds do not describe one array: give two axes or more, "
            "and as many values in each"
        )
    has_z = axes >= 3 and kinds[-3] == DimensionType.SPACE
    levels = [
        LevelGeometry(
            shape=tuple(shape),
            chunk_shape=tuple(chunk_shape),
            shard_chunks=None if shard_chunks is None else tuple(shard_chunks),
            halves_plane=False,
            halves_z=False,
            scale_factors=(1,) * axes,
        )
    ]
    wanted = _halvings(levels[0], has_z and z_ratio is None)
    for _ in range(min(wanted, max_levels) if max_levels > 0 else wanted):
        level = levels[-1]
        if z_ratio is not None and not _halves_plane(level):
            break
        levels.append(_halved(level, _halves_plane(level), has_z and _halves_z(level, z_ratio)))
    return tuple(levels)


def clamped(level: LevelGeometry) -> LevelGeometry:
    """Make chunks no larger than the level along the axes that were halved.

    acquire-zarr 0.5.1 wrote its pyramids so; an axis that keeps its size keeps its chunk.
    """
    chunk_shape = tuple(
        min(chunk, size) if factor > 1 and size else chunk
        for chunk, size, factor in zip(
            level.chunk_shape, level.shape, level.scale_factors, strict=True
        )
    )
    return replace(level, chunk_shape=chunk_shape)


def _halvings(base: LevelGeometry, has_z: bool) -> int:
    """Count the levels below ``base`` when nothing limits them."""
    per_axis = [
        # The bit length of n - 1 is ceil(log2(n)); an unlimited axis asks for none.
        max(_ceil_div(size, chunk) - 1, 0).bit_length()
        for size, chunk in zip(base.shape, base.chunk_shape, strict=True)
    ]
    in_plane = min(per_axis[-2:])
    return max(in_plane, per_axis[-3]) if has_z else in_plane


def _halves_plane(level: LevelGeometry) -> bool:
    """Return whether Y and X are larger than chunks."""
    return min(level.shape[-2:]) > max(level.chunk_shape[-2:])


def _halves_z(level: LevelGeometry, z_ratio: float | None) -> bool:
    """Return whether Z is larger than chunks, and no coarser than Y and X if that counts."""
    z, _, x = level.scale_factors[-3:]
    is_coarser = z_ratio is not None and z_ratio * z > x
    return not is_coarser and (level.shape[-3] == 0 or level.shape[-3] > level.chunk_shape[-3])


def _halved(level: LevelGeometry, halves_plane: bool, halves_z: bool) -> LevelGeometry:
    """Return the level below ``level``."""
    axes = len(level.shape)
    halved = [False] * axes
    halved[-2:] = [halves_plane] * 2
    if halves_z:
        halved[-3] = True

    shape = tuple(
        _ceil_div(size, 2) if half else size for size, half in zip(level.shape, halved, strict=True)
    )
    shard_chunks = level.shard_chunks
    if shard_chunks is not None:
        shard_chunks = tuple(
            # An unlimited axis (size 0) goes on filling whole shards at every level.
            min(count, _ceil_div(size, chunk)) if half and size else count
            for count, size, chunk, half in zip(
                shard_chunks, shape, level.chunk_shape, halved, strict=True
            )
        )
    return LevelGeometry(
        shape=shape,
        chunk_shape=level.chunk_shape,
        shard_chunks=shard_chunks,
        halves_plane=halves_plane,
        halves_z=halves_z,
        # acquire-zarr derives the factor from the sizes, as the power of two at or above
        # ceil(base / level). With every halved size above 1 both ways give the same.
        scale_factors=tuple(
            factor * 2 if half else factor
            for factor, half in zip(level.scale_factors, halved, strict=True)
        ),
    )


def _ceil_div(size: int, step: int) -> int:
    """Divide and round up."""
    return -(-size // step)
