"""Frames in which every pixel depends on where it belongs.

A pixel is a hash of (stream seed, frame number, y, x), cut down to the data type. Neighbours do
not resemble each other, so a plane, tile, row or column that lands in the wrong place, is
repeated or is shifted by one pixel changes about every value it touches, also when there are only
256 (uint8) or two (bool) values to tell places apart.

Integers use their full range, which makes sums of four overflow in narrow arithmetic. Floats are
whole numbers of both signs that even float16 holds exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["encoded_frames"]

_FRAME = np.uint64(0x9E3779B97F4A7C15)
_ROW = np.uint64(0xC2B2AE3D27D4EB4F)
_COLUMN = np.uint64(0x165667B19E3779F9)
_SEED = np.uint64(0xD6E8FEB86659FD93)
_FLOAT_SPAN = 512


def encoded_frames(
    numbers: range, height: int, width: int, dtype: npt.DTypeLike, seed: int = 0
) -> np.ndarray:
    """Return the frames of these numbers, shape ``(len(numbers), height, width)``.

    Frame 5 is the same however it is asked for: alone, in a stack, by another process.
    """
    dtype = np.dtype(dtype)
    frame = np.asarray(numbers, dtype=np.uint64)[:, None, None] + np.uint64(1)
    row = np.arange(1, height + 1, dtype=np.uint64)[:, None]
    column = np.arange(1, width + 1, dtype=np.uint64)
    # An array, since numpy warns when scalars wrap around, which hashing is made of.
    stream = np.asarray([seed], dtype=np.uint64)
    mixed = _mix(frame * _FRAME + row * _ROW + column * _COLUMN + stream * _SEED)
    if dtype.kind == "b":
        return (mixed & np.uint64(1)).astype(np.bool_)
    if dtype.kind == "f":
        return ((mixed % np.uint64(2 * _FLOAT_SPAN)).astype(np.int64) - _FLOAT_SPAN).astype(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return mixed.astype(unsigned).view(dtype)


def _mix(value: np.ndarray) -> np.ndarray:
    """Spread every input bit over all output bits (a splitmix64 finaliser)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed
