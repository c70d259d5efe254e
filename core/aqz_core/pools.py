"""Threads that run jobs: more urgent ones first, the first error ends them all.

Codecs, numpy copies and system calls release the interpreter lock, so plain threads do the work.
A job that raises sets the recording's `Failure`; jobs that come after it are still called, because
each must give back the memory it holds, and look at the failure themselves.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StalledError

if TYPE_CHECKING:
    from aqz_core.failure import Failure

__all__ = ["TaskPool"]

Job = tuple[Callable[..., None], tuple[Any, ...]]


class TaskPool:
    """A fixed number of daemon threads and one queue for each urgency.

    Parameters
    ----------
    name
        Prefix of the threads' names.
    threads
        How many run at once.
    failure
        Takes the first exception that a job raises.
    urgencies
        How many urgencies there are; jobs of a higher one start first.
    """

    def __init__(self, name: str, threads: int, failure: Failure, urgencies: int = 1) -> None:
        self._failure = failure
        self._queues: list[deque[Job]] = [deque() for _ in range(urgencies)]
        self._changed = threading.Condition()
        self._idle = threading.Condition(threading.Lock())
        self._unfinished = 0
        self._finished = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[..., None], *arguments: Any, urgency: int = 0) -> None:
        """Run ``job(*arguments)`` on one of the threads; never waits."""
        with self._idle:
            self._unfinished += 1
        with self._changed:
            self._queues[min(urgency, len(self._queues) - 1)].append((job, arguments))
            self._changed.notify()

    @property
    def unfinished(self) -> int:
        """Jobs that are queued or running."""
        return self._unfinished

    def drain(self, stall_timeout: float) -> None:
        """Wait until every job is done.

        Raises
        ------
        StalledError
            No job finished for `stall_timeout` seconds.
        """
        with self._idle:
            while self._unfinished:
                before = self._finished
                if not self._idle.wait(stall_timeout) and self._finished == before:
                    raise StalledError(
                        f"{self._unfinished} jobs did not finish: nothing was stored for "
                        f"{stall_timeout:g} s. Check the disk or the network; stall_timeout sets "
                        "how long to wait."
                    )

    def stop(self) -> None:
        """End the threads once their queues are empty; do not wait for them."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _next(self) -> Job | None:
        """Take the most urgent job, or None when the pool has stopped."""
        with self._changed:
            while True:
                for queue in reversed(self._queues):
                    if queue:
                        return queue.popleft()
                if self._stopping:
                    return None
                self._changed.wait()

    def _work(self) -> None:
        """Run jobs until the pool stops."""
        while (job := self._next()) is not None:
            function, arguments = job
            try:
                function(*arguments)
            except BaseException as error:
                self._failure.set(error)
            del job, function, arguments
            with self._idle:
                self._unfinished -= 1
                self._finished += 1
                self._idle.notify_all()
