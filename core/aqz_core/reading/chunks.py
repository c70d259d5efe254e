"""The stored chunks of one array: where they are, and whether their codecs can be undone."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.codecs import CodecChain, chain_from_v3
from aqz_core.codecs.base import BoundedCodec
from aqz_core.errors import AqzError, StorageError
from aqz_core.reading.bounded_decoding import BUILTIN_DECODERS, largest_encoded, too_large
from aqz_core.reading.files import UnreadableFileError
from aqz_core.reading.shard_indexes import ShardIndexes, entries_within, read_indexes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aqz_core.codecs import Codec
    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile
    from aqz_core.reading.stored_array import StoredArray

__all__ = [
    "ChunkDecoder",
    "chunk_coordinates",
    "chunks_per_shard",
    "coordinates_in",
    "has_checksum",
    "indexes_of",
    "is_recorded",
    "most_nbytes",
    "read_chunk",
    "stored_chunks",
]

_MAX_CHUNK_NBYTES = 2**31 - 1
"""Codecs take no larger chunk, so no recording has one."""
_READ_NBYTES = 8 << 20
"""Chunks are read together up to so many bytes: a request costs as much as reading some MiB."""


def chunks_per_shard(array: StoredArray) -> tuple[int, ...]:
    """Return how many chunks a file holds on each axis: ones where there are no shards."""
    if array.shard_shape is None:
        return (1,) * len(array.shape)
    return tuple(s // c for s, c in zip(array.shard_shape, array.chunk_shape, strict=True))


def has_checksum(array: StoredArray) -> bool:
    """Return whether every chunk carries a checksum of its bytes."""
    return any(
        codec["name"] == "crc32c"
        or (codec["name"] == "zstd" and codec.get("configuration", {}).get("checksum") is True)
        for codec in array.codecs
    )


def is_recorded(pixels: npt.NDArray[Any], fill: np.generic) -> npt.NDArray[np.bool_]:
    """Return, for every pixel, whether it is something other than the fill value."""
    if pixels.dtype.kind == "f" and np.isnan(fill):
        return np.asarray(~np.isnan(pixels))
    return np.asarray(pixels != fill)


def chunk_coordinates(
    array: StoredArray, shard: tuple[int, ...], numbers: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the coordinates of some of a shard's chunks, shape (chunks, axes).

    Parameters
    ----------
    array
        The array.
    shard
        Coordinate of the shard.
    numbers
        Places in the shard's index, shape (chunks,).
    """
    extent = chunks_per_shard(array)
    within = np.stack(np.unravel_index(numbers, extent), axis=1)
    return np.asarray(within + np.array(shard) * np.array(extent))


def coordinates_in(
    array: StoredArray, file: ChunkFile, indexes: ShardIndexes | None
) -> npt.NDArray[np.int64]:
    """Return the coordinates of the chunks that a file holds, shape (chunks, axes).

    Parameters
    ----------
    array, file
        The array, and one of its files.
    indexes
        Those of a shard; None for a chunk that is a file of its own.
    """
    if indexes is None:
        return np.array([file.coordinate])
    entries = indexes.best(prefer_end=array.index_at_end)
    if entries is None:
        return np.empty((0, len(array.shape)), np.int64)
    numbers = np.flatnonzero(entries_within(entries, indexes.nbytes))
    return chunk_coordinates(array, file.coordinate, numbers)


def indexes_of(files: StoredFiles, array: StoredArray, file: ChunkFile) -> ShardIndexes:
    """Read the indexes of a shard; an `UnreadableFileError` if it cannot be read."""
    chunks = math.prod(chunks_per_shard(array))
    return read_indexes(files, file.name, chunks, file.nbytes, start=not array.index_at_end)


def stored_chunks(
    files: StoredFiles, array: StoredArray, file: ChunkFile, indexes: ShardIndexes | None = None
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield the coordinate and the encoded bytes of every chunk that a file holds.

    Chunks that an index names but that lie outside of the file are left out. Those that lie near
    each other are read together.

    Raises
    ------
    UnreadableFileError
        The file cannot be read.
    """
    if array.shard_shape is None:
        yield file.coordinate, read_chunk(files, array, file.name)
        return
    if indexes is None:
        indexes = indexes_of(files, array, file)
    entries = indexes.best(prefer_end=array.index_at_end)
    if entries is None:
        return
    numbers = np.flatnonzero(entries_within(entries, indexes.nbytes))
    numbers = numbers[np.argsort(entries[numbers, 0], kind="stable")]
    coordinates = chunk_coordinates(array, file.coordinate, numbers).tolist()
    places = [(offset, min(n, most_nbytes(array))) for offset, n in entries[numbers].tolist()]
    for first, last, start, stop in _spans(places):
        content = files.read_range(file.name, start, stop - start)
        for number in range(first, last):
            offset, nbytes = places[number]
            yield tuple(coordinates[number]), content[offset - start : offset - start + nbytes]


def _spans(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Yield which chunks, in the order of their offsets, are read at once, and which bytes."""
    first = 0
    while first < len(places):
        start, nbytes = places[first]
        stop, last = start + nbytes, first + 1
        while last < len(places):
            until = max(stop, sum(places[last]))
            if until - start > _READ_NBYTES:
                break
            stop, last = until, last + 1
        yield first, last, start, stop
        first = last


def most_nbytes(array: StoredArray) -> int:
    """Return how many bytes of a stored chunk are read: one more than it can have."""
    return largest_encoded(math.prod(array.chunk_shape) * array.dtype.itemsize) + 1


def read_chunk(files: StoredFiles, array: StoredArray, name: str) -> bytes:
    """Return the bytes of a chunk that is a file of its own."""
    nbytes = files.size(name)
    if nbytes is None:
        raise UnreadableFileError(errno.ENOENT, "it is gone", name)
    return files.read_range(name, 0, min(nbytes, most_nbytes(array)))


class ChunkDecoder:
    """Undoes the codecs of one array's chunks and checks what comes out.

    Parameters
    ----------
    array
        What its metadata say.
    providers
        Codecs by name.

    Raises
    ------
    StorageError
        No chunk of that array can be decoded here, and why.
    """

    def __init__(self, array: StoredArray, providers: Mapping[str, CodecProvider]) -> None:
        self.array = array
        self.nbytes = math.prod(array.chunk_shape) * array.dtype.itemsize
        if self.nbytes > _MAX_CHUNK_NBYTES:
            raise StorageError(f"chunks of {self.nbytes:,} bytes are larger than any codec takes")
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        try:
            self.chain: CodecChain = chain_from_v3([little, *array.codecs], array.dtype, providers)
        except (AqzError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"the codecs cannot be built: {error}") from error

    def decode(self, data: bytes) -> npt.NDArray[Any]:
        """Return the pixels of a chunk, shape `chunk_shape`.

        Raises
        ------
        StorageError
            The bytes are damaged.
        """
        decoded = data
        for place, codec in reversed(list(enumerate(self.chain.codecs))):
            limit = largest_encoded(self.nbytes) if place else self.nbytes
            decoded = _undone(codec, decoded, limit)
        if len(decoded) != self.nbytes:
            raise StorageError(f"a chunk decodes to {len(decoded)} bytes, not {self.nbytes}")
        stored = self.array.dtype.newbyteorder(self.array.byte_order)
        return np.frombuffer(decoded, stored).reshape(self.array.chunk_shape)

    def survives_round_trip(self, data: bytes) -> bool:
        """Return whether a chunk, decoded, encoded and decoded again, comes out as it was."""
        pixels = self.decode(data)
        again = self.decode(self.chain.encode(np.ascontiguousarray(pixels)))
        return pixels.tobytes() == again.tobytes()


def _undone(codec: Codec, data: bytes, limit: int) -> bytes:
    """Return what one codec makes of a chunk, at most `limit` bytes."""
    is_own = type(codec).__module__.startswith("aqz_core.codecs.")
    decode = BUILTIN_DECODERS.get(codec.name) if is_own else None
    try:
        if decode is not None:
            return decode(data, limit)
        if isinstance(codec, BoundedCodec):
            decoded = codec.decode_at_most(data, limit)
        else:
            decoded = codec.decode(data)
    except AqzError:
        raise
    except Exception as error:  # every decompressor has exceptions of its own
        raise StorageError(
            f"a chunk of {len(data)} bytes cannot be decoded by {codec.name} ({error}); it is "
            "damaged, or was written with other settings"
        ) from error
    if len(decoded) > limit:
        raise too_large(codec.name, limit)
    return decoded
