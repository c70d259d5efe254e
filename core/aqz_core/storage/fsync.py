"""Names that must survive a loss of power: a directory is flushed as a file is.

A recording of many small shards changes hundreds of directories a second. Flushing each of them
costs a recording half of its rate; where the system can flush a whole filesystem at once, that is
done instead as soon as there are more than a few.
"""

from __future__ import annotations

import contextlib
import threading

from aqz_core.storage import platform

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
        if len(changed) > FEW and platform.sync_filesystem(self._root):
            return
        for directory in changed:
            with contextlib.suppress(FileNotFoundError):
                platform.sync_directory(directory)
