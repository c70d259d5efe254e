"""What must not be interrupted, done on threads that no signal, trace or interrupt reaches.

An exception can be raised in the thread of whoever records at any instruction: Ctrl+C, a notebook's
interrupt, a handler of SIGTERM. What takes a lock, or changes several things that belong together,
is therefore a `Call` that a thread of the recording's own makes. Whoever waits for it may be
interrupted; the call is made to its end all the same. See ``docs/decisions/0001``.
"""

from __future__ import annotations

import contextlib
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aqz_core.errors import StreamClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "Delegates"]

Result = TypeVar("Result")

MAX_THREADS = 64
"""Calls under way at once: at most one for each thread that records, flushes or closes."""

POLL = 0.05
"""Seconds after which one who waits looks again: an interrupted one may have taken his signal."""


class Call(Generic[Result]):
    """A call that is made once, however often it is asked for.

    Attributes
    ----------
    finished
        Whether it was made.
    """

    __slots__ = ("_arguments", "_bell", "_claim", "_error", "_function", "_result", "finished")

    def __init__(self, function: Callable[..., Result], *arguments: Any) -> None:
        self.finished = False
        self._function: Callable[..., Result] | None = function
        self._arguments = arguments
        self._claim = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._result: Result | None = None
        self._error: BaseException | None = None

    @property
    def begun(self) -> bool:
        """Whether somebody makes the call, or did."""
        return self._claim.locked()

    def claim(self) -> bool:
        """Return whether nobody has begun, or will begin, to make the call."""
        return self._claim.acquire(blocking=False)

    def make(self) -> None:
        """Make the call, unless somebody else did or does."""
        if not self.claim():
            return
        try:
            assert self._function is not None
            self._result = self._function(*self._arguments)
        except BaseException as error:
            self._error = error
        self._function, self._arguments = None, ()
        self.finished = True
        self._bell.release()

    def wait_a_little(self) -> None:
        """Return when the call was made, or a little later."""
        self._bell.acquire(timeout=POLL)

    def outcome(self) -> Result:
        """Return what the finished call returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Delegates:
    """Threads that make calls in the order in which they are put; more are started while all wait.

    `put` is one call into C: it happens or it does not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._stopped = False
        self._start()
        self.put = self._calls.put

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Have a call made, wait for its end, and return what it returns."""
        call = Call(function, *arguments)
        self.put(call)
        return self.outcome(call)

    def outcome(self, call: Call[Result]) -> Result:
        """Wait for the end of a call that was put, and return what it returned."""
        self.wait(call)
        return call.outcome()

    def wait(self, call: Call[Any]) -> None:
        """Wait for the end of a call that was put."""
        while not call.finished:
            call.wait_a_little()
            if self._stopped and call.claim():
                raise StreamClosedError("The stream was closed meanwhile; open a new one.")

    def stop(self) -> None:
        """End the threads after the calls that were put; do not wait for them."""
        self._stopped = True
        self.put(None)

    def _start(self) -> None:
        """Start one more thread."""
        name = f"{self._name}-{self._threads}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._threads += 1
        self._idle += 1

    def _work(self) -> None:
        """Make calls until the recording ends."""
        while (call := self._calls.get()) is not None:
            with self._lock:
                self._idle -= 1
                if not self._idle and self._threads < MAX_THREADS and not self._stopped:
                    with contextlib.suppress(RuntimeError):  # no more are allowed
                        self._start()
            call.make()
            del call  # or this thread would keep what it returned
            with self._lock:
                self._idle += 1
        self.put(None)  # for the next one
