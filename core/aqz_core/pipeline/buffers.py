"""Page-aligned memory for pixels in flight, reused, under one bound in bytes.

A `BufferPool` hands out `Buffer` objects and takes them back. It is the back-pressure of the
engine: `BufferPool.acquire` waits when the bound is reached, and stops waiting when the recording
failed, when nothing that could free memory is on its way, or when nothing came free for too long.
Fresh memory is slow to touch for the first time, so returned buffers are kept for the next caller.
They are cut from larger mappings that the system may back with huge pages: direct writes from those
cost half the processor time.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.errors import MemoryBudgetError, StalledError
from aqz_core.storage import platform
from aqz_core.storage.alignment import PAGE, align

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Sequence

    from aqz_core.pipeline.failure import Failure

__all__ = ["Buffer", "BufferPool"]


ARENA_NBYTES = 32 << 20
"""Buffers of one size are cut from a mapping of about this size."""

HUGE_PAGE = 2 << 20
MIN_HUGE_NBYTES = 256 << 10
"""Buffers below this are not worth a huge page each."""


class Buffer:
    """A run of page-aligned bytes with a count of those who still read it.

    Attributes
    ----------
    memory
        All bytes, writable, of shape (nbytes,).
    readers
        How many jobs must call `BufferPool.release` before the buffer is free again.
    """

    __slots__ = ("_arena", "_start", "memory", "readers")

    def __init__(self, arena: mmap.mmap, start: int, nbytes: int) -> None:
        self.memory: npt.NDArray[np.uint8] = np.frombuffer(arena, np.uint8, nbytes, start)
        self.readers = 0
        self._arena = arena
        self._start = start

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.memory.size

    def touch(self) -> None:
        """Make the system back every page now, not when pixels come."""
        self.memory[::PAGE] = 0

    def cool(self) -> None:
        """Give the memory back to the system, the content with it; the addresses stay."""
        platform.give_back(self._arena, self._start, self.nbytes)


def _new_buffers(nbytes: int) -> list[Buffer]:
    """Map memory for buffers of one size; none of it is taken from the system yet."""
    count = max(1, ARENA_NBYTES // nbytes)
    total = align(count * nbytes, HUGE_PAGE)
    arena = platform.map_memory(total, huge=nbytes >= MIN_HUGE_NBYTES)
    return [Buffer(arena, n * nbytes, nbytes) for n in range(count)]


class BufferPool:
    """Buffers under one bound.

    Parameters
    ----------
    capacity
        Bytes that buffers, in use or kept for reuse, may take. `acquire` with ``force=True`` may
        exceed it: its callers are bounded by what they work on.
    failure
        The recording's first error; it wakes and ends every wait.
    stall_timeout
        Seconds without any buffer coming back after which a wait ends in `StalledError`.
    """

    def __init__(self, capacity: int, failure: Failure, stall_timeout: float) -> None:
        self.capacity = capacity
        self._failure = failure
        self._stall_timeout = stall_timeout
        self._free: defaultdict[int, list[Buffer]] = defaultdict(list)
        self._cold: defaultdict[int, list[Buffer]] = defaultdict(list)
        self._kept = 0
        self._in_use = 0
        self._in_flight = 0
        self._peak = 0
        self._returns = threading.Condition()
        failure.on_set(self._wake)

    @property
    def nbytes(self) -> int:
        """Bytes allocated now, in use or kept."""
        return self._in_use + self._kept

    @property
    def in_use(self) -> int:
        """Bytes handed out now."""
        return self._in_use

    @property
    def peak(self) -> int:
        """Most bytes that were ever allocated at once."""
        return self._peak

    def acquire(
        self,
        sizes: Sequence[int],
        *,
        force: bool = False,
        relieve: Callable[[], bool] | None = None,
    ) -> list[Buffer]:
        """Return one buffer for each size in bytes, waiting until all of them fit.

        Parameters
        ----------
        sizes
            In bytes.
        force
            Do not wait, even if the bound is exceeded.
        relieve
            Called when nothing is in flight that could free memory: may send some, and says
            whether it did.

        Raises
        ------
        MemoryBudgetError
            Nothing that is in flight could ever free enough.
        StalledError
            No buffer came back for `stall_timeout` seconds.
        AqzError
            The recording failed while waiting.
        """
        sizes = [align(size) for size in sizes]
        wanted = sum(sizes)
        with self._returns:
            if not force:
                self._wait_for(wanted, relieve)
            return [self._take(size) for size in sizes]

    def acquire_spare(self, sizes: Sequence[int]) -> list[Buffer] | None:
        """Return one buffer for each size if half of the bound is left then; never wait."""
        sizes = [align(size) for size in sizes]
        with self._returns:
            if 2 * (self._in_use + sum(sizes)) > self.capacity:
                return None
            return [self._take(size) for size in sizes]

    def has_free(self, size: int) -> bool:
        """Return whether a buffer of `size` bytes is warm and free."""
        return bool(self._free.get(align(size)))

    def prepare(self, sizes: Sequence[int]) -> None:
        """Have warm buffers ready for the next `acquire` of these sizes, if the bound leaves room.

        Fresh memory can take a hundred times as long as a copy into memory that was used before:
        the system has to find, and clear, huge pages. A caller of `acquire` would wait for that
        with a frame in its hands.
        """
        wanted = Counter(align(size) for size in sizes)
        with self._returns:
            short = wanted - Counter({size: len(self._free[size]) for size in wanted})
            if self._in_use + self._kept + sum(short.elements()) > self.capacity:
                return
            buffers = [self._take(size) for size in short.elements()]
        for buffer in buffers:
            self.hand_over(buffer, 1)
        for buffer in buffers:
            buffer.touch()
            self.release(buffer)

    def hand_over(self, buffer: Buffer, readers: int) -> None:
        """Say that `buffer` is complete and that `readers` jobs will each release it."""
        buffer.readers = readers
        with self._returns:
            self._in_flight += buffer.nbytes

    def release(self, buffer: Buffer) -> None:
        """Note that one reader is done with `buffer`; keep it for reuse after the last."""
        with self._returns:
            buffer.readers -= 1
            if buffer.readers > 0:
                return
            self._in_flight -= buffer.nbytes
            self._in_use -= buffer.nbytes
            self._kept += buffer.nbytes
            if self._in_use + self._kept <= self.capacity:
                self._free[buffer.nbytes].append(buffer)
            else:
                self._cool(buffer)
            self._returns.notify_all()

    def close(self) -> None:
        """Give all free memory back to the system, and whatever comes back later.

        Nobody need wait for the interpreter to find that a closed recording is garbage.
        """
        with self._returns:
            self.capacity = 0
            for buffers in list(self._free.values()):
                while buffers:
                    self._cool(buffers.pop())

    def _wait_for(self, wanted: int, relieve: Callable[[], bool] | None) -> None:
        """Wait, with the condition held, until `wanted` more bytes fit."""
        while self._in_use and self._in_use + wanted > self.capacity:
            self._failure.check()
            if not self._in_flight:
                if relieve is not None and relieve():
                    continue
                raise MemoryBudgetError(
                    f"The next chunks need {wanted:,} bytes, but max_memory leaves "
                    f"{self.capacity:,} for pixels and {self._in_use:,} of them belong to chunks "
                    "that still wait for frames. Raise max_memory, or use chunks with fewer planes."
                )
            before = self._in_use
            if not self._returns.wait(self._stall_timeout) and self._in_use >= before:
                raise StalledError(
                    f"Nothing could be stored for {self._stall_timeout:g} s while "
                    f"{self._in_flight:,} bytes wait to be written. Check the disk or the network; "
                    "stall_timeout sets how long to wait."
                )
        self._failure.check()

    def _take(self, size: int) -> Buffer:
        """Reuse a buffer of that size, or one of cold memory, which others must make room for."""
        self._in_use += size
        if free := self._free[size]:
            self._kept -= size
            return free.pop()
        while self._kept and self._in_use + self._kept > self.capacity:
            others = next(buffers for buffers in self._free.values() if buffers)
            self._cool(others.pop())
        self._peak = max(self._peak, self._in_use + self._kept)
        cold = self._cold[size]
        if not cold:
            cold.extend(_new_buffers(size))
        return cold.pop()

    def _cool(self, buffer: Buffer) -> None:
        """Stop keeping a free buffer's memory."""
        self._kept -= buffer.nbytes
        buffer.cool()
        self._cold[buffer.nbytes].append(buffer)

    def _wake(self) -> None:
        """Let every waiting caller look at the failure."""
        with self._returns:
            self._returns.notify_all()
