"""Names that must survive a loss of power: a directory is flushed as a file is.

A recording of many small shards changes hundreds of directories a second. Flushing each of them
costs a recording half of its rate; where the system can flush a whole filesystem at once, that is
done instead as soon as there are more than a few.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading

__all__ = ["DirectorySync"]

FEW = 8
"""Directories that are flushed one by one."""


class DirectorySync:
    """Directories below one root in which names have changed since they were flushed.

    Parameters
    ----------
    root
        On the filesystem that all of them are on.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def note(self, path: str) -> None:
        """Remember that the name `path` was made or replaced."""
        with self._lock:
            self._changed.add(path.rpartition("/")[0])

    def commit(self) -> None:
        """Return when all names noted so far would survive a loss of power."""
        with self._lock:
            changed, self._changed = self._changed, set()
        if len(changed) > FEW and _sync_filesystem(self._root):
            return
        for directory in changed:
            with contextlib.suppress(FileNotFoundError):
                _sync_directory(directory)


def _sync_directory(path: str) -> None:
    """Flush the names in a directory, where the system lets a directory be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_filesystem(path: str) -> bool:
    """Flush the filesystem that `path` is on; tell whether the system could."""
    if not sys.platform.startswith("linux"):
        return False
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor) == 0:
            return True
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)
