"""What becomes of open streams when their process ends or forks.

**The end.** Python turns SIGINT (Ctrl-C) into ``KeyboardInterrupt``, which leaves ``with`` blocks
properly. SIGTERM, which batch systems, containers and ``kill`` send, SIGHUP, which comes when a
terminal or a remote login is closed, and SIGBREAK, which Windows sends when a console window is
closed, end the process on the spot: what was not stored is lost.
Within `exit_on_sigterm` they raise ``SystemExit`` in the main thread instead.

**A fork.** A forked child has none of a stream's threads, but copies of everything else, among them
the finalizer that would finish the store. So in the child every open stream is turned, before any
other code runs, into one that belongs to its parent: it can be closed or dropped without any
effect, and takes nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, Protocol

from aqz_core.errors import StreamClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableSet
    from types import FrameType

    _Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers

__all__ = ["ParentsRecording", "exit_on_sigterm", "leave_to_parent"]


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let the first SIGTERM, SIGHUP or SIGBREAK raise ``SystemExit`` while the block runs.

    The exit code is that of a program which the signal ended: 143, 129 and 149. A second SIGTERM or
    SIGBREAK acts as it did before, so that a program which does not come to its end can still be
    ended. Further SIGHUPs are ignored: a terminal that goes away sends several. A program that was
    started to outlive its terminal (``nohup``) does so. Outside of the main thread, where Python
    takes no signal handlers, nothing changes.

    Examples
    --------
    >>> with exit_on_sigterm(), ZarrStream(settings) as stream:  # doctest: +SKIP
    ...     record(stream)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: _handler(number) for number in _ENDING}

    def leave(number: int, frame: FrameType | None) -> None:
        for one, handler in previous.items():
            signal.signal(one, signal.SIG_IGN if one == _HANG_UP else handler)
        raise SystemExit(128 + number)

    for number, handler in previous.items():
        if number != _HANG_UP or handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


_HANG_UP = getattr(signal, "SIGHUP", None)
_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
_ENDING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
"""Signals by which other programs end this one; Windows has no SIGHUP, and nobody else SIGBREAK."""


def _handler(number: signal.Signals) -> _Handler:
    """Return what a signal does now, in a form that can be put back."""
    handler = signal.getsignal(number)
    # None stands for a handler that was not installed from Python and cannot be put back.
    return signal.SIG_DFL if handler is None else handler


class _Disownable(Protocol):
    """What is left to the parent."""

    def _disown(self) -> None:
        """Turn into something that does nothing."""


_open: MutableSet[_Disownable] = weakref.WeakSet()


class ParentsRecording:
    """Stands in a child for the recording that only the parent process has.

    Parameters
    ----------
    url
        Where the store is.
    """

    is_open = False
    is_finished = True
    lock = None

    def __init__(self, url: str) -> None:
        self.sink = SimpleNamespace(url=url)

    def close(self) -> None:
        """Do nothing: the parent finishes the store."""

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse whatever else is asked of a recording."""
        raise StreamClosedError(
            f"The stream to {self.sink.url} belongs to the process that forked this one; it takes "
            "nothing here. Open streams after forking, or start processes with the method 'spawn'."
        )


def leave_to_parent(stream: _Disownable) -> None:
    """Call ``stream._disown()`` in every process that is forked while `stream` exists."""
    _open.add(stream)


def _disown_all() -> None:
    """Disown every open stream; runs in the child, right after the fork."""
    for stream in list(_open):
        stream._disown()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
