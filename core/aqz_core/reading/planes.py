"""Planes of a stored array: which are there, and their pixels.

The indexes of shards are kept as they were read first, and chunks that an index named are never
overwritten, so that planes can be read while a stream adds to the same shards.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import MISSING
from aqz_core.errors import ResumeError, StorageError
from aqz_core.reading.chunks import (
    ChunkDecoder,
    chunks_per_shard,
    indexes_of,
    is_recorded,
    most_nbytes,
    read_chunk,
)
from aqz_core.reading.shard_indexes import Entries, entries_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile, Node

__all__ = ["StoredPlanes"]

Coordinate = tuple[int, ...]


class StoredPlanes:
    """The planes of one array.

    Parameters
    ----------
    files
        The store.
    node
        The array.
    providers
        Codecs by name.

    Raises
    ------
    ResumeError
        No chunk of it can be decoded.
    """

    def __init__(
        self, files: StoredFiles, node: Node, providers: Mapping[str, CodecProvider]
    ) -> None:
        assert node.array is not None
        self._store = files
        self._array = node.array
        try:
            self._decoder = ChunkDecoder(node.array, providers)
        except StorageError as error:
            raise ResumeError(f"{node.where}: {error}") from error
        self._node = node
        self._files = {file.coordinate: file for file in node.files}
        self._extent = chunks_per_shard(node.array)
        self._indexes: dict[Coordinate, Entries | None] = {}
        self._present: dict[Coordinate, bool] = {}
        self._layer: Coordinate | None = None
        self._chunks: dict[Coordinate, npt.NDArray[Any] | None] = {}
        rows_and_cols = zip(node.array.shape[-2:], node.array.chunk_shape[-2:], strict=True)
        self._grid = [range(-(-size // chunk)) for size, chunk in rows_and_cols]

    def has(self, lead: Coordinate) -> bool:
        """Return whether every chunk of the plane at an index is stored."""
        layer = self._layer_of(lead)
        if layer not in self._present:
            chunks = product(*self._grid)
            self._present[layer] = all(self._locate((*layer, *chunk)) for chunk in chunks)
        return self._present[layer]

    def is_stored(self, lead: Coordinate, *, certain: bool = False) -> bool:
        """Return whether a frame that came is stored as a whole.

        Chunks that planes share may have been stored without it, or with the half of it: unless it
        is `certain` that they were not, each must have a pixel of it that is not the fill value.
        """
        shared = any(size > 1 for size in self._array.chunk_shape[:-2])
        return self.has(lead) and (certain or not shared or self.is_whole(lead))

    def is_whole(self, lead: Coordinate) -> bool:
        """Return whether a plane has a pixel that is not the fill value in every one of its chunks.

        Chunks that were stored half-full are rewritten one by one: some may have a plane that
        others lack.
        """
        plane = is_recorded(self.read(lead), self._array.fill_value)
        height, width = self._array.chunk_shape[-2:]
        return all(
            plane[row * height :, col * width :][:height, :width].any()
            for row, col in product(*self._grid)
        )

    @property
    def read_nbytes(self) -> int:
        """Bytes of memory that `read` takes: a layer of chunks, decoded and on its way."""
        return 2 * math.prod(map(len, self._grid)) * self._decoder.nbytes

    def look_ahead(self) -> None:
        """Read the index of every shard, several at once where each is a request to a service."""
        if self._store.reads_at_once > 1 and self._array.shard_shape is not None:
            with ThreadPoolExecutor(self._store.reads_at_once) as threads:
                found = threads.map(self._read_index, self._files.values())
                self._indexes |= zip(self._files, found, strict=True)

    def read(self, lead: Coordinate) -> npt.NDArray[Any]:
        """Return the plane at an index, shape (Y, X); missing chunks as the fill value.

        Raises
        ------
        ResumeError
            A chunk cannot be decoded.
        """
        array = self._array
        layer = self._layer_of(lead)
        if layer != self._layer:
            self._layer, self._chunks = layer, {}
            if self._store.reads_at_once > 1:
                chunks = ((*layer, row, col) for row, col in product(*self._grid))
                with ThreadPoolExecutor(self._store.reads_at_once) as threads:
                    list(threads.map(self._chunk, chunks))
        within = tuple(k % size for k, size in zip(lead, array.chunk_shape, strict=False))
        plane = np.full(array.shape[-2:], array.fill_value, array.dtype)
        height, width = array.chunk_shape[-2:]
        for row, col in product(*self._grid):
            chunk = self._chunk((*layer, row, col))
            if chunk is not None:
                target = plane[row * height :, col * width :][:height, :width]
                target[...] = chunk[within][: target.shape[0], : target.shape[1]]
        return plane

    def has_files(self, length: int) -> bool:
        """Return whether every file of the array is there, up to a length."""
        array = self._array
        sizes = [
            extent * size for extent, size in zip(self._extent, array.chunk_shape, strict=True)
        ]
        shape = (min(length, array.shape[0]), *array.shape[1:])
        grid = [range(-(-n // size)) for n, size in zip(shape, sizes, strict=True)]
        return math.prod(map(len, grid)) <= len(self._files) and all(
            coordinate in self._files for coordinate in product(*grid)
        )

    def _layer_of(self, lead: Coordinate) -> Coordinate:
        """Return the chunk coordinate of a plane on the index axes."""
        return tuple(k // size for k, size in zip(lead, self._array.chunk_shape, strict=False))

    def _chunk(self, coordinate: Coordinate) -> npt.NDArray[Any] | None:
        """Return a chunk's pixels, or None if it is not stored."""
        if coordinate not in self._chunks:
            try:
                decoded = self._decoded(coordinate)
            except StorageError as error:
                raise ResumeError(
                    f"{self._node.where}: chunk {coordinate} is damaged ({error}); `aqz validate` "
                    "shows what else is. Record into another store."
                ) from error
            self._chunks[coordinate] = decoded
        return self._chunks[coordinate]

    def _decoded(self, coordinate: Coordinate) -> npt.NDArray[Any] | None:
        """Return a chunk's pixels; looked for again if a recording gave its shard another file."""
        place = self._locate(coordinate)
        try:
            return None if place is None else self._decoder.decode(self._bytes(*place))
        except StorageError:
            shard = tuple(k // n for k, n in zip(coordinate, self._extent, strict=True))
            before = self._indexes.pop(shard, None)
            place = self._locate(coordinate)
            if np.array_equal(before, self._indexes.get(shard)):  # type: ignore[arg-type]
                raise
            return None if place is None else self._decoder.decode(self._bytes(*place))

    def _bytes(self, file: ChunkFile, offset: int, nbytes: int) -> bytes:
        """Return the encoded bytes of a chunk."""
        if self._array.shard_shape is None:
            return read_chunk(self._store, self._array, file.name)
        return self._store.read_range(file.name, offset, min(nbytes, most_nbytes(self._array)))

    def _locate(self, coordinate: Coordinate) -> tuple[ChunkFile, int, int] | None:
        """Return the file, offset and size of a chunk, or None if it is not stored."""
        shard = tuple(k // n for k, n in zip(coordinate, self._extent, strict=True))
        file = self._files.get(shard)
        if file is None:
            return None
        if self._array.shard_shape is None:
            return file, 0, file.nbytes
        if shard not in self._indexes:
            self._indexes[shard] = self._read_index(file)
        entries = self._indexes[shard]
        if entries is None:
            return None
        within = (k % n for k, n in zip(coordinate, self._extent, strict=True))
        offset, nbytes = entries[np.ravel_multi_index(tuple(within), self._extent)].tolist()
        return None if offset == MISSING else (file, offset, nbytes)

    def _read_index(self, file: ChunkFile) -> Entries | None:
        """Return a shard's index with only those entries that lie inside of the file."""
        indexes = indexes_of(self._store, self._array, file)
        entries = indexes.best(prefer_end=self._array.index_at_end)
        if entries is None:
            return None
        kept = entries.copy()
        kept[~entries_within(entries, indexes.nbytes)] = MISSING
        return kept
