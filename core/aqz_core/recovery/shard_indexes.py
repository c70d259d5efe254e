"""The two indexes of a shard file, read with suspicion.

A live shard has an index at its start and, once it is finished, one at its end; either may be
missing, torn, or point past the end of a file that was cut short. Nothing here trusts a size that
it has not compared with the size of the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import numpy.typing as npt

from aqz_core.layout import align
from aqz_core.shards import MISSING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entries", "ShardIndexes", "entries_within", "named", "read_indexes", "read_range"]

Entries = npt.NDArray[np.uint64]
"""Offset and size of every chunk of a shard, shape (chunks, 2)."""


@dataclass(frozen=True, slots=True)
class ShardIndexes:
    """What a shard file says about its chunks.

    Attributes
    ----------
    nbytes
        Size of the file.
    start, end, spare
        The index at either end, and the spare one behind that at the start, or None where no
        block with a right checksum stands.
    """

    nbytes: int
    start: Entries | None
    end: Entries | None
    spare: Entries | None = None

    def best(self, *, prefer_end: bool) -> Entries | None:
        """Return the index that readers are told to use, or another if that one is damaged."""
        order = (self.end, self.start) if prefer_end else (self.start, self.end)
        return next((entries for entries in (*order, self.spare) if entries is not None), None)


def read_indexes(file: Path, chunks: int) -> ShardIndexes:
    """Read both indexes of a shard of so many chunks.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    nbytes = 16 * chunks + 4
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size < nbytes:
            return ShardIndexes(size, None, None)
        stream.seek(0)
        start = _decoded(stream.read(nbytes))
        stream.seek(size - nbytes)
        end = _decoded(stream.read(nbytes))
        spare = None
        for offset in dict.fromkeys((align(nbytes), nbytes)):
            if start is None and end is None and spare is None and offset + nbytes <= size:
                stream.seek(offset)
                spare = _decoded(stream.read(nbytes))
    return ShardIndexes(size, start, end, spare)


def read_range(file: Path, offset: int, nbytes: int) -> bytes:
    """Read a part of a file; fewer bytes where the file ends before."""
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(nbytes)


def named(entries: Entries) -> npt.NDArray[np.bool_]:
    """Return which chunks an index names, shape (chunks,)."""
    return np.asarray((entries != MISSING).any(axis=1))


def entries_within(entries: Entries, nbytes: int) -> npt.NDArray[np.bool_]:
    """Return which chunks lie inside the first `nbytes` bytes of their file, shape (chunks,)."""
    offsets, sizes = entries[:, 0], entries[:, 1]
    limit = np.uint64(nbytes)
    inside = (offsets <= limit) & (sizes <= limit)
    # Both are small enough by now that their sum cannot wrap around.
    total = np.where(inside, offsets, 0) + np.where(inside, sizes, 0)
    return np.asarray(named(entries) & inside & (total <= limit) & (sizes > 0))


def _decoded(block: bytes) -> Entries | None:
    """Return the entries of an index block, or None if its checksum is wrong."""
    content, checksum = block[:-4], int.from_bytes(block[-4:], "little")
    if google_crc32c.value(content) != checksum:
        return None
    return np.frombuffer(content, "<u8").reshape(-1, 2)
