"""The two indexes of a shard file, read with suspicion.

A live shard has an index at its start and, once it is finished, one at its end; either may be
missing, torn, or point past the end of a file that was cut short. Nothing here trusts a size that
it has not compared with the size of the file.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import MISSING
from aqz_core.reading.files import UnreadableFileError
from aqz_core.storage.alignment import align

if TYPE_CHECKING:
    from aqz_core.reading.files import StoredFiles

__all__ = [
    "INDEX_ENTRY_NBYTES",
    "Entries",
    "ShardIndexes",
    "entries_within",
    "named",
    "read_indexes",
]

INDEX_ENTRY_NBYTES = 16
"""What an index takes for each chunk: no shard has more of them than that leaves room for."""

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
        """Return the index that readers use by the metadata, or another if that one is damaged."""
        order = (self.end, self.start) if prefer_end else (self.start, self.end)
        return next((entries for entries in (*order, self.spare) if entries is not None), None)


def read_indexes(
    files: StoredFiles, name: str, chunks: int, nbytes: int, *, start: bool = False
) -> ShardIndexes:
    """Read the indexes of a shard.

    Shards in an object store are replaced as a whole and need that at the end only; the one at the
    start is looked for there only if it is asked for, or there is no other.

    Parameters
    ----------
    files, name
        The shard.
    chunks
        How many it has room for.
    nbytes
        Its size when it was listed; it may have grown since.
    start
        Whether the index at the start is wanted in any case.

    Raises
    ------
    UnreadableFileError
        The file cannot be read, or is gone.
    """
    both = start or files.is_local
    if not files.is_local:
        found = _read_both(files, name, chunks, nbytes, both)
        if found.end is not None:
            return found
    size = files.size(name)
    if size is None:
        raise UnreadableFileError(errno.ENOENT, "it is gone", name)
    if not files.is_local and size == nbytes:
        return found
    return _read_both(files, name, chunks, size, both)


def _read_both(files: StoredFiles, name: str, chunks: int, size: int, both: bool) -> ShardIndexes:
    """Read the indexes of a shard of `size` bytes, and the spare one if both are damaged."""
    nbytes = 16 * chunks + 4
    if size < nbytes:
        return ShardIndexes(size, None, None)
    end = _decoded(files.read_range(name, size - nbytes, nbytes))
    if end is not None and not both:
        return ShardIndexes(size, None, end)
    start = _decoded(files.read_range(name, 0, nbytes))
    spare = None
    for offset in dict.fromkeys((align(nbytes), nbytes)):
        if start is None and end is None and spare is None and offset + nbytes <= size:
            spare = _decoded(files.read_range(name, offset, nbytes))
    return ShardIndexes(size, start, end, spare)


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
