"""pytest -p tests.desks.windows: the engine as on Windows, as far as Linux can play it.

* `sys.platform` is win32; modules and names of `os` and `signal` that only POSIX has are gone;
* files are opened as text unless `O_BINARY` is given, directories cannot be opened;
* files that this process has open are not renamed, replaced or deleted, nor are directories around
  them; names have no case; those of devices and with ``:`` are refused; dots at the end dropped;
* `msvcrt` locks one byte where the file stands, for one handle, and shares nothing.

Not played: backslashes and drives (`pathlib` stays POSIX), NTFS, programs outside of this process,
file sharing that other programs ask for, console events.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import sys
import tempfile
from types import ModuleType, SimpleNamespace

from tests.desks.engine_view import EngineView, View
from tests.desks.file_rules import FileRules

O_BINARY = 1 << 28  # a bit that Linux does not use
ONLY_POSIX = [
    "O_ACCMODE",
    "O_ASYNC",
    "O_CLOEXEC",
    "O_DIRECT",
    "O_DIRECTORY",
    "O_DSYNC",
    "O_NOATIME",
    "O_NOCTTY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_SYNC",
    "O_TMPFILE",
    "WNOHANG",
    "fchmod",
    "fchown",
    "fdatasync",
    "fork",
    "forkpty",
    "fstatvfs",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getloadavg",
    "getpgid",
    "getuid",
    "killpg",
    "lockf",
    "major",
    "minor",
    "mkfifo",
    "mknod",
    "nice",
    "pathconf",
    "posix_fadvise",
    "posix_fallocate",
    "pread",
    "preadv",
    "pwrite",
    "pwritev",
    "register_at_fork",
    "sched_getaffinity",
    "sched_setaffinity",
    "sendfile",
    "setuid",
    "setxattr",
    "splice",
    "statvfs",
    "sync",
    "sysconf",
    "uname",
    "wait3",
    "wait4",
]
NO_SIGNALS = [
    name
    for name in dir(signal)
    if name.startswith(("SIG", "pthread", "sig"))
    and name
    not in [
        "SIGABRT",
        "SIGFPE",
        "SIGILL",
        "SIGINT",
        "SIGSEGV",
        "SIGTERM",
        "SIG_DFL",
        "SIG_IGN",
        "Signals",
        "signal",
    ]
]
NO_MODULES = ["fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"]

_text: set[int] = set()
"""Descriptors whose bytes are taken for text: a line feed is written as two bytes."""


def _open(path, flags, mode=0o777, **keywords):
    if os.path.isdir(path):  # noqa: PTH112
        raise PermissionError(errno.EACCES, "Windows opens no directory", os.fspath(path))
    descriptor = os.open(path, flags & ~O_BINARY, mode, **keywords)
    (_text.discard if flags & O_BINARY else _text.add)(descriptor)
    return descriptor


def _write(descriptor, data):
    if descriptor in _text:
        os.write(descriptor, bytes(data).replace(b"\n", b"\r\n"))
        return len(data)
    return os.write(descriptor, data)


def _fdopen(descriptor, *arguments, **keywords):
    _text.discard(descriptor)  # as Python's own files do there
    return os.fdopen(descriptor, *arguments, **keywords)


def _close(descriptor):
    _text.discard(descriptor)
    os.close(descriptor)


def _locking(descriptor, mode, nbytes):
    """`msvcrt.locking`: at the position of the file, for this handle."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise PermissionError(errno.EACCES, "only files open for writing are locked")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN if mode == 0 else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


def _mmap(descriptor, length, tagname=None, access=mmap.ACCESS_DEFAULT, offset=0):
    return mmap.mmap(descriptor, length, access=access, offset=offset)


def _global_memory_status(reference):
    reference._obj.total_physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 1


def _winreg():
    module = ModuleType("winreg")
    module.HKEY_LOCAL_MACHINE = 0

    def open_key(key, path):
        raise FileNotFoundError(errno.ENOENT, "long paths were not enabled", path)

    module.OpenKey = open_key
    return module


def _msvcrt():
    module = ModuleType("msvcrt")
    module.LK_UNLCK, module.LK_LOCK, module.LK_NBLCK = 0, 1, 2
    module.locking = _locking
    return module


FileRules(tempfile.gettempdir(), windows=True).install()
EngineView(
    {
        "os": View(
            os,
            ONLY_POSIX,
            name="nt",
            O_BINARY=O_BINARY,
            open=_open,
            write=_write,
            fdopen=_fdopen,
            close=_close,
        ),
        "sys": View(sys, platform="win32"),
        "signal": View(signal, NO_SIGNALS, SIGBREAK=signal.SIGUSR2),
        "mmap": View(mmap, [name for name in dir(mmap) if name.startswith("M")], mmap=_mmap),
        "ctypes": View(
            ctypes,
            windll=SimpleNamespace(
                kernel32=SimpleNamespace(GlobalMemoryStatusEx=_global_memory_status)
            ),
        ),
        "msvcrt": _msvcrt(),
        "winreg": _winreg(),
    },
    NO_MODULES,
).install()
