"""The bytes of a shard: its index, where each chunk lands, and what a reader sees meanwhile.

A Zarr v3 shard is chunks in any order, with gaps allowed, and an index of their places at its
start or at its end [1]_. A *live* shard has room for both::

    [ index ][ chunks, in batches ... ][ index ]

The first index is rewritten while the shard grows, always after the chunks it names; the last one
is written when nothing more will come. For a reader of the one, the other is only a gap. A shard
that is not live has chunks without gaps and the last index only.

.. [1] https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import google_crc32c
import numpy as np
import numpy.typing as npt

from aqz_core.errors import StorageError
from aqz_core.storage.alignment import PAGE, align

__all__ = ["MISSING", "Batch", "ShardFormat", "decode_index", "encode_index"]

MISSING = 2**64 - 1
"""Offset and size of a chunk that the shard does not hold."""

SECTOR = 512
"""Bytes that a device writes as a whole or not at all."""

MIN_ALIGNED_NBYTES = 256 << 10
"""Shards of fewer bytes are packed: aligning them would waste more than it saves."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardFormat:
    """What the shards of one array have in common.

    Attributes
    ----------
    chunks
        Entries in the index.
    live
        Whether there is an index at the start as well.
    aligned
        Whether batches start on page boundaries.
    in_order
        Whether the store takes the bytes of a shard only from its start to its end.
    """

    chunks: int
    live: bool
    aligned: bool
    in_order: bool = False

    @cached_property
    def index_nbytes(self) -> int:
        """Bytes of an index: 16 for each chunk, and its checksum."""
        return 16 * self.chunks + 4

    @cached_property
    def has_spare_index(self) -> bool:
        """Whether there is a second index at the start; see `spare_offset`."""
        return self.live and self.index_nbytes > SECTOR

    @cached_property
    def spare_offset(self) -> int:
        """Where the spare index is.

        A loss of power may leave an index of several sectors half rewritten, and with it a shard
        of which nothing can be found. So there are two: the spare one is written at a flush only,
        and never while the first has not reached the device.
        """
        return self.padded(self.index_nbytes)

    @cached_property
    def header_nbytes(self) -> int:
        """Bytes in front of the first chunk."""
        if not self.live:
            return 0
        return self.padded(self.index_nbytes) * (2 if self.has_spare_index else 1)

    @property
    def room(self) -> int:
        """Bytes to leave in front of a body in memory, so that it can become a whole shard."""
        return align(max(self.index_nbytes, self.header_nbytes))

    def file_nbytes(self, end: int) -> int:
        """Return the size of a finished shard whose last chunk ends at `end`."""
        return self.padded(end + self.index_nbytes)

    def padded(self, nbytes: int) -> int:
        """Return the bytes that a batch of `nbytes` takes in the file."""
        return align(nbytes, PAGE) if self.aligned else nbytes

    def index_of(self, numbers: Numbers, starts: Numbers, sizes: Numbers) -> npt.NDArray[np.uint8]:
        """Return the index of a shard whose chunks start so far behind its first one."""
        entries = self.empty_entries()
        entries[numbers, 0] = starts + self.header_nbytes
        entries[numbers, 1] = sizes
        return np.frombuffer(encode_index(entries), np.uint8)

    def wrap(self, batch: Batch, index: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn the batch that holds every chunk of a shard into the shard's bytes, in place."""
        first = batch.room - self.header_nbytes
        end = batch.room + batch.nbytes
        stop = first + self.file_nbytes(self.header_nbytes + batch.nbytes)
        if self.live:
            batch.memory[first : first + index.size] = index
            batch.memory[first + index.size : batch.room] = 0
        batch.memory[end : stop - index.size] = 0
        batch.memory[stop - index.size : stop] = index
        return batch.memory[first:stop]

    def empty_entries(self) -> npt.NDArray[np.uint64]:
        """Return an index, of shape (chunks, 2), that names no chunk."""
        return np.full((self.chunks, 2), MISSING, "<u8")


def encode_index(entries: npt.NDArray[np.uint64]) -> bytes:
    """Return an index of shape (chunks, 2) as bytes, its CRC-32C at the end."""
    content = entries.tobytes()
    checksum: int = google_crc32c.value(content)
    return content + checksum.to_bytes(4, "little")


def decode_index(data: bytes) -> npt.NDArray[np.uint64]:
    """Return the entries of an index, of shape (chunks, 2).

    Raises
    ------
    StorageError
        Its checksum is wrong.
    """
    content, checksum = data[:-4], data[-4:]
    if google_crc32c.value(content).to_bytes(4, "little") != checksum:
        raise StorageError("the index of a shard does not match its checksum: it is damaged")
    return np.frombuffer(content, "<u8").reshape(-1, 2).copy()


@dataclass(frozen=True, slots=True)
class Batch:
    """Chunks of one column, ready to be stored.

    Attributes
    ----------
    memory
        Page-aligned bytes that hold them, with room around.
    room
        Where in `memory` the first one starts.
    nbytes
        Bytes from there to the end of the last one.
    starts, sizes
        Offset from the first, and size in bytes, of each chunk: chunk layers, rows, columns.
    plain
        Whether they are pixels as they are, without a codec.
    """

    memory: npt.NDArray[np.uint8]
    room: int
    nbytes: int
    starts: Numbers
    sizes: Numbers
    plain: bool = False
