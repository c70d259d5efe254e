"""The few changes that a repair makes to a store; each leaves the old content usable if it fails.

In an object store every object is replaced as a whole, through the sink that recordings use.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol

from aqz_core.errors import AqzError, StorageError
from aqz_core.storage import platform
from aqz_core.storage.regular_files import create_new, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aqz_core.storage.sink import Sink

__all__ = [
    "LocalChanges",
    "ObjectChanges",
    "StoreChanges",
    "add_to_end",
    "changing",
    "replace_content",
    "write_start",
]

_TEMPORARY = ".aqz-repair"


@contextlib.contextmanager
def changing(store: str) -> Iterator[None]:
    """Raise what the operating system refuses inside of the context as `StorageError`."""
    try:
        yield
    except AqzError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(
            error.errno,
            f"{store} cannot be changed: {error.strerror or error}{where}; what was done before "
            "stays, and the same can be tried again when that is fixed",
        ) from error


class StoreChanges(Protocol):
    """Changes to files of a store, given by name."""

    def replace(self, name: str, content: bytes) -> None:
        """Give a file new content in one step, or make it."""

    def add_to_end(self, name: str, data: bytes) -> None:
        """Add bytes behind everything that a file holds."""

    def write_start(self, name: str, data: bytes) -> None:
        """Overwrite the first bytes of a file; only on a filesystem."""

    def remove(self, name: str) -> None:
        """Delete a file."""


class LocalChanges:
    """Changes to files below a directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def replace(self, name: str, content: bytes) -> None:
        """Write the content beside the file and rename it."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_content(path, content)

    def add_to_end(self, name: str, data: bytes) -> None:
        """Append, and flush."""
        add_to_end(self._folder / name, data)

    def write_start(self, name: str, data: bytes) -> None:
        """Overwrite, and flush."""
        write_start(self._folder / name, data)

    def remove(self, name: str) -> None:
        """Unlink."""
        (self._folder / name).unlink()


class ObjectChanges:
    """Changes to objects."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def replace(self, name: str, content: bytes) -> None:
        """Store the object again."""
        self._sink.write(name, content, sync=True)

    def add_to_end(self, name: str, data: bytes) -> None:
        """Store the object again with more in it."""
        self._sink.write(name, (self._sink.read(name) or b"") + data, sync=True)

    def write_start(self, name: str, data: bytes) -> None:
        """Refuse: no object is changed in place."""
        raise AssertionError("objects are replaced as a whole")

    def remove(self, name: str) -> None:
        """Delete the object."""
        self._sink.remove(name)


def add_to_end(file: Path, data: bytes) -> None:
    """Add bytes behind everything that a file holds, and flush them to the device."""
    with os.fdopen(open_regular(file, os.O_WRONLY | os.O_APPEND), "ab") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_start(file: Path, data: bytes) -> None:
    """Overwrite the first bytes of a file, and flush them to the device."""
    with os.fdopen(open_regular(file, os.O_RDWR), "r+b") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_content(file: Path, data: bytes) -> None:
    """Give a file new content in one step: a reader sees the old or the new one."""
    temporary = file.with_name(file.name + _TEMPORARY)
    try:
        with os.fdopen(create_new(temporary), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        platform.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    platform.sync_directory(file.parent)
