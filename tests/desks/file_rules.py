"""Rules of other file systems, for what lies below one directory: case, open files, names.

They hold for the whole process, as they would there: for `pathlib`, `shutil` and the tests as well.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from pathlib import Path

FORBIDDEN = set('<>:"|?*')
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
REAL = {name: getattr(os, name) for name in ("lstat", "scandir", "readlink", "listdir")}


def open_below(path):
    """Yield every file below `path`, or at it, that this process has open."""
    for descriptor in REAL["listdir"]("/proc/self/fd"):
        try:
            target = REAL["readlink"](f"/proc/self/fd/{descriptor}")
        except OSError:  # the descriptor of this very list
            continue
        below = target == path or target.startswith(f"{path}/")
        if below and os.path.isfile(target):  # noqa: PTH113
            yield target


class FileRules:
    """Another file system below `root`.

    Parameters
    ----------
    root : str
        Nothing outside of it is changed.
    windows : bool
        Whether files that are open stay where they are, and names of devices mean devices. Letters
        have no case in any event.
    """

    def __init__(self, root, *, windows):
        self._root = os.path.realpath(root)
        self._windows = windows

    def install(self):
        """Take effect."""
        for name in ("stat", "lstat", "listdir", "scandir", "access", "truncate", "utime", "chmod"):
            self._wrap(name)
        for name in ("open", "mkdir"):
            self._wrap(name, new=1)
        for name in ("unlink", "remove", "rmdir"):
            self._wrap(name, moved=1)
        for name in ("rename", "replace"):
            self._wrap(name, paths=2, new=2, moved=2)
        self._wrap_open()
        shutil._use_fd_functions = False  # Windows has none; they would pass by these rules

    def _wrap(self, name, *, paths=1, new=0, moved=0):
        """Let a function of `os` see the paths that the other system would see."""
        real = getattr(os, name)

        def ruled(*arguments, **keywords):
            seen = [self.seen(path) for path in arguments[:paths]]
            if new:
                self._check_new(seen[new - 1])
            if self._windows:
                for path in seen[:moved]:
                    self._check_free(path)
                if name == "rename" and os.path.lexists(seen[1]) and seen[0] != seen[1]:
                    raise FileExistsError(errno.EEXIST, "the name is taken", seen[1])
            return real(*seen, *arguments[paths:], **keywords)

        setattr(os, name, ruled)
        for supported in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd):
            if real in supported:
                supported.add(ruled)

    def _wrap_open(self):
        """Do so for files that Python itself opens."""
        real = io.open

        def ruled(file, mode="r", *arguments, **keywords):
            seen = self.seen(file)
            if "r" not in mode:
                self._check_new(seen)
            return real(seen, mode, *arguments, **keywords)

        io.open = ruled
        import builtins

        builtins.open = ruled

    def seen(self, path):
        """Return the spelling of a path that is there, where only the case differs."""
        if not isinstance(path, str | os.PathLike):
            return path
        text = os.fspath(path)
        whole = os.path.join(os.getcwd(), text)  # noqa: PTH109, PTH118
        if not whole.startswith(f"{self._root}/") or _exists(whole):
            return path
        found = self._root
        for part in Path(os.path.normpath(whole)).relative_to(self._root).parts:
            found = f"{found}/{self._spelling(found, part)}"
        return found

    def _spelling(self, folder, part):
        if self._windows:
            part = part.rstrip(". ") or part
        if _exists(f"{folder}/{part}"):
            return part
        try:
            with REAL["scandir"](folder) as entries:
                folded = part.casefold()
                return next((e.name for e in entries if e.name.casefold() == folded), part)
        except OSError:
            return part

    def _check_new(self, path):
        """Refuse names that Windows cannot give to a file."""
        if not self._windows or not isinstance(path, str | os.PathLike):
            return
        text = os.fspath(path)
        if not os.path.join(os.getcwd(), text).startswith(f"{self._root}/"):  # noqa: PTH109, PTH118
            return
        name = os.path.basename(text)  # noqa: PTH119
        if FORBIDDEN & set(name) or name.partition(".")[0].rstrip().lower() in DEVICES:
            raise OSError(errno.EINVAL, "Windows has no file of this name", text)

    def _check_free(self, path):
        """Refuse to move or to delete what is open."""
        whole = os.path.realpath(os.fspath(path)) if not _is_link(path) else os.fspath(path)
        if whole.startswith(f"{self._root}/"):
            for file in open_below(whole):
                raise PermissionError(errno.EACCES, "another handle has it open", file)


def _exists(path):
    try:
        REAL["lstat"](path)
    except (OSError, ValueError):
        return False
    return True


def _is_link(path):
    try:
        return stat.S_ISLNK(REAL["lstat"](path).st_mode)
    except OSError:
        return False
