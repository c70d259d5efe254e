"""Threads that run jobs: more urgent ones first, the first error ends them all.

Codecs, numpy copies and system calls release the interpreter lock, so plain threads do the work.
A job that raises sets the recording's `Failure`; jobs that come after it are still called, because
each must give back the memory it holds, and look at the failure themselves.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from aqz_core.errors import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.pipeline.failure import Failure

__all__ = ["LARGE_NBYTES", "JobGroup", "TaskPool"]


LARGE_NBYTES = 512 << 10
"""Jobs of so many bytes each get a thread if there is one, smaller ones do together."""


class JobGroup:
    """Jobs that someone waits for together: those of one array, for instance."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._unfinished = 0
        self._finished = 0

    @property
    def unfinished(self) -> int:
        """How many are queued or running."""
        return self._unfinished

    def begin(self) -> None:
        """Count one more."""
        with self._changed:
            self._unfinished += 1

    def end(self) -> None:
        """Count one as done."""
        with self._changed:
            self._unfinished -= 1
            self._finished += 1
            self._changed.notify_all()

    def wait(self, stall_timeout: float) -> None:
        """Wait until all of them, and all that they submitted meanwhile, are done.

        Raises
        ------
        StalledError
            None finished for `stall_timeout` seconds.
        """
        with self._changed:
            while self._unfinished:
                before = self._finished
                if not self._changed.wait(stall_timeout) and self._finished == before:
                    raise StalledError(
                        f"{self._unfinished} jobs did not finish: nothing was stored for "
                        f"{stall_timeout:g} s. Check the disk or the network; stall_timeout sets "
                        "how long to wait."
                    )


class _Job(NamedTuple):
    """A call to make, and the group that waits for it."""

    group: JobGroup
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    nbytes: int


class TaskPool:
    """Daemon threads, started with the first job, and one queue for each urgency.

    Starting a thread takes until it runs, which is long on a busy machine. So the first job starts
    one thread only, and each thread starts the next.

    Parameters
    ----------
    name
        Prefix of the threads' names.
    threads
        How many run at once at most.
    failure
        Takes the first exception that a job raises.
    urgencies
        How many urgencies there are; jobs of a higher one start first.
    """

    def __init__(self, name: str, threads: int, failure: Failure, urgencies: int = 1) -> None:
        self._failure = failure
        self._queues: list[deque[_Job]] = [deque() for _ in range(urgencies)]
        self._lock = threading.Lock()
        self._queued = self._large = 0
        self._running = 0
        self._idle: list[threading.Lock] = []
        self._name = name
        self._most_threads = threads
        self._started = False
        self._stopping = False

    def submit(
        self,
        group: JobGroup,
        function: Callable[..., None],
        *arguments: Any,
        urgency: int = 0,
        nbytes: int = LARGE_NBYTES,
    ) -> None:
        """Run ``function(*arguments)`` on one of the threads, as part of `group`; never waits.

        Small jobs, of `nbytes` bytes of pixels, may wait for a thread that runs: where they are
        done in no time, one thread does all of them, and many would only take the interpreter lock
        from each other.
        """
        group.begin()
        with self._lock:
            queue = self._queues[min(urgency, len(self._queues) - 1)]
            queue.append(_Job(group, function, arguments, nbytes))
            self._count(nbytes, 1)
            is_first, self._started = not self._started, True
            self._wake_if_needed()
        if is_first:
            self._start_thread(0)

    def _wake_if_needed(self) -> None:
        """Wake one more thread if what is queued should not wait for those that run."""
        if self._idle and self._is_work_for_more_than(self._running):
            self._wake()

    def _wake(self) -> None:
        """Let the thread run that was the last to fall idle: what it needs is still at hand."""
        self._idle.pop().release()
        self._running += 1

    def _start_thread(self, number: int) -> None:
        """Start a thread."""
        name = f"{self._name}-{number}"
        threading.Thread(target=self._work, args=(number,), name=name, daemon=True).start()

    def stop(self) -> None:
        """End the threads once their queues are empty; do not wait for them."""
        with self._lock:
            self._stopping = True
            while self._idle:
                self._wake()

    def _next(self, bell: threading.Lock) -> _Job | None:
        """Take the most urgent job, or None when the pool has stopped; `bell` is the thread's."""
        while True:
            with self._lock:
                self._running -= 1
                if self._is_work_for_more_than(self._running):
                    for queue in reversed(self._queues):
                        if queue:
                            self._running += 1
                            job: _Job = queue.popleft()
                            self._count(job.nbytes, -1)
                            self._wake_if_needed()  # what is left may be large
                            return job
                if self._stopping:
                    return None
                self._idle.append(bell)
            bell.acquire()

    def _count(self, nbytes: int, jobs: int) -> None:
        """Count jobs that were queued, or taken."""
        self._queued += jobs * nbytes
        self._large += jobs * (nbytes >= LARGE_NBYTES)

    def _is_work_for_more_than(self, threads: int) -> bool:
        """Return whether what is queued should not wait for so many threads that run."""
        return self._large > 0 or self._queued >= threads * LARGE_NBYTES

    def _work(self, number: int) -> None:
        """Start the next thread, and run jobs until the pool stops."""
        if number + 1 < self._most_threads and not self._stopping:
            with contextlib.suppress(RuntimeError):  # no more are allowed: fewer do it as well
                self._start_thread(number + 1)
        bell = threading.Lock()
        bell.acquire()
        with self._lock:
            self._running += 1
        while (job := self._next(bell)) is not None:
            group = job.group
            try:
                job.function(*job.arguments)
            except BaseException as error:
                self._failure.set(error)
            del job  # or this thread would keep the job's memory until the next one
            group.end()
