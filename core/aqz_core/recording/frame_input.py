"""From what a caller appends to whole frames: type, shape, byte order and runs of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import FrameShapeError, FrameTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        if isinstance(data, np.ndarray) and data.size == 0:
            return data, 0, False
        array = self._as_array(data)
        if array.ndim == 1:
            whole, rest = divmod(self._filled + array.size, self._pixels)
            return array, whole, bool(rest)
        if array.shape[-2:] != self.shape:
            raise FrameShapeError(
                f"{self._where} takes frames of shape {self.shape}, stacks of them (..., "
                f"{self.shape[0]}, {self.shape[1]}), or flat runs of pixels, but got shape "
                f"{array.shape}. Crop, pad or transpose it."
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

    def _as_array(self, data: object) -> Array:
        """Return `data` as an array of the right type, its byte order mended."""
        if not isinstance(data, np.ndarray):
            if isinstance(data, list | tuple | str | bytes | bytearray) or data is None:
                raise FrameTypeError(
                    f"{self._where} takes numpy arrays of {self.dtype.name}, not "
                    f"{type(data).__name__}; use numpy.asarray(data, {self.dtype.name!r})"
                )
            data = np.asarray(data)
        if isinstance(data, np.matrix):  # its pieces would stay two-dimensional
            data = np.asarray(data)
        if data.dtype != self.dtype:
            if not np.can_cast(data.dtype, self.dtype, "equiv"):
                raise FrameTypeError(
                    f"{self._where} stores {self.dtype.name}, but the data are "
                    f"{data.dtype}; convert them with data.astype({self.dtype.name!r}) if no "
                    "value is lost by it"
                )
            data = data.astype(self.dtype)
        return data

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
