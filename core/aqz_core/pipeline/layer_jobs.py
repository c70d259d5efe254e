"""What is done with a layer that is handed over: it is reduced, encoded, stored, and let go.

The caller of `LayerJobs` only queues jobs. Codecs and reductions run on the workers; what waits for
the store runs on the I/O threads. Every job gives back the memory that it was handed, whether the
recording has failed or not.
"""

from __future__ import annotations

import contextlib
from collections import deque
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import Batch
from aqz_core.pipeline.threads import LARGE_NBYTES, JobGroup
from aqz_core.planning.memory import staging_nbytes
from aqz_core.storage.alignment import align
from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aqz_core.chunks.store import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.pipeline.buffers import Buffer, BufferPool
    from aqz_core.pipeline.layer import Layer
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.pipeline.tiling import ColumnTiling, Tiles
    from aqz_core.planning.layout import ArrayLayout, LayerKey

__all__ = ["LayerJobs"]

LeadIndex = tuple[int, ...]
Numbers = npt.NDArray[np.int64]

MAX_PLACES = 64
"""Ways to fill a buffer that are remembered: most are filled like the one before."""


class LayerPart:
    """What one column has of a layer, on its way to the store; the one owner of its memory.

    It holds pixels first, their encoded bytes after that, and gives back what it holds when the
    next is made or nothing more comes of it.

    Parameters
    ----------
    layer, number
        The layer, and which of its columns.
    final
        Whether no more planes will come.
    done
        Takes note of the end of it, if somebody waits.
    """

    __slots__ = ("_done", "_held", "final", "layer", "members", "number")

    def __init__(self, layer: Layer, number: int, final: bool, done: JobGroup | None) -> None:
        self.layer = layer
        self.number = number
        self.final = final
        self.members = layer.members
        self._held: tuple[BufferPool, Buffer] | None = None
        self._done = done
        if done is not None:
            done.begin()

    @property
    def tiles(self) -> Tiles:
        """Return the pixels."""
        return self.layer.tiles[self.number]

    def hold(self, pool: BufferPool, buffer: Buffer) -> None:
        """Take charge of memory; the one before was let go."""
        self._held = (pool, buffer)

    def let_go(self) -> None:
        """Give back what is held."""
        held, self._held = self._held, None
        if held is not None:
            held[0].release(held[1])

    def end(self) -> None:
        """Give back what is held: the part is stored, or never will be."""
        self.let_go()
        if self._done is not None:
            self._done.end()


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
        Takes each plane, and its index, for the next level, if there is one.
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
        self._stored: deque[LayerKey] = deque()
        self._together: list[LayerPart] | None = None
        self._part_nbytes = layout.layer_nbytes // len(self._columns)
        self._parts_together = 1
        if engine.sink.random_access:  # a bucket takes long for each object, but many at a time
            self._parts_together = max(1, LARGE_NBYTES // self._part_nbytes)
        self._places = lru_cache(MAX_PLACES)(self._work_out_places)

    # ---- orders -----------------------------------------------------------------------------

    def hand_over(self, layer: Layer, *, final: bool, done: JobGroup | None = None) -> None:
        """Have a layer reduced and stored, and its memory released after that.

        If not `final`, planes are missing and the layer will come again.
        """
        readers = 1 if self.reduce is None else 2
        for buffer in layer.buffers:
            self._engine.pixels.hand_over(buffer, readers)
        self._submit(layer, final=final, release=True, done=done)

    def store_as_it_is(self, layer: Layer) -> None:
        """Have a layer reduced and stored that stays in memory for more planes."""
        self._submit(layer, final=False, release=False, done=None)

    def _submit(self, layer: Layer, *, final: bool, release: bool, done: JobGroup | None) -> None:
        """Queue the jobs of a layer."""
        engine = self._engine
        if self.reduce is not None:
            urgency = 2 * self._level
            engine.workers.submit(self._group, self._reduce_layer, layer, release, urgency=urgency)
        for number, buffer in enumerate(layer.buffers):
            part = LayerPart(layer, number, final, done)
            if release:
                part.hold(engine.pixels, buffer)
            if self._layout.in_pieces:
                engine.io.submit(self._group, self._store_piece, part)
            elif not self._codecs.is_identity:
                urgency = 2 * self._level + 1
                engine.workers.submit(self._group, self._encode, part, urgency=urgency)
            elif self._together is None:
                self._submit_plain([part])
            else:
                self._together.append(part)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Have small layers that are handed over meanwhile stored by one job.

        To wake up a thread for each would take longer than to store it.
        """
        parts: list[LayerPart] = []
        self._together = parts
        try:
            yield
        finally:
            self._together = None
            for first in range(0, len(parts), self._parts_together):
                self._submit_plain(parts[first : first + self._parts_together])

    def _submit_plain(self, parts: list[LayerPart]) -> None:
        """Queue the parts that one job stores as they are."""
        nbytes = len(parts) * self._part_nbytes if self._engine.sink.random_access else LARGE_NBYTES
        self._engine.io.submit(self._group, self._store_several, parts, nbytes=nbytes)

    def skip_layer(self, key: LayerKey) -> None:
        """Count a layer of which no plane will ever come, and have the store not wait for it."""
        if self._layout.in_pieces:
            for column in self._columns:
                self._engine.io.submit(self._group, self._store.skip_piece, column, key)
        else:
            self.skip_chunks(self._layout.lead_chunks(key))
        self.count_left_out(key)

    def count_left_out(self, key: LayerKey) -> None:
        """Count the buffers of a layer as stored: no plane of it is missing."""
        self._stored.extend([key] * len(self._columns))

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

    def take_stored(self) -> list[LayerKey]:
        """Return the layer of every buffer that was stored for good since the last time."""
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

    def _encode(self, part: LayerPart) -> None:
        """Encode the chunks of one buffer and pass them on as one batch."""
        engine, batch = self._engine, None
        try:
            if not engine.failure:
                self._read_back(part)
                buffer, batch = self._encoded(part)
        finally:
            if batch is None:
                part.end()
        if batch is not None:
            part.let_go()
            part.hold(engine.staging, buffer)
            nbytes = batch.nbytes if engine.sink.random_access else LARGE_NBYTES
            engine.io.submit(self._group, self._store_batch, part, batch, nbytes=nbytes)

    def _encoded(self, part: LayerPart) -> tuple[Buffer, Batch]:
        """Encode chunks behind each other into aligned memory.

        Each is copied there before the next is encoded: the codec's result then always has the
        same, warm memory. Results that are kept until all are done have fresh memory every time,
        which costs as much as a fast codec itself.
        """
        staging = self._engine.staging
        buffer = staging.acquire([self._staging_sizes[part.number]])[0]
        staging.hand_over(buffer, 1)
        try:
            body = buffer.memory[self._room :]
            memory, stops = as_view(body), [0]
            for chunk in self._chunks(part, part.members):
                encoded = self._codecs.encode(chunk)
                stops.append(stops[-1] + len(encoded))
                memory[stops[-2] : stops[-1]] = encoded
            nbytes = stops[-1]
            body[nbytes : align(nbytes)] = 0
        except BaseException:
            staging.release(buffer)
            raise
        sizes = np.diff(stops)
        return buffer, Batch(buffer.memory, self._room, nbytes, stops[1:] - sizes, sizes)

    def _chunks(self, part: LayerPart, members: Iterable[int]) -> Iterator[npt.NDArray[Any]]:
        """Yield the chunks of some chunk layers, in the order in which they are stored."""
        column = self._columns[part.number]
        for member in members:
            for row in range(len(column.rows)):
                for col in range(len(column.cols)):
                    yield part.tiles.chunk(member, row, col)

    def _store_plain(self, part: LayerPart) -> None:
        """Store the chunks of one buffer as they are."""
        batch = None
        try:
            if not self._engine.failure:
                self._read_back(part)
                batch = self._plain_batch(part)
        finally:
            if batch is None:
                part.end()
        if batch is not None:
            self._store_batch(part, batch)

    def _store_several(self, parts: list[LayerPart]) -> None:
        """Store the chunks of several buffers, one after the other."""
        for part in parts:
            try:
                self._store_plain(part)
            except BaseException as error:  # the others give back their memory all the same
                self._engine.failure.set(error)

    def _plain_batch(self, part: LayerPart) -> Batch:
        """Return the chunks of one buffer as they are."""
        layer, chunks = part.layer, self._columns[part.number].chunks
        first = layer.first_member * chunks * self._layout.chunk_nbytes
        starts, sizes = self._places(chunks, layer.first_member, tuple(part.members))
        nbytes = int(starts[-1] + sizes[-1])
        memory = layer.buffers[part.number].memory
        return Batch(memory, self._room + first, nbytes, starts, sizes, plain=True)

    def _work_out_places(
        self, chunks: int, first: int, members: tuple[int, ...]
    ) -> tuple[Numbers, Numbers]:
        """Return where plain chunks start, and their sizes, from the member `first` on."""
        size = self._layout.chunk_nbytes
        numbers = np.add.outer((np.array(members) - first) * chunks, np.arange(chunks))
        return numbers.ravel() * size, np.full(numbers.size, size)

    def _store_batch(self, part: LayerPart, batch: Batch) -> None:
        """Pass a batch to the store and note it."""
        try:
            if not self._engine.failure:
                column = self._columns[part.number]
                lead_chunks = self._lead_chunks(part.layer, part.members)
                nbytes = self._store.put(column, lead_chunks, batch, final=part.final)
                self._count(part, lead_chunks[0], nbytes)
        finally:
            part.end()

    def _store_piece(self, part: LayerPart) -> None:
        """Store one buffer of a chunk layer that is written in pieces."""
        layer, column = part.layer, self._columns[part.number]
        try:
            if not self._engine.failure:
                nbytes = self._store.put_piece(
                    column, layer.key, part.tiles.array, final=part.final
                )
                self._count(part, layer.key[:-1], nbytes)
        finally:
            part.end()

    def _read_back(self, part: LayerPart) -> None:
        """Fetch the planes of a shelved layer that are in the store alone.

        They were stored by jobs that were queued before this one, so that they never wait for it.
        """
        layer = part.layer
        if layer.storing is None:
            return
        layer.storing.wait(self._engine.stall_timeout)
        self._engine.failure.check()
        column, planes = self._columns[part.number], self._layout.buffer_planes
        wanted: dict[int, list[int]] = {}
        for slot in sorted(layer.stored):
            wanted.setdefault(slot // planes, []).append(slot % planes)
        if not wanted:
            return
        lead_chunks = self._lead_chunks(layer, list(wanted))
        stored = iter(self._store.load(column, lead_chunks))
        for member, missing in wanted.items():
            for chunk in self._chunks(part, [member]):
                data = np.frombuffer(self._codecs.decode(next(stored)), chunk.dtype)
                chunk[missing] = data.reshape(chunk.shape)[missing]

    def _lead_chunks(self, layer: Layer, members: list[int]) -> list[LeadIndex]:
        """Return the index chunk coordinates of `members`."""
        chunks = self._layout.lead_chunks(layer.key)
        return [chunks[member] for member in members]

    def _count(self, part: LayerPart, lead_chunk: LeadIndex, nbytes: int) -> None:
        """Note a buffer that is stored, and that readers see it when they do."""
        self.bytes_stored += nbytes
        if part.final and part.layer.complete:
            seen = partial(self._stored.append, part.layer.key)
            self._store.when_visible(self._columns[part.number], lead_chunk, seen)
