"""Streams and ``os.fork``: an open stream stays with the process that opened it.

A forked child has none of the stream's threads, but copies of everything else, among them the
finalizer that would finish the store. So in the child every stream that is open is turned, before
any other code runs, into one that belongs to its parent: it can be closed or dropped without any
effect, and takes nothing.
"""

from __future__ import annotations

import os
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, Protocol

from aqz_core.errors import StreamClosedError

if TYPE_CHECKING:
    from collections.abc import MutableSet

__all__ = ["ParentsRecording", "leave_to_parent"]


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
