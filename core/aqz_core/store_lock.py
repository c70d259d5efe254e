"""One recording per store: a lock that the operating system drops when its process dies.

The lock is on an empty hidden file beside the store, ``.<name>.aqz-lock``, not inside of it: a
finished store holds nothing foreign, and ``overwrite`` may empty it. The file is removed when the
stream closes. After a crash it stays, but nobody holds it any more, and the next recording takes
it over without a word. Where the file cannot be made or locked (a parent directory without
permission, a network mount without locks) recording goes on unguarded, with a warning in the log.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING

from aqz_core.errors import StoreBusyError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["StoreLock", "is_locked", "lock_path"]

_log = logging.getLogger("aqz")

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_OPEN = os.O_RDWR if os.name == "nt" else os.O_RDONLY
"""A file that is open for writing would keep its file system from being mounted read-only."""

_ATTEMPTS = 100
"""How often a lock file may be removed by its owner just before we lock it."""


def lock_path(store: Path) -> Path:
    """Return the file whose lock stands for a store; symbolic links are followed."""
    resolved = store.resolve()
    return resolved.parent / f".{resolved.name}.aqz-lock"


class StoreLock:
    """The exclusive right to write one store on a filesystem.

    Parameters
    ----------
    store : pathlib.Path
        Directory of the store; need not be there yet.

    Raises
    ------
    StoreBusyError
        Another stream, of this process or another, records or repairs the store.
    """

    def __init__(self, store: Path) -> None:
        self._path = lock_path(store)
        self._descriptor: int | None = None
        try:
            self._descriptor = _acquire(self._path)
        except OSError as error:
            _log.warning(
                "%s cannot be locked (%s): nothing keeps a second process from writing to it",
                store,
                error.strerror or error,
            )
            return
        if self._descriptor is None:
            raise StoreBusyError(
                f"{store} is being written by another stream or process. Wait until it has "
                "closed the store, or record into another store_path.",
            )

    def release(self) -> None:
        """Let others write the store, and remove the lock file. Later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if os.name == "nt":  # an open file cannot be removed there
            os.close(descriptor)
            with contextlib.suppress(OSError):
                self._path.unlink()
            return
        with contextlib.suppress(OSError):  # the directory may be read-only by now, or gone
            self._path.unlink()
        with contextlib.suppress(OSError):
            _unlock(descriptor)  # for a forked child's copy of the descriptor, too
        os.close(descriptor)

    def disown(self) -> None:
        """Forget the lock in a forked child: it is the parent's."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def is_locked(store: Path) -> bool:
    """Tell whether somebody writes the store at this moment; changes nothing."""
    path = lock_path(store)
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        if not _try_lock(descriptor):
            return True
        _unlock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _acquire(path: Path) -> int | None:
    """Return the descriptor of the locked file, or None when somebody else has it."""
    try:
        return _acquire_open(path, _OPEN)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return _acquire_open(path, os.O_RDWR)  # as network mounts want it


def _acquire_open(path: Path, flags: int) -> int | None:
    """Do so with a file that is opened as `flags` say."""
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        try:
            if not _try_lock(descriptor):
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
    """Tell whether the path still leads to the file that is open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    """Lock an open file for this descriptor alone; False when another one has it."""
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _unlock(descriptor: int) -> None:
    """Undo `_try_lock`."""
    if os.name == "nt":
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
