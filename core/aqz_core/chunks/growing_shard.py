"""A shard while it grows: where each batch of chunks lands, and what a reader sees meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import MISSING, decode_index, encode_index

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.chunks.shard_format import Batch, ShardFormat
    from aqz_core.storage.sink import ShardFile

__all__ = ["GrowingShard"]

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Region:
    """Bytes of a shard's file that a batch is, or was, stored in."""

    offset: int
    nbytes: int


class GrowingShard:
    """A shard that is written in several batches.

    A batch may be *provisional*: its chunks lack planes and will be stored again. Chunks that
    readers may be looking at are never overwritten with other bytes. An encoded batch goes to
    another region each time, and the old region is used again once no published index names it;
    a batch of plain pixels is rewritten in place, because what it holds already stays the same.

    Parameters
    ----------
    file
        Where its bytes go.
    shard_format
        See `ShardFormat`.
    expected
        How many chunks it will hold when it is complete.
    policy
        What survives a loss of power.
    """

    def __init__(
        self,
        file: ShardFile,
        shard_format: ShardFormat,
        expected: int,
        policy: WritePolicy,
    ) -> None:
        self._file = file
        self._format = shard_format
        self._entries = shard_format.empty_entries()
        self._final = np.zeros(shard_format.chunks, bool)
        self._missing = expected
        self._end = shard_format.header_nbytes
        self._policy = policy
        self._durable = self._entries
        self._supersedes = False
        self._regions: dict[Hashable, _Region] = {}
        self._retired: list[_Region] = []
        self._free: list[_Region] = []
        self._tail: list[tuple[Numbers, Numbers, Numbers]] = []
        self._tail_nbytes = 0
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._arriving = threading.Lock()
        self._finished = False

    def begin(self) -> None:
        """Write an index that names no chunk, if readers can see the shard already."""
        if self._format.live:
            self._file.write_at(0, encode_index(self._entries))

    def reopen(self, *, final: npt.NDArray[np.bool_]) -> None:
        """Take over the chunks that the file holds.

        Parameters
        ----------
        final
            Which of them are complete, shape (chunks,).

        Raises
        ------
        StorageError
            The file's index is damaged.
        """
        nbytes = self._file.nbytes()
        index_nbytes = self._format.index_nbytes
        first = 0 if self._format.live else nbytes - index_nbytes
        self._entries = decode_index(self._file.read(first, index_nbytes))
        self._durable = self._entries.copy()
        # A crash may have left a file that ends before its first chunk.
        self._end = self._format.padded(max(nbytes, self._format.header_nbytes))
        self._final = final & (self._entries[:, 0] != MISSING)
        self._missing -= int(self._final.sum())

    # ---- chunks in --------------------------------------------------------------------------

    def add_batch(self, batch: Batch, numbers: Numbers, key: Hashable) -> None:
        """Write a batch and take its chunks into the index for good.

        `key` is the same for every batch of the same chunks.
        """
        if self._format.in_order:
            with self._arriving:
                self._forget_tail()
                behind = self._allocate(batch.nbytes)
                self._write(behind, batch, numbers, key, final=True)
            return
        region = self._regions.get(key)
        if region is None or not batch.plain:
            region = self._allocate(self._format.padded(batch.nbytes))
        self._write(region, batch, numbers, key, final=True)

    def add_provisional_batch(
        self, batch: Batch, numbers: Numbers, key: Hashable, capacity: int
    ) -> None:
        """Write a batch that will be replaced, by `capacity` bytes at most."""
        if self._format.in_order:
            self._add_to_tail(batch, numbers)
            return
        region = self._regions.get(key)
        if region is None or not batch.plain:
            region = self._allocate(self._format.padded(capacity))
        self._write(region, batch, numbers, key, final=False)

    def _add_to_tail(self, batch: Batch, numbers: Numbers) -> None:
        """Write a batch that the next `show` shows, and that leaves no trace after it."""
        with self._arriving:
            self._file.add_tail(batch.memory[batch.room : batch.room + batch.nbytes])
            self._tail.append((numbers, batch.starts + self._tail_nbytes, batch.sizes))
            self._tail_nbytes += batch.nbytes

    def _forget_tail(self) -> None:
        """Begin a new tail: the one before was shown, or will never be."""
        self._tail.clear()
        self._tail_nbytes = 0

    def _write(
        self, region: _Region, batch: Batch, numbers: Numbers, key: Hashable, *, final: bool
    ) -> None:
        """Write a batch to a region, and give up the region that it had before."""
        stop = batch.room + self._format.padded(batch.nbytes)
        self._file.write_at(region.offset, batch.memory[batch.room : stop])
        self.record(numbers, batch.starts + region.offset, batch.sizes, final=final)
        with self._lock:
            before = self._regions.pop(key, None)
            if before is not None and before is not region:
                self._retired.append(before)
            if not final:
                self._regions[key] = region

    def _allocate(self, nbytes: int) -> _Region:
        """Find room: a region that came free, or the end of the file."""
        with self._lock:
            for region in self._free:
                if region.nbytes >= nbytes:
                    self._free.remove(region)
                    return region
            region = _Region(self._end, nbytes)
            self._end += nbytes
            return region

    def write_piece(self, offset: int, data: npt.NDArray[np.uint8]) -> None:
        """Write some planes of a chunk whose place was planned."""
        self._file.write_at(offset, data)

    def record(self, numbers: Numbers, offsets: Numbers, sizes: Numbers, *, final: bool) -> None:
        """Take chunks that are written into the index."""
        with self._lock:
            before = self._durable[numbers, 0]
            if ((before != MISSING) & (before != offsets.astype(np.uint64))).any():
                self._supersedes = True
            self._entries[numbers, 0] = offsets
            self._entries[numbers, 1] = sizes
            self._end = max(self._end, int((offsets + sizes).max()))
            if final:
                self._missing -= int((~self._final[numbers]).sum())
                self._final[numbers] = True

    def leave_out(self, numbers: Numbers) -> None:
        """Count chunks as done that will never come."""
        with self._lock:
            self._missing -= int((~self._final[numbers]).sum())
            self._final[numbers] = True

    # ---- chunks out -------------------------------------------------------------------------

    def load(self, numbers: Numbers) -> list[bytes]:
        """Read chunks back as they are stored."""
        with self._lock:
            places = self._entries[numbers].tolist()
        return [self._file.read(offset, nbytes) for offset, nbytes in places]

    @property
    def chunks(self) -> int:
        """How many chunks it holds now."""
        return int((self._entries[:, 0] != MISSING).sum())

    @property
    def complete(self) -> bool:
        """Whether every chunk is there."""
        return self._missing <= 0

    def write_index(self, *, sync: bool = False) -> None:
        """Let readers see the chunks that are written; flush them to the device if asked."""
        if not self._format.live:
            return
        with self._publishing:
            if self._finished:
                return
            with self._lock:
                retired, self._retired = self._retired, []
                entries = self._entries.copy()
                supersedes, self._supersedes = self._supersedes, False
            index = encode_index(entries)
            if sync or (supersedes and self._policy.keep_durable):
                self._file.sync()  # chunks before the index that names them
            if sync and self._format.has_spare_index:
                self._file.write_at(self._format.spare_offset, index)
                self._file.sync()  # one index is whole at any time
            self._file.write_at(0, index)
            if sync:
                self._file.sync()
            with self._lock:
                if sync:
                    self._durable = entries
                for region in retired:
                    still = self._policy.keep_durable and self._is_durable(region)
                    (self._retired if still else self._free).append(region)

    def _is_durable(self, region: _Region) -> bool:
        """Return whether the last index that was flushed to the device names a region."""
        starts = self._durable[:, 0]
        return bool(((starts >= region.offset) & (starts < region.offset + region.nbytes)).any())

    def show(self) -> Callable[[], None] | None:
        """Let readers see the chunks of a hidden shard, although more will come.

        Returns a call that waits until they do, or None if the shard is finished.
        """
        with self._publishing, self._arriving:
            if self._finished:
                return None
            with self._lock:
                entries, end = self._entries.copy(), self._end
            for numbers, starts, sizes in self._tail:
                entries[numbers, 0] = starts + end
                entries[numbers, 1] = sizes
            self._forget_tail()
            return self._file.show(encode_index(entries))

    def finish(self) -> int | None:
        """Write the indexes for good; return the shard's size, or None if that was done.

        If that fails, `write_index` may still show what is stored.
        """
        with self._publishing:
            if self._finished:
                return None
            if self._policy.sync_shards or (self._policy.keep_durable and self._supersedes):
                self._file.sync()  # chunks before the index that names them
            index = self._index()
            nbytes = self._format.file_nbytes(self._end)
            self._file.write_at(nbytes - len(index), index)
            if self._format.live:
                self._file.write_at(0, index)
            self._file.finish(nbytes, sync=self._policy.sync_shards)
            self._finished = True
            return nbytes

    def discard(self) -> None:
        """Give up; what was published stays readable."""
        self._file.discard()

    def _index(self) -> bytes:
        """Return the index as it is now."""
        with self._lock:
            entries = self._entries.copy()
        return encode_index(entries)
