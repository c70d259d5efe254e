"""The few changes that a repair makes to a store; each leaves the old content usable if it fails.

They go through the sink that recordings go to: one that writes at any place changes files where
they are, any other replaces each object as a whole.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aqz_core.errors import AqzError, StorageError
from aqz_core.storage.opening import check_place, lock_store, open_sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aqz_core.plugins import Hooks
    from aqz_core.reading.files import StoredFiles
    from aqz_core.storage.lock import StoreLock
    from aqz_core.storage.sink import Sink

__all__ = ["StoreChanges", "changing", "lock_files", "locked"]


def lock_files(files: StoredFiles, hooks: Hooks) -> StoreLock | None:
    """Lock a store that is there; None where nothing can be locked.

    Raises
    ------
    StorageError
        There is nothing at its place.
    StoreBusyError
        Somebody else writes there.
    """
    next(files.find(), None)  # no lock beside something that is not there
    return lock_store(files.settings, hooks.sinks())


@contextlib.contextmanager
def locked(files: StoredFiles, hooks: Hooks) -> Iterator[StoreLock | None]:
    """Hold the lock of a store; errors as for `lock_files`."""
    lock = lock_files(files, hooks)
    try:
        yield lock
    finally:
        if lock is not None:
            lock.release()


@contextlib.contextmanager
def changing(files: StoredFiles, hooks: Hooks, lock: StoreLock | None) -> Iterator[StoreChanges]:
    """Open a store that is locked, for changes.

    Raises
    ------
    StorageError
        The store, or the operating system, refuses a change.
    """
    try:
        sink = open_sink(files.settings, hooks.sinks())
        try:
            check_place(sink, lock)
            yield StoreChanges(sink)
        finally:
            sink.close()
    except AqzError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(
            error.errno,
            f"{files.url} cannot be changed: {error.strerror or error}{where}; what was done "
            "before stays, and the same can be tried again when that is fixed",
        ) from error


class StoreChanges:
    """Changes to files of a store, given by name; each is durable when it returns."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def replace(self, name: str, content: bytes) -> None:
        """Give a file new content in one step, or make it."""
        self._sink.write(name, content, sync=True)
        self._sink.commit()

    def add_to_end(self, name: str, data: bytes) -> None:
        """Add bytes behind everything that a file holds."""
        if self._sink.random_access:
            self._sink.append(name, data)
            self._sink.commit([name])
        else:
            self.replace(name, (self._sink.read(name) or b"") + data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Overwrite bytes of a file; only where a sink writes at any place."""
        shard = self._sink.open_shard(name)
        assert shard is not None
        shard.write_at(offset, data)
        shard.sync()

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._sink.remove(name)
