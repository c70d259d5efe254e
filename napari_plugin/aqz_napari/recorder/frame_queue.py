"""A queue of copied frames, bounded in bytes, between producers and the writer thread.

Frames are copied into buffers that are used again, so that a producer may overwrite its own at
once and no memory is allocated in the steady state. A producer that finds the queue full waits
as long as it is told to, then the frame is refused: who asks decides what that means.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FrameQueue", "QueuedFrame", "default_capacity"]

_BufferKind = tuple[tuple[int, ...], str]


@dataclass(slots=True)
class QueuedFrame:
    """A frame on its way to the store."""

    key: str
    pixels: NDArray[Any]
    index: Mapping[str, int] | None
    metadata: dict[str, Any]


def default_capacity() -> int:
    """Return a sensible bound in bytes: 1 GiB, or a quarter of the machine's memory if less."""
    import os
    import sys

    memory = 4 << 30
    if sys.platform != "win32":
        with contextlib.suppress(ValueError, OSError):
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(1 << 30, memory // 4)


class FrameQueue:
    """First in, first out, at most `capacity` bytes of pixels.

    Parameters
    ----------
    capacity : int
        Bytes. A single frame larger than that is taken when the queue is empty.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._frames: deque[QueuedFrame] = deque()
        self._nbytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._spare: dict[_BufferKind, list[NDArray[Any]]] = defaultdict(list)

    @property
    def nbytes(self) -> int:
        """Bytes taken: waiting frames and the one being stored."""
        return self._nbytes

    @property
    def fill(self) -> float:
        """Share of the capacity in use, 0 to 1."""
        return min(1.0, self._nbytes / self.capacity) if self.capacity else 0.0

    def __len__(self) -> int:
        """Return the number of frames that wait."""
        return len(self._frames)

    def reserve(self, nbytes: int, wait: float = 0.0) -> bool:
        """Set room aside for a frame, waiting up to `wait` seconds for it.

        Returns
        -------
        bool
            False when there is no room, or the queue is closed.
        """
        deadline = time.monotonic() + wait
        with self._changed:
            while not self._closed:
                if self._nbytes == 0 or self._nbytes + nbytes <= self.capacity:
                    self._nbytes += nbytes
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 1.0))
        return False

    def copy_of(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a contiguous copy, in a buffer that was used before if there is one."""
        kind = (frame.shape, frame.dtype.str)
        with self._changed:
            spare = self._spare[kind]
            buffer = spare.pop() if spare else None
        if buffer is None:
            return np.array(frame, order="C", copy=True)
        np.copyto(buffer, frame)
        return buffer

    def put(self, frame: QueuedFrame) -> None:
        """Add a frame whose room was reserved."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def cancel(self, nbytes: int) -> None:
        """Give back room that was reserved and is not needed."""
        with self._changed:
            self._nbytes -= nbytes
            self._changed.notify_all()

    def get(self, timeout: float) -> QueuedFrame | None:
        """Return the next frame, or None when none came in `timeout` seconds."""
        with self._changed:
            if not self._frames and not self._closed:
                self._changed.wait(timeout)
            return self._frames.popleft() if self._frames else None

    def done(self, frame: QueuedFrame) -> None:
        """Give back the room and the buffer of a frame that `get` returned."""
        pixels = frame.pixels
        with self._changed:
            self._nbytes -= pixels.nbytes
            spare = self._spare[pixels.shape, pixels.dtype.str]
            if len(spare) * pixels.nbytes < self.capacity // 8 and not self._closed:
                spare.append(pixels)
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse frames from now on and wake everyone; frames that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._spare.clear()
            self._changed.notify_all()
