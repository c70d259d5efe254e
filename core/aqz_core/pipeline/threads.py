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

__all__ = ["JobGroup", "TaskPool"]


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
        self._changed = threading.Condition()
        self._name = name
        self._most_threads = threads
        self._started = False
        self._stopping = False

    def submit(
        self, group: JobGroup, function: Callable[..., None], *arguments: Any, urgency: int = 0
    ) -> None:
        """Run ``function(*arguments)`` on one of the threads, as part of `group`; never waits."""
        group.begin()
        with self._changed:
            queue = self._queues[min(urgency, len(self._queues) - 1)]
            queue.append(_Job(group, function, arguments))
            is_first, self._started = not self._started, True
            self._changed.notify()
        if is_first:
            self._start_thread(0)

    def _start_thread(self, number: int) -> None:
        """Start a thread."""
        name = f"{self._name}-{number}"
        threading.Thread(target=self._work, args=(number,), name=name, daemon=True).start()

    def stop(self) -> None:
        """End the threads once their queues are empty; do not wait for them."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _next(self) -> _Job | None:
        """Take the most urgent job, or None when the pool has stopped."""
        with self._changed:
            while True:
                for queue in reversed(self._queues):
                    if queue:
                        job: _Job = queue.popleft()
                        return job
                if self._stopping:
                    return None
                self._changed.wait()

    def _work(self, number: int) -> None:
        """Start the next thread, and run jobs until the pool stops."""
        if number + 1 < self._most_threads and not self._stopping:
            with contextlib.suppress(RuntimeError):  # no more are allowed: fewer do it as well
                self._start_thread(number + 1)
        while (job := self._next()) is not None:
            group = job.group
            try:
                job.function(*job.arguments)
            except BaseException as error:
                self._failure.set(error)
            del job  # or this thread would keep the job's memory until the next one
            group.end()
