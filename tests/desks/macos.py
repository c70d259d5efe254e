"""pytest -p tests.desks.macos: the engine as on macOS, as far as Linux can play it.

`sys.platform` is darwin; there is no `posix_fallocate`, `O_DIRECT`, `fdatasync`, `syncfs` or huge
page; `F_FULLFSYNC` flushes; names have no case. Not played: APFS itself, and how macOS schedules
threads.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import tempfile

from tests.desks.engine_view import EngineView, View
from tests.desks.file_rules import FileRules

ONLY_LINUX = [
    "O_DIRECT",
    "O_NOATIME",
    "O_PATH",
    "O_TMPFILE",
    "copy_file_range",
    "fdatasync",
    "posix_fadvise",
    "posix_fallocate",
    "sched_getaffinity",
    "sched_setaffinity",
    "setxattr",
    "splice",
]
F_FULLFSYNC = 51

full_syncs: list[int] = []
"""Descriptors that were flushed to the device itself."""


def _fcntl(descriptor, command, *arguments):
    if command == F_FULLFSYNC:
        full_syncs.append(descriptor)
        os.fsync(descriptor)
        return 0
    return fcntl.fcntl(descriptor, command, *arguments)


FileRules(tempfile.gettempdir(), windows=False).install()
EngineView(
    {
        "os": View(os, ONLY_LINUX),
        "sys": View(sys, platform="darwin"),
        "fcntl": View(fcntl, ["F_OFD_SETLK"], fcntl=_fcntl, F_FULLFSYNC=F_FULLFSYNC, F_NOCACHE=48),
        "mmap": View(
            mmap,
            [name for name in dir(mmap) if name.startswith("MADV_") and name != "MADV_DONTNEED"],
            MADV_FREE=mmap.MADV_DONTNEED,
        ),
    }
).install()
