"""Frames from runs of bytes, which programs in C cut as they like, in the middle of a pixel too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.c_library.statuses import PartialWriteError

if TYPE_CHECKING:
    from aqz_core.stream import ZarrStream

__all__ = ["ByteRun"]


class ByteRun:
    """The bytes of one array, of which each call brings the next.

    Parameters
    ----------
    stream
        The stream that records them.
    key
        The array, as the program named it.

    Attributes
    ----------
    array
        What records it.
    """

    def __init__(self, stream: ZarrStream, key: str | None) -> None:
        self.array = stream._session.array(key)
        self._stream = stream
        self._key = key
        self._shape = self.array.plan.frame_shape
        self._dtype = self.array.plan.base.dtype
        self._frame_nbytes = self.array.plan.base.frame_nbytes
        self._rest = b""
        self._position = self._taken()

    @property
    def trailing_nbytes(self) -> int:
        """Bytes at the end that make up no pixel."""
        return len(self._rest)

    def append(self, data: Any, nbytes: int) -> int:
        """Take bytes and return how many: all of them.

        A whole frame that nothing is in front of is given on as it lies in the memory of C, so that
        the recording copies it once.

        Parameters
        ----------
        data
            A buffer of that many bytes.
        nbytes
            How many.

        Raises
        ------
        PartialWriteError
            Some were taken; ``taken`` says how many.
        AqzError
            None of them was taken.
        """
        try:
            if nbytes == self._frame_nbytes and self._position % nbytes == 0:
                frame = np.frombuffer(data, self._dtype).reshape(self._shape)
                self._stream.append(frame, self._key)
            else:
                self._append(data, nbytes)
        except BaseException as error:
            self._recount(error)
            raise
        self._position += nbytes
        return nbytes

    def skip(self, nbytes: int) -> int:
        """Pass over bytes and return how many; errors as for `append`."""
        try:
            self._skip(nbytes)
        except BaseException as error:
            self._recount(error)
            raise
        self._position += nbytes
        return nbytes

    def _append(self, data: Any, nbytes: int) -> None:
        """Take bytes of which some may belong to pixels of other calls."""
        itemsize = self._dtype.itemsize
        head = (itemsize - len(self._rest)) % itemsize if self._rest else 0
        if nbytes < head:
            self._rest += bytes(data)
            return
        if head:
            begun = self._position % self._frame_nbytes
            self.array.check_room(-(-(begun + nbytes) // self._frame_nbytes))
            pixel = np.frombuffer(self._rest + bytes(data[:head]), self._dtype)
            self._stream.append(pixel, self._key)
            self._rest = b""
        if pixels := (nbytes - head) // itemsize:
            run = np.frombuffer(data, self._dtype, pixels, head)
            self._stream.append(run, self._key)
        self._rest = bytes(data[head + pixels * itemsize :])

    def _skip(self, nbytes: int) -> None:
        """Pass over bytes, the rest of a pixel first."""
        itemsize = self._dtype.itemsize
        if self._rest:
            head = min(itemsize - len(self._rest), nbytes)
            self._append(bytes(head), head)
            nbytes -= head
        rest = nbytes % itemsize
        self._stream.skip(nbytes - rest, self._key)
        if rest:
            self._rest = bytes(rest)

    def _recount(self, error: BaseException) -> None:
        """Find out how many bytes a failed call took; raise if that is not none."""
        before, self._position = self._position, self._taken()
        if taken := self._position - before:
            raise PartialWriteError(taken, error) from error

    def _taken(self) -> int:
        """Return how many bytes were taken in all."""
        whole = self.array.frames * self._frame_nbytes
        return whole + self.array.pending_nbytes + len(self._rest)
