"""Recording one stored array: planes into layers, layers into chunks, chunks into the store.

An `ArrayWriter` is one level of one array. Planes come in on the caller's thread (level 0) or on
the workers (reduced planes); a layer that has all its planes is handed over to `LayerJobs`.

A layer can also be stored before it is complete: at a flush, or when its memory is needed. In the
latter case it is *shelved*, and read back from the store when another of its planes comes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from aqz_core.append_head import AppendHead
from aqz_core.layer_jobs import LayerJobs
from aqz_core.layers import Layer
from aqz_core.slabs import slab_nbytes
from aqz_core.tiling import ColumnTiling

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunk_store import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.engine import Engine
    from aqz_core.layout import ArrayLayout, LayerKey
    from aqz_core.level_reducer import LevelReducer
    from aqz_core.slabs import Slab
    from aqz_core.tiling import Tiles

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
        self.head = AppendHead(layout, start)
        self._engine = engine
        self._level = level
        self._tilings = [ColumnTiling(layout, column) for column in layout.columns]
        self._jobs = LayerJobs(engine, layout, codecs, store, self._tilings, level)
        self._skip_reduced: Callable[[LeadIndex], None] | None = None
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
        engine.writers.append(self)

    def feed(self, reducer: LevelReducer) -> None:
        """Let the next level have every plane, and know of those that are left out."""
        self._jobs.reduce = reducer
        self._skip_reduced = reducer.skip

    @property
    def bytes_stored(self) -> int:
        """Bytes that went to the store so far."""
        return self._jobs.bytes_stored

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

        It is while its layer is in memory or shelved; once the layer was handed over, only if
        its chunk is a file of its own and holds nothing else.
        """
        with self._lock:
            key, slot, _ = self.layout.place(lead)
            if key not in self._layers and key not in self._shelved:
                return self._rewrite(frame, key, slot)
            self._seek(lead)
            layer = self._current
            assert layer is not None
            for tiles in layer.tiles:
                tiles.scatter(frame, slot)
            self._run = 0
            return True

    def _rewrite(self, frame: Frame, key: LayerKey, slot: int) -> bool:
        """Store the chunks of one plane anew; return whether they hold nothing else."""
        if self.layout.shard_chunks is not None or self.layout.chunk_planes > 1:
            return False
        self._jobs.wait()  # the first version must not come after the second
        layer = Layer(self.layout, key, *self._memory())
        layer.scatter(frame, slot)
        self._jobs.hand_over(layer, final=False)
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
        if self._skip_reduced is not None:
            for plane in range(slot, slot + count):
                self._skip_reduced(self.layout.lead_of(key, plane))
        return count

    def _leave_out(self, key: LayerKey, count: int) -> None:
        """Count planes that will never come of a layer that is not in memory."""
        count += self._skipped.pop(key, 0)
        if key in self._shelved or count < self.layout.expected_slots(key):
            self._skipped[key] = count
            return
        self._jobs.skip_layer(key)

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
        layer = Layer(self.layout, key, *self._memory())
        if key in self._shelved:
            layer.slots = self._shelved.pop(key)
            layer.reduced = len(layer.slots)
            self._jobs.load(layer)
        layer.skipped = self._skipped.pop(key, 0)
        early = self._handed_early.get(key, 0)
        layer.expected -= early
        layer.first_member = early // self.layout.slab_planes
        self._layers[key] = layer
        if not self._level and not self._engine.pixels.has_free(self._sizes[0]):
            self._engine.prepare(self._sizes)
        return layer

    def _memory(self) -> tuple[list[Slab], list[Tiles]]:
        """Return slabs for every column, and how planes lie in them."""
        slabs = self._engine.pixels.acquire(
            self._sizes, force=self._level > 0, relieve=self._engine.relieve(self)
        )
        tiles = [
            tiling.tiles(slab.memory[self._room :])
            for tiling, slab in zip(self._tilings, slabs, strict=True)
        ]
        return slabs, tiles

    def prepare(self) -> None:
        """Have memory for the first layer before the first plane comes."""
        self._engine.pixels.prepare(self._sizes)

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
        self._jobs.hand_over(layer, final=final)

    def _fill_skipped(self, layer: Layer) -> None:
        """Fill what will never come; chunks that have nothing else are not stored."""
        layer.fill_missing(self.layout.fill_value)
        if self.layout.in_pieces:
            return
        members = set(layer.members)
        lead_chunks = self.layout.lead_chunks(layer.key)
        absent = [chunk for member, chunk in enumerate(lead_chunks) if member not in members]
        if absent:
            self._jobs.skip_chunks(absent)

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
        members = layer.members
        first = layer.first_member
        in_a_row = members == list(range(first, first + len(members)))
        return in_a_row and len(layer.slots) == len(members) * self.layout.slab_planes

    @property
    def busy(self) -> bool:
        """Whether anything that was handed over is not stored yet."""
        return self._jobs.busy

    def flush(self) -> None:
        """Store every layer as it is now, missing planes as the fill value, and keep it open.

        No plane may come meanwhile; `wait` tells when it is done.
        """
        with self._lock:
            for layer in self._layers.values():
                layer.fill_missing(self.layout.fill_value)
                self._jobs.store_as_it_is(layer)

    def finish_layers(self) -> None:
        """Hand over every layer that is incomplete, missing planes as the fill value."""
        with self._lock:
            for layer in list(self._layers.values()):
                layer.fill_missing(self.layout.fill_value)
                self._hand_over(layer)

    def drop_layers(self) -> None:
        """Give back the memory of layers that a failed recording leaves."""
        with self._lock:
            for layer in self._layers.values():
                for slab in layer.slabs:
                    self._engine.pixels.hand_over(slab, 1)
                    self._engine.pixels.release(slab)
            self._layers.clear()
            self._current, self._run = None, 0

    def wait(self) -> None:
        """Wait until everything that was handed over is stored, or something failed."""
        self._jobs.wait()

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

    # ---- what readers may see ---------------------------------------------------------------

    def publish(self, *, sync: bool = False) -> int:
        """Make what is stored readable; return how far the append axis is complete."""
        stored = self._jobs.take_stored()
        self.store.publish(sync=sync)
        return self.head.advance(stored)
