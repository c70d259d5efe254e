"""What all arrays of a recording share: threads, memory, the store, the first error.

The workers compute (codecs, reductions): one thread per core. The I/O threads wait for the store:
more threads than cores. The delegates do on behalf of callers what must not be interrupted. Work
only ever waits downstream, caller for delegates, delegates for workers and I/O, workers for I/O,
I/O for nobody, so no wait can be circular.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from aqz_core.pipeline.buffers import BufferPool
from aqz_core.pipeline.delegation import Delegates
from aqz_core.pipeline.failure import Failure
from aqz_core.pipeline.threads import JobGroup, TaskPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_core.planning.memory import MemoryPlan
    from aqz_core.storage.sink import Sink

__all__ = ["MemoryHolder", "Runtime"]

IO_THREADS = 8
"""They sleep in system calls; a disk is at its best with several requests at a time."""


class MemoryHolder(Protocol):
    """Whoever keeps pixels in memory and can give some of it up."""

    def shelve(self) -> bool:
        """Store an incomplete layer to free its memory; return whether there was one."""

    def try_shelve(self) -> bool:
        """As `shelve`, from another thread than the holder's own; do not wait for its lock."""

    def drop_layers(self) -> None:
        """Give back the memory of layers that a failed recording leaves."""


class Runtime:
    """The threads and the memory of one recording.

    Parameters
    ----------
    sink
        Where everything goes.
    memory
        How many bytes each part may take.
    workers
        Threads that compute.
    levels
        Pyramid levels of the deepest array: higher levels are more urgent.
    stall_timeout
        Seconds without progress after which waiting ends in an error.
    """

    def __init__(
        self, sink: Sink, memory: MemoryPlan, workers: int, levels: int, stall_timeout: float
    ) -> None:
        self.sink = sink
        self.stall_timeout = stall_timeout
        self.failure = Failure()
        self.pixels = BufferPool(memory.pixels, self.failure, stall_timeout)
        self.staging = BufferPool(memory.staging, self.failure, stall_timeout)
        self.workers = TaskPool("aqz-worker", workers, self.failure, urgencies=2 * levels)
        self.io = TaskPool("aqz-io", IO_THREADS, self.failure, urgencies=2)
        self.delegates = Delegates("aqz-delegate")
        self.holders: list[MemoryHolder] = []
        self._scratch = threading.local()
        self._preparations = JobGroup()

    def scratch(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return an array of this thread's own, reused at the next call with the same arguments."""
        arrays: dict[str, npt.NDArray[Any]] = self._scratch.__dict__
        key = f"{shape}{dtype}"
        if key not in arrays:
            arrays[key] = np.empty(shape, dtype)
        return arrays[key]

    def relieve(self, holder: MemoryHolder) -> Callable[[], bool]:
        """Return what to call when `holder` finds no memory: it lets any holder shelve a layer."""

        def shelve_one() -> bool:
            others = (other for other in self.holders if other is not holder)
            return holder.shelve() or any(other.try_shelve() for other in others)

        return shelve_one

    def resize(self, memory: MemoryPlan) -> None:
        """Divide another budget, from now on."""
        self.pixels.capacity = memory.pixels
        self.staging.capacity = memory.staging

    @property
    def nbytes(self) -> int:
        """Bytes of pixel memory allocated now."""
        return self.pixels.nbytes + self.staging.nbytes

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call on an I/O thread, before anything that is queued, and wait for the end of it.

        A store that does not answer then holds neither a caller nor the thread that publishes.

        Raises
        ------
        StalledError
            It did not end within the time that the stream may wait.
        AqzError
            It failed, or something did before.
        """
        group = JobGroup()
        self.io.submit(group, function, *arguments, urgency=1)
        group.wait(self.stall_timeout)
        self.failure.check()

    def prepare(self, sizes: Sequence[int]) -> None:
        """Have memory for the next layer of pixels ready, on an I/O thread; do not wait for it."""
        self.io.submit(self._preparations, self.pixels.prepare, sizes, urgency=1)

    def stop(self) -> None:
        """End the threads, and give the memory back."""
        self.delegates.stop()
        self.workers.stop()
        self.io.stop()
        for holder in self.holders:
            holder.drop_layers()
        self.pixels.close()
        self.staging.close()
