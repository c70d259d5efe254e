"""One recording per store: a lock that the operating system drops when its process dies.

The lock is on an empty hidden file beside the store, ``.<name>.aqz-lock``, not inside of it: a
finished store holds nothing foreign, and ``overwrite`` may empty it. The file is removed when the
stream closes. After a crash it stays, but nobody holds it any more, and the next recording takes
it over without a word. Where the file cannot be made or locked (a parent directory without
permission, a network mount without locks) recording goes on unguarded, with a warning in the log.
What lies around a store is written with it: a lock also asks those beside every directory above
the store, and those inside of it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError, StoreBusyError
from aqz_core.storage import platform
from aqz_core.storage.names import LOCK_SUFFIX, MAX_DOCUMENT_NBYTES
from aqz_core.storage.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StoreLock", "is_locked", "lock_path"]

_log = logging.getLogger("aqz")

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_ATTEMPTS = 100
"""How often a lock file may be removed by its owner just before we lock it."""


_CANNOT_WRITE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)
"""Errors of making a file that making a directory beside it has as well."""

MAX_LISTED = 50_000
"""Directories that are searched for stores that are being written; a store has fewer groups."""


def lock_path(store: Path) -> Path:
    """Return the file whose lock stands for a store; symbolic links are followed."""
    resolved = store.resolve()
    return _lock_beside(resolved)


class StoreLock:
    """The exclusive right to write one store on a filesystem.

    Parameters
    ----------
    store : pathlib.Path
        Directory of the store; need not be there yet.

    Raises
    ------
    StoreBusyError
        Another stream, of this process or another, records or repairs the store, one that it is
        inside of, or one inside of it.
    """

    def __init__(self, store: Path) -> None:
        self._path = lock_path(store)
        self._descriptor: int | None = None
        try:
            self._descriptor = _acquire(self._path)
        except OSError as error:
            if not _fails_anyway(store, error):
                _log.warning(
                    "%s cannot be locked (%s): nothing keeps a second process from writing to it",
                    store,
                    error.strerror or error,
                )
        else:
            if self._descriptor is None:
                raise _busy(f"{store} is", store.resolve())
            _held.add(self._path)
        # Only now, so that of two that begin at the same time one sees the other.
        try:
            self._check_around(store)
        except BaseException:
            self.release()
            raise

    def _check_around(self, store: Path) -> None:
        """Raise `StoreBusyError` if something is written that the store is part of, or has."""
        resolved = store.resolve()
        above = _written_above(resolved)
        if above is not None:
            raise _busy(f"{store} is inside of {above}, which is", above)
        inside = _written_inside(resolved)
        if inside is not None:
            raise _busy(f"{inside}, which is inside of {store}, is", inside)

    def check_place(self, opened: Path) -> None:
        """Check that a directory is the one that is locked.

        Raises
        ------
        StorageError
            A link on the way to it was changed since.
        """
        if lock_path(opened) != self._path:
            raise StorageError(
                f"{opened} was opened, but another place was locked: a link on the way to the "
                "store was changed meanwhile. See where it leads now, and try again"
            )

    def release(self) -> None:
        """Let others write the store, and remove the lock file. Later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _held.discard(self._path)
        platform.remove_locked(descriptor, self._path)

    def disown(self) -> None:
        """Forget the lock in a forked child: it is the parent's."""
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self._path)
        if descriptor is not None:
            os.close(descriptor)


def is_locked(store: Path) -> bool:
    """Return whether somebody writes the store, or a part of it, right now; changes nothing."""
    resolved = store.resolve()
    return (
        _is_held(_lock_beside(resolved))
        or _written_above(resolved) is not None
        or _written_inside(resolved) is not None
    )


_held: set[Path] = set()
"""Lock files that streams of this process hold."""


def _busy(what: str, written: Path) -> StoreBusyError:
    """Return the error for something that is being written, the directory `written`."""
    if _lock_beside(written) in _held:
        return StoreBusyError(
            f"{what} being written by a stream of this very program that was not closed, in a "
            "notebook perhaps by a cell that failed. Close it, by its close() or a with statement "
            "around it, or record into another store_path."
        )
    return StoreBusyError(
        f"{what} being written by another stream or process. Wait until it has "
        "closed the store, or record into another store_path."
    )


def _fails_anyway(store: Path, error: OSError) -> bool:
    """Return whether the store itself cannot be written either: that error will say more."""
    if error.errno not in _CANNOT_WRITE:
        return False
    return error.errno == errno.EROFS or not store.exists() or not os.access(store, os.W_OK)


def _lock_beside(resolved: Path) -> Path:
    """Return the lock file of a directory whose links were followed."""
    return resolved.parent / f".{resolved.name}{LOCK_SUFFIX}"


def _is_held(path: Path) -> bool:
    """Return whether somebody holds the lock on a file."""
    try:
        descriptor = open_regular(path, platform.LOCK_FLAGS)
    except OSError:
        return False
    try:
        if not platform.try_lock(descriptor, shared=True):
            return True
        platform.unlock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _written_above(resolved: Path) -> Path | None:
    """Return the directory above a store that is being written, if one is."""
    named = (folder for folder in resolved.parents if folder.name)
    return next((folder for folder in named if _is_held(_lock_beside(folder))), None)


def _written_inside(resolved: Path) -> Path | None:
    """Return the store inside of a directory that is being written, if one is.

    Nearest first. Chunks, which are most of a store, are not looked through.
    """
    waiting = deque([resolved])
    for _ in range(MAX_LISTED):
        if not waiting:
            return None
        folder = waiting.popleft()
        inner = []
        for entry in _listed(folder):
            name = entry.name
            if name.startswith(".") and name.endswith(LOCK_SUFFIX):
                if _is_held(Path(entry.path)):
                    return folder / name[1 : -len(LOCK_SUFFIX)]
            elif entry.is_dir(follow_symlinks=False):
                inner.append(name)
        waiting += (folder / name for name in inner if not _has_chunks(folder, name))
    _log.warning(
        "%s has more than %d directories: whether something is being recorded in those further "
        "down was not looked for",
        resolved,
        MAX_LISTED,
    )
    return None


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a directory; nothing if it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _has_chunks(folder: Path, name: str) -> bool:
    """Tell by its name whether a directory has the chunks of the array that `folder` is."""
    if name.isdecimal():
        return (folder / ".zarray").exists()
    if name != "c":
        return False
    try:
        with os.fdopen(open_regular(folder / "zarr.json", os.O_RDONLY, follow=True), "rb") as file:
            document = json.loads(file.read(MAX_DOCUMENT_NBYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("node_type") == "array"


def _acquire(path: Path) -> int | None:
    """Return the descriptor of the locked file, or None when somebody else has it."""
    try:
        return _acquire_open(path, platform.LOCK_FLAGS)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return _acquire_open(path, os.O_RDWR)  # as network mounts want it


def _acquire_open(path: Path, flags: int) -> int | None:
    """Do so with a file that is opened as `flags` say."""
    for _ in range(_ATTEMPTS):
        descriptor = open_regular(path, flags | os.O_CREAT)
        try:
            if not platform.try_lock(descriptor):
                os.close(descriptor)
                return None
            if _is_same_file(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner removed it meanwhile: lock the file that is there now
    return None


def _is_same_file(descriptor: int, path: Path) -> bool:
    """Return whether the path still leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
