"""Recording one stored array: planes into layers, layers into chunks, chunks into the store.

An `ArrayWriter` is one level of one array. Planes come in on the caller's thread (level 0) or on
the workers (reduced planes); a layer that has all its planes is handed over: its slabs are encoded
by the workers, or stored as they are, and reduced to the next level if there is one.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.layout import ArrayLayout, Column, LayerKey, align
from aqz_core.shards import Batch
from aqz_core.sinks.base import as_view
from aqz_core.slabs import Slab, size_class
from aqz_core.tiling import ColumnTiling, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunk_stores import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.engine import Engine

__all__ = ["ArrayWriter", "Layer"]

Frame = npt.NDArray[Any]
LeadIndex = tuple[int, ...]


class Layer:
    """The slabs that a run of planes is scattered into, one for each column."""

    __slots__ = ("expected", "key", "slabs", "slots", "tiles")

    def __init__(self, key: LayerKey, expected: int, slabs: list[Slab], tiles: list[Tiles]) -> None:
        self.key = key
        self.expected = expected
        self.slabs = slabs
        self.tiles = tiles
        self.slots: list[int] = []

    def scatter(self, frame: Frame, slot: int) -> None:
        """Copy a plane into its slot of every column."""
        for tiles in self.tiles:
            tiles.scatter(frame, slot)
        self.slots.append(slot)

    def gather(self, frame: Frame, slot: int) -> None:
        """Copy a plane back out of its slot."""
        for tiles in self.tiles:
            tiles.gather(frame, slot)


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
    """

    def __init__(
        self,
        engine: Engine,
        layout: ArrayLayout,
        codecs: CodecChain,
        store: ChunkStore,
        level: int = 0,
    ) -> None:
        self.layout = layout
        self.store = store
        self.reduce: Callable[[LeadIndex, Frame], None] | None = None
        self.bytes_stored = 0
        self._engine = engine
        self._codecs = codecs
        self._level = level
        self._tilings = [ColumnTiling(layout, column) for column in layout.columns]
        self._room = store.room()
        self._sizes = [slab_nbytes(tiling.nbytes, self._room) for tiling in self._tilings]
        self._layers: dict[LayerKey, Layer] = {}
        self._current: Layer | None = None
        self._slot = 0
        self._run = 0
        self._lock = threading.Lock()
        self._stored: deque[int] = deque()
        self._head = _Head(layout)

    # ---- planes in --------------------------------------------------------------------------

    def append(self, frame: Frame, lead: Callable[[], LeadIndex]) -> None:
        """Take the plane that follows the last one; `lead` is asked where that is, if need be.

        A frame of shape (Y, X) in the array's data type, its last axis contiguous.
        """
        with self._lock:
            if not self._run:
                self._seek(lead())
            layer = self._current
            assert layer is not None
            layer.scatter(frame, self._slot)
            self._slot += 1
            self._run -= 1
            if len(layer.slots) == layer.expected:
                self._hand_over(layer)

    def write(self, frame: Frame, lead: LeadIndex) -> None:
        """Take the plane at a leading index, in any order."""
        with self._lock:
            self._seek(lead)
            self._run = 0
            layer = self._current
            assert layer is not None
            layer.scatter(frame, self._slot)
            if len(layer.slots) == layer.expected:
                self._hand_over(layer)

    def _seek(self, lead: LeadIndex) -> None:
        """Make the layer of a plane the current one, with memory for it if it is new."""
        key, self._slot, self._run = self.layout.place(lead)
        layer = self._layers.get(key)
        if layer is None:
            slabs = self._engine.pixels.acquire(self._sizes, force=self._level > 0)
            tiles = [
                tiling.tiles(slab.memory[self._room :])
                for tiling, slab in zip(self._tilings, slabs, strict=True)
            ]
            layer = Layer(key, self.layout.expected_slots(key), slabs, tiles)
            self._layers[key] = layer
        self._current = layer

    # ---- layers out -------------------------------------------------------------------------

    def _hand_over(self, layer: Layer) -> None:
        """Give a layer to the threads that store it; it takes no more planes."""
        del self._layers[layer.key]
        if layer is self._current:
            self._current, self._run = None, 0
        engine = self._engine
        readers = 1 if self.reduce is None else 2
        for slab in layer.slabs:
            engine.pixels.hand_over(slab, readers)
        if self.reduce is not None:
            engine.workers.submit(self._reduce_layer, layer, urgency=2 * self._level)
        for number in range(len(layer.slabs)):
            if self.layout.in_pieces:
                engine.io.submit(self._store_piece, layer, number)
            elif self._codecs.is_identity:
                engine.io.submit(self._store_plain, layer, number)
            else:
                engine.workers.submit(self._encode, layer, number, urgency=2 * self._level + 1)

    def finish_layers(self) -> None:
        """Hand over every layer that is incomplete, what is missing set to the fill value."""
        with self._lock:
            for layer in list(self._layers.values()):
                missing = set(range(self.layout.slots)) - set(layer.slots)
                for tiles in layer.tiles:
                    tiles.fill(sorted(missing), self.layout.fill_value)
                self._hand_over(layer)

    def _members(self, layer: Layer) -> list[int]:
        """Return which chunk layers of a layer have any planes."""
        return sorted({slot // self.layout.slab_planes for slot in layer.slots})

    def _lead_chunks(self, layer: Layer, members: list[int]) -> list[LeadIndex]:
        """Return the leading chunk coordinates of `members`."""
        chunks = self.layout.lead_chunks(layer.key)
        return [chunks[member] for member in members]

    # ---- on the workers and the I/O threads -------------------------------------------------

    def _reduce_layer(self, layer: Layer) -> None:
        """Feed every plane of a layer to the next level."""
        assert self.reduce is not None
        try:
            for slot in layer.slots:
                if self._engine.failure:
                    return
                frame = self._engine.scratch(self.layout.frame_shape, self.layout.dtype)
                layer.gather(frame, slot)
                self.reduce(self.layout.lead_of(layer.key, slot), frame)
        finally:
            for slab in layer.slabs:
                self._engine.pixels.release(slab)

    def _encode(self, layer: Layer, number: int) -> None:
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
            engine.pixels.release(layer.slabs[number])
        slab, batch = self._staged(encoded)
        del encoded
        lead_chunks = self._lead_chunks(layer, members)
        engine.io.submit(self._store_staged, layer.key, column, lead_chunks, slab, batch)

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
        key: LayerKey,
        column: Column,
        lead_chunks: list[LeadIndex],
        slab: Slab,
        batch: Batch,
    ) -> None:
        """Store encoded chunks."""
        try:
            if not self._engine.failure:
                self._count(key, self.store.store(column, lead_chunks, batch))
        finally:
            self._engine.staging.release(slab)

    def _store_plain(self, layer: Layer, number: int) -> None:
        """Store the chunks of one slab as they are."""
        slab, column = layer.slabs[number], self._tilings[number].column
        try:
            if self._engine.failure:
                return
            members = self._members(layer)
            size = self.layout.chunk_nbytes
            chunks = np.add.outer(np.array(members) * column.chunks, np.arange(column.chunks))
            starts = chunks.ravel() * size
            nbytes = int(starts[-1]) + size
            batch = Batch(slab.memory, self._room, nbytes, starts, np.full(starts.size, size))
            lead_chunks = self._lead_chunks(layer, members)
            self._count(layer.key, self.store.store(column, lead_chunks, batch))
        finally:
            self._engine.pixels.release(slab)

    def _store_piece(self, layer: Layer, number: int) -> None:
        """Store one slab of a chunk layer that is written in pieces."""
        column, tiles = self._tilings[number].column, layer.tiles[number]
        try:
            if not self._engine.failure:
                self._count(layer.key, self.store.store_piece(column, layer.key, tiles))
        finally:
            self._engine.pixels.release(layer.slabs[number])

    def _count(self, key: LayerKey, nbytes: int) -> None:
        """Take note of a slab that is stored."""
        self.bytes_stored += nbytes
        self._stored.append(key[0])

    # ---- what readers may see ---------------------------------------------------------------

    def publish(self) -> int:
        """Make what is stored readable; return how far the append axis is complete."""
        stored = [self._stored.popleft() for _ in range(len(self._stored))]
        self.store.publish()
        return self._head.advance(stored)


class _Head:
    """How far, on the append axis, every slab is stored and can be read."""

    def __init__(self, layout: ArrayLayout) -> None:
        self._layout = layout
        self._missing: dict[int, int] = {}
        self._unit = 0

    def advance(self, stored: list[int]) -> int:
        """Count stored slabs, given by their unit; return the complete length in pixels."""
        for unit in stored:
            left = self._missing.pop(unit, None)
            left = self._layout.slabs_per_unit(unit) if left is None else left
            self._missing[unit] = left - 1
        while self._missing.get(self._unit) == 0:
            del self._missing[self._unit]
            self._unit += 1
        length = self._unit * self._layout.append_unit
        limit = self._layout.shape[0]
        return min(length, limit) if limit else length


def slab_nbytes(body: int, room: int) -> int:
    """Return the size of a slab for a body with `room` in front, and behind if there is any."""
    return room + align(body) + (align(room + 1) if room else 0)
