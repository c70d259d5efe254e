"""Chunks in shards: which shard each goes to, and the shards that are not complete yet."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from functools import lru_cache, partial
from operator import mod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.growing_shard import GrowingShard
from aqz_core.chunks.shard_format import MIN_ALIGNED_NBYTES, Batch, ShardFormat
from aqz_core.chunks.store import UnsyncedObjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.chunks.store import LeadChunk, ShardListener
    from aqz_core.planning.layout import ArrayLayout, Column, LayerKey
    from aqz_core.storage.sink import ShardFile, Sink

__all__ = ["ShardedChunks"]

Numbers = npt.NDArray[np.int64]

MAX_PLACES = 64
"""Runs of chunks of which index entries are remembered: they are the same from shard to shard."""


class ShardedChunks:
    """Chunks in shards; the shards that are not complete yet are kept here.

    Parameters
    ----------
    sink, name, policy
        As for `ChunkFiles`; `name` takes the coordinate of a shard.
    layout
        The array's chunk grid.
    max_chunk_nbytes
        Bytes that a chunk has at most once it is encoded.
    resumed
        For a store that may hold shards of an earlier recording, to resume: tells of a chunk
        coordinate on the append axis whether the chunks there are complete.
    on_shard
        Told of every complete shard.
    """

    def __init__(
        self,
        sink: Sink,
        name: Callable[[LeadChunk], str],
        layout: ArrayLayout,
        policy: WritePolicy,
        *,
        max_chunk_nbytes: int,
        resumed: Callable[[int], bool] | None = None,
        on_shard: ShardListener,
    ) -> None:
        assert layout.shard_chunks is not None
        self.can_load = sink.random_access
        self._sink = sink
        self._name = name
        self._layout = layout
        self._shard_chunks = layout.shard_chunks
        self._policy = policy
        self._on_shard = on_shard
        nbytes = layout.chunks_per_shard * layout.chunk_nbytes
        self.format = ShardFormat(
            chunks=layout.chunks_per_shard,
            live=policy.live,
            aligned=policy.live and (nbytes >= MIN_ALIGNED_NBYTES or layout.in_pieces),
            in_order=not sink.random_access,
        )
        self._max_nbytes = layout.chunks_per_shard * max_chunk_nbytes + self.format.index_nbytes
        self._hidden: dict[LeadChunk, list[Callable[[], None]]] = {}
        lead = self._shard_chunks[:-2]
        self._may_be_whole = not layout.in_pieces and math.prod(lead) == layout.buffer_chunks
        self._growing: dict[LeadChunk, GrowingShard] = {}
        self._dirty: set[GrowingShard] = set()
        self._showing: deque[Callable[[], None]] = deque()
        self._resumed = resumed
        self._provisional: set[LeadChunk] = set()
        self._max_chunk_nbytes = max_chunk_nbytes
        self._unsynced = UnsyncedObjects(sink)
        self._absent: dict[LeadChunk, list[Numbers]] = {}
        self._pieces: dict[tuple[LeadChunk, Column], int] = {}
        self._lock = threading.Lock()
        self._numbers_at = lru_cache(MAX_PLACES)(self._work_out_numbers)
        self._plain_index_at = lru_cache(MAX_PLACES)(self._work_out_plain_index)

    def room(self) -> int:
        """Return the bytes of an index, page-aligned, if a batch can become a whole shard."""
        return self.format.room if self._may_be_whole else 0

    def put(
        self, column: Column, lead_chunks: list[LeadChunk], batch: Batch, *, final: bool
    ) -> int:
        """Write a whole shard at once if the batch is one, or add the batch to its shard."""
        shard = self._layout.shard_of(lead_chunks[0], column)
        places = self._places(lead_chunks)
        numbers = self._numbers_at(column, places)
        expected = math.prod(self._layout.shard_extent(shard))
        if self._may_be_whole and len(numbers) == expected and shard not in self._growing:
            if batch.plain:
                index = self._plain_index_at(column, places)
            else:
                index = self.format.index_of(numbers, batch.starts, batch.sizes)
            content = self.format.wrap(batch, index)
            return self._store_whole(shard, content, expected, final=final)
        growing = self._open(shard, expected, None)
        key = (column, self._layout.group_of(lead_chunks[0]))
        if final:
            growing.add_batch(batch, numbers, key)
        else:
            chunks = column.chunks * self._layout.buffer_chunks
            growing.add_provisional_batch(batch, numbers, key, chunks * self._max_chunk_nbytes)
        self._settle(shard, growing)
        return batch.nbytes

    def _store_whole(
        self, shard: LeadChunk, content: npt.NDArray[np.uint8], chunks: int, *, final: bool
    ) -> int:
        """Write a shard of which every chunk is there."""
        name = self._name(shard)
        replaces = shard in self._provisional or self._resumed is not None
        must_last = self._policy.sync_shards or (self._policy.keep_durable and replaces)
        self._sink.write(name, content, sync=must_last)
        if self._policy.keep_durable and not self._policy.sync_shards:
            self._unsynced.add(name)
        if final:
            self._provisional.discard(shard)
            self._on_shard(name, content.nbytes, chunks)
        else:
            self._provisional.add(shard)
        return content.nbytes

    def load(self, column: Column, lead_chunks: list[LeadChunk]) -> list[bytes]:
        """Read chunks of a shard that is not complete yet."""
        shard = self._layout.shard_of(lead_chunks[0], column)
        growing = self._open(shard, math.prod(self._layout.shard_extent(shard)), None)
        return growing.load(self._numbers(column, lead_chunks))

    def put_piece(
        self, column: Column, key: LayerKey, pixels: npt.NDArray[Any], *, final: bool
    ) -> int:
        """Write the piece of every chunk of the column to the place that the chunk will have."""
        layout = self._layout
        lead, piece = key[:-1], key[-1]
        shard = layout.shard_of(lead, column)
        expected = math.prod(layout.shard_extent(shard))
        end = self.format.header_nbytes + expected * layout.chunk_nbytes
        growing = self._open(shard, expected, self.format.file_nbytes(end))
        offsets = self._offsets(shard, lead, column)
        piece_nbytes = layout.buffer_planes * layout.tile_nbytes
        chunks = pixels.view(np.uint8).reshape(-1, piece_nbytes)
        for offset, data in zip(offsets, chunks, strict=True):
            growing.write_piece(int(offset) + piece * piece_nbytes, data)
        if not final:
            self._record_layer(growing, lead, column, offsets, final=False)
            self._settle(shard, growing)
        elif self._count_piece(lead, column):
            self._record_layer(growing, lead, column, offsets, final=True)
            self._settle(shard, growing)
        return chunks.nbytes

    def skip(self, column: Column, lead_chunks: list[LeadChunk]) -> None:
        """Do not wait for chunks that will never come before their shard is finished."""
        shard = self._layout.shard_of(lead_chunks[0], column)
        numbers = self._numbers(column, lead_chunks)
        with self._lock:
            growing = self._growing.get(shard)
            if growing is None:
                absent = self._absent.setdefault(shard, [])
                absent.append(numbers)
                if sum(map(len, absent)) == math.prod(self._layout.shard_extent(shard)):
                    del self._absent[shard]  # nothing of this shard will ever come
                return
        growing.leave_out(numbers)
        self._settle(shard, growing)

    def skip_piece(self, column: Column, key: LayerKey) -> None:
        """Count a piece as stored: where nothing is written, a shard reads as zeros."""
        layout, lead = self._layout, key[:-1]
        if not self._count_piece(lead, column):
            return
        shard = layout.shard_of(lead, column)
        expected = math.prod(layout.shard_extent(shard))
        end = self.format.header_nbytes + expected * layout.chunk_nbytes
        growing = self._open(shard, expected, self.format.file_nbytes(end))
        offsets = self._offsets(shard, lead, column)
        self._record_layer(growing, lead, column, offsets, final=True)
        self._settle(shard, growing)

    def expose(self, *, sync: bool = False) -> None:
        """Rewrite the index of every shard that has grown since the last time."""
        if self.format.live:  # others wait for `reveal`, or until they are complete
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            while dirty:
                shard = dirty.pop()
                try:
                    shard.write_index(sync=sync)
                except BaseException:
                    with self._lock:
                        self._dirty |= {shard, *dirty}
                    raise
        for wait in list(self._showing):  # whoever else is here waits for them, too
            wait()
            with contextlib.suppress(ValueError):
                self._showing.remove(wait)
        if sync:
            self._unsynced.commit()

    def unfinished(self) -> list[Callable[[], None]]:
        """Return calls that finish the shards which are still open."""
        self._record_pieces(final=True)
        with self._lock:
            growing = list(self._growing.items())
        return [partial(self._finish, *item) for item in growing]

    def _open(self, shard: LeadChunk, expected: int, nbytes: int | None) -> GrowingShard:
        """Return the growing shard at a coordinate, started if it is not there."""
        with self._lock:
            growing = self._growing.get(shard)
            if growing is None:
                growing = self._started(shard, expected, nbytes)
                for numbers in self._absent.pop(shard, ()):
                    growing.leave_out(numbers)
                self._growing[shard] = growing
            return growing

    def _started(self, shard: LeadChunk, expected: int, nbytes: int | None) -> GrowingShard:
        """Begin a shard, or resume one that is in the store."""
        name = self._name(shard)
        if self._resumed is not None or shard in self._provisional:
            stored = self._sink.open_shard(name)
            if stored is not None:
                growing = self._growing_shard(stored, expected)
                growing.reopen(final=self._final_numbers(shard))
                return growing
        if self.format.in_order:
            nbytes = self._max_nbytes  # decides the size of its parts; nothing is set aside
        file = self._sink.create_shard(name, nbytes, visible=self.format.live)
        growing = self._growing_shard(file, expected)
        growing.begin()
        return growing

    def _growing_shard(self, file: ShardFile, expected: int) -> GrowingShard:
        """Return a shard whose bytes go to `file`."""
        return GrowingShard(file, self.format, expected, self._policy)

    def _final_numbers(self, shard: LeadChunk) -> npt.NDArray[np.bool_]:
        """Return which index entries of a stored shard are of chunks that lack no plane."""
        final = np.zeros(self._shard_chunks, bool)
        if shard not in self._provisional and self._resumed is not None:
            steps = self._shard_chunks[0]
            for step in range(steps):
                final[step] = self._resumed(shard[0] * steps + step)
        return final.ravel()

    def _settle(self, shard: LeadChunk, growing: GrowingShard) -> None:
        """Finish a shard that became complete; remember to publish it otherwise."""
        if growing.complete:
            self._finish(shard, growing)
        else:
            with self._lock:
                self._dirty.add(growing)

    def _finish(self, shard: LeadChunk, growing: GrowingShard) -> None:
        """Write a shard's last bytes and forget it, unless another thread does."""
        try:
            nbytes = growing.finish()
        except BaseException:
            with self._lock:
                self._dirty.add(growing)  # what it holds is still to be shown
            raise
        if nbytes is not None:
            if self._policy.keep_durable and not self._policy.sync_shards:
                self._unsynced.add(self._name(shard))
            with self._lock:
                del self._growing[shard]
                self._dirty.discard(growing)
                waiting = self._hidden.pop(shard, [])
            for call in waiting:
                call()
            self._on_shard(self._name(shard), nbytes, growing.chunks)

    def _count_piece(self, lead: LeadChunk, column: Column) -> bool:
        """Count one more piece of a chunk layer; return whether it was the last."""
        with self._lock:
            left = self._pieces.pop((lead, column), None)
            left = self._layout.pieces_of(lead) - 1 if left is None else left - 1
            if left:
                self._pieces[lead, column] = left
            return not left

    def when_visible(self, column: Column, lead_chunk: LeadChunk, call: Callable[[], None]) -> None:
        """Call `call` now, or when the shard is finished if it is hidden until then."""
        shard = self._layout.shard_of(lead_chunk, column)
        if not self.format.live:
            with self._lock:
                if shard in self._growing:
                    self._hidden.setdefault(shard, []).append(call)
                    return
        call()

    def reveal(self) -> None:
        """Let the next `expose` show chunks of which some pieces are missing: as holes.

        Shards of a store that takes them in order only begin to be shown here, as far as they are.
        """
        self._record_pieces(final=False)
        if self.format.in_order:
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            for growing in dirty:
                if (wait := growing.show()) is not None:
                    self._showing.append(wait)

    def _record_pieces(self, *, final: bool) -> None:
        """Take the chunks into the index of which only some pieces are stored."""
        with self._lock:
            pieces = list(self._pieces)
        for lead, column in pieces:
            shard = self._layout.shard_of(lead, column)
            offsets = self._offsets(shard, lead, column)
            growing = self._growing[shard]
            self._record_layer(growing, lead, column, offsets, final=final)
            with self._lock:
                self._dirty.add(growing)

    def _record_layer(
        self,
        growing: GrowingShard,
        lead: LeadChunk,
        column: Column,
        offsets: Numbers,
        *,
        final: bool,
    ) -> None:
        """Take the chunks of one layer's column, stored as they are, into the index."""
        numbers = self._numbers(column, [lead])
        sizes = np.full(len(numbers), self._layout.chunk_nbytes)
        growing.record(numbers, offsets, sizes, final=final)

    def _offsets(self, shard: LeadChunk, lead: LeadChunk, column: Column) -> Numbers:
        """Return where the chunks of a layer's column lie when every place is planned."""
        extent = self._layout.shard_extent(shard)
        ranks = _in_c_order([lead], column, self._shard_chunks, extent)
        return self.format.header_nbytes + ranks * self._layout.chunk_nbytes

    def _places(self, lead_chunks: list[LeadChunk]) -> tuple[LeadChunk, ...]:
        """Return where chunk layers are within their shard."""
        return tuple(tuple(map(mod, lead, self._shard_chunks)) for lead in lead_chunks)

    def _numbers(self, column: Column, lead_chunks: list[LeadChunk]) -> Numbers:
        """Return the index entries of the chunks of a column, in C order of the shard."""
        return self._numbers_at(column, self._places(lead_chunks))

    def _work_out_numbers(self, column: Column, places: tuple[LeadChunk, ...]) -> Numbers:
        """Return the same for places within a shard."""
        return _in_c_order(list(places), column, self._shard_chunks, self._shard_chunks)

    def _work_out_plain_index(
        self, column: Column, places: tuple[LeadChunk, ...]
    ) -> npt.NDArray[np.uint8]:
        """Return the index of a whole shard whose chunks are stored as they are."""
        numbers = self._numbers_at(column, places)
        starts = np.arange(numbers.size) * self._layout.chunk_nbytes
        sizes = np.full(numbers.size, self._layout.chunk_nbytes)
        return self.format.index_of(numbers, starts, sizes)


def _in_c_order(
    lead_chunks: list[LeadChunk],
    column: Column,
    shard_chunks: tuple[int, ...],
    extent: tuple[int, ...],
) -> Numbers:
    """Return the numbers, within `extent`, of a column's chunks in their shard, layer by layer."""
    leads = np.array(lead_chunks, np.int64).reshape(len(lead_chunks), len(extent) - 2)
    shard = np.array(shard_chunks, np.int64)
    strides = np.array([math.prod(extent[axis + 1 :]) for axis in range(len(extent))], np.int64)
    layers = leads % shard[:-2] @ strides[:-2]
    rows = np.arange(column.rows.start, column.rows.stop) % shard[-2]
    cols = np.arange(column.cols.start, column.cols.stop) % shard[-1]
    plane = np.add.outer(rows * strides[-2], cols).ravel()
    numbers: Numbers = np.add.outer(layers, plane).ravel()
    return numbers
