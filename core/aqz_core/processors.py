"""Frame processors that come with aqz: crop, bin, flat field, flip and rotate, cast.

Each function returns a `FrameProcessor` for ``plugins=``. They run in the order in which they are
given. The settings of a stream describe the frames that are *stored*; what `append` takes follows
from the processors, backwards. ::

    from aqz_core import open_stream, processors

    steps = [processors.crop((0, 0), of=(2048, 2048)), processors.bin_pixels(2)]
    with open_stream("out.zarr", shape=(0, 512, 512), dtype="uint16", plugins=steps) as stream:
        stream.append(frame)  # (2048, 2048): its first (1024, 1024) pixels, binned to (512, 512)

They run on the thread that appends, so that what they take counts against the camera's rate.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from aqz_core.errors import SettingsError
from aqz_core.plugins.records import FrameProcessor, FrameSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.plugins.records import FrameFunction

__all__ = ["bin_pixels", "cast", "crop", "flat_field", "flip", "rotate"]

Frame: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, int]


def crop(first: Shape, *, of: Shape, order: int = 0) -> FrameProcessor:
    """Keep a rectangle of each frame; its size is that of the stored frames.

    Parameters
    ----------
    first : (int, int)
        Row and column of the upper left pixel to keep.
    of : (int, int)
        Rows and columns (Y, X) of the camera's frames.
    order : int
        As for `FrameProcessor`, here and below.

    Raises
    ------
    PluginError
        When the stream opens: the rectangle reaches out of the camera's frames.
    """
    top, left = _pair("first", first, 0)
    rows, columns = _pair("of", of, 1)

    def prepare(spec: FrameSpec) -> FrameFunction:
        bottom, right = top + spec.shape[0], left + spec.shape[1]
        if bottom > rows or right > columns:
            raise SettingsError(
                f"{spec.shape} pixels from {(top, left)} on reach to {(bottom, right)}, but frames "
                f"have {(rows, columns)}; store smaller frames, or crop from an earlier pixel"
            )
        return lambda frame, index: frame[top:bottom, left:right]

    return FrameProcessor("crop", prepare, order, _taking(lambda shape: (rows, columns)))


def bin_pixels(
    factor: int, method: Literal["mean", "sum", "min", "max"] = "mean", *, order: int = 0
) -> FrameProcessor:
    """Make one pixel of each block of `factor` x `factor`.

    Parameters
    ----------
    factor : int
        Edge of a block, pixels. The camera's frames are that many times larger than the stored
        ones; crop them first where a remainder would be left.
    method : {"mean", "sum", "min", "max"}
        What becomes of a block. Means of integers are rounded to the nearest; sums that the data
        type cannot hold become its largest value.
    """
    _whole("factor", factor, 1)
    reduce = _BLOCK_METHODS.get(method)
    if reduce is None:
        raise SettingsError(f"method is {method!r}; it must be one of {', '.join(_BLOCK_METHODS)}")

    def prepare(spec: FrameSpec) -> FrameFunction:
        rows, columns = spec.shape
        blocks = (rows, factor, columns, factor)
        return lambda frame, index: reduce(frame.reshape(blocks), spec.dtype)

    return FrameProcessor(
        "bin", prepare, order, _taking(lambda shape: (factor * shape[0], factor * shape[1]))
    )


def flat_field(
    gain: npt.ArrayLike, dark: npt.ArrayLike | float = 0, *, order: int = 0
) -> FrameProcessor:
    """Correct uneven illumination: ``(frame - dark) * gain``.

    Integers are rounded to the nearest and limited to what their type holds.

    Parameters
    ----------
    gain : array_like
        (Y, X) factors, or one for all pixels: ``mean(flat - dark) / (flat - dark)``.
    dark : array_like, default 0
        (Y, X) of what a camera sends in the dark, or one value for all pixels.

    Raises
    ------
    SettingsError
        A value is not finite.
    PluginError
        When the stream opens: a shape is not that of the frames.
    """
    factors, offset = _finite("gain", gain), _finite("dark", dark)

    def prepare(spec: FrameSpec) -> FrameFunction:
        for name, given in (("gain", factors), ("dark", offset)):
            if given.ndim and given.shape != spec.shape:
                raise SettingsError(
                    f"{name} has shape {given.shape}, but frames have {spec.shape}; it takes one "
                    "value for each pixel, or one for all"
                )
        return lambda frame, index: _in_type((frame - offset) * factors, spec.dtype)

    return FrameProcessor("flat field", prepare, order)


def flip(axis: Literal["y", "x"], *, order: int = 0) -> FrameProcessor:
    """Mirror each frame: upside down along ``"y"``, left to right along ``"x"``."""
    if axis not in ("y", "x"):
        raise SettingsError(f"axis is {axis!r}; it must be 'y' or 'x'")
    position = "yx".index(axis)
    return FrameProcessor(
        f"flip {axis}", lambda spec: lambda frame, index: np.flip(frame, position), order
    )


def rotate(degrees: Literal[90, 180, 270], *, order: int = 0) -> FrameProcessor:
    """Turn each frame counterclockwise, as it is shown with row 0 on top.

    By 90 and 270 degrees rows and columns change places.
    """
    if degrees not in (90, 180, 270):
        raise SettingsError(f"degrees is {degrees!r}; it must be 90, 180 or 270")
    turns = degrees // 90
    takes = _taking(lambda shape: (shape[1], shape[0])) if turns % 2 else None
    return FrameProcessor(
        f"rotate {degrees}",
        lambda spec: lambda frame, index: np.rot90(frame, turns),
        order,
        takes,
    )


def cast(
    source: npt.DTypeLike, *, scale: float = 1, offset: float = 0, order: int = 0
) -> FrameProcessor:
    """Store frames in another data type than they come in: ``frame * scale + offset``.

    Parameters
    ----------
    source : data type
        Of the camera's frames. The stored type is that of the settings.
    scale, offset : float
        Integers are rounded to the nearest and limited to what their type holds: 16 bits become 8
        by ``scale=1 / 257``, of a 12-bit camera by ``scale=255 / 4095``. NaN becomes 0.
    """
    try:
        given = np.dtype(source).newbyteorder("<")
    except TypeError as error:
        raise SettingsError(f"source is {source!r}, which is not a data type") from error
    factor, added = float(_finite("scale", scale)), float(_finite("offset", offset))

    def prepare(spec: FrameSpec) -> FrameFunction:
        if (factor, added) == (1, 0):
            return lambda frame, index: _in_type(frame, spec.dtype)
        return lambda frame, index: _in_type(frame * factor + added, spec.dtype)

    return FrameProcessor(
        "cast", prepare, order, lambda spec: dataclasses.replace(spec, dtype=given)
    )


def _taking(shape: Callable[[Shape], Shape]) -> Callable[[FrameSpec], FrameSpec]:
    """Return what a processor takes that changes nothing but the shape."""
    return lambda spec: dataclasses.replace(spec, shape=shape(spec.shape))


def _in_type(values: Frame, dtype: np.dtype[Any]) -> Frame:
    """Return `values` in `dtype`; for integers rounded, and limited to their range."""
    if values.dtype == dtype or dtype.kind not in "iu" or values.dtype.kind == "b":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    if values.dtype.kind in "iu":
        own = np.iinfo(values.dtype)
        return np.clip(values, max(limits.min, own.min), min(limits.max, own.max)).astype(dtype)
    rounded = np.rint(np.nan_to_num(values, nan=0))
    above, below = rounded >= float(limits.max), rounded <= float(limits.min)
    converted = np.where(above | below, 0, rounded).astype(dtype)
    converted[above], converted[below] = limits.max, limits.min
    return converted


def _mean_of_blocks(blocks: Frame, dtype: np.dtype[Any]) -> Frame:
    """Average, in double precision."""
    return _in_type(blocks.mean(axis=(1, 3), dtype=np.float64), dtype)


def _sum_of_blocks(blocks: Frame, dtype: np.dtype[Any]) -> Frame:
    """Add up, in the widest integer, or as floats."""
    wide = {"u": np.uint64, "i": np.int64, "b": np.uint64}.get(dtype.kind, np.float64)
    return _in_type(blocks.sum(axis=(1, 3), dtype=wide), dtype)


_BLOCK_METHODS: dict[str, Callable[[Frame, np.dtype[Any]], Frame]] = {
    "mean": _mean_of_blocks,
    "sum": _sum_of_blocks,
    "min": lambda blocks, dtype: blocks.min(axis=(1, 3)),
    "max": lambda blocks, dtype: blocks.max(axis=(1, 3)),
}


def _finite(name: str, value: npt.ArrayLike) -> Frame:
    """Return numbers that frames can be calculated with."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{name} must be numbers, not {value!r}") from error
    if numbers.ndim not in (0, 2) or not np.isfinite(numbers).all():
        raise SettingsError(
            f"{name} must be one finite number, or one for each pixel (Y, X); pixels that were "
            "dark in a flat field have none"
        )
    return numbers


def _whole(name: str, value: object, low: int) -> None:
    """Raise unless `value` is an integer from `low` on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise SettingsError(f"{name} is {value!r}; it must be an integer of {low} or more")


def _pair(name: str, value: object, low: int) -> Shape:
    """Return rows and columns."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise SettingsError(f"{name} is {value!r}; it must be (rows, columns)")
    for number in value:
        _whole(name, number, low)
    return value[0], value[1]
