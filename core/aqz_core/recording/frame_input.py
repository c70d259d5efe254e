"""From what a caller appends to whole frames: type, shape, byte order and runs of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import FrameShapeError, FrameTypeError

__all__ = ["FrameAssembler"]

Array = npt.NDArray[Any]


class FrameAssembler:
    """Cuts appended arrays into frames of one shape and type.

    Parameters
    ----------
    shape
        Rows and columns (Y, X) of a frame.
    dtype
        The array's data type.
    where
        How to call the array in messages.
    fill_value
        What skipped pixels count as.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        where: str,
        fill_value: float = 0,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._where = where
        self._fill_value = fill_value
        self._pixels = shape[0] * shape[1]
        self._partial = np.empty(0, dtype)
        self._filled = 0

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self._pixels

    @property
    def pending_pixels(self) -> int:
        """Pixels that do not make up a frame yet."""
        return self._filled

    @property
    def pending_nbytes(self) -> int:
        """Bytes of pixels that do not make up a frame yet."""
        return self._filled * self.dtype.itemsize

    def check(self, data: object) -> tuple[Array, int, bool]:
        """Return the data as an array that `frames` takes, and what is in it.

        Returns
        -------
        tuple
            The array, how many frames it completes, and whether it begins another.

        Raises
        ------
        FrameTypeError
            It is no array, or of a data type that cannot be stored without change.
        FrameShapeError
            Its last two axes are not those of a frame, and it is not flat either.
        """
        if isinstance(data, np.ndarray) and self._holds_nothing(data.shape):
            return data, 0, False
        array = self._as_array(data)
        if array.ndim == 1:
            whole, rest = divmod(self._filled + array.size, self._pixels)
            return array, whole, bool(rest)
        if array.shape[-2:] != self.shape:
            remedy = "Crop, pad or transpose it." if array.size else "There are no pixels in it."
            raise FrameShapeError(
                f"{self._where} takes frames of shape {self.shape}, stacks of them (..., "
                f"{self.shape[0]}, {self.shape[1]}), or flat runs of pixels, but got shape "
                f"{array.shape}. {remedy}"
            )
        if self._filled:
            raise FrameShapeError(
                f"{self._where} has {self._filled} pixels of an incomplete frame from a flat run; "
                f"append the other {self._pixels - self._filled} as a flat array first."
            )
        return array, array.size // self._pixels, False

    def frames(self, array: Array) -> Iterator[Array]:
        """Yield the whole frames in a checked array; keep pixels that are left over."""
        if array.size == 0:
            return
        if array.ndim == 1:
            yield from self._from_run(array)
        elif array.ndim == 2:
            yield _rows_contiguous(array)
        else:
            for index in np.ndindex(array.shape[:-2]):
                yield _rows_contiguous(array[index])

    def skip(self, pixels: int) -> tuple[Array | None, int]:
        """Pass over pixels of a flat run, which count as the fill value.

        Returns
        -------
        tuple
            The frame that was begun before and is completed now, if there is one, and how many
            whole frames were passed over after it.
        """
        completed = None
        if self._filled:
            taken = min(self._pixels - self._filled, pixels)
            self._partial[self._filled : self._filled + taken] = self._fill_value
            self._filled += taken
            pixels -= taken
            if self._filled < self._pixels:
                return None, 0
            self._filled = 0
            completed = self._partial.copy().reshape(self.shape)
        whole, rest = divmod(pixels, self._pixels)
        if rest:
            if not self._partial.size:
                self._partial = np.empty(self._pixels, self.dtype)
            self._partial[:rest] = self._fill_value
            self._filled = rest
        return completed, whole

    def _holds_nothing(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array has no frames, or no pixels of a run, in it."""
        return shape == (0,) or (0 in shape[:-2] and shape[-2:] == self.shape)

    def _as_array(self, data: object) -> Array:
        """Return `data` as an array of the right type, its byte order mended."""
        if isinstance(data, np.ma.MaskedArray):
            raise FrameTypeError(
                f"{self._where} cannot store a masked array: what masked pixels would be is not "
                "said. Choose it: data.filled(0)"
            )
        if not isinstance(data, np.ndarray):
            data = self._from_object(data)
        if isinstance(data, np.matrix):  # its pieces would stay two-dimensional
            data = np.asarray(data)
        if data.dtype != self.dtype:
            if not np.can_cast(data.dtype, self.dtype, "equiv"):
                raise FrameTypeError(
                    f"{self._where} stores {self.dtype.name}, but the data are "
                    f"{data.dtype}; {self._conversion(data)}"
                )
            data = data.astype(self.dtype)
        return data

    def _from_object(self, data: object) -> Array:
        """Return what another library, or a buffer, holds as an array; it may be a view."""
        if not isinstance(data, list | tuple | str | bytes | bytearray | Iterator):
            array = np.asarray(data)
            if array.dtype != object:
                return array
        raise FrameTypeError(
            f"{self._where} takes numpy arrays of {self.dtype.name}, not {type(data).__name__}; "
            f"{self._remedy(data)}"
        )

    def _remedy(self, data: object) -> str:
        """Say how an object that is no array becomes frames."""
        if data is None:
            return "to leave out a frame that is missing, call skip_frames(1)"
        if isinstance(data, bytes | bytearray):
            return f"use numpy.frombuffer(data, {self.dtype.name!r}).reshape(-1, *{self.shape})"
        if isinstance(data, list | tuple):
            return f"use numpy.asarray(data, {self.dtype.name!r})"
        if isinstance(data, Iterable) and not isinstance(data, str | Mapping):
            return "append what it yields, one frame after the other"
        return f"a frame is a numpy array of shape {self.shape}"

    def _conversion(self, data: Array) -> str:
        """Say how an array of another data type becomes one of the right type."""
        name = self.dtype.name
        are_bytes = data.dtype.itemsize == 1 and data.shape[-2:] != self.shape
        if are_bytes and data.nbytes % (self._pixels * self.dtype.itemsize) == 0:
            return (
                f"if these are the bytes of frames, use numpy.frombuffer(data, {name!r})"
                f".reshape(-1, *{self.shape})"
            )
        if data.dtype.names or data.dtype.kind not in "biuf":
            return f"a frame has one number for each pixel; take those out as {name}"
        return f"convert them with data.astype({name!r}) if no value is lost by it"

    def _from_run(self, pixels: Array) -> Iterator[Array]:
        """Yield frames from a flat run that continues the one before."""
        if self._filled:
            taken = min(self._pixels - self._filled, pixels.size)
            self._partial[self._filled : self._filled + taken] = pixels[:taken]
            self._filled += taken
            pixels = pixels[taken:]
            if self._filled < self._pixels:
                return
            self._filled = 0
            yield self._partial.reshape(self.shape)
        whole = pixels.size // self._pixels
        for frame in pixels[: whole * self._pixels].reshape(-1, *self.shape):
            yield _rows_contiguous(frame)
        rest = pixels[whole * self._pixels :]
        if rest.size:
            if not self._partial.size:
                self._partial = np.empty(self._pixels, self.dtype)
            self._partial[: rest.size] = rest
            self._filled = rest.size


def _rows_contiguous(frame: Array) -> Array:
    """Return the frame, copied if its rows are not runs of memory."""
    return frame if frame.strides[-1] == frame.itemsize else np.ascontiguousarray(frame)
