"""Storing on a filesystem: atomic objects, growing shards, past the page cache where possible.

Objects are written under a temporary name beside their final one and renamed. Aligned writes go
through `O_DIRECT`: at camera rates the page cache only costs memory and processor time. Where the
filesystem does not take it (RAM disks, some network mounts), the same bytes are written buffered.

No descriptor stays open between calls: opening costs microseconds, and a recording may have more
shards open at once than a process may have files.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import shutil
import threading
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from aqz_core.storage import platform
from aqz_core.storage.alignment import PAGE
from aqz_core.storage.fsync import DirectorySync
from aqz_core.storage.names import METADATA, PARTIAL
from aqz_core.storage.regular_files import create_new, open_regular
from aqz_core.storage.sink import Sink, as_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from aqz_core.storage.sink import Bytes

__all__ = ["FilesystemSink"]

_log = logging.getLogger("aqz")

MIN_DIRECT_NBYTES = 128 << 10
"""Below this the page cache is cheaper than a direct write."""


MAX_KNOWN = 4096
"""Directories that are remembered as made."""


class FilesystemSink(Sink):
    """A directory of a local or mounted filesystem.

    Parameters
    ----------
    root
        The store's directory; made when it is not there.
    """

    random_access = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._known: set[str] = set()
        self.names_changed = DirectorySync(self.url)
        root.mkdir(parents=True, exist_ok=True)
        self._direct = _takes_direct(root)

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes, or None when there is no such file."""
        try:
            with os.fdopen(open_regular(self.root / name, os.O_RDONLY, follow=True), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names in a directory."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted(os.listdir(self.root / prefix))

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        """Write a file beside its final name and rename it."""
        path = self._path(name)
        partial = path + PARTIAL
        _write_file(partial, data, self._direct_flag(data), sync)
        platform.replace(partial, path)
        self.names_changed.note(path)

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> _ShardOnDisk:
        """Create the shard's file and, if its size is known, set its room aside."""
        path = self._path(name)
        shard = _ShardOnDisk(self, path, path + PARTIAL, visible=visible)
        descriptor = create_new(shard.current)
        try:
            if nbytes:
                platform.set_aside(descriptor, nbytes)
        finally:
            os.close(descriptor)
        return shard

    def open_shard(self, name: str) -> _ShardOnDisk | None:
        """Return a shard's file, if it is at its final name."""
        path = self._path(name)
        return _ShardOnDisk(self, path, path, visible=True) if os.path.exists(path) else None

    def append(self, name: str, data: Bytes) -> None:
        """Add to the end of a file; after an error it is as it was."""
        descriptor = open_regular(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        view = as_view(data)
        written = 0
        try:
            while written < len(view):
                written += os.write(descriptor, view[written:])
        except OSError:
            if written:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise
        finally:
            os.close(descriptor)

    def commit(self, names: Iterable[str] = ()) -> None:
        """Flush files, then every name that has changed."""
        for name in names:
            _sync_path(self._path(name))
        self.names_changed.commit()

    def remove(self, name: str) -> None:
        """Delete a file or a whole directory; the store's own is emptied, a link to it kept."""
        self._known.clear()
        if name:
            _delete(self.root / name)
            return
        # Metadata last: what is left of a removal that was cut off can still be told as a store.
        for path in sorted(self.root.iterdir(), key=lambda path: path.name in METADATA):
            _delete(path)
        if self._direct is None:  # there is room now
            self._direct = _takes_direct(self.root)

    def free_nbytes(self) -> int | None:
        """Return the free bytes of the filesystem."""
        return shutil.disk_usage(self.root).free

    def close(self) -> None:
        """Do nothing: no descriptor is kept."""

    def write_at(self, path: str, offset: int, data: Bytes) -> None:
        """Write into a file that exists."""
        direct = self._direct_flag(data) if offset % PAGE == 0 else 0
        descriptor = open_regular(path, os.O_WRONLY | direct)
        try:
            _write_all(descriptor, data, offset)
        finally:
            os.close(descriptor)

    def _direct_flag(self, data: Bytes) -> int:
        """Return `O_DIRECT` when the filesystem takes it and `data` is aligned for it."""
        if not self._direct or not isinstance(data, np.ndarray):
            return 0
        nbytes = data.nbytes
        aligned = nbytes % PAGE == 0 and data.ctypes.data % PAGE == 0
        return platform.DIRECT if aligned and nbytes >= MIN_DIRECT_NBYTES else 0

    def _path(self, name: str) -> str:
        """Return the full path of a name, its directory made."""
        path = f"{self.url}/{name}"
        parent = os.path.dirname(path)
        if parent not in self._known:
            self._make(parent)
        return path

    def _make(self, directory: str) -> None:
        """Make a directory and those above it, and remember that each has a new name in it."""
        if len(self._known) > MAX_KNOWN:  # a long recording has more than are worth remembering
            self._known.clear()
        if ".." in directory[len(self.url) :].replace(os.sep, "/").split("/"):
            raise OSError(errno.EINVAL, "it leads out of the store", directory)
        missing = []
        while directory not in self._known:
            missing.append(directory)
            if directory == self.url:
                break
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            try:
                os.mkdir(path)
            except FileExistsError:
                if path != self.url and os.path.islink(path):
                    raise OSError(errno.ELOOP, "it is a link out of the store", path) from None
            self._known.add(path)
            self.names_changed.note(path)


class _ShardOnDisk:
    """A shard's file, under a temporary name until its first write, or until it is finished."""

    __slots__ = ("_final", "_sink", "_visible", "current")

    def __init__(self, sink: FilesystemSink, final: str, current: str, *, visible: bool) -> None:
        self._sink = sink
        self._final = final
        self._visible = visible
        self.current = current

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write `data` at `offset`; a visible shard gets its name now: none is ever empty."""
        self._sink.write_at(self.current, offset, data)
        if self._visible and self.current != self._final:
            self._give_name()

    def _give_name(self) -> None:
        """Let readers find the file."""
        platform.replace(self.current, self._final)
        self.current = self._final
        self._sink.names_changed.note(self._final)

    def read(self, offset: int, nbytes: int) -> bytes:
        """Read a range of the file."""
        with os.fdopen(open_regular(self.current, os.O_RDONLY), "rb") as file:
            file.seek(offset)
            return file.read(nbytes)

    def nbytes(self) -> int:
        """Return the size of the file."""
        return os.path.getsize(self.current)

    def add_tail(self, data: Bytes) -> None:
        """Refuse; see `show`."""
        self.show(data)

    def show(self, tail: Bytes) -> NoReturn:
        """Refuse: a file that can be written at any place needs nothing behind its end."""
        raise AssertionError("shards on a filesystem are shown by their own index")

    def sync(self) -> None:
        """Flush the file to the device."""
        _sync_path(self.current)

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Cut the file to its size, flush it and give it its name."""
        os.truncate(self.current, nbytes)
        if sync:
            self.sync()
        if self.current != self._final:
            self._give_name()

    def discard(self) -> None:
        """Delete the file if nobody was meant to see it yet."""
        if self.current != self._final:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.current)


def _delete(path: Path) -> None:
    """Delete a file or a directory with all that is in it; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_file(path: str, data: Bytes, flags: int, sync: bool) -> None:
    """Write a whole new file; leave none behind when that fails."""
    descriptor = create_new(path, flags)
    try:
        _write_all(descriptor, data, 0)
        if sync:
            platform.sync_file(descriptor)
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    os.close(descriptor)


def _write_all(descriptor: int, data: Bytes, offset: int) -> None:
    """Write every byte of `data` at `offset`, however often the system takes only a part."""
    rest = as_view(data)
    while rest:
        written = platform.pwrite(descriptor, rest, offset)
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]
        offset += written


def _sync_path(path: str) -> None:
    """Flush a file."""
    descriptor = open_regular(path, os.O_WRONLY)
    try:
        platform.sync_file(descriptor)
    finally:
        os.close(descriptor)


def _takes_direct(root: Path) -> bool | None:
    """Try whether files in `root` can be written past the page cache; None if the disk is full."""
    if not platform.DIRECT:
        return False
    probe = root / f".direct-{os.getpid()}-{threading.get_ident()}{PARTIAL}"
    try:
        descriptor = create_new(probe, platform.DIRECT)
        try:
            platform.pwrite(descriptor, memoryview(mmap.mmap(-1, PAGE)), 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return None  # what comes next may remove the store, or say so itself
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        _log.info("%s takes no direct writes; the page cache will be used", root)
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True
