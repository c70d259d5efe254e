"""Chunks that are objects of their own, for readers that know no shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_core.chunks.store import UnsyncedObjects

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.chunks.shard_format import Batch
    from aqz_core.chunks.store import LeadChunk, ShardListener
    from aqz_core.planning.layout import Column, LayerKey
    from aqz_core.storage.sink import Sink

__all__ = ["ChunkFiles"]


class ChunkFiles:
    """Every chunk is an object of its own.

    Parameters
    ----------
    sink
        Where they go.
    name
        Gives the name of a chunk from its coordinate.
    policy
        What survives a loss of power.
    on_shard
        Told of every file.
    """

    def __init__(
        self,
        sink: Sink,
        name: Callable[[LeadChunk], str],
        policy: WritePolicy,
        *,
        on_shard: ShardListener,
    ) -> None:
        # what a store that may fail holds cannot be relied on for more than reading
        self.can_load = sink.reads_back
        self._sink = sink
        self._name = name
        self._policy = policy
        self._provisional: set[str] = set()
        self._on_shard = on_shard
        self._unsynced = UnsyncedObjects(sink)

    def room(self) -> int:
        """Return 0: a chunk file has nothing but the chunk."""
        return 0

    def put(
        self, column: Column, lead_chunks: list[LeadChunk], batch: Batch, *, final: bool
    ) -> int:
        """Write each chunk's file."""
        names = self._names(column, lead_chunks)
        first = batch.starts + batch.room
        for name, start, stop in zip(names, first, first + batch.sizes, strict=True):
            # What may have been flushed gives way only to what is on the device as well.
            replaces = self._policy.keep_durable and name in self._provisional
            sync = self._policy.sync_shards or replaces
            self._sink.write(name, batch.memory[start:stop], sync=sync)
            if self._policy.keep_durable and not self._policy.sync_shards:
                self._unsynced.add(name)
            if not final:
                self._provisional.add(name)
            else:
                self._provisional.discard(name)
                self._on_shard(name, int(stop - start), 1)
        return int(batch.sizes.sum())

    def _names(self, column: Column, lead_chunks: list[LeadChunk]) -> list[str]:
        """Return the names of chunk files."""
        return [
            self._name((*lead, row, col))
            for lead in lead_chunks
            for row in column.rows
            for col in column.cols
        ]

    def put_piece(
        self, column: Column, key: LayerKey, pixels: npt.NDArray[Any], *, final: bool
    ) -> int:
        """Refuse: a chunk file is written whole."""
        raise AssertionError("chunk files are not written in pieces")

    def skip(self, column: Column, lead_chunks: list[LeadChunk]) -> None:
        """Do nothing: a chunk without a file reads as the fill value."""

    def skip_piece(self, column: Column, key: LayerKey) -> None:
        """Refuse: a chunk file is written whole."""
        raise AssertionError("chunk files are not written in pieces")

    def load(self, column: Column, lead_chunks: list[LeadChunk]) -> list[bytes]:
        """Read chunk files."""
        return [self._sink.read(name) or b"" for name in self._names(column, lead_chunks)]

    def when_visible(self, column: Column, lead_chunk: LeadChunk, call: Callable[[], None]) -> None:
        """Call `call`: chunk files are never hidden."""
        call()

    def reveal(self) -> None:
        """Do nothing: chunk files are whole."""

    def expose(self, *, sync: bool = False) -> None:
        """Flush files if asked; every one is visible as soon as it is stored."""
        if sync:
            self._unsynced.commit()

    def unfinished(self) -> list[Callable[[], None]]:
        """Return nothing: no file is ever incomplete."""
        return []
