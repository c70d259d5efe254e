"""The files of a store, read only: below a directory, or the objects below a URL.

Names are relative to the store, with "/" between their parts. Everything in `aqz_core.recovery`
reads through this interface and does not know where the store is, except that objects are replaced
as a whole: they have no second index, no half of a write, nothing that could be repaired in place.

Two things can go wrong in reading. A file that cannot be read is a finding about that file, an
`UnreadableFileError`; a service that fails says nothing about the store, and ends whatever was
being done, as any other `StorageError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, BinaryIO, Protocol

from aqz_core.display.printable import visible
from aqz_core.errors import StorageError
from aqz_core.settings.checks import store_text
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.storage.lock import is_locked
from aqz_core.storage.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aqz_core.settings.s3 import S3Settings

__all__ = ["LocalFiles", "StoredFiles", "UnreadableFileError", "open_files"]

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""Metadata may name what no file system has a name for."""


class UnreadableFileError(StorageError):
    """A file of a store cannot be read, or is gone; the others may be as they should.

    Parameters
    ----------
    number
        Of the error, as in `errno`.
    why
        What is wrong with it.
    file
        Its name or path.
    """

    def __init__(self, number: int | None, why: str, file: str) -> None:
        super().__init__(number, why, file)
        self.why = why

    def __str__(self) -> str:
        """Return the file and what is wrong with it."""
        return visible(f"{self.filename}: {self.why}")


class StoredFiles(Protocol):
    """What is stored below one place.

    Attributes
    ----------
    url
        The place, for messages.
    settings
        What opens it again; a URL has its password here.
    is_local
        Whether it is on a filesystem: files are changed in place, so that a shard has an index at
        either end, and locks show everybody who writes.
    reads_at_once
        How many files are worth reading at the same time.
    """

    url: str
    settings: StreamSettings
    is_local: bool
    reads_at_once: int

    def find(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the size in bytes of every file.

        Raises
        ------
        StorageError
            There is no such place, or it cannot be listed.
        """

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None when there is none.

        Raises
        ------
        UnreadableFileError
            It cannot be read.
        """

    def read_range(self, name: str, start: int, nbytes: int) -> bytes:
        """Return some bytes of a file, fewer where it ends before.

        Raises
        ------
        UnreadableFileError
            It cannot be read, or is gone.
        """

    def check_inside(self) -> None:
        """Raise `StorageError` if anything that `find` gave is not a file of the store's own."""

    def unfinished(self) -> list[tuple[str, Callable[[], None]]]:
        """Return what was being uploaded when something broke: its name, and what aborts it."""

    def is_written(self) -> bool:
        """Return whether a stream of this machine writes the store at this moment.

        Where the store is on a filesystem, streams of other machines count, if it has locks.
        """

    def is_at(self, settings: StreamSettings) -> bool:
        """Return whether the `store_path` of some settings is this place."""

    def close(self) -> None:
        """Let go of connections."""


def open_files(store: str | os.PathLike[str], s3: S3Settings | None = None) -> StoredFiles:
    """Return the files of a store.

    Parameters
    ----------
    store : str or os.PathLike
        Its directory, or its URL; with `s3`, it may be a path in the bucket.
    s3 : S3Settings, optional
        How to reach the bucket.

    Raises
    ------
    SettingsError
        It cannot be reached like that: no such scheme, wrong credentials, no such bucket.
    StorageError
        The service does not answer.
    """
    path = store_text(store)
    if is_local(path, s3):
        return LocalFiles(local_path(path))
    from aqz_core.reading.object_files import open_objects

    return open_objects(path, s3)


class LocalFiles:
    """The files below a directory; symbolic links to directories are not followed.

    Parameters
    ----------
    folder
        The directory.
    """

    is_local = True
    reads_at_once = 1

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self.settings = StreamSettings(store_path=self.url)
        # A link is followed once: it may lead elsewhere by the next file.
        self._root = folder.resolve() if folder.is_symlink() else folder
        self._start = f"{self._root}{os.sep}"  # text, for a plate has 100,000 files
        self.links: list[str] = []

    def find(self) -> Iterator[tuple[str, int]]:
        """Yield every file, directory by directory."""
        if not self._root.is_dir():
            raise StorageError(
                f"{self.url}: there is no such directory; is it the path of a store?"
            )
        self.links.clear()
        folders = [""]
        while folders:
            below = folders.pop()
            for entry in self._listed(below):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{below}{entry.name}/")
                else:
                    if not entry.is_file(follow_symlinks=False):
                        self.links.append(below + entry.name)
                    yield below + entry.name, _entry_size(entry)

    def check_inside(self) -> None:
        """Raise if anything that was found leads out of the store, or is not a file.

        To be asked before it is written: a store from elsewhere must not change what is not
        part of it.

        Raises
        ------
        StorageError
            There is a link, a FIFO, a socket or a device.
        """
        if self.links:
            raise StorageError(
                f"{self.url}: {self.links[0]!r} is a link or another special file "
                f"({len(self.links)} in all); what they lead to is never written. Copy the store "
                "with the files that links stand for (`cp -rL`), and use the copy"
            )

    def _listed(self, below: str) -> list[os.DirEntry[str]]:
        """Return the entries of a directory, by name."""
        folder = self._root / below
        try:
            return sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:  # a running recording took it away after listing
            return []
        except OSError as error:
            raise StorageError(f"{folder}: cannot be listed: {error.strerror}") from error

    def size(self, name: str) -> int | None:
        """Return the size of a file."""
        try:
            return os.stat(self._start + name).st_size  # noqa: PTH116 - it is asked for each shard
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            why = f"cannot be read: {error.strerror or error}"
            raise UnreadableFileError(error.errno, why, self._start + name) from error

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes."""
        try:
            with self._opened(name) as file:
                return file.read()
        except UnreadableFileError as error:
            if error.errno in _NOT_THERE:
                return None
            raise

    def read_range(self, name: str, start: int, nbytes: int) -> bytes:
        """Return some bytes of a file."""
        with self._opened(name) as file:
            file.seek(start)
            return file.read(nbytes)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        """Open a file; whatever the operating system refuses is raised as of the file."""
        path = self._start + name
        try:
            with os.fdopen(open_regular(path, os.O_RDONLY, follow=True), "rb") as file:
                yield file
        except OSError as error:
            why = f"cannot be read: {error.strerror or error}"
            raise UnreadableFileError(error.errno, why, path) from error

    def unfinished(self) -> list[tuple[str, Callable[[], None]]]:
        """Return nothing: a directory shows what was being written."""
        return []

    def is_written(self) -> bool:
        """Return whether somebody writes the store at this moment."""
        return is_locked(self._root)

    def is_at(self, settings: StreamSettings) -> bool:
        """Return whether a path leads to the same directory."""
        return (
            is_local(settings.store_path, settings.s3)
            and local_path(settings.store_path).resolve() == self._root.resolve()
        )

    def close(self) -> None:
        """Do nothing: no descriptor is kept."""


def _entry_size(entry: os.DirEntry[str]) -> int:
    """Return a file's bytes; 0 when it is gone or cannot be asked for."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0
