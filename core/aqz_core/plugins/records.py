"""What a plug-in hands over: typed records of callables.

A provider hook returns records, the engine resolves them once when a stream
opens and afterwards calls the plain functions inside. Fields may be added in
later releases with defaults; each hook says since which version of the hooks it
is there. A downsampler's record is `aqz_core.downsampling.methods.Downsampler`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "FrameFunction",
    "FrameProcessor",
    "FrameSpec",
]

FrameFunction: TypeAlias = Callable[[npt.NDArray[Any], tuple[int, ...]], npt.NDArray[Any]]
"""``function(frame, index) -> frame``: a frame (Y, X) and its index on the axes before."""


def _require_name(kind: str, name: object) -> None:
    """Raise unless `name` can be the name of a record."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name of a {kind} must be a string that is not empty, not {name!r}")


def _require_callable(kind: str, field: str, value: object) -> None:
    """Raise unless `value` can be called."""
    if not callable(value):
        raise TypeError(f"{field} of a {kind} must be callable, not {value!r}")


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """The frames of one array, at one point on their way into the store.

    Attributes
    ----------
    array_key : str
        The array's key in the store.
    shape : tuple of int
        Rows and columns (Y, X).
    dtype : numpy.dtype
        Data type, little endian.
    """

    array_key: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class FrameProcessor:
    """A step on each frame before it is stored: flat-field correction, masking, a stamp.

    Parameters
    ----------
    name : str
        Unique among processors; appears in error messages.
    prepare : callable
        ``prepare(spec) -> FrameFunction or None``, called once per array when the
        stream opens; None leaves the frames of that array alone. `spec` describes the
        frames to return. The function is called as ``function(frame, index)``, with the
        frame (Y, X) and its index on the axes in front of Y and X as a tuple of int. It
        runs on the thread that appends and must not write to the frame.
    order : int
        Processors run in increasing order; of equal order, installed ones by name, and
        then those passed in ``plugins=`` as they stand there.
    takes : callable, optional
        ``takes(spec) -> FrameSpec``: the frames that the function needs to return those
        of `spec`. Left out by a processor that keeps shape and data type. The settings
        describe what is stored; `append` then takes what the first processor takes.
    """

    name: str
    prepare: Callable[[FrameSpec], FrameFunction | None]
    order: int = 0
    takes: Callable[[FrameSpec], FrameSpec] | None = None

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        _require_name("frame processor", self.name)
        _require_callable("frame processor", "prepare", self.prepare)
        if self.takes is not None:
            _require_callable("frame processor", "takes", self.takes)
        if not isinstance(self.order, int):
            raise TypeError(f"order of a frame processor must be an integer, not {self.order!r}")
