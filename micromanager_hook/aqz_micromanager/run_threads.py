"""Which runs of pymmcore-plus feed a handler: those of this thread, and those of others.

``core.run_mda`` returns at once and runs on a thread of its own. Between its start and the first
signal nothing but that thread tells that frames are going to come.
"""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["RunThread", "await_begin", "connect_directly", "is_output", "is_relay", "run_thread"]

_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class RunThread:
    """A thread that runs a sequence, and the runner whose method it calls."""

    thread: threading.Thread
    runner: Any

    def join(self) -> None:
        """Wait for its end, unless it is this thread."""
        if self.thread is not threading.current_thread():
            self.thread.join()


def run_thread(handler: object) -> RunThread | None:
    """Return the thread that runs a sequence for a handler, or is about to.

    A thread forgets what it was started with when it is done.
    """
    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)
        given = getattr(thread, "_kwargs", None) or {}
        runner = getattr(target, "__self__", None)
        if hasattr(runner, "is_running") and _contains(given.get("output"), handler):
            return RunThread(thread, runner)
    return None


def await_begin(thread: RunThread | None) -> None:
    """Wait until a run can be canceled: before it has begun, that does nothing."""
    while thread is not None and thread.thread.is_alive() and not thread.runner.is_running():
        time.sleep(_LOOK_SECONDS)


def connect_directly(signal: Any, method: Callable[..., object]) -> None:
    """Call a method in the thread that emits, before the slots of others; never keep its object.

    Qt's signals must be asked for that. They would otherwise go through the event loop of a program
    with a window: too late to hold an acquisition back, and holding the window back instead.

    An error in one slot of psygnal keeps the emission from all that follow, and a method whose
    object is collected in the midst of it is such an error: a handler of a run that is over would
    cost the present one a frame. So the slot outlives its object, and then does nothing.
    """
    find = weakref.WeakMethod(method)

    def slot(*args: Any) -> None:
        found = find()
        if found is not None:
            found(*args)

    if "Qt" in type(signal).__module__:
        from qtpy.QtCore import Qt

        signal.connect(slot, Qt.ConnectionType.DirectConnection)
    else:  # psygnal calls where it emits
        signal.connect(slot, priority=1)


def is_output(runner: Any, handler: object) -> bool:
    """Return whether the present run of a runner feeds a handler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # nothing else tells
        outputs: tuple[object, ...] = getattr(runner, "get_output_handlers", tuple)()
    return any(output is handler for output in outputs)


def is_relay(thread: threading.Thread) -> bool:
    """Return whether a thread hands signals on to handlers: it must not wait for their end."""
    return type(thread).__name__ == "MDARelayThread"


def _contains(output: Any, handler: object) -> bool:
    """Return whether a handler is the output, or one of several."""
    several = isinstance(output, Sequence) and not isinstance(output, str)
    return any(one is handler for one in output) if several else output is handler
