"""From what a caller appends to whole frames: type, shape, byte order and runs of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import FrameShapeError, FrameTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrameAssembler"]

Array = npt.NDArray[Any]


class FrameAssembler:
    """Cuts appended arrays into frames of one shape and type.

    Pixels of an incomplete frame are kept with the number of that frame. They are void as soon as
    the frame was taken, which is done at once; so no run is half taken, whatever interrupts it.

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
    number
        Returns the number of the next frame.

    Attributes
    ----------
    pending
        Number of the frame that is incomplete, and how many of its pixels are there, if one is.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        where: str,
        fill_value: float,
        number: Callable[[], int],
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._where = where
        self._fill_value = fill_value
        self._pixels = shape[0] * shape[1]
        self._partial = np.empty(0, dtype)
        self._number = number
        self.pending: tuple[int, int] | None = None

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self._pixels

    @property
    def pending_pixels(self) -> int:
        """Pixels that do not make up a frame yet."""
        pending = self.pending
        return pending[1] if pending is not None and pending[0] == self._number() else 0

    @property
    def pending_nbytes(self) -> int:
        """Bytes of pixels that do not make up a frame yet."""
        return self.pending_pixels * self.dtype.itemsize

    def check(self, data: object) -> tuple[Array, int, bool]:
        """Return the data as an array that `frames` takes, and what is in it.

        Returns
        -------
        tuple
            The array, how many frames it completes, and whether it begins another.

        Raises
        ------
        FrameTypeError
            It is not an array, or of a data type that cannot be stored without change.
        FrameShapeError
            Its last two axes are not those of a frame, and it is not flat either.
        """
        if isinstance(data, np.ndarray) and self._holds_nothing(data.shape):
            return data, 0, False
        array = self._as_array(data)
        if array.ndim == 1:
            whole, rest = divmod(self.pending_pixels + array.size, self._pixels)
            return array, whole, bool(rest)
        if array.shape[-2:] != self.shape:
            remedy = "Crop, pad or transpose it." if array.size else "There are no pixels in it."
            raise FrameShapeError(
                f"{self._where} takes frames of shape {self.shape}, stacks of them (..., "
                f"{self.shape[0]}, {self.shape[1]}), or flat runs of pixels, but got shape "
                f"{array.shape}. {remedy}"
            )
        if filled := self.pending_pixels:
            raise FrameShapeError(
                f"{self._where} has {filled} pixels of an incomplete frame from a flat run; "
                f"append the other {self._pixels - filled} as a flat array first."
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

    def skip(self, pixels: int) -> tuple[Array | None, int, int]:
        """Pass over pixels of a flat run, which count as the fill value.

        Returns
        -------
        tuple
            The frame that was begun before and is completed now, if there is one, how many whole
            frames follow it, and how many pixels of the next; those are given to `begin_frame`.
        """
        completed = None
        if filled := self.pending_pixels:
            taken = min(self._pixels - filled, pixels)
            self._partial[filled : filled + taken] = self._fill_value
            pixels -= taken
            if filled + taken < self._pixels:
                self.pending = (self._number(), filled + taken)
                return None, 0, 0
            completed = self._partial.reshape(self.shape)
        return completed, *divmod(pixels, self._pixels)

    def begin_frame(self, pixels: int) -> None:
        """Begin the next frame with skipped pixels."""
        self._keep(self._fill_value, pixels)

    def _keep(self, values: Array | float, count: int) -> None:
        """Keep the first pixels of the next frame."""
        if not self._partial.size:
            self._partial = np.empty(self._pixels, self.dtype)
        self._partial[:count] = values
        self.pending = (self._number(), count)

    def _holds_nothing(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array has no frames, or no pixels of a run, in it."""
        return shape == (0,) or (0 in shape[:-2] and shape[-2:] == self.shape)

    def _as_array(self, data: object) -> Array:
        """Return `data` as an array of the right type, its byte order converted."""
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
                    f"{self._where} takes {self.dtype.name}, but the data are "
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
        """Say how an object that is not an array becomes frames."""
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
        if filled := self.pending_pixels:
            taken = min(self._pixels - filled, pixels.size)
            self._partial[filled : filled + taken] = pixels[:taken]
            pixels = pixels[taken:]
            if filled + taken < self._pixels:
                self.pending = (self._number(), filled + taken)
                return
            yield self._partial.reshape(self.shape)
        self.pending = None
        whole = pixels.size // self._pixels
        for frame in pixels[: whole * self._pixels].reshape(-1, *self.shape):
            yield _rows_contiguous(frame)
        rest = pixels[whole * self._pixels :]
        if rest.size:
            self._keep(rest, rest.size)


def _rows_contiguous(frame: Array) -> Array:
    """Return the frame, copied if its rows are not runs of memory."""
    return frame if frame.strides[-1] == frame.itemsize else np.ascontiguousarray(frame)
