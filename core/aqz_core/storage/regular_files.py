"""Opening files of a store that somebody else may have made: regular ones, never through a link.

A store comes by mail or from a shared disk. What stands at the name of a file may be a FIFO, which
would be waited for without end, or a link to a file of the user that is no part of the store.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["create_new", "open_regular"]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)

_ATTEMPTS = 10


def open_regular(path: str | os.PathLike[str], flags: int, *, follow: bool = False) -> int:
    """Return the descriptor of a regular file.

    Parameters
    ----------
    path, flags
        As for `os.open`.
    follow
        Whether a link is followed: for reading only.

    Raises
    ------
    OSError
        There is no such file, or there is something else: a link, a FIFO, a device, a directory.
    """
    try:
        descriptor = os.open(path, flags | _BINARY | _NO_WAIT | (0 if follow else _NO_LINK), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) and Path(path).is_symlink():
            raise OSError(error.errno, "it is a link", os.fspath(path)) from error
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path)) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))


def create_new(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Return the descriptor of a new file for writing; what an interrupted write left gives way.

    Never what a link leads to.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_LINK | flags, 0o666
            )
        except FileExistsError:
            if attempt == _ATTEMPTS - 1:
                raise
            Path(path).unlink(missing_ok=True)
    raise AssertionError("unreachable")
