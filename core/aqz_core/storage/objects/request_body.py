"""A request body that is sent from where it lies, a slice at a time.

The HTTP library hands a large run of bytes to the socket in one go, which copies what the socket
does not take at once, and warns of it. A `PartBody` goes out in slices instead, each waiting until
the one before has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp.payload
import google_crc32c
import numpy as np

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

__all__ = ["PartBody", "crc32c"]

SLICE_NBYTES = 256 << 10


class PartBody(bytearray):
    """Bytes of a part, in memory that may be longer than the part.

    Memory of this size is best used again: given back, the allocator would keep it apart for each
    of the threads that asked for it.

    Parameters
    ----------
    nbytes
        Size of the memory, and of the part for now.

    Attributes
    ----------
    attempts
        How often sending it was begun.
    lease
        Counts how often the memory was given to somebody new.
    length
        How many bytes are sent; also the result of ``len``.
    """

    __slots__ = ("attempts", "lease", "length")

    def __init__(self, nbytes: int) -> None:
        super().__init__(nbytes)
        self.attempts = 0
        self.lease = 0
        self.length = nbytes

    def renew(self) -> None:
        """Forget what was sent: the memory is used for something else now."""
        self.attempts = 0
        self.lease += 1
        self.length = self.capacity

    def __len__(self) -> int:
        """Return how many bytes are sent."""
        return self.length

    @property
    def capacity(self) -> int:
        """Size of the memory."""
        return super().__len__()

    def fill(self, start: int, data: memoryview) -> None:
        """Copy bytes into the memory; other threads can run meanwhile."""
        np.frombuffer(self, np.uint8)[start : start + len(data)] = data

    def view(self) -> memoryview:
        """Return the bytes that are sent."""
        return memoryview(self)[: self.length]


class _SlicedPayload(aiohttp.payload.BytesPayload):
    """Sends a `PartBody`."""

    _value: PartBody  # type: ignore[assignment]  # only this class is registered for it

    def __init__(self, value: PartBody, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("content_type", "application/octet-stream")
        super(aiohttp.payload.BytesPayload, self).__init__(value, *args, **kwargs)
        self._size = len(value)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write up to `content_length` bytes."""
        stop = len(self._value) if content_length is None else content_length
        with self._value.view() as view:
            for start in range(0, min(stop, len(view)), SLICE_NBYTES):
                await writer.write(view[start : min(start + SLICE_NBYTES, stop)])

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write everything."""
        await self.write_with_length(writer, None)


aiohttp.payload.register_payload(_SlicedPayload, PartBody)


def crc32c(body: PartBody) -> bytes:
    """Return the CRC-32C of a body, big endian as HTTP headers have it."""
    value: int = google_crc32c.value(np.frombuffer(body, np.uint8, body.length) if body else b"")
    return value.to_bytes(4, "big")
