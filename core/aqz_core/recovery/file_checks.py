"""Checking the files of one array: the indexes of shards, and whether chunks can be decoded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.errors import AqzError, StorageError
from aqz_core.reading.chunks import (
    ChunkDecoder,
    chunk_coordinates,
    chunks_per_shard,
    coordinates_in,
    indexes_of,
    stored_chunks,
)
from aqz_core.reading.shard_indexes import Entries, ShardIndexes, entries_within, named
from aqz_core.recovery.report import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile
    from aqz_core.reading.stored_array import StoredArray

__all__ = ["FileChecker"]

_MOST_FINDINGS_OF_A_FILE = 8


class FileChecker:
    """Checks the files of one array, one after the other.

    Parameters
    ----------
    files, array
        The store, and the array.
    decoder
        Undoes the codecs; None where that is not asked for, or not possible.
    find
        Takes what is found: how bad it is, the file, and what it is.

    Attributes
    ----------
    stored
        Coordinates of the chunks of each file, of shape (chunks, axes).
    decoded
        How many chunks could be decoded.
    """

    def __init__(
        self,
        files: StoredFiles,
        array: StoredArray,
        decoder: ChunkDecoder | None,
        find: Callable[[Severity, str, str], None],
    ) -> None:
        self.stored: list[npt.NDArray[np.int64]] = []
        self.decoded = 0
        self._files = files
        self._array = array
        self._decoder = decoder
        self._find = find
        self._grid = -(-np.array(array.shape) // np.array(array.chunk_shape))

    def check(self, file: ChunkFile) -> None:
        """Check a file; an `UnreadableFileError` if it cannot be read."""
        indexes = self._indexes(file)
        self.stored.append(coordinates_in(self._array, file, indexes))
        if self._decoder is not None:
            self._decode(self._decoder, file, indexes)

    def _indexes(self, file: ChunkFile) -> ShardIndexes | None:
        """Check the indexes of a shard; return them, or None for a chunk file."""
        array = self._array
        if array.shard_shape is None:
            return None
        chunks = math.prod(chunks_per_shard(array))
        indexes = indexes_of(self._files, array, file)
        size = indexes.nbytes
        if size < 16 * chunks + 4:
            self._find(
                Severity.ERROR,
                file.name,
                f"{size} bytes are fewer than the {16 * chunks + 4} of a shard's index; "
                "the file was cut short",
            )
            return indexes
        used = indexes.end if array.index_at_end else indexes.start
        if used is None:
            place = "end" if array.index_at_end else "start"
            other = indexes.best(prefer_end=array.index_at_end)
            hint = "; the other one is intact" if other is not None else ""
            self._find(
                Severity.ERROR,
                file.name,
                f"the index at the {place} of the shard does not match its checksum{hint}",
            )
        else:
            self._check_entries(file, used, size)
        return indexes

    def _check_entries(self, file: ChunkFile, entries: Entries, size: int) -> None:
        """Check that chunks lie inside the file, do not overlap, and belong to the array."""
        array = self._array
        is_named = named(entries)
        inside = entries_within(entries, size)
        outside = np.flatnonzero(is_named & ~inside)
        for number in outside[:_MOST_FINDINGS_OF_A_FILE].tolist():
            offset, nbytes = map(int, entries[number])
            self._find(
                Severity.ERROR,
                file.name,
                f"chunk {number} should be {nbytes} bytes at {offset}, outside of the file's "
                f"{size}",
            )
        if len(outside) > _MOST_FINDINGS_OF_A_FILE:
            self._find(
                Severity.ERROR, file.name, f"{len(outside)} chunks in all are outside of the file"
            )
        spans = entries[inside].astype(np.int64)
        spans = spans[np.argsort(spans[:, 0], kind="stable")]
        if (spans[1:, 0] < spans[:-1].sum(axis=1)).any():
            self._find(Severity.ERROR, file.name, "chunks overlap")
        coordinates = chunk_coordinates(array, file.coordinate, np.flatnonzero(inside))
        beyond = (coordinates >= self._grid).any(axis=1).sum()
        if beyond:
            self._find(
                Severity.NOTE,
                file.name,
                f"{beyond} chunks lie outside of the array's shape {array.shape}",
            )

    def _decode(self, decoder: ChunkDecoder, file: ChunkFile, indexes: ShardIndexes | None) -> None:
        """Decode every chunk of a file, and count those that could be."""
        bad = 0
        for coordinate, data in stored_chunks(self._files, self._array, file, indexes):
            try:
                if not self.decoded and not decoder.survives_round_trip(data):
                    raise StorageError("the codecs do not give back what they were given")
                decoder.decode(data)
                self.decoded += 1
            except AqzError as error:
                bad += 1
                if bad <= _MOST_FINDINGS_OF_A_FILE:
                    self._find(Severity.ERROR, file.name, f"chunk {coordinate}: {error}")
        if bad > _MOST_FINDINGS_OF_A_FILE:
            self._find(Severity.ERROR, file.name, f"{bad} chunks in all cannot be decoded")
