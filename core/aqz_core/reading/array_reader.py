"""A small reader of the Zarr V3 arrays that aqz writes, in plain numpy.

It exists to check a recording without trusting the code that wrote it, and
without needing zarr to be installed: it shares nothing with the writer, decodes
with numcodecs, and verifies the checksum of every shard index it uses. Metadata
come from `aqz_core.reading.stored_array`. Layout of shards and of their index: the
``sharding_indexed`` codec of the Zarr specifications.
"""

from __future__ import annotations

import math
import os
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from aqz_core.errors import StorageError
from aqz_core.reading.bounded_decoding import BUILTIN_DECODERS, largest_encoded
from aqz_core.reading.stored_array import COMPRESSIONS, StoredArray
from aqz_core.storage.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ZarrArrayReader"]

_MISSING = 2**64 - 1


class ZarrArrayReader:
    """Reads one array of a store on a filesystem.

    The shape is the one recorded when the reader was made, and the chunks last
    read are kept; to see what a running recording added, make a new reader.

    Parameters
    ----------
    path
        Folder of the array: the one that holds its ``zarr.json``.

    Attributes
    ----------
    stored
        Everything the array's metadata say.

    Raises
    ------
    StorageError
        The array's metadata are missing, broken, or use something this reader
        does not know, or there are fewer than two axes; the message names the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.stored = StoredArray.open(path)
        if len(self.shape) < 2:
            raise StorageError(
                f"{self.path / 'zarr.json'}: shape {self.shape}; a plane needs at least 2 axes"
            )
        for codec in self.stored.codecs:
            if codec["name"] not in (*COMPRESSIONS, "crc32c"):
                raise StorageError(
                    f"{self.path / 'zarr.json'}: the codec {codec['name']!r} is unknown here; read "
                    "the array with a library that has it"
                )
        # What was decoded last: all chunks at one place of the index axes.
        self._layer: tuple[int, ...] | None = None
        self._chunks: dict[tuple[int, ...], np.ndarray[Any, Any] | None] = {}
        self._indexes: dict[Path, np.ndarray[Any, Any] | None] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis, pixels."""
        return self.stored.shape

    @property
    def _most_nbytes(self) -> int:
        """How many bytes of a stored chunk are read: one more than it can have."""
        return largest_encoded(math.prod(self.chunk_shape) * self.dtype.itemsize) + 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels, in the byte order of this machine."""
        return self.stored.dtype

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of what is encoded as one piece, pixels."""
        return self.stored.chunk_shape

    @property
    def shard_shape(self) -> tuple[int, ...] | None:
        """Shape of what is stored in one file, pixels; None without shards."""
        return self.stored.shard_shape

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the ``attributes`` of ``zarr.json`` hold."""
        return self.stored.attributes

    def read_plane(self, *leading_index: int) -> np.ndarray[Any, Any]:
        """Return one plane, shape ``(Y, X)``: the last two axes of the array.

        Parameters
        ----------
        leading_index
            One index for each axis in front of the last two; negative ones count
            from the end.

        Raises
        ------
        IndexError
            Too few or too many indices, or one of them out of bounds.
        StorageError
            Stored bytes are unreadable or wrong; the message names the file.
        """
        index = self._checked_index(leading_index)
        layer = tuple(i // c for i, c in zip(index, self.chunk_shape, strict=False))
        within = tuple(i % c for i, c in zip(index, self.chunk_shape, strict=False))
        if layer != self._layer:
            self._layer, self._chunks, self._indexes = layer, {}, {}

        plane_shape, (height, width) = self.shape[-2:], self.chunk_shape[-2:]
        plane = self._filled(plane_shape)
        rows, columns = math.ceil(plane_shape[0] / height), math.ceil(plane_shape[1] / width)
        for row, column in product(range(rows), range(columns)):
            chunk = self._chunk((*layer, row, column))
            if chunk is not None:
                y, x = row * height, column * width
                target = plane[y : y + height, x : x + width]
                target[...] = chunk[within][: target.shape[0], : target.shape[1]]
        return plane

    def read(self) -> np.ndarray[Any, Any]:
        """Return the whole array, shape ``self.shape``.

        Raises
        ------
        StorageError
            Stored bytes are unreadable or wrong; the message names the file.
        """
        array = self._filled(self.shape)
        for index in np.ndindex(self.shape[:-2]):
            array[index] = self.read_plane(*index)
        return array

    def _filled(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return pixels of the fill value; zeros take no memory until they are written."""
        try:
            if not self.stored.fill_value:
                return np.zeros(shape, self.dtype)
            return np.full(shape, self.stored.fill_value, self.dtype)
        except (MemoryError, ValueError) as error:
            raise StorageError(
                f"{self.path}: {shape} pixels of {self.dtype} do not fit into memory ({error}); is "
                "the shape right? `aqz validate` says more"
            ) from error

    def _checked_index(self, leading_index: tuple[int, ...]) -> tuple[int, ...]:
        """Return the index of a plane with negative numbers resolved."""
        leading = self.shape[:-2]
        if len(leading_index) != len(leading):
            raise IndexError(
                f"{len(leading_index)} indices for the {len(leading)} axes in front of the plane"
            )
        index = tuple(i + n if i < 0 else i for i, n in zip(leading_index, leading, strict=True))
        if any(not 0 <= i < n for i, n in zip(index, leading, strict=True)):
            raise IndexError(f"plane {leading_index} is outside of the array, shape {self.shape}")
        return index

    def _chunk(self, coordinates: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
        """Return a decoded chunk, kept or read; None when it was never written."""
        if coordinates not in self._chunks:
            if self.shard_shape is None:
                file = self._file(coordinates)
                data = _read(file, 0, self._most_nbytes)
            else:
                file, data = self._read_from_shard(coordinates, self.shard_shape)
            self._chunks[coordinates] = None if data is None else self._decode(data, file)
        return self._chunks[coordinates]

    def _read_from_shard(
        self, coordinates: tuple[int, ...], shard_shape: tuple[int, ...]
    ) -> tuple[Path, bytes | None]:
        """Return the file that should hold a chunk, and the chunk's encoded bytes."""
        per_shard = [s // c for s, c in zip(shard_shape, self.chunk_shape, strict=True)]
        file = self._file([i // n for i, n in zip(coordinates, per_shard, strict=True)])
        if file not in self._indexes:
            self._indexes[file] = self._read_index(file, per_shard)
        index = self._indexes[file]
        if index is None:
            return file, None
        entry = index[tuple(i % n for i, n in zip(coordinates, per_shard, strict=True))]
        offset, nbytes = int(entry[0]), int(entry[1])
        if offset == nbytes == _MISSING:
            return file, None
        data = _read(file, offset, min(nbytes, self._most_nbytes))
        if data is None or len(data) != nbytes:
            raise StorageError(
                f"{file}: chunk {coordinates} should be {nbytes} bytes at {offset}, "
                "which is past the end of the file"
            )
        return file, data

    def _read_index(self, file: Path, per_shard: Sequence[int]) -> np.ndarray[Any, Any] | None:
        """Return a shard's index, shape ``(*per_shard, 2)``; None without the file."""
        nbytes = 16 * math.prod(per_shard) + 4
        block = _read(file, -nbytes if self.stored.index_at_end else 0, nbytes)
        if block is None:
            return None
        if len(block) < nbytes:
            raise StorageError(f"{file}: too short for a shard index of {nbytes} bytes")
        stored, computed = int.from_bytes(block[-4:], "little"), google_crc32c.value(block[:-4])
        if stored != computed:
            raise StorageError(
                f"{file}: the index at the {'end' if self.stored.index_at_end else 'start'} of "
                f"the shard has checksum {computed:#010x}, but {stored:#010x} is stored with it"
            )
        return np.frombuffer(block[:-4], "<u8").reshape(*per_shard, 2)

    def _decode(self, data: bytes, file: Path) -> np.ndarray[Any, Any]:
        """Undo the codecs of one chunk, the last one first."""
        wanted = math.prod(self.chunk_shape) * self.dtype.itemsize
        for place, codec in reversed(list(enumerate(self.stored.codecs))):
            limit = largest_encoded(wanted) if place else wanted
            try:
                data = BUILTIN_DECODERS[codec["name"]](data, limit)
            except StorageError as error:
                raise StorageError(f"{file}: {error}") from error
            except Exception as error:  # every decompressor has exceptions of its own
                raise StorageError(
                    f"{file}: a chunk is not valid {codec['name']}: {error}"
                ) from error
        if len(data) != wanted:
            raise StorageError(f"{file}: a chunk decodes to {len(data)} bytes, not to {wanted}")
        stored_dtype = self.dtype.newbyteorder(self.stored.byte_order)
        return np.frombuffer(data, stored_dtype).reshape(self.chunk_shape)

    def _file(self, coordinates: Sequence[int]) -> Path:
        """Return the file of a shard, or of a chunk where there are no shards."""
        numbers = self.stored.key_separator.join(map(str, coordinates))
        return self.path / (self.stored.key_prefix + numbers)


def _read(file: Path, offset: int = 0, nbytes: int | None = None) -> bytes | None:
    """Return what the file holds of a range; None when there is no such file.

    A negative `offset` counts from the end; without `nbytes`, all bytes that follow.
    """
    try:
        with os.fdopen(open_regular(file, os.O_RDONLY, follow=True), "rb") as stream:
            size = stream.seek(0, 2)
            start = min(size, offset) if offset >= 0 else max(0, size + offset)
            stream.seek(start)
            return stream.read(size - start if nbytes is None else min(nbytes, size - start))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{file}: cannot be read: {error.strerror}") from error
