"""Pixel values of the pyramid, against exact arithmetic on Python numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from math import trunc
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aqz_core.downsampling.methods import BUILTIN_DOWNSAMPLERS, reduced_shape

METHODS = {downsampler.name: downsampler for downsampler in BUILTIN_DOWNSAMPLERS}
INTEGERS = [f"{kind}int{bits}" for kind in ("u", "") for bits in (8, 16, 32, 64)]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "bool"]

methods = pytest.mark.parametrize("method", METHODS)


def pixel_values(dtype):
    """All values of the type, the extremes more often than chance has it."""
    values = hnp.from_dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        near = [limits.min, limits.min + 1, limits.min + 2, limits.max - 1, limits.max]
        values = st.sampled_from(near) | st.integers(max(limits.min, -9), 9) | values
    return values


@st.composite
def planes(draw, count=1):
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    drawn = [draw(hnp.arrays(dtype, shape, elements=pixel_values(dtype))) for _ in range(count)]
    return drawn[0] if count == 1 else drawn


def merged(method, pixels):
    """One pixel out of several by the slow and obvious way."""
    dtype = pixels[0].dtype
    if method == "decimate":
        return pixels[0]
    if method in ("min", "max"):
        if dtype.kind == "f" and any(np.isnan(pixel) for pixel in pixels):
            return dtype.type("nan")
        return (min if method == "min" else max)(pixels)
    if dtype.kind == "b":
        return 2 * sum(map(int, pixels)) >= len(pixels)
    if dtype.kind in "iu":
        return trunc(Fraction(sum(map(int, pixels)), len(pixels)))
    wide = np.float32 if dtype == np.float16 else dtype.type
    total = wide(pixels[0])
    with np.errstate(all="ignore"):
        for pixel in pixels[1:]:
            total = total + wide(pixel)
        return dtype.type(total / wide(len(pixels)))


def expected_plane(method, plane):
    rows, columns = plane.shape
    out = np.empty(((rows + 1) // 2, (columns + 1) // 2), plane.dtype)
    for y, x in np.ndindex(out.shape):
        ys, xs = (2 * y, min(2 * y + 1, rows - 1)), (2 * x, min(2 * x + 1, columns - 1))
        out[y, x] = merged(method, [plane[i, j] for i in ys for j in xs])
    return out


@methods
@given(plane=planes())
def test_plane_is_reduced_exactly(method, plane):
    before = plane.copy()
    result = METHODS[method].reduce_plane(plane)
    assert result.dtype == plane.dtype
    assert result.shape == reduced_shape(plane.shape)
    np.testing.assert_array_equal(result, expected_plane(method, plane))
    np.testing.assert_array_equal(plane, before)


@methods
@given(pair=planes(count=2))
def test_pair_of_planes_is_combined_exactly(method, pair):
    first, second = pair
    expected = np.empty_like(first)
    for index in np.ndindex(first.shape):
        expected[index] = merged(method, [first[index], second[index]])
    combine = METHODS[method].combine
    result = combine(first, second)
    assert result.dtype == first.dtype
    np.testing.assert_array_equal(result, expected)
    # The engine keeps the first plane of a pair only to overwrite it.
    assert combine(first, second, out=first) is first
    np.testing.assert_array_equal(first, expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_mean_of_the_largest_and_smallest_integers_does_not_overflow(dtype):
    mean = METHODS["mean"]
    for extreme in (np.iinfo(dtype).max, np.iinfo(dtype).min):
        plane = np.full((5, 6), extreme, dtype)
        assert np.unique(mean.reduce_plane(plane)).tolist() == [extreme]
        assert np.unique(mean.combine(plane, plane)).tolist() == [extreme]


def test_mean_of_signed_integers_rounds_towards_zero():
    mean = METHODS["mean"]
    plane = np.array([[-1, -1, 1, 1], [-1, -2, 1, 2]], np.int16)
    assert mean.reduce_plane(plane).tolist() == [[-1, 1]]
    assert mean.combine(plane[:1], plane[1:]).tolist() == [[-1, -1, 1, 1]]


def test_nan_spreads_to_the_pixels_made_from_it():
    plane = np.ones((4, 4), np.float32)
    plane[0, 1] = np.nan
    for method in ("mean", "min", "max"):
        assert np.isnan(METHODS[method].reduce_plane(plane)).tolist() == [
            [True, False],
            [False, False],
        ]


# ---- planes as they come from cameras: large, cut out of others, at odd addresses -------


def large_plane(dtype, shape=(1301, 1003)):
    numbers = np.random.default_rng(7).integers(0, 2**63, shape, np.uint64)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return ((numbers % 4001).astype(np.int64) - 2000).astype(dtype)
    if dtype.kind == "b":
        return numbers % 3 == 0
    return numbers.view(dtype)[:, : shape[1]].copy()


def expected_large(method, plane):
    """Compute as `expected_plane`, for whole arrays; exact up to 32-bit integers."""
    rows, columns = plane.shape
    even = np.pad(plane, ((0, rows % 2), (0, columns % 2)), mode="edge")
    blocks = np.stack([even[y::2, x::2] for y in (0, 1) for x in (0, 1)])
    if method == "decimate":
        return blocks[0]
    if method != "mean":
        return blocks.min(axis=0) if method == "min" else blocks.max(axis=0)
    if plane.dtype.kind == "f":
        return (blocks.astype(np.float64).sum(axis=0) / 4).astype(plane.dtype)
    if plane.dtype.kind == "b":
        return blocks.sum(axis=0) >= 2
    total = blocks.astype(np.int64).sum(axis=0)
    return (np.sign(total) * (np.abs(total) // 4)).astype(plane.dtype)


def misaligned(plane):
    """Put the plane one byte past an address that suits its type."""
    raw = np.empty(plane.nbytes + 1, np.uint8)
    moved = raw[1:].view(plane.dtype).reshape(plane.shape)
    moved[...] = plane
    return moved


LAYOUTS = {
    "contiguous": lambda plane: plane,
    "even size": lambda plane: plane[:-1, :-1],
    "region of a larger frame": lambda plane: plane[3:900, 5:600],
    "every second row": lambda plane: plane[::2],
    "flipped rows": lambda plane: plane[::-1],
    "mirrored columns": lambda plane: plane[:, ::-1],
    "column major": np.asfortranarray,
    "odd address": misaligned,
    "one row": lambda plane: plane[:1],
    "one column": lambda plane: plane[:, :1],
}


@methods
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("uint64", "int64")])
def test_planes_of_many_blocks(method, dtype):
    plane = large_plane(dtype)
    np.testing.assert_array_equal(
        METHODS[method].reduce_plane(plane), expected_large(method, plane)
    )


@methods
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_any_memory_layout_gives_the_same_pixels(method, layout, dtype):
    plane = LAYOUTS[layout](large_plane(dtype))
    plane.flags.writeable = False
    result = METHODS[method].reduce_plane(plane)
    np.testing.assert_array_equal(result, expected_large(method, plane))


@methods
def test_result_goes_where_it_is_asked_for(method):
    plane = large_plane("uint16", (65, 35))
    buffer = np.zeros((40, 30), np.uint16)
    target = buffer[2:35, 3:21]
    assert METHODS[method].reduce_plane(plane, out=target) is target
    np.testing.assert_array_equal(target, METHODS[method].reduce_plane(plane))
    target[...] = 0
    assert not buffer.any()


@methods
def test_threads_do_not_disturb_each_other(method):
    reduce_plane = METHODS[method].reduce_plane
    frames = [large_plane("uint16", (600, 401)) + np.uint16(n) for n in range(4)]
    results = [[] for _ in frames]

    def work(number):
        results[number].extend(reduce_plane(frames[number]) for _ in range(10))

    threads = [Thread(target=work, args=(number,)) for number in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for frame, made in zip(frames, results, strict=True):
        assert len(made) == 10
        for result in made:
            np.testing.assert_array_equal(result, expected_large(method, frame))


# ---- bad input and the records ---------------------------------------------------------


@methods
def test_what_is_not_a_plane_is_refused(method):
    downsampler = METHODS[method]
    with pytest.raises(ValueError, match="two axes"):
        downsampler.reduce_plane(np.zeros((2, 4, 4), np.uint8))
    for dtype in (">u2", "complex64", "U1"):
        with pytest.raises(TypeError, match="cannot be downsampled"):
            downsampler.reduce_plane(np.zeros((4, 4), dtype))
    with pytest.raises(ValueError, match=r"must have \(2, 2\) and uint8"):
        downsampler.reduce_plane(np.zeros((4, 4), np.uint8), out=np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="planes to combine differ"):
        downsampler.combine(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize(
    ("shape", "half"), [((1, 1), (1, 1)), ((2, 3), (1, 2)), ((2048, 2047), (1024, 1024))]
)
def test_reduced_shape_rounds_up(shape, half):
    assert reduced_shape(shape) == half


def test_records_say_in_ngff_terms_what_they_do():
    assert {name: method.ngff_type for name, method in METHODS.items()} == {
        "decimate": "decimate",
        "mean": "local_mean",
        "min": "local_min",
        "max": "local_max",
    }
    for method in METHODS.values():
        assert {"description", "method", "version"} <= set(method.ngff_metadata)
        assert json.loads(json.dumps(method.ngff_metadata)) == method.ngff_metadata
    assert len(set(BUILTIN_DOWNSAMPLERS)) == 4
