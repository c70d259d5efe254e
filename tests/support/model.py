"""What must be stored for a plan: every level of every array, by slow and obvious numpy.

The rules, in words:

- Frames fill the leading dimensions in C order, then the axes are put into the order of the store.
  What was never appended reads as the fill value.
- A pyramid has as many steps as it takes to bring the smaller of the two plane chunk grids to one
  chunk; with a spatial third-last dimension, at least as many as bring that one to one chunk.
  ``max_levels`` > 0 caps the number of arrays below the first.
- A step halves y and x together while the smaller of them exceeds the larger chunk edge, and a
  spatial third-last dimension while it exceeds its chunk. The decision is taken on the declared
  sizes. Halves are rounded up: an odd last row or column is doubled, an odd last plane of a pair
  passes as it is.
- Every level is computed from the one above it as a reader sees that one, planes first, then
  pairs of planes. Means of integers are exact sums divided once, rounded towards zero; a mean of
  booleans is true where at least half of them are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from tests.support.plans import ArrayPlan, frames_of

__all__ = ["assert_level_equal", "expected_levels", "expected_scales"]


def expected_levels(
    plan: ArrayPlan, frames: Mapping[int, np.ndarray] | None = None
) -> list[np.ndarray]:
    """Return the arrays that must be stored, full resolution first.

    `frames` are those that were recorded, by number, if not all of the plan's.
    """
    if frames is None:
        frames = dict(enumerate(frames_of(plan)))
    levels = [_recorded(plan, frames)]
    for halves_plane, halves_z in _steps(plan):
        level = levels[-1]
        if halves_plane:
            level = _halve_planes(level, plan.method)
        if halves_z:
            level = _halve_z(level, plan.method)
        levels.append(level)
    return levels


def expected_scales(plan: ArrayPlan) -> list[list[float]]:
    """Return the NGFF scale of every level: twice the pixel for each halving of that axis."""
    scales = [[axis.scale for axis in plan.stored_axes]]
    for halves_plane, halves_z in _steps(plan):
        scale = list(scales[-1])
        if halves_plane:
            scale[-1] *= 2
            scale[-2] *= 2
        if halves_z:
            scale[-3] *= 2
        scales.append(scale)
    return scales


def assert_level_equal(actual: np.ndarray, expected: np.ndarray, method: str | None) -> None:
    """Compare bit for bit; means of floats may differ by the order of their additions."""
    assert actual.shape == expected.shape, f"shape {actual.shape}, not {expected.shape}"
    assert actual.dtype == expected.dtype, f"data type {actual.dtype}, not {expected.dtype}"
    if expected.size == 0:
        return
    if method == "MEAN" and expected.dtype.kind == "f":
        # Signs differ, so sums cancel: the error is relative to the largest pixel.
        unit = float(np.finfo(expected.dtype).eps) * float(np.nanmax(np.abs(expected), initial=1))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * unit)
    else:
        np.testing.assert_array_equal(actual, expected, strict=True)


def _recorded(plan: ArrayPlan, frames: Mapping[int, np.ndarray]) -> np.ndarray:
    """Place every frame at its index; the rest is fill value."""
    shape = plan.recorded_shape
    stored = np.full(shape, plan.fill_value, dtype=plan.dtype)
    for number, frame in frames.items():
        stored[np.unravel_index(number, shape[:-2])] = frame
    return stored.transpose([plan.axes.index(axis) for axis in plan.stored_axes])


def _steps(plan: ArrayPlan) -> Iterator[tuple[bool, bool]]:
    """Say for each level below the first whether it halves the plane, and z."""
    if plan.method is None:
        return
    *lead, y, x = plan.stored_axes
    z = lead[-1] if lead and lead[-1].kind == "SPACE" else None
    height, width = y.size, x.size
    # An unlimited z has no size to count levels from: it follows the planes.
    depth = 0 if z is None else z.size
    count = min(_doublings(height, y.chunk), _doublings(width, x.chunk))
    if z is not None and depth:
        count = max(count, _doublings(depth, z.chunk))
    if plan.max_levels:
        count = min(count, plan.max_levels)
    for _ in range(count):
        halves_plane = min(height, width) > max(y.chunk, x.chunk)
        halves_z = z is not None and (depth > z.chunk or z.size == 0)
        yield halves_plane, halves_z
        if halves_plane:
            height, width = -(-height // 2), -(-width // 2)
        if halves_z:
            depth = -(-depth // 2)


def _doublings(size: int, chunk: int) -> int:
    """Count how often one chunk must be doubled to cover ``size`` pixels."""
    chunks, doublings = 1, 0
    while chunks * chunk < size:
        chunks, doublings = chunks * 2, doublings + 1
    return doublings


def _halve_planes(level: np.ndarray, method: str | None) -> np.ndarray:
    """Combine 2 x 2 blocks of the last two axes."""
    rows, columns = level.shape[-2] % 2, level.shape[-1] % 2
    edges = [(0, 0)] * (level.ndim - 2) + [(0, rows), (0, columns)]
    even = np.pad(level, edges, mode="edge") if level.size else _empty_even(level, edges)
    corners = [even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return _combine(corners, method)


def _empty_even(level: np.ndarray, edges: list[tuple[int, int]]) -> np.ndarray:
    """Return an array without pixels of the padded shape."""
    shape = [size + after for size, (_, after) in zip(level.shape, edges, strict=True)]
    return np.empty(shape, dtype=level.dtype)


def _halve_z(level: np.ndarray, method: str | None) -> np.ndarray:
    """Combine pairs of planes along the third-last axis; an odd last plane stays as it is."""
    pairs = level.shape[-3] // 2 * 2
    halved = _combine([level[..., 0:pairs:2, :, :], level[..., 1:pairs:2, :, :]], method)
    return np.concatenate([halved, level[..., pairs:, :, :]], axis=-3)


def _combine(parts: list[np.ndarray], method: str | None) -> np.ndarray:
    """Reduce arrays of one shape to one, pixel by pixel."""
    if method == "DECIMATE":
        return parts[0]
    if method == "MIN":
        return np.minimum.reduce(parts)
    if method == "MAX":
        return np.maximum.reduce(parts)
    dtype = parts[0].dtype
    if dtype.kind == "b":
        return np.asarray(2 * sum(part.astype(int) for part in parts) >= len(parts))
    if dtype.kind == "f":
        return np.mean([part.astype(np.float64) for part in parts], axis=0).astype(dtype)
    return _integer_mean(parts)


def _integer_mean(parts: list[np.ndarray]) -> np.ndarray:
    """Divide exact sums and drop the fraction, as integers of any width would."""
    if parts[0].dtype.itemsize < 8:
        total = sum(part.astype(np.int64) for part in parts)
        assert isinstance(total, np.ndarray)
        quotient = np.sign(total) * (np.abs(total) // len(parts))
        return quotient.astype(parts[0].dtype)
    mean = np.empty(parts[0].shape, dtype=parts[0].dtype)
    for index in np.ndindex(mean.shape):
        mean[index] = int(Fraction(sum(int(part[index]) for part in parts), len(parts)))
    return mean
