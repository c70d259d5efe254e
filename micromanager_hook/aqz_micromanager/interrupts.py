"""Ctrl+C while an acquisition runs.

Neither engine ends well by itself: pycro-manager goes on until every image is there, pymmcore-plus
leaves a thread behind that never ends. So the recording is told first, and ends the acquisition.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["InterruptWatch"]

Handler: TypeAlias = Callable[[int, "FrameType | None"], Any]


class InterruptWatch:
    """Calls a function on SIGINT; what happened on SIGINT before happens afterwards.

    Parameters
    ----------
    on_interrupt
        Returns whether the signal is dealt with, so that nothing is raised.
    """

    def __init__(self, on_interrupt: Callable[[], bool]) -> None:
        self._on_interrupt = on_interrupt
        self._before: Handler | None = None

    def start(self) -> None:
        """Begin to watch; does nothing on another thread than the main one."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._before = before
            signal.signal(signal.SIGINT, self._handle)

    def stop(self) -> None:
        """End to watch."""
        if self._before is not None and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)
        self._before = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Tell of the signal, then hand it on."""
        if not self._on_interrupt() and self._before is not None:
            self._before(number, frame)
