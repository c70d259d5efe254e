"""Recording one stored array: planes into layers, layers into chunks, chunks into the store.

An `ArrayWriter` is one level of one array. Planes come in on the caller's thread (level 0) or on
the workers (reduced planes); a layer that has all its planes is handed over: its slabs are encoded
by the workers, or stored as they are, and reduced to the next level if there is one.

A layer can also be stored before it is complete: at a flush, or when its memory is needed. In the
latter case it is *shelved*, and read back from the store when another of its planes comes.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.append_head import AppendHead
from aqz_core.layers import Layer
from aqz_core.layout import ArrayLayout, Column, LayerKey, align
from aqz_core.pools import JobGroup
from aqz_core.shards import Batch
from aqz_core.sinks.base import as_view
from aqz_core.slabs import Slab, size_class
from aqz_core.tiling import ColumnTiling

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunk_store import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.engine import Engine

__all__ = ["ArrayWriter"]

Frame = npt.NDArray[Any]
LeadIndex = tuple[int, ...]


class ArrayWriter:
    """One stored array.

    Parameters
    ----------
    engine
        The recording's threads and memory.
    layout
        The array's lattice.
    codecs
        What chunks pass through on their way to the store.
    store
        Where chunks go.
    level
        Position in the pyramid; jobs of higher levels go first, so that they never pile up.
    start
        Length of the append axis that is stored already.
    """

    def __init__(
        self,
        engine: Engine,
        layout: ArrayLayout,
        codecs: CodecChain,
        store: ChunkStore,
        level: int = 0,
        start: int = 0,
    ) -> None:
        self.layout = layout
        self.store = store
        self.reduce: Callable[[LeadIndex, Frame], None] | None = None
        self.skip_reduced: Callable[[LeadIndex], None] | None = None
        self.bytes_stored = 0
        self.head = AppendHead(layout, start)
        self._engine = engine
        self._codecs = codecs
        self._level = level
        self._tilings = [ColumnTiling(layout, column) for column in layout.columns]
        self._room = store.room()
        self._sizes = [slab_nbytes(tiling.nbytes, self._room) for tiling in self._tilings]
        self._layers: dict[LayerKey, Layer] = {}
        self._shelved: dict[LayerKey, list[int]] = {}
        self._handed_early: dict[LayerKey, int] = {}
        self._skipped: dict[LayerKey, int] = {}
        self._current: Layer | None = None
        self._slot = 0
        self._run = 0
        self._lock = threading.Lock()
        self._jobs = JobGroup()
        self._stored: deque[int] = deque()
        engine.writers.append(self)

    # ---- planes in --------------------------------------------------------------------------

    def append(self, frame: Frame, lead: Callable[[], LeadIndex]) -> None:
        """Take the plane that follows the last one; `lead` is asked where that is, if need be.

        A frame of shape (Y, X) in the array's data type, its last axis contiguous.
        """
        with self._lock:
            if not self._run:
                self._seek(lead())
            self._take(frame)

    def write(self, frame: Frame, lead: LeadIndex) -> None:
        """Take the plane at a leading index, in any order."""
        with self._lock:
            self._seek(lead)
            self._take(frame)
            self._run = 0

    def replace(self, frame: Frame, lead: LeadIndex) -> bool:
        """Take a plane again that was taken before; tell whether it was still in reach.

        It is while its layer is in memory or shelved, but not once the layer was handed over.
        """
        with self._lock:
            key, slot, _ = self.layout.place(lead)
            if key not in self._layers and key not in self._shelved:
                return False
            self._seek(lead)
            layer = self._current
            assert layer is not None
            for tiles in layer.tiles:
                tiles.scatter(frame, slot)
            self._run = 0
            return True

    def skip(self, lead: LeadIndex, count: int = 1) -> int:
        """Leave out planes from a leading index on, `count` at most and only of one layer.

        They read as the fill value; chunks that have no other planes are not stored. Returns how
        many planes were left out.
        """
        with self._lock:
            self._run = 0
            self.head.skips_gaps = True
            key, slot, run = self.layout.place(lead)
            count = min(count, run)
            layer = self._layers.get(key)
            if layer is None:
                self._leave_out(key, count)
            else:
                layer.skipped += count
                if layer.complete:
                    self._hand_over(layer)
        if self.skip_reduced is not None:
            for plane in range(slot, slot + count):
                self.skip_reduced(self.layout.lead_of(key, plane))
        return count

    def _leave_out(self, key: LayerKey, count: int) -> None:
        """Count planes that will never come of a layer that is not in memory."""
        count += self._skipped.pop(key, 0)
        if key in self._shelved or count < self.layout.expected_slots(key):
            self._skipped[key] = count
            return
        lead_chunks = self.layout.lead_chunks(key)
        for tiling in self._tilings:
            if self.layout.in_pieces:
                self._engine.io.submit(self._jobs, self.store.skip_piece, tiling.column, key)
            else:
                self._engine.io.submit(self._jobs, self.store.skip, tiling.column, lead_chunks)

    def _seek(self, lead: LeadIndex) -> None:
        """Make the layer of a plane the current one, with memory for it if it is new."""
        key, self._slot, self._run = self.layout.place(lead)
        layer = self._layers.get(key)
        self._current = self._open(key) if layer is None else layer

    def _take(self, frame: Frame) -> None:
        """Copy a plane into the next slot of the current layer."""
        layer = self._current
        assert layer is not None
        layer.scatter(frame, self._slot)
        self._slot += 1
        self._run -= 1
        if layer.complete:
            self._hand_over(layer)

    def _open(self, key: LayerKey) -> Layer:
        """Find memory for a layer, and the planes that it had when it was shelved."""
        slabs = self._engine.pixels.acquire(
            self._sizes, force=self._level > 0, relieve=self._engine.relieve(self)
        )
        tiles = [
            tiling.tiles(slab.memory[self._room :])
            for tiling, slab in zip(self._tilings, slabs, strict=True)
        ]
        layer = Layer(self.layout, key, slabs, tiles)
        if key in self._shelved:
            layer.slots = self._shelved.pop(key)
            layer.reduced = len(layer.slots)
            self._load(layer)
        layer.skipped = self._skipped.pop(key, 0)
        early = self._handed_early.get(key, 0)
        layer.expected -= early
        layer.first_member = early // self.layout.slab_planes
        self._layers[key] = layer
        return layer

    # ---- layers out -------------------------------------------------------------------------

    def _hand_over(self, layer: Layer, *, final: bool = True) -> None:
        """Give a layer to the threads that store it; it takes no more planes."""
        del self._layers[layer.key]
        if layer is self._current:
            self._current, self._run = None, 0
        if layer.complete:
            self._handed_early.pop(layer.key, None)
        if layer.skipped and final:
            self._fill_skipped(layer)
        readers = 1 if self.reduce is None else 2
        for slab in layer.slabs:
            self._engine.pixels.hand_over(slab, readers)
        self._submit(layer, final=final, release=True)

    def _fill_skipped(self, layer: Layer) -> None:
        """Fill what will never come; chunks that have nothing else are not stored."""
        layer.fill_missing(self.layout.fill_value)
        if self.layout.in_pieces:
            return
        members = set(self._members(layer))
        lead_chunks = self.layout.lead_chunks(layer.key)
        absent = [chunk for member, chunk in enumerate(lead_chunks) if member not in members]
        if absent:
            for tiling in self._tilings:
                self._engine.io.submit(self._jobs, self.store.skip, tiling.column, absent)

    def _submit(self, layer: Layer, *, final: bool, release: bool) -> None:
        """Have a layer reduced and stored, and its memory released if nobody else will."""
        engine = self._engine
        if self.reduce is not None:
            urgency = 2 * self._level
            engine.workers.submit(self._jobs, self._reduce_layer, layer, release, urgency=urgency)
        for number in range(len(layer.slabs)):
            arguments = (layer, number, final, release)
            if self.layout.in_pieces:
                engine.io.submit(self._jobs, self._store_piece, *arguments)
            elif self._codecs.is_identity:
                engine.io.submit(self._jobs, self._store_plain, *arguments)
            else:
                urgency = 2 * self._level + 1
                engine.workers.submit(self._jobs, self._encode, *arguments, urgency=urgency)

    def hand_over_whole_chunks(self) -> bool:
        """Hand over chunks that are complete but share their slabs with later ones.

        Returns
        -------
        bool
            Whether no plane is left that is not handed over.
        """
        with self._lock:
            for layer in list(self._layers.values()):
                if self._has_whole_chunks_only(layer):
                    early = self._handed_early.get(layer.key, 0)
                    self._handed_early[layer.key] = early + len(layer.slots)
                    self._hand_over(layer)
            return not self._layers

    def _has_whole_chunks_only(self, layer: Layer) -> bool:
        """Tell whether a layer of several chunks has no incomplete one, and nothing is missing."""
        if self.layout.slab_chunks == 1 or not layer.slots or layer.skipped:
            return False
        members = self._members(layer)
        first = layer.first_member
        in_a_row = members == list(range(first, first + len(members)))
        return in_a_row and len(layer.slots) == len(members) * self.layout.slab_planes

    @property
    def busy(self) -> bool:
        """Whether anything that was handed over is not stored yet."""
        return bool(self._jobs.unfinished)

    def flush(self) -> None:
        """Store every layer as it is now, missing planes as the fill value, and keep it open.

        No plane may come meanwhile; `wait` tells when it is done.
        """
        with self._lock:
            for layer in self._layers.values():
                layer.fill_missing(self.layout.fill_value)
                self._submit(layer, final=False, release=False)

    def finish_layers(self) -> None:
        """Hand over every layer that is incomplete, missing planes as the fill value."""
        with self._lock:
            for layer in list(self._layers.values()):
                layer.fill_missing(self.layout.fill_value)
                self._hand_over(layer)

    def wait(self) -> None:
        """Wait until everything that was handed over is stored, or something failed."""
        self._jobs.wait(self._engine.stall_timeout)

    # ---- when memory is short ---------------------------------------------------------------

    def try_shelve(self) -> bool:
        """Shelve a layer to free its memory; tell whether there was one and nobody used it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self.shelve()
        finally:
            self._lock.release()

    def shelve(self) -> bool:
        """Store the layer that was opened first, incomplete as it is, and free its memory."""
        if self._level or not self.store.can_load or self.layout.in_pieces:
            return False
        others = (layer for layer in self._layers.values() if layer is not self._current)
        layer = next(others, self._current)
        if layer is None:
            return False
        layer.fill_missing(self.layout.fill_value)
        self._shelved[layer.key] = layer.slots
        self._hand_over(layer, final=False)
        return True

    def _load(self, layer: Layer) -> None:
        """Read the chunks of a shelved layer back."""
        self.wait()
        self._engine.failure.check()
        members = self._members(layer)
        for tiling, tiles in zip(self._tilings, layer.tiles, strict=True):
            lead_chunks = self._lead_chunks(layer, members)
            stored = iter(self.store.load(tiling.column, lead_chunks))
            for member in members:
                for row in range(len(tiling.column.rows)):
                    for col in range(len(tiling.column.cols)):
                        chunk = tiles.chunk(member, row, col)
                        data = self._codecs.decode(next(stored))
                        chunk[...] = np.frombuffer(data, chunk.dtype).reshape(chunk.shape)

    def _members(self, layer: Layer) -> list[int]:
        """Return which chunk layers of a layer have any planes."""
        return sorted({slot // self.layout.slab_planes for slot in layer.slots})

    def _lead_chunks(self, layer: Layer, members: list[int]) -> list[LeadIndex]:
        """Return the leading chunk coordinates of `members`."""
        chunks = self.layout.lead_chunks(layer.key)
        return [chunks[member] for member in members]

    # ---- on the workers and the I/O threads -------------------------------------------------

    def _reduce_layer(self, layer: Layer, release: bool) -> None:
        """Feed the planes of a layer that the next level has not seen to it."""
        assert self.reduce is not None
        engine, shape, dtype = self._engine, self.layout.frame_shape, self.layout.dtype
        try:
            for slot in layer.slots[layer.reduced :]:
                if engine.failure:
                    return
                frame = engine.scratch(shape, dtype)
                layer.gather(frame, slot)
                self.reduce(self.layout.lead_of(layer.key, slot), frame)
            layer.reduced = len(layer.slots)
        finally:
            if release:
                for slab in layer.slabs:
                    engine.pixels.release(slab)

    def _encode(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Encode the chunks of one slab and pass them on as one batch."""
        engine, tiles = self._engine, layer.tiles[number]
        column = self._tilings[number].column
        members = self._members(layer)
        try:
            if engine.failure:
                return
            encoded = [
                self._codecs.encode(tiles.chunk(member, row, col))
                for member in members
                for row in range(len(column.rows))
                for col in range(len(column.cols))
            ]
        finally:
            if release:
                engine.pixels.release(layer.slabs[number])
        slab, batch = self._staged(encoded)
        del encoded
        engine.io.submit(self._jobs, self._store_staged, layer, number, members, slab, batch, final)

    def _staged(self, encoded: list[bytes]) -> tuple[Slab, Batch]:
        """Copy encoded chunks behind each other into aligned memory."""
        sizes = np.array([len(chunk) for chunk in encoded])
        stops = sizes.cumsum()
        nbytes = int(stops[-1])
        slab = self._engine.staging.acquire([size_class(slab_nbytes(nbytes, self._room))])[0]
        self._engine.staging.hand_over(slab, 1)
        body = slab.memory[self._room :]
        memory = as_view(body)
        for chunk, stop in zip(encoded, stops.tolist(), strict=True):
            memory[stop - len(chunk) : stop] = chunk
        body[nbytes : align(nbytes)] = 0
        return slab, Batch(slab.memory, self._room, nbytes, stops - sizes, sizes)

    def _store_staged(
        self,
        layer: Layer,
        number: int,
        members: list[int],
        slab: Slab,
        batch: Batch,
        final: bool,
    ) -> None:
        """Store encoded chunks."""
        try:
            if not self._engine.failure:
                self._store(layer, number, members, batch, final)
        finally:
            self._engine.staging.release(slab)

    def _store_plain(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Store the chunks of one slab as they are."""
        slab, column = layer.slabs[number], self._tilings[number].column
        try:
            if self._engine.failure:
                return
            members = self._members(layer)
            size = self.layout.chunk_nbytes
            chunks = np.add.outer(np.array(members) * column.chunks, np.arange(column.chunks))
            first = layer.first_member * column.chunks * size
            starts = chunks.ravel() * size - first
            nbytes = int(starts[-1]) + size
            sizes = np.full(starts.size, size)
            batch = Batch(slab.memory, self._room + first, nbytes, starts, sizes, plain=True)
            self._store(layer, number, members, batch, final)
        finally:
            if release:
                self._engine.pixels.release(slab)

    def _store(
        self, layer: Layer, number: int, members: list[int], batch: Batch, final: bool
    ) -> None:
        """Pass a batch to the store and take note of it."""
        column = self._tilings[number].column
        lead_chunks = self._lead_chunks(layer, members)
        nbytes = self.store.store(column, lead_chunks, batch, final=final)
        self._count(layer, column, lead_chunks[0], nbytes, final)

    def _store_piece(self, layer: Layer, number: int, final: bool, release: bool) -> None:
        """Store one slab of a chunk layer that is written in pieces."""
        column, tiles = self._tilings[number].column, layer.tiles[number]
        try:
            if not self._engine.failure:
                nbytes = self.store.store_piece(column, layer.key, tiles, final=final)
                self._count(layer, column, layer.key[:-1], nbytes, final)
        finally:
            if release:
                self._engine.pixels.release(layer.slabs[number])

    def _count(
        self, layer: Layer, column: Column, lead_chunk: LeadIndex, nbytes: int, final: bool
    ) -> None:
        """Take note of a slab that is stored, and that readers see it when they do."""
        self.bytes_stored += nbytes
        if final and layer.complete:
            seen = partial(self._stored.append, layer.key[0])
            self.store.when_visible(column, lead_chunk, seen)

    # ---- what readers may see ---------------------------------------------------------------

    def publish(self, *, sync: bool = False) -> int:
        """Make what is stored readable; return how far the append axis is complete."""
        stored = [self._stored.popleft() for _ in range(len(self._stored))]
        self.store.publish(sync=sync)
        return self.head.advance(stored)


def slab_nbytes(body: int, room: int) -> int:
    """Return the size of a slab for a body with `room` in front, and behind if there is any."""
    return room + align(body) + (align(room + 1) if room else 0)
