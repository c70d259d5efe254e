"""One writer on this machine for a store in an object store.

Object stores have no locks that end with their owner. The likeliest accident, two programs of one
machine that record to the same place, is ruled out by a file in the directory for temporary files,
which the operating system unlocks when a process dies. For other machines there is `lease`.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import logging
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from aqz_core.errors import StoreBusyError
from aqz_core.settings.location import described
from aqz_core.settings.paths import url_scheme
from aqz_core.storage import platform
from aqz_core.storage.lock import StoreLock, is_locked

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings

__all__ = [
    "is_locked_here",
    "is_locked_on_this_machine",
    "lock_on_this_machine",
    "locks_of_this_machine",
]

_log = logging.getLogger("aqz")


def lock_on_this_machine(url: str, s3: S3Settings | None) -> StoreLock | None:
    """Return a lock that stands for a store, or None where no file can be made for it.

    Parameters
    ----------
    url, s3
        As ``store_path`` and ``s3`` of `StreamSettings`.

    Raises
    ------
    SettingsError
        They name no place.
    StoreBusyError
        Another stream of this user, in this process or another, writes to it.
    """
    where = described(url, s3)
    try:
        stand_in = _own_directory(make=True) / _name(url, where)
    except (OSError, KeyError, RuntimeError) as error:
        _log.warning("nothing keeps a second program from recording to %s: %s", where, error)
        return None
    try:
        return StoreLock(stand_in)
    except StoreBusyError as error:
        raise StoreBusyError(
            f"{where} is being written by another stream or program of this machine. Wait until "
            "it has closed the store, or record to another place."
        ) from error


def is_locked_on_this_machine(url: str, s3: S3Settings | None) -> bool:
    """Return whether a program of this user, here, writes to a store at this moment.

    Parameters as for `lock_on_this_machine`. What other machines do cannot be told.
    """
    return _is_held(_name(url, described(url, s3)))


def is_locked_here(where: str) -> bool:
    """Return the same of a store in a bucket, by its name from `described`."""
    return _is_held(_name("", where))


def locks_of_this_machine() -> str:
    """Return what tells the directory for locks from that of any other machine or container."""
    try:
        found = _own_directory(make=True).lstat()
    except (OSError, KeyError, RuntimeError):
        return uuid.uuid4().hex  # nothing is locked, so nobody is known to be absent
    return f"{uuid.getnode():x}-{found.st_dev}-{found.st_ino}"


def _is_held(name: str) -> bool:
    """Return whether a program of this user has the lock of a file."""
    try:
        return is_locked(_own_directory(make=False) / name)
    except (OSError, KeyError, RuntimeError):
        return False


def _name(url: str, where: str) -> str:
    """Return the name of the file whose lock stands for a store."""
    own = f"{os.getpid()} " if url_scheme(url) == "memory" else ""  # each process has its own
    return hashlib.sha256(f"{own}{where}".encode()).hexdigest()[:32]


def _own_directory(*, make: bool) -> Path:
    """Return the first directory for locks that nobody but this user can write.

    Anybody may have made one by that name in the directory for temporary files, or a link.

    Raises
    ------
    OSError
        There is none.
    """
    for find in (_temporary_folder, _home_folder):
        folder = find()
        if make:
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_own(folder):
            return folder
    raise PermissionError(errno.EACCES, "no directory for locks belongs to this user alone")


def _temporary_folder() -> Path:
    """Return the usual directory for locks, which ends with the machine's session."""
    return Path(tempfile.gettempdir()) / f"aqz-locks-{getpass.getuser()}"


def _home_folder() -> Path:
    """Return the directory for locks that nobody else can have made."""
    return Path.home() / ".cache" / "aqz" / "locks"


def _is_own(folder: Path) -> bool:
    """Return whether something is a directory that this user alone can write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return platform.is_own_directory(found)
