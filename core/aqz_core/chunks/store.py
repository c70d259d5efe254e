"""What an array's writer asks of the place its chunks go to.

There are two such places: shards (`sharded_chunks`), and a file for each chunk (`chunk_files`).
Both take `Batch` objects, chunks of one column that are ready as bytes, from the I/O threads, and
know which names and index entries they get. Neither knows how the bytes were made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    from aqz_core.chunks.shard_format import Batch
    from aqz_core.planning.layout import Column, LayerKey
    from aqz_core.storage.sink import Sink

__all__ = ["ChunkStore", "LeadChunk", "ShardListener", "UnsyncedObjects"]

ShardListener = Callable[[str, int, int], None]
"""Called with a shard's name, its size in bytes and its number of chunks when it is complete."""

LeadChunk = tuple[int, ...]
"""Coordinate of a chunk on the index axes; with two more, of a chunk or a shard."""


class ChunkStore(Protocol):
    """What an array's writer asks of the place its chunks go to.

    Attributes
    ----------
    can_load
        Whether what is stored can be read back while the recording runs.
    """

    can_load: bool

    def room(self) -> int:
        """Bytes to leave free in front of and behind a batch in memory."""

    def put(
        self, column: Column, lead_chunks: list[LeadChunk], batch: Batch, *, final: bool
    ) -> int:
        """Store whole chunks of a column: all of each of `lead_chunks`; return bytes written.

        If not `final`, some of their planes are missing and they will be stored again.
        """

    def put_piece(
        self, column: Column, key: LayerKey, pixels: npt.NDArray[Any], *, final: bool
    ) -> int:
        """Store some planes of the chunks of one layer; return bytes written."""

    def skip(self, column: Column, lead_chunks: list[LeadChunk]) -> None:
        """Note that chunks of a column will never come."""

    def skip_piece(self, column: Column, key: LayerKey) -> None:
        """Note that some planes of the chunks of one layer will never come."""

    def load(self, column: Column, lead_chunks: list[LeadChunk]) -> list[bytes]:
        """Read back chunks that were stored, in the same order."""

    def when_visible(self, column: Column, lead_chunk: LeadChunk, call: Callable[[], None]) -> None:
        """Call `call` once readers can see a chunk layer's column that was stored for good.

        That is now or at the next `expose`, except in a shard that is hidden until it is complete.
        """

    def reveal(self) -> None:
        """Let the next `expose` show chunks of which some planes are missing."""

    def expose(self, *, sync: bool = False) -> None:
        """Let readers see everything that is stored; flush it to the device if asked."""

    def unfinished(self) -> list[Callable[[], None]]:
        """Return calls that each finish one shard; nothing may be stored after them."""


class UnsyncedObjects:
    """Names of objects that were stored without being flushed to the device."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Remember one."""
        with self._lock:
            self._names.add(name)

    def commit(self) -> None:
        """Flush them all, and the names of everything that was stored."""
        with self._lock:
            names, self._names = self._names, set()
        self._sink.commit(sorted(names))
