"""Random recordings: hypothesis strategies for `tests.support.plans`.

Sizes are small and ragged (chunks that do not divide the array, shards that do not divide the
chunks, chunks larger than the array), so that one recording takes some milliseconds and the
corner cases are the common case.
"""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import strategies as st

from tests.support.decoders import ZARRITA_DTYPES
from tests.support.plans import CODECS, ArrayPlan, Axis, StreamPlan

__all__ = ["DTYPES", "METHODS", "array_plans", "stream_plans"]

DTYPES = (*ZARRITA_DTYPES, "float16")
METHODS = ("DECIMATE", "MEAN", "MIN", "MAX")

_KEYS = ("raw", "g/a", "g/h/b", "g.2/x-y_z")
_KINDS = ("SPACE", "CHANNEL", "TIME", "OTHER")
# NGFF: time first, then a channel, then two or three axes of space.
_IMAGE_AXES = ("yx", "zyx", "cyx", "tyx", "tzyx", "tcyx", "czyx", "tczyx")
_LETTER_KINDS = {"t": "TIME", "c": "CHANNEL", "z": "SPACE", "y": "SPACE", "x": "SPACE"}
_MOST_LEVEL = {"none": 0, "zstd": 5, "gzip": 9}


@st.composite
def array_plans(
    draw: st.DrawFn,
    key: str = "",
    dtypes: tuple[str, ...] = DTYPES,
    codecs: tuple[str, ...] = tuple(CODECS),
    image: bool | None = None,
    minimum_frames: int = 0,
    permuted: bool = False,
) -> ArrayPlan:
    """Draw one array: a plain one of 2 to 6 dimensions, or an NGFF image with or without levels."""
    if image is None:
        image = draw(st.booleans())
    dtype = draw(st.sampled_from(dtypes))
    codec = draw(st.sampled_from(codecs))
    sharded = draw(st.integers(0, 3)) > 0
    axes = draw(_image_axes(sharded) if image else _plain_axes(sharded))
    method = draw(st.sampled_from((*METHODS, None))) if image else None
    inner = prod(axis.size for axis in axes[1:-2])
    most = 1 if len(axes) == 2 else min((axes[0].size or 5) * inner, 30)
    frames = draw(st.integers(1 if len(axes) == 2 else min(minimum_frames, most), most))
    blosc = codec.startswith("blosc")
    return ArrayPlan(
        axes=axes,
        dtype=dtype,
        key=key,
        codec=codec,
        level=draw(st.integers(0 if blosc else 1, 9 if blosc else max(1, _most_level(codec)))),
        shuffle=draw(st.integers(0, 2)) if blosc else 0,
        method=method,
        max_levels=draw(st.sampled_from((0, 0, 1, 2))),
        is_ngff=image,
        fill_value=draw(_fill_values(dtype)),
        frames=frames,
        blanks=draw(st.frozensets(st.integers(0, 30), max_size=4)),
        seed=draw(st.integers(0, 2**16)),
        batch=draw(st.integers(1, 7)),
        form=draw(st.sampled_from(("stack", "pixels"))),
        storage=draw(_storage_orders(axes)) if permuted else (),
    )


@st.composite
def _storage_orders(draw: st.DrawFn, axes: tuple[Axis, ...]) -> tuple[str, ...]:
    """Draw an order of the axes on disk: an unlimited one stays in front, a plane at the end."""
    names = [axis.name for axis in axes]
    fixed = 1 if axes[0].size == 0 else 0
    inner = draw(st.permutations(names[fixed:-2]))
    return (*names[:fixed], *inner, *draw(st.permutations(names[-2:])))


@st.composite
def stream_plans(draw: st.DrawFn, **options: object) -> StreamPlan:
    """Draw a stream: one array anywhere, or several side by side at nested keys."""
    keys = draw(
        st.one_of(
            st.sampled_from([("",), ("img",), ("deep/er/img",)]),
            st.lists(st.sampled_from(_KEYS), min_size=2, max_size=3, unique_by=str.lower),
        )
    )
    return StreamPlan(tuple(draw(array_plans(key=key)) for key in keys), dict(options))


def _most_level(codec: str) -> int:
    """Return the highest compression level worth its time in a test."""
    return _MOST_LEVEL.get(codec, 9)


@st.composite
def _axis(
    draw: st.DrawFn, name: str, kind: str, size: int, sharded: bool, unlimited: bool = False
) -> Axis:
    """Draw chunk and shard of an axis: at most six chunks, never a divisor on purpose."""
    largest = draw(st.sampled_from((size + 2, -(-size // 2))))
    return Axis(
        name=name,
        kind=kind,
        size=0 if unlimited else size,
        chunk=draw(st.integers(-(-size // 6), largest)),
        shard=draw(st.integers(1, 3)) if sharded else None,
        scale=draw(st.sampled_from((1.0, 0.5, 0.65))),
        unit="micrometer" if kind == "SPACE" else "second" if kind == "TIME" else None,
    )


@st.composite
def _plain_axes(draw: st.DrawFn, sharded: bool) -> tuple[Axis, ...]:
    """Draw 2 to 6 dimensions of any kinds; the last two are space."""
    leading = draw(st.integers(0, 4))
    drawn = []
    for number in range(leading):
        size = draw(st.integers(1, 3))
        kind = draw(st.sampled_from(_KINDS))
        unlimited = number == 0 and draw(st.booleans())
        drawn.append(draw(_axis(f"d{number}", kind, size, sharded, unlimited)))
    plane = [draw(_axis(name, "SPACE", draw(st.integers(1, 13)), sharded)) for name in "yx"]
    return (*drawn, *plane)


@st.composite
def _image_axes(draw: st.DrawFn, sharded: bool) -> tuple[Axis, ...]:
    """Draw the axes of an NGFF image, large enough for one to three levels."""
    names = draw(st.sampled_from(_IMAGE_AXES))
    drawn = []
    for number, name in enumerate(names):
        size = draw(st.integers(3, 20) if name in "yx" else st.integers(1, 5))
        unlimited = number == 0 and len(names) > 2 and draw(st.booleans())
        drawn.append(draw(_axis(name, _LETTER_KINDS[name], size, sharded, unlimited)))
    return tuple(drawn)


def _fill_values(dtype: str) -> st.SearchStrategy[float]:
    """Draw a fill value that the data type holds."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.sampled_from((0, 0, 1))
    if kind == "f":
        return st.sampled_from((0, 0, -1.5))
    if kind == "i":
        return st.sampled_from((0, 0, -3))
    return st.sampled_from((0, 0, 7))
