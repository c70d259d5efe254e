"""The arithmetic of `methods` on a few rows of pixels, in plain numpy.

Kernels of planes take rows (R, 2W) and the rows below them (R, 2W) into (R, W); kernels
of pairs of planes keep the size. Results are written to ``out``, a strided view as a
rule. No sum of integers can overflow. Intermediate results live in buffers that each
thread keeps, because fresh memory costs more than the arithmetic; numpy leaves the
interpreter to other threads meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Plane",
    "RowKernel",
    "either",
    "in_single",
    "max_rows",
    "mean_pair_floats",
    "mean_pair_integers",
    "mean_rows_bool",
    "mean_rows_float",
    "mean_rows_narrow",
    "mean_rows_wide",
    "min_rows",
]

Plane: TypeAlias = NDArray[Any]
RowKernel: TypeAlias = Callable[[Plane, Plane, Plane], None]


class _Scratch(threading.local):
    """Buffers of one thread, as large as the largest block it has worked on."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def take(self, use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plane:
        """Return uninitialised pixels, valid until the same ``use`` is taken again."""
        nbytes = prod(shape) * dtype.itemsize
        buffer = self._buffers.get(use)
        if buffer is None or buffer.nbytes < nbytes:
            buffer = self._buffers[use] = np.empty(nbytes, np.uint8)
        taken: Plane = buffer[:nbytes].view(dtype).reshape(shape)
        return taken


_scratch = _Scratch()


# ---- mean -----------------------------------------------------------------------------


def mean_rows_narrow(upper: Plane, lower: Plane, out: Plane) -> None:
    """Average integers of 8, 16 or 32 bits: unsigned rounds down, signed towards zero."""
    total = _block_sums(upper, lower)
    if out.dtype.kind == "i":
        # A shift rounds down; 3 more for negative sums turns that into towards zero.
        part = _scratch.take("part", total.shape, total.dtype)
        np.right_shift(total, 8 * total.itemsize - 1, out=part)
        part &= 3
        total += part
    total >>= 2
    np.copyto(out, total, casting="unsafe")


def mean_rows_bool(upper: Plane, lower: Plane, out: Plane) -> None:
    """Set pixels of blocks in which at least two of four are set."""
    np.greater_equal(_block_sums(upper.view(np.uint8), lower.view(np.uint8)), 2, out=out)


def mean_rows_wide(upper: Plane, lower: Plane, out: Plane) -> None:
    """Average integers of 64 bits: quarters and the two low bits summed apart, exactly."""
    pixels = (upper[:, 0::2], upper[:, 1::2], lower[:, 0::2], lower[:, 1::2])
    rest = _scratch.take("total", out.shape, out.dtype)
    part = _scratch.take("part", out.shape, out.dtype)
    np.right_shift(pixels[0], 2, out=out)
    np.bitwise_and(pixels[0], 3, out=rest)
    for pixel in pixels[1:]:
        out += np.right_shift(pixel, 2, out=part)
        rest += np.bitwise_and(pixel, 3, out=part)
    out += np.right_shift(rest, 2, out=part)
    if out.dtype.kind == "i":
        # Rounded down so far: one more for negative results that left a remainder.
        rest &= 3
        rest += 3
        rest >>= 2
        rest &= np.right_shift(out, 63, out=part)
        out += rest


def mean_rows_float(upper: Plane, lower: Plane, out: Plane) -> None:
    """Average floats in their own type, added in reading order as acquire-zarr does."""
    np.add(upper[:, 0::2], upper[:, 1::2], out=out)
    out += lower[:, 0::2]
    out += lower[:, 1::2]
    out *= 0.25


def mean_pair_integers(first: Plane, second: Plane, out: Plane) -> None:
    """Average two integers of any width without forming their sum."""
    # a + b is 2 (a & b) + (a ^ b): the bits both have count twice, the others once.
    differing = _scratch.take("total", out.shape, out.dtype)
    part = _scratch.take("part", out.shape, out.dtype)
    np.bitwise_xor(first, second, out=differing)
    np.bitwise_and(first, second, out=out)
    out += np.right_shift(differing, 1, out=part)
    if out.dtype.kind == "i":
        # Rounded down so far; an odd negative sum goes up by one, towards zero.
        differing &= np.right_shift(out, 8 * out.itemsize - 1, out=part)
        differing &= 1
        out += differing


def mean_pair_floats(first: Plane, second: Plane, out: Plane) -> None:
    """Average two floats in their own type."""
    np.add(first, second, out=out)
    out *= 0.5


def either(first: Plane, second: Plane, out: Plane) -> None:
    """Average two booleans: set where at least one of the two is."""
    np.logical_or(first, second, out=out)


# ---- minimum and maximum ----------------------------------------------------------------


def min_rows(upper: Plane, lower: Plane, out: Plane) -> None:
    """Take the minimum of each block: rows first, which are contiguous."""
    smaller = _scratch.take("total", upper.shape, upper.dtype)
    np.minimum(upper, lower, out=smaller)
    np.minimum(smaller[:, 0::2], smaller[:, 1::2], out=out)


def max_rows(upper: Plane, lower: Plane, out: Plane) -> None:
    """Take the maximum of each block: rows first, which are contiguous."""
    larger = _scratch.take("total", upper.shape, upper.dtype)
    np.maximum(upper, lower, out=larger)
    np.maximum(larger[:, 0::2], larger[:, 1::2], out=out)


# ---- shared -----------------------------------------------------------------------------


def in_single(kernel: RowKernel) -> RowKernel:
    """Let ``kernel`` compute half-precision pixels in single precision."""

    def widened(upper: Plane, lower: Plane, out: Plane) -> None:
        single = np.dtype(np.single)
        above = _scratch.take("above", upper.shape, single)
        below = _scratch.take("below", lower.shape, single)
        result = _scratch.take("result", out.shape, single)
        above[...] = upper
        below[...] = lower
        kernel(above, below, result)
        out[...] = result

    return widened


def _block_sums(upper: Plane, lower: Plane) -> Plane:
    """Sum 2 x 2 blocks of (R, 2W) integer rows into (R, W) of twice the width.

    Two neighbours are read as one integer and parted by shifts, on contiguous memory:
    twice as fast as strided reads for 8 and 16 bits. Which half is which column
    depends on the byte order of the machine; the sum does not.
    """
    wide = np.dtype(f"{upper.dtype.kind}{2 * upper.itemsize}")
    above = _view_pairs(upper, wide, "above")
    below = _view_pairs(lower, wide, "below")
    total = _scratch.take("total", above.shape, wide)
    part = _scratch.take("part", above.shape, wide)
    _low_halves(above, out=total)
    total += _high_halves(above, out=part)
    total += _low_halves(below, out=part)
    total += _high_halves(below, out=part)
    return total


def _low_halves(pairs: Plane, out: Plane) -> Plane:
    """Return the lower half of each integer, with its sign."""
    bits = 4 * pairs.itemsize
    if pairs.dtype.kind == "u":
        return np.bitwise_and(pairs, (1 << bits) - 1, out=out)
    # Up as bits, and down again with the sign.
    unsigned = f"u{pairs.itemsize}"
    np.left_shift(pairs.view(unsigned), bits, out=out.view(unsigned))
    return np.right_shift(out, bits, out=out)


def _high_halves(pairs: Plane, out: Plane) -> Plane:
    """Return the upper half of each integer, with its sign."""
    return np.right_shift(pairs, 4 * pairs.itemsize, out=out)


def _view_pairs(rows: Plane, wide: np.dtype[Any], use: str) -> Plane:
    """View pairs of neighbours as ``wide``; copy rows that cannot be read so at full speed."""
    if rows.strides[-1] == rows.itemsize:
        pairs: Plane = rows.view(wide)
        if pairs.flags.aligned:
            return pairs
    copy = _scratch.take(use, rows.shape, rows.dtype)
    copy[...] = rows
    return copy.view(wide)
