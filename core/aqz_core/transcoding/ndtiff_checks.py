"""What an NDTiff dataset claims, compared with what it holds, before a library believes it.

ndstorage opens whatever lies in the folder, and reads as many bytes as an index says; every
combination of the values of all axes is a place for a frame.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from aqz_core.errors import StorageError
from aqz_core.storage.regular_files import open_regular
from aqz_core.transcoding.tiff_checks import is_plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FilesOfFolder", "check_index"]

_MOST_CHANNELS = 2**14
_MOST_PLANES = 2**22
_SPARE_PLANES = 2**16
_MOST_EMPTY = 64
"""Places without a frame that there may be for each frame, besides those spare ones."""

_INDEX_NBYTES = 1 << 30

_DOCUMENT_NBYTES = 16 << 20
_ENTRY = struct.Struct("=8I")
_LENGTH = struct.Struct("=I")


class FilesOfFolder:
    """How ndstorage gets at files: regular ones, no links, and no more of them than there is.

    Attributes
    ----------
    opened
        The files; whoever made this closes them, for ndstorage leaves some open after an error.
    """

    path_join = staticmethod(os.path.join)
    isdir = staticmethod(os.path.isdir)
    listdir = staticmethod(os.listdir)

    def __init__(self) -> None:
        self.opened = contextlib.ExitStack()

    def open(self, path: str, mode: str) -> io.BufferedReader:
        """Open a file for reading."""
        assert mode == "rb"
        file = _Bounded(io.FileIO(open_regular(path, os.O_RDONLY), mode))
        self.opened.enter_context(file)
        if path.endswith(".tif"):
            head = file.read(28)
            if len(head) == 28 and _LENGTH.unpack(head[24:])[0] > _DOCUMENT_NBYTES:
                raise StorageError(
                    f"{path}: its metadata claim more than {_DOCUMENT_NBYTES:,} bytes"
                )
            file.seek(0)
        return file


def check_index(folder: Path) -> None:
    """Check ``NDTiff.index``.

    Raises
    ------
    StorageError
        It names files elsewhere, claims frames that are larger than their files, or has so many
        values of its axes that most places would be empty.
    OSError
        It cannot be read.
    """
    values: dict[str, set[int | str]] = {}
    sizes: dict[str, int] = {}
    frames, stored = 0, 0
    if (folder / "Full resolution").exists():
        raise StorageError(
            f"{folder}: it has several resolutions; transcode 'Full resolution' in it"
        )
    for axes, name, (offset, width, height, *_, start, length, _compression) in _entries(folder):
        frames += 1
        stored += width * height + length
        if name not in sizes:
            with os.fdopen(open_regular(folder / name, os.O_RDONLY), "rb") as file:
                sizes[name] = os.fstat(file.fileno()).st_size
        ends = (offset + width * height, start + length)
        if max(ends) > sizes[name] or length > _DOCUMENT_NBYTES:
            raise StorageError(f"{folder}: frame {frames - 1} of the index is not in {name!r}")
        for axis, value in axes.items():
            values.setdefault(axis, set()).add(value)
    if stored > sum(sizes.values()):
        raise StorageError(f"{folder}: the frames of the index are larger than their files")
    places = math.prod(map(len, values.values()))
    if places > min(_SPARE_PLANES + _MOST_EMPTY * frames, _MOST_PLANES):
        raise StorageError(
            f"{folder}: the index has {frames:,} frames, but values of its axes for {places:,}"
        )
    if len(values.get("channel", ())) > _MOST_CHANNELS:
        raise StorageError(f"{folder}: more than {_MOST_CHANNELS:,} channels cannot be listed")


def _entries(folder: Path) -> Iterator[tuple[dict[str, Any], str, tuple[int, ...]]]:
    """Yield what the index says of each frame: its axes, its file, and eight numbers."""
    with os.fdopen(open_regular(folder / "NDTiff.index", os.O_RDONLY), "rb") as file:
        if os.fstat(file.fileno()).st_size > _INDEX_NBYTES:
            raise StorageError(f"{folder}: the index has more than {_INDEX_NBYTES:,} bytes")
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            (nbytes,) = _LENGTH.unpack(head)
            if nbytes == 0:
                return  # as ndstorage does
            axes = json.loads(_exactly(file, nbytes))
            (nbytes,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
            name = _exactly(file, nbytes).decode()
            if not isinstance(axes, dict) or not {*map(type, axes.values())} <= {int, str}:
                raise StorageError(f"{folder}: axes of the index are not numbers and names")
            if not is_plain_name(name):
                raise StorageError(
                    f"{folder}: the index names {name!r}, which is not in the folder"
                )
            yield axes, name, _ENTRY.unpack(_exactly(file, _ENTRY.size))


def _exactly(file: BinaryIO, nbytes: int) -> bytes:
    """Return so many bytes."""
    found = file.read(nbytes) if nbytes <= _DOCUMENT_NBYTES else b""
    if len(found) != nbytes:
        raise ValueError("the index is cut off, or claims more than it holds")
    return found


class _Bounded(io.BufferedReader):
    """A file that takes no more memory than it has bytes, however many are asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what is there of so many bytes."""
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))
