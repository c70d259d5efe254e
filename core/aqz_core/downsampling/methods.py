"""Halving of planes and of pairs of planes: the pixel values of a pyramid.

A plane is cut into blocks of 2 x 2 pixels, each of which becomes one pixel; where a size
is odd, the last row or column counts twice. For 3-D pyramids two such planes, neighbours
in z, are then combined with the same method. A method is a `Downsampler` record; the
built-in ones are in `BUILTIN_DOWNSAMPLERS`, plug-ins bring their own.

Planes are worked through a few rows at a time, so that temporaries stay in the
processor's cache; the arithmetic is in `reduction_kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aqz_core.downsampling import kernels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.downsampling.kernels import Plane, RowKernel

__all__ = [
    "BUILTIN_DOWNSAMPLERS",
    "Downsampler",
    "PlaneCombination",
    "PlaneReduction",
    "reduced_shape",
]

# Bytes read per step. Temporaries are half of it each and should stay in a core's cache;
# yet steps must be long, as threads hand each other the interpreter lock between them: two
# threads got 2.8 GB/s of a 16-bit mean with 128 KiB, 5.4 GB/s with 1 MiB.
_BLOCK_BYTES = 1024 * 1024


class PlaneReduction(Protocol):
    """Halves a plane (Y, X) into (ceil(Y/2), ceil(X/2)), same data type."""

    def __call__(self, plane: Plane, out: Plane | None = None) -> Plane:
        """Return the reduced plane, which is ``out`` if that is given."""
        ...


class PlaneCombination(Protocol):
    """Merges two planes (Y, X), neighbours in z, into one (Y, X), same data type."""

    def __call__(self, first: Plane, second: Plane, out: Plane | None = None) -> Plane:
        """Return the merged plane, which is ``out`` if that is given (``first`` may be)."""
        ...


@dataclass(frozen=True, slots=True)
class Downsampler:
    """A way to make the smaller levels of a pyramid.

    Both functions are called on worker threads, several at once, and must not keep state.

    Attributes
    ----------
    name
        The name settings refer to it by, e.g. ``"mean"``.
    reduce_plane
        ``(plane, out=None) -> plane``: halves Y and X, rounding sizes up.
    combine
        ``(first, second, out=None) -> plane``: merges two planes that are neighbours in
        z. A last plane without a neighbour is passed on as it is.
    ngff_type
        The ``type`` of the OME-NGFF ``multiscales`` entry, e.g. ``"local_mean"``.
    ngff_metadata
        The ``metadata`` of that entry: JSON that says how a reader could compute the
        same. NGFF suggests ``description``, ``method``, ``version``, ``args``, ``kwargs``.
    """

    name: str
    reduce_plane: PlaneReduction
    combine: PlaneCombination
    ngff_type: str
    ngff_metadata: Mapping[str, Any] = field(hash=False)


def reduced_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a plane after one reduction.

    Parameters
    ----------
    shape
        Rows and columns (Y, X), in pixels.

    Returns
    -------
    tuple of int
        Half of each, rounded up.
    """
    rows, columns = shape
    return (rows + 1) // 2, (columns + 1) // 2


# ---- methods: planes ----------------------------------------------------------------


def _decimate_plane(plane: Plane, out: Plane | None = None) -> Plane:
    """Keep the upper left pixel of each block."""
    out = _output(plane, reduced_shape(_plane_shape(plane)), out)
    out[...] = plane[::2, ::2]
    return out


def _mean_plane(plane: Plane, out: Plane | None = None) -> Plane:
    """Average each block: unsigned rounds down, signed towards zero, bool from 2 of 4 on."""
    kernel: RowKernel = kernels.mean_rows_narrow
    if plane.dtype.kind == "b":
        kernel = kernels.mean_rows_bool
    elif plane.dtype.kind == "f":
        kernel = (
            kernels.in_single(kernels.mean_rows_float)
            if plane.dtype.itemsize == 2
            else kernels.mean_rows_float
        )
    elif plane.dtype.itemsize == 8:
        kernel = kernels.mean_rows_wide
    return _reduce(plane, out, kernel)


def _min_plane(plane: Plane, out: Plane | None = None) -> Plane:
    """Keep the smallest pixel of each block; NaN if one is NaN; bool: all four."""
    return _reduce(
        plane,
        out,
        kernels.in_single(kernels.min_rows) if plane.dtype == np.half else kernels.min_rows,
    )


def _max_plane(plane: Plane, out: Plane | None = None) -> Plane:
    """Keep the largest pixel of each block; NaN if one is NaN; bool: any of them."""
    return _reduce(
        plane,
        out,
        kernels.in_single(kernels.max_rows) if plane.dtype == np.half else kernels.max_rows,
    )


def _reduce(plane: Plane, out: Plane | None, kernel: RowKernel) -> Plane:
    """Run ``kernel`` over ``plane`` by blocks of rows, then over an odd last row and column."""
    rows, columns = _plane_shape(plane)
    out = _output(plane, reduced_shape((rows, columns)), out)
    bands = [(plane[0 : rows - rows % 2 : 2], plane[1::2], out[: rows // 2])]
    if rows % 2:
        bands.append((plane[-1:], plane[-1:], out[-1:]))
    even = columns - columns % 2
    # Sums of huge floats are infinite and inf - inf is NaN: that is their mean, not news.
    with np.errstate(over="ignore", invalid="ignore"):
        for upper, lower, target in bands:
            for block in _row_blocks(upper):
                if even:
                    kernel(upper[block, :even], lower[block, :even], target[block, : even // 2])
            if columns % 2:
                twice = [np.repeat(half[:, -1:], 2, axis=1) for half in (upper, lower)]
                kernel(twice[0], twice[1], target[:, -1:])
    return out


# ---- methods: pairs of planes -------------------------------------------------------


def _first_of_planes(first: Plane, second: Plane, out: Plane | None = None) -> Plane:
    """Keep the first plane."""
    out = _combined_output(first, second, out)
    out[...] = first
    return out


def _mean_of_planes(first: Plane, second: Plane, out: Plane | None = None) -> Plane:
    """Average two planes, rounding as the mean of a block does; bool: either."""
    out = _combined_output(first, second, out)
    kernel: RowKernel = kernels.mean_pair_integers
    if first.dtype.kind == "b":
        kernel = kernels.either
    elif first.dtype.kind == "f":
        kernel = (
            kernels.in_single(kernels.mean_pair_floats)
            if first.dtype.itemsize == 2
            else kernels.mean_pair_floats
        )
    with np.errstate(over="ignore", invalid="ignore"):
        for block in _row_blocks(first):
            kernel(first[block], second[block], out[block])
    return out


def _min_of_planes(first: Plane, second: Plane, out: Plane | None = None) -> Plane:
    """Keep the smaller of two pixels; NaN if one is NaN."""
    return np.minimum(first, second, out=_combined_output(first, second, out))


def _max_of_planes(first: Plane, second: Plane, out: Plane | None = None) -> Plane:
    """Keep the larger of two pixels; NaN if one is NaN."""
    return np.maximum(first, second, out=_combined_output(first, second, out))


# ---- shapes and blocks --------------------------------------------------------------


def _row_blocks(rows: Plane) -> Iterator[slice]:
    """Cut the first axis into steps of about `_BLOCK_BYTES` for two operands."""
    count, width = rows.shape
    step = max(1, _BLOCK_BYTES // max(1, 2 * width * rows.itemsize))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _plane_shape(plane: Plane) -> tuple[int, int]:
    """Return (Y, X) of a plane that the kernels can read."""
    if plane.ndim != 2:
        raise ValueError(f"a plane has two axes (Y, X); this array has shape {plane.shape}")
    dtype = plane.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or not dtype.isnative:
        raise TypeError(
            f"pixels of type {dtype.str!r} cannot be downsampled: convert them to bool, or to "
            "integers or floats of up to 64 bits in the byte order of this machine"
        )
    return plane.shape[0], plane.shape[1]


def _combined_output(first: Plane, second: Plane, out: Plane | None) -> Plane:
    """Return the array for a pair of planes, which have to match."""
    shape = _plane_shape(first)
    if second.shape != shape or second.dtype != first.dtype:
        raise ValueError(
            f"planes to combine differ: {shape} {first.dtype} and {second.shape} {second.dtype}"
        )
    return _output(first, shape, out)


def _output(plane: Plane, shape: tuple[int, int], out: Plane | None) -> Plane:
    """Return ``out`` if it fits, a new array if there is none."""
    if out is None:
        return np.empty(shape, plane.dtype)
    if out.shape != shape or out.dtype != plane.dtype:
        raise ValueError(
            f"out has shape {out.shape} and type {out.dtype}; "
            f"it must have {shape} and {plane.dtype}"
        )
    return out


# The functions, arguments and versions that the records name are those of acquire-zarr
# 0.10.0, so that the metadata of both writers compare equal but for the description.
BUILTIN_DOWNSAMPLERS: tuple[Downsampler, ...] = (
    Downsampler(
        name="decimate",
        reduce_plane=_decimate_plane,
        combine=_first_of_planes,
        ngff_type="decimate",
        ngff_metadata={
            "description": "Every second pixel along each halved axis, starting with the first.",
            "method": "np.ndarray.__getitem__",
            "version": "2.2.6",
            "args": ["(slice(0, None, 2), slice(0, None, 2))"],
        },
    ),
    Downsampler(
        name="mean",
        reduce_plane=_mean_plane,
        combine=_mean_of_planes,
        ngff_type="local_mean",
        ngff_metadata={
            "description": (
                "Mean of 2 x 2 pixels, then of two planes where z is halved. Integers are "
                "rounded towards zero each time; an odd last row or column counts twice."
            ),
            "method": "skimage.transform.downscale_local_mean",
            "version": "0.25.2",
            "kwargs": {"factors": "(2, 2)", "cval": "0"},
        },
    ),
    Downsampler(
        name="min",
        reduce_plane=_min_plane,
        combine=_min_of_planes,
        ngff_type="local_min",
        ngff_metadata={
            "description": "Smallest of 2 x 2 pixels, and of two planes where z is halved.",
            "method": "skimage.measure.block_reduce",
            "version": "0.25.2",
            "kwargs": {"func": "np.min"},
        },
    ),
    Downsampler(
        name="max",
        reduce_plane=_max_plane,
        combine=_max_of_planes,
        ngff_type="local_max",
        ngff_metadata={
            "description": "Largest of 2 x 2 pixels, and of two planes where z is halved.",
            "method": "skimage.measure.block_reduce",
            "version": "0.25.2",
            "kwargs": {"func": "np.max"},
        },
    ),
)
