"""What differs between Linux, macOS and Windows: everything else is free of it.

``mypy --platform`` checks each system's branch, so they are told apart by ``sys.platform`` in the
form that it understands.

=====================  ==========================  =====================  =======================
what                   Linux                       macOS                  Windows
=====================  ==========================  =====================  =======================
past the page cache    ``O_DIRECT``                (the page cache)       (the page cache)
opened as binary       always                      always                 ``O_BINARY``
positioned write       ``pwrite``                  ``pwrite``             seek and write
flush a file           ``fdatasync``               ``F_FULLFSYNC``        ``_commit`` (``fsync``)
flush names            the directory, ``syncfs``   the directory          done by NTFS
room set aside         ``posix_fallocate``         a longer file          a longer file
replace a file         ``rename``                  ``rename``             tried while it is open
lock a file            ``flock``                   ``flock``              ``msvcrt.locking``
remove a locked file   while it is locked          while it is locked     once it is closed
own directory          by owner and mode           by owner and mode      the user's profile
memory for buffers     ``mmap``, huge pages        ``mmap``               ``mmap``
memory given back      ``MADV_DONTNEED``           ``MADV_FREE``          when it is unmapped
=====================  ==========================  =====================  =======================
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import stat
import sys
import time

__all__ = [
    "DIRECT",
    "LOCK_FLAGS",
    "give_back",
    "is_own_directory",
    "machine_nbytes",
    "map_memory",
    "pwrite",
    "remove_locked",
    "replace",
    "set_aside",
    "sync_directory",
    "sync_file",
    "sync_filesystem",
    "try_lock",
    "unlock",
]

LOCK_FLAGS = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
"""How a file to be locked is opened: for writing, it would keep its file system from being mounted
read-only, but Windows locks no other."""

DIRECT = getattr(os, "O_DIRECT", 0)
"""Flag for writes past the page cache; 0 where there is none."""

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

REPLACE_SECONDS = 5.0
"""How long Windows tries to replace a file that somebody is just reading."""


if sys.platform == "win32":
    import msvcrt

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        """Write at an offset; return how many bytes. Descriptors are not shared by threads."""
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)

    def sync_directory(path: str | os.PathLike[str]) -> None:
        """Do nothing: NTFS journals names, and directories cannot be opened."""

    def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Give a file the name `target`; wait for programs that have the old one open.

        Raises
        ------
        PermissionError
            It stayed open for `REPLACE_SECONDS`.
        """
        until = time.monotonic() + REPLACE_SECONDS
        while True:
            try:
                os.replace(source, target)
            except PermissionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Lock an open file for this descriptor alone; return False when another one has it.

        One that only asks takes it `shared`, where there is such a thing, and is in nobody else's
        way who asks.
        """
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True

    def unlock(descriptor: int) -> None:
        """Undo `try_lock`."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def remove_locked(descriptor: int, path: str | os.PathLike[str]) -> None:
        """Close a file that `try_lock` has locked, and remove it unless somebody has it open."""
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)

    def is_own_directory(found: os.stat_result) -> bool:
        """Return whether it is a directory; those of the user's profile are nobody else's."""
        return stat.S_ISDIR(found.st_mode)

    def map_memory(nbytes: int, *, huge: bool) -> mmap.mmap:
        """Return zeroed memory that starts on a page."""
        return mmap.mmap(-1, nbytes)

    def give_back(memory: mmap.mmap, start: int, nbytes: int) -> None:
        """Do nothing: mapped memory goes back when the mapping ends."""

    class _MemoryStatus(ctypes.Structure):
        """``MEMORYSTATUSEX`` of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total_physical", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 6),
        )

    def machine_nbytes() -> int | None:
        """Return the bytes of memory that the machine has, or None if it does not say."""
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.total_physical) if found else None

else:
    import fcntl

    pwrite = os.pwrite
    replace = os.replace
    _UNUSED = mmap.MADV_FREE if sys.platform == "darwin" else mmap.MADV_DONTNEED

    def sync_directory(path: str | os.PathLike[str]) -> None:
        """Flush the names in a directory to the device."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _flush(descriptor)
        finally:
            os.close(descriptor)

    def _flush(descriptor: int) -> None:
        """Flush all that is known of a file or a directory to the device."""
        if sys.platform == "darwin":  # fsync leaves it in the cache of the drive
            with contextlib.suppress(OSError):  # a network mount knows no such thing
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)

    def try_lock(descriptor: int, *, shared: bool = False) -> bool:
        """Lock an open file for this descriptor alone; return False when another one has it.

        One that only asks takes it `shared`, where there is such a thing, and is in nobody else's
        way who asks.
        """
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True

    def unlock(descriptor: int) -> None:
        """Undo `try_lock`."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def remove_locked(descriptor: int, path: str | os.PathLike[str]) -> None:
        """Remove a file that `try_lock` has locked, then unlock and close it."""
        with contextlib.suppress(OSError):  # the directory may be read-only by now, or gone
            os.unlink(path)
        with contextlib.suppress(OSError):
            unlock(descriptor)  # for a forked child's copy of the descriptor, too
        os.close(descriptor)

    def is_own_directory(found: os.stat_result) -> bool:
        """Return whether it is a directory that this user alone can write."""
        mine = found.st_uid == os.geteuid()
        return stat.S_ISDIR(found.st_mode) and mine and not found.st_mode & 0o022

    def map_memory(nbytes: int, *, huge: bool) -> mmap.mmap:
        """Return zeroed memory that starts on a page, backed by huge pages if asked and possible.

        None of it is taken from the system before it is touched.
        """
        memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if huge and sys.platform == "linux":
            with contextlib.suppress(OSError):  # a kernel without them has small pages
                memory.madvise(mmap.MADV_HUGEPAGE)
        return memory

    def give_back(memory: mmap.mmap, start: int, nbytes: int) -> None:
        """Let the system have pages again, their content with them; the addresses stay."""
        memory.madvise(_UNUSED, start, nbytes)

    def machine_nbytes() -> int | None:
        """Return the bytes of memory that the machine has, or None if it does not say."""
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):
            return None


if sys.platform == "linux":

    def sync_file(descriptor: int) -> None:
        """Flush a file to the device."""
        os.fdatasync(descriptor)

    def set_aside(descriptor: int, nbytes: int) -> None:
        """Reserve room on the disk, so that parallel writes need not each extend the file.

        Raises
        ------
        OSError
            There is not so much room.
        """
        try:
            os.posix_fallocate(descriptor, 0, nbytes)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            os.ftruncate(descriptor, nbytes)  # the filesystem cannot: a sparse file does as well

    def sync_filesystem(path: str) -> bool:
        """Flush the filesystem that `path` is on; return whether the system could."""
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

else:
    if sys.platform == "darwin":
        sync_file = _flush

    else:

        def sync_file(descriptor: int) -> None:
            """Flush a file to the device."""
            os.fsync(descriptor)

    def set_aside(descriptor: int, nbytes: int) -> None:
        """Give a file its size, so that parallel writes need not each extend it."""
        os.ftruncate(descriptor, nbytes)

    def sync_filesystem(path: str) -> bool:
        """Return False: directories are flushed one by one."""
        return False
