"""Recording one stored array: planes into layers, layers into chunks, chunks into the store.

A `LevelWriter` is one level of one array. Reduced planes come in on the workers; at level 0, an
`Intake` copies planes into open layers on the thread of whoever records. A layer that has all its
planes is handed over to `LayerJobs`. All that is done here is done on threads of the recording.

A layer can also be stored before it is complete: at a flush, or when its memory is needed. In the
latter case it is *shelved*: planes that come for it later go to new memory, and whoever stores that
reads the others back.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from aqz_core.pipeline.high_water_mark import HighWaterMark
from aqz_core.pipeline.layer import Layer
from aqz_core.pipeline.layer_jobs import LayerJobs
from aqz_core.pipeline.threads import JobGroup
from aqz_core.pipeline.tiling import ColumnTiling
from aqz_core.planning.memory import buffer_nbytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunks.store import ChunkStore
    from aqz_core.codecs import CodecChain
    from aqz_core.pipeline.buffers import Buffer
    from aqz_core.pipeline.level_downsampler import LevelDownsampler
    from aqz_core.pipeline.runtime import MemoryHolder, Runtime
    from aqz_core.pipeline.tiling import Tiles
    from aqz_core.planning.layout import ArrayLayout, LayerKey

__all__ = ["LevelWriter"]

Frame = npt.NDArray[Any]
LeadIndex = tuple[int, ...]


AHEAD_NBYTES = 1 << 20
"""Layers that are opened before planes come for them take as much at most."""


class _Shelved(NamedTuple):
    """Slots of a layer that are in the store alone, and the jobs that bring them there."""

    slots: set[int]
    storing: JobGroup


class LevelWriter:
    """One stored array.

    One class on purpose, long as it is: opening, shelving and handing over change the same three
    tables of layers, under the same lock.

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
    level
        Position in the pyramid; jobs of higher levels go first, so that they never pile up.
    start
        Length of the append axis that is stored already.

    Attributes
    ----------
    layers
        Those in memory, in the order in which they were opened.
    frames_ahead
        For how many frames layers may be opened before they come.
    holder
        Who is asked to shelve layers of this level: the `Intake` at level 0.
    """

    def __init__(
        self,
        engine: Runtime,
        layout: ArrayLayout,
        codecs: CodecChain,
        store: ChunkStore,
        level: int = 0,
        start: int = 0,
    ) -> None:
        self.layout = layout
        self.store = store
        self.head = HighWaterMark(layout, start)
        self.layers: dict[LayerKey, Layer] = {}
        self.holder: MemoryHolder = self
        self._engine = engine
        self._level = level
        self._tilings = [ColumnTiling(layout, column) for column in layout.columns]
        self._jobs = LayerJobs(engine, layout, codecs, store, self._tilings, level)
        self._skip_reduced: Callable[[LeadIndex], None] | None = None
        self._room = store.room()
        self._sizes = [buffer_nbytes(tiling.nbytes, self._room) for tiling in self._tilings]
        self._shelved: dict[LayerKey, _Shelved] = {}
        self._handed_early: dict[LayerKey, int] = {}
        self._skipped: dict[LayerKey, set[int]] = {}
        self._newest: LayerKey = ()
        self._lock = threading.Lock()
        ahead = AHEAD_NBYTES // sum(self._sizes)
        in_a_row = not layout.in_pieces and math.prod(layout.lead_chunk[:-1]) == 1
        self.frames_ahead = ahead * layout.slots if ahead > 1 and in_a_row else 0
        if level:
            engine.holders.append(self)

    def feed(self, reducer: LevelDownsampler) -> None:
        """Let the next level have every plane, and know of those that are left out."""
        self._jobs.reduce = reducer
        self._skip_reduced = reducer.skip

    @property
    def bytes_stored(self) -> int:
        """Bytes that went to the store so far."""
        return self._jobs.bytes_stored

    # ---- planes in --------------------------------------------------------------------------

    def add_plane(self, frame: Frame, lead: LeadIndex) -> None:
        """Take the plane at a index, in any order.

        A frame of shape (Y, X) in the array's data type, its last axis contiguous.
        """
        with self._lock:
            key, slot, _ = self.layout.place(lead)
            layer = self._opened(key)
            layer.scatter(frame, slot)
            layer.slots.append(slot)
            if layer.complete:
                self._hand_over(layer)

    def open(self, key: LayerKey) -> Layer:
        """Return a layer with memory for its planes; hand over those that are complete."""
        with self._lock:
            self._hand_over_complete()
            return self._opened(key)

    def open_ahead(self, key: LayerKey) -> bool:
        """Open the layer that follows all others, if there is memory to spare.

        Return whether it is open. It is never waited for: somebody takes planes meanwhile.
        """
        with self._lock:
            if key in self.layers:
                return True
            if key <= self._newest or key in self._shelved or key in self._skipped:
                return False
            buffers = self._engine.pixels.acquire_spare(self._sizes)
            if buffers is not None:
                self._open(key, buffers)
            return buffers is not None

    def hand_over_complete(self) -> None:
        """Hand over every layer that is complete."""
        with self._lock:
            self._hand_over_complete()

    def _hand_over_complete(self) -> None:
        """Do the same with the lock held."""
        complete = [layer for layer in self.layers.values() if layer.complete]
        with self._jobs.together():
            for layer in complete:
                self._hand_over(layer)

    def replace(self, frame: Frame, lead: LeadIndex) -> bool:
        """Take a plane that was taken or left out before; return whether it was still in reach.

        It is while its layer is in memory or shelved; once the layer was handed over, only if its
        chunk is a file of its own and holds nothing else.
        """
        with self._lock:
            key, slot, _ = self.layout.place(lead)
            if not any(key in known for known in (self.layers, self._shelved, self._skipped)):
                return self._rewrite(frame, key, slot)
            return self._opened(key).take_again(frame, slot)

    def _rewrite(self, frame: Frame, key: LayerKey, slot: int) -> bool:
        """Store the chunks of one plane again; return whether they hold nothing else."""
        if self.layout.shard_chunks is not None or self.layout.chunk_planes > 1:
            return False
        self._jobs.wait()  # the first version must not come after the second
        buffers = self._acquired()
        layer = Layer(self.layout, key, buffers, self._tiles(buffers))
        layer.scatter(frame, slot)
        layer.slots.append(slot)
        self._jobs.hand_over(layer, final=False)
        return True

    def skip(self, lead: LeadIndex, count: int = 1) -> int:
        """Leave out planes from a index on, `count` at most and only of one layer.

        They read as the fill value; chunks that have no other planes are not stored. Returns how
        many planes were left out.
        """
        with self._lock:
            key, slot, run = self.layout.place(lead)
            count = min(count, run)
            planes = range(slot, slot + count)
            layer = self.layers.get(key)
            if layer is None:
                self._leave_out(key, planes)
            else:
                layer.skipped.update(planes)
                self._hand_over_complete()
        if self._skip_reduced is not None:
            for plane in planes:
                self._skip_reduced(self.layout.lead_of(key, plane))
        return count

    def _leave_out(self, key: LayerKey, planes: range) -> None:
        """Note planes that will never come of a layer that is not in memory."""
        skipped = self._skipped.pop(key, None)
        missing = self.layout.expected_slots(key)
        if skipped is None and len(planes) == missing:
            self._jobs.skip_layer(key)
            return
        skipped = {*(skipped or ()), *planes}
        self._skipped[key] = skipped
        missing -= len(skipped) + self._handed_early.get(key, 0)
        if key in self._shelved:
            missing -= len(self._shelved[key].slots)
        if missing:
            return
        if key in self._shelved or key in self._handed_early:
            self._hand_over(self._opened(key))
        else:
            del self._skipped[key]
            self._jobs.skip_layer(key)

    def _opened(self, key: LayerKey) -> Layer:
        """Return the layer that is in memory, or find memory for it."""
        layer = self.layers.get(key)
        return self._open(key, self._acquired()) if layer is None else layer

    def _open(self, key: LayerKey, buffers: list[Buffer]) -> Layer:
        """Take planes of a layer into buffers."""
        layer = Layer(self.layout, key, buffers, self._tiles(buffers))
        self._newest = max(self._newest, key)
        if (shelved := self._shelved.pop(key, None)) is not None:
            layer.stored, layer.storing = shelved
        layer.skipped = self._skipped.pop(key, layer.skipped)
        early = self._handed_early.get(key, 0)
        layer.expected -= early
        layer.first_member = early // self.layout.buffer_planes
        self.layers[key] = layer
        if not self._level and not self._engine.pixels.has_free(self._sizes[0]):
            self._engine.prepare(self._sizes)
        return layer

    def _acquired(self) -> list[Buffer]:
        """Return a buffer for every column, waiting for memory."""
        return self._engine.pixels.acquire(
            self._sizes, force=self._level > 0, relieve=self._engine.relieve(self.holder)
        )

    def _tiles(self, buffers: list[Buffer]) -> list[Tiles]:
        """Return how planes lie in the buffers."""
        return [
            tiling.tiles(buffer.memory[self._room :])
            for tiling, buffer in zip(self._tilings, buffers, strict=True)
        ]

    def prepare(self) -> None:
        """Have memory for the first layer before the first plane comes."""
        self._engine.pixels.prepare(self._sizes)

    # ---- layers out -------------------------------------------------------------------------

    def _hand_over(self, layer: Layer, *, final: bool = True, done: JobGroup | None = None) -> None:
        """Give a layer to the threads that store it; it takes no more planes."""
        del self.layers[layer.key]
        if layer.complete:
            self._handed_early.pop(layer.key, None)
        layer.fill_missing(self.layout.fill_value)
        if layer.skipped and final:
            self._skip_absent(layer)
        if layer.members:
            self._jobs.hand_over(layer, final=final, done=done)
            return
        self._give_back(layer)
        if layer.complete:
            self._jobs.count_left_out(layer.key)

    def _skip_absent(self, layer: Layer) -> None:
        """Have the store not wait for chunks of which every plane is left out."""
        if self.layout.in_pieces:
            return
        members = set(layer.members)
        lead_chunks = self.layout.lead_chunks(layer.key)
        absent = [
            chunk
            for member, chunk in enumerate(lead_chunks)
            if member not in members and member >= layer.first_member
        ]
        if absent:
            self._jobs.skip_chunks(absent)

    def hand_over_whole_chunks(self) -> bool:
        """Hand over chunks that are complete but share their buffers with later ones.

        Returns
        -------
        bool
            Whether no plane is left that is not handed over.
        """
        with self._lock:
            for layer in list(self.layers.values()):
                if layer.complete:
                    self._hand_over(layer)
                elif self._has_whole_chunks_only(layer):
                    early = self._handed_early.get(layer.key, 0)
                    self._handed_early[layer.key] = early + len(layer.slots)
                    self._hand_over(layer)
            return not any(layer.begun for layer in self.layers.values())

    def _has_whole_chunks_only(self, layer: Layer) -> bool:
        """Return whether a layer of several chunks has no incomplete one, and no plane is missing.

        Those of a shelved layer are in the store already.
        """
        if self.layout.buffer_chunks == 1 or not layer.slots or layer.skipped or layer.storing:
            return False
        members = layer.members
        first = layer.first_member
        in_a_row = members == list(range(first, first + len(members)))
        return in_a_row and len(layer.slots) == len(members) * self.layout.buffer_planes

    @property
    def busy(self) -> bool:
        """Whether anything that was handed over is not stored yet."""
        return self._jobs.busy

    def flush(self) -> None:
        """Store every layer as it is now, missing planes as the fill value, and keep it open.

        No plane may come meanwhile; `wait` ends when it is done.
        """
        with self._lock:
            for layer in list(self.layers.values()):
                if layer.complete:
                    self._hand_over(layer)
                elif layer.members:
                    layer.fill_missing(self.layout.fill_value)
                    self._jobs.store_as_it_is(layer)

    def finish_layers(self) -> None:
        """Hand over every layer that is incomplete, missing planes as the fill value."""
        with self._lock:
            for layer in list(self.layers.values()):
                self._hand_over(layer)

    def drop_layers(self) -> None:
        """Give back the memory of layers that a failed recording leaves."""
        with self._lock:
            for layer in self.layers.values():
                self._give_back(layer)
            self.layers.clear()

    def _give_back(self, layer: Layer) -> None:
        """Give back the memory of a layer that is not stored."""
        for buffer in layer.buffers:
            self._engine.pixels.hand_over(buffer, 1)
            self._engine.pixels.release(buffer)

    def wait(self) -> None:
        """Wait until everything that was handed over is stored, or something failed."""
        self._jobs.wait()

    # ---- when memory is short ---------------------------------------------------------------

    def try_shelve(self, current: Layer | None = None) -> bool:
        """Shelve a layer to free its memory; return whether there was one and nobody used it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self.shelve(current)
        finally:
            self._lock.release()

    def shelve(self, current: Layer | None = None) -> bool:
        """Store the layer that was opened first, incomplete as it is, and free its memory.

        The `current` one is the last to be shelved. With the lock held.
        """
        if not self.store.can_load or self.layout.in_pieces:
            return False
        others = (layer for layer in self.layers.values() if layer is not current)
        layer = next(others, current)
        if layer is None or self.layers.get(layer.key) is not layer:
            return False
        done = JobGroup()
        if not layer.complete:
            if layer.members:
                self._shelved[layer.key] = _Shelved({*layer.slots, *layer.stored}, done)
            if layer.skipped:
                self._skipped[layer.key] = layer.skipped
        self._hand_over(layer, final=layer.complete, done=done)
        return True

    # ---- what readers may see ---------------------------------------------------------------

    def advance(self, *, sync: bool = False) -> int:
        """Make what is stored readable; return how far the append axis is complete."""
        stored = self._jobs.take_stored()
        self.store.expose(sync=sync)
        return self.head.advance(stored)
