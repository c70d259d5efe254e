"""What is done with a layer that is handed over: it is reduced, encoded, stored, and let go.

The caller of `LayerJobs` only queues jobs. Codecs and reductions run on the workers; what waits for
the store runs on the I/O threads. Every job gives back the memory that it was handed, whether the
recording has failed or not.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import Batch
from aqz_core.pipeline.threads import JobGroup
from aqz_core.planning.memory import staging_nbytes
from aqz_core.storage.alignment import align
from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_core.chunks.store import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.pipeline.buffers import Buffer
    from aqz_core.pipeline.layer import Layer
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.pipeline.tiling import ColumnTiling
    from aqz_core.planning.layout import ArrayLayout, Column, LayerKey

__all__ = ["LayerJobs"]

LeadIndex = tuple[int, ...]


class LayerJobs:
    """The jobs of one stored array.

    Parameters
    ----------
    engine
        The recording's threads and memory.
    layout
        The array's chunk grid.
    codecs
        What chunks pass through on their way to the store.
    store
        Where chunks go.
    tilings
        How planes lie in the buffers of each column.
    level
        Position in the pyramid; jobs of higher levels go first, so that they never pile up.

    Attributes
    ----------
    reduce
        Takes each plane, and its leading index, for the next level, if there is one.
    bytes_stored
        What went to the store so far.
    """

    def __init__(
        self,
        engine: Runtime,
        layout: ArrayLayout,
        codecs: CodecChain,
        store: ChunkStore,
        tilings: Sequence[ColumnTiling],
        level: int,
    ) -> None:
        self.reduce: Callable[[LeadIndex, npt.NDArray[Any]], None] | None = None
        self.bytes_stored = 0
        self._engine = engine
        self._layout = layout
        self._codecs = codecs
        self._store = store
        self._columns = [tiling.column for tiling in tilings]
        self._room = store.room()
        self._staging_sizes = [
            staging_nbytes(layout, column, codecs, self._room) for column in self._columns
        ]
        self._level = level
        self._group = JobGroup()
        self._stored: deque[int] = deque()

    # ---- orders -----------------------------------------------------------------------------

    def hand_over(self, layer: Layer, *, final: bool) -> None:
        """Have a layer reduced and stored, and its memory released after that.

        If not `final`, planes are missing and the layer will come again.
        """
        readers = 1 if self.reduce is None else 2
        for buffer in layer.buffers:
            self._engine.pixels.hand_over(buffer, readers)
        self._submit(layer, final=final, release=True)

    def store_as_it_is(self, layer: Layer) -> None:
        """Have a layer reduced and stored that stays in memory for more planes."""
        self._submit(layer, final=False, release=False)

    def _submit(self, layer: Layer, *, final: bool, release: bool) -> None:
        """Queue the jobs of a layer."""
        engine = self._engine
        if self.reduce is not None:
            urgency = 2 * self._level
            engine.workers.submit(self._group, self._reduce_layer, layer, release, urgency=urgency)
        for number in range(len(layer.buffers)):
            arguments = (layer, number, final, release)
            if self._layout.in_pieces:
                engine.io.submit(self._group, self._store_piece, *arguments)
            elif self._codecs.is_identity:
                engine.io.submit(self._group, self._store_plain, *arguments)
            else:
                urgency = 2 * self._level + 1
                engine.workers.submit(self._group, self._encode, *arguments, urgency=urgency)

    def skip_layer(self, key: LayerKey) -> None:
        """Have the store not wait for a layer of which no plane will ever come."""
        if self._layout.in_pieces:
            for column in self._columns:
                self._engine.io.submit(self._group, self._store.skip_piece, column, key)
        else:
            self.skip_chunks(self._layout.lead_chunks(key))

    def skip_chunks(self, lead_chunks: list[LeadIndex]) -> None:
        """Have the store not wait for chunk layers that will never come."""
        for column in self._columns:
            self._engine.io.submit(self._group, self._store.skip, column, lead_chunks)

    @property
    def busy(self) -> bool:
        """Whether anything that was handed over is not stored yet."""
        return bool(self._group.unfinished)

    def wait(self) -> None:
        """Wait until everything that was handed over is stored, or something failed."""
        self._group.wait(self._engine.stall_timeout)

    def load(self, layer: Layer) -> None:
        """Read the chunks of a layer that was stored before it was complete back into it."""
        self.wait()
        self._engine.failure.check()
        lead_chunks = self._lead_chunks(layer, layer.members)
        for column, tiles in zip(self._columns, layer.tiles, strict=True):
            stored = iter(self._store.load(column, lead_chunks))
            for member in layer.members:
                for row in range(len(column.rows)):
                    for col in range(len(column.cols)):
                        chunk = tiles.chunk(member, row, col)
                        data = self._codecs.decode(next(stored))
                        chunk[...] = np.frombuffer(data, chunk.dtype).reshape(chunk.shape)

    def take_stored(self) -> list[int]:
        """Return the append unit of every buffer that was stored for good since the last time."""
        return [self._stored.popleft() for _ in range(len(self._stored))]

    # ---- on the workers and the I/O threads -------------------------------------------------

    def _reduce_layer(self, layer: Layer, release: bool) -> None:
        """Feed the planes of a layer that the next level has not seen to it."""
        assert self.reduce is not None
        engine, shape, dtype = self._engine, self._layout.frame_shape, self._layout.dtype
        try:
            for slot in layer.slots[layer.reduced :]:
                if engine.failure:
                    return
                frame = engine.scratch(shape, dtype)
                layer.gather(frame, slot)
                self.reduce(self._layout.lead_of(layer.key, slot), frame)
            layer.reduced = len(layer.slots)
        finally:
            if release:
                for buffer in layer.buffers:
                    engine.pixels.release(buffer)

    def _encode(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Encode the chunks of one buffer and pass them on as one batch."""
        engine, members = self._engine, layer.members
        try:
            if engine.failure:
                return
            buffer, batch = self._encoded(layer, number, members)
        finally:
            if release:
                engine.pixels.release(layer.buffers[number])
        arguments = (layer, number, members, buffer, batch, final)
        engine.io.submit(self._group, self._store_staged, *arguments)

    def _encoded(self, layer: Layer, number: int, members: list[int]) -> tuple[Buffer, Batch]:
        """Encode chunks behind each other into aligned memory.

        Each is copied there before the next is encoded: the codec's result then always has the
        same, warm memory. Results that are kept until all are done have fresh memory every time,
        which costs as much as a fast codec itself.
        """
        column, tiles = self._columns[number], layer.tiles[number]
        buffer = self._engine.staging.acquire([self._staging_sizes[number]])[0]
        self._engine.staging.hand_over(buffer, 1)
        try:
            body = buffer.memory[self._room :]
            memory, stops = as_view(body), [0]
            for member in members:
                for row in range(len(column.rows)):
                    for col in range(len(column.cols)):
                        encoded = self._codecs.encode(tiles.chunk(member, row, col))
                        stops.append(stops[-1] + len(encoded))
                        memory[stops[-2] : stops[-1]] = encoded
            nbytes = stops[-1]
            body[nbytes : align(nbytes)] = 0
        except BaseException:
            self._engine.staging.release(buffer)
            raise
        sizes = np.diff(stops)
        return buffer, Batch(buffer.memory, self._room, nbytes, stops[1:] - sizes, sizes)

    def _store_staged(
        self,
        layer: Layer,
        number: int,
        members: list[int],
        buffer: Buffer,
        batch: Batch,
        final: bool,
    ) -> None:
        """Store encoded chunks."""
        try:
            if not self._engine.failure:
                self._store_batch(layer, number, members, batch, final)
        finally:
            self._engine.staging.release(buffer)

    def _store_plain(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Store the chunks of one buffer as they are."""
        buffer, column = layer.buffers[number], self._columns[number]
        try:
            if self._engine.failure:
                return
            members = layer.members
            size = self._layout.chunk_nbytes
            chunks = np.add.outer(np.array(members) * column.chunks, np.arange(column.chunks))
            first = layer.first_member * column.chunks * size
            starts = chunks.ravel() * size - first
            nbytes = int(starts[-1]) + size
            sizes = np.full(starts.size, size)
            batch = Batch(buffer.memory, self._room + first, nbytes, starts, sizes, plain=True)
            self._store_batch(layer, number, members, batch, final)
        finally:
            if release:
                self._engine.pixels.release(buffer)

    def _store_batch(
        self, layer: Layer, number: int, members: list[int], batch: Batch, final: bool
    ) -> None:
        """Pass a batch to the store and take note of it."""
        column = self._columns[number]
        lead_chunks = self._lead_chunks(layer, members)
        nbytes = self._store.put(column, lead_chunks, batch, final=final)
        self._count(layer, column, lead_chunks[0], nbytes, final)

    def _store_piece(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Store one buffer of a chunk layer that is written in pieces."""
        column, tiles = self._columns[number], layer.tiles[number]
        try:
            if not self._engine.failure:
                nbytes = self._store.put_piece(column, layer.key, tiles.array, final=final)
                self._count(layer, column, layer.key[:-1], nbytes, final)
        finally:
            if release:
                self._engine.pixels.release(layer.buffers[number])

    def _lead_chunks(self, layer: Layer, members: list[int]) -> list[LeadIndex]:
        """Return the leading chunk coordinates of `members`."""
        chunks = self._layout.lead_chunks(layer.key)
        return [chunks[member] for member in members]

    def _count(
        self, layer: Layer, column: Column, lead_chunk: LeadIndex, nbytes: int, final: bool
    ) -> None:
        """Take note of a buffer that is stored, and that readers see it when they do."""
        self.bytes_stored += nbytes
        if final and layer.complete:
            seen = partial(self._stored.append, layer.key[0])
            self._store.when_visible(column, lead_chunk, seen)
