"""Boxes of a stored array, of any shape and at any place: what computing on a store reads.

Nothing is kept between two reads, so that a box of a running recording is read as it is by then,
and reads on many threads share nothing.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import StorageError
from aqz_core.reading.chunks import (
    ChunkDecoder,
    chunks_per_shard,
    indexes_of,
    most_nbytes,
    read_chunk,
)
from aqz_core.reading.node import ChunkFile
from aqz_core.reading.shard_indexes import entries_within
from aqz_core.settings.keys import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.stored_array import StoredArray

__all__ = ["Box", "StoredRegions", "boxes", "intersection"]

Box = tuple[tuple[int, int], ...]
"""Where pixels lie: the first, and the first that is not, on each axis."""

_Coordinate = tuple[int, ...]

_TOGETHER_NBYTES = 8 << 20
"""Chunks that follow each other are read at once up to so many bytes."""
_GAP_NBYTES = 64 << 10
"""Bytes between two chunks that are rather read than asked about again."""


class StoredRegions:
    """The pixels of one array.

    Parameters
    ----------
    files, name
        The store, and the array's folder in it.
    array
        What its metadata say.
    providers
        Codecs by name.

    Raises
    ------
    StorageError
        No chunk of it can be decoded.
    """

    def __init__(
        self,
        files: StoredFiles,
        name: str,
        array: StoredArray,
        providers: Mapping[str, CodecProvider],
    ) -> None:
        self.array = array
        self._files = files
        self._name = name
        self._extent = chunks_per_shard(array)
        try:
            self._decoder = ChunkDecoder(array, providers)
        except StorageError as error:
            raise StorageError(f"{join(files.url, name)}: {error}") from error

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box; what was never stored is the fill value.

        Raises
        ------
        StorageError
            Stored bytes are unreadable or damaged; the message names the file.
        """
        shape = [stop - start for start, stop in box]
        pixels = self._filled(shape)
        for shard in boxes(box, self._file_shape):
            file = self._file(shard)
            try:
                for coordinate, data in self._stored(file, box):
                    self._fill(pixels, box, coordinate, self._decoder.decode(data))
            except StorageError as error:
                raise StorageError(f"{join(self._files.url, file.name)}: {error}") from error
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(
                    f"{join(self._files.url, file.name)}: cannot be read: {error.strerror or error}"
                ) from error
        return pixels

    def _filled(self, shape: Sequence[int]) -> npt.NDArray[Any]:
        """Return pixels of the fill value; zeros take no memory until they are written."""
        try:
            if not self.array.fill_value:
                return np.zeros(shape, self.array.dtype)
            return np.full(shape, self.array.fill_value, self.array.dtype)
        except (MemoryError, ValueError) as error:
            raise StorageError(
                f"{join(self._files.url, self._name)}: {tuple(shape)} pixels of {self.array.dtype} "
                f"do not fit into memory ({error}); read a smaller box. Is the shape right? "
                "`aqz validate` says more"
            ) from error

    @property
    def _file_shape(self) -> tuple[int, ...]:
        """Pixels on each axis of what is one file."""
        return self.array.shard_shape or self.array.chunk_shape

    def _file(self, coordinate: _Coordinate) -> ChunkFile:
        """Return the file of a shard, or of a chunk where there are no shards."""
        array = self.array
        key = array.key_prefix + array.key_separator.join(map(str, coordinate))
        name = join(self._name, key)
        size = self._files.size(name) if array.shard_shape is not None else 0
        return ChunkFile(name, coordinate, -1 if size is None else size)

    def _stored(self, file: ChunkFile, box: Box) -> Iterator[tuple[_Coordinate, bytes]]:
        """Yield the chunks of a file that a box needs, encoded."""
        array = self.array
        if file.nbytes < 0:
            return
        if array.shard_shape is None:
            yield file.coordinate, read_chunk(self._files, array, file.name)
            return
        indexes = indexes_of(self._files, array, file)
        entries = indexes.best(prefer_end=array.index_at_end)
        if entries is None:
            raise StorageError("no index of the shard is whole; `aqz validate` says more")
        first = [k * n for k, n in zip(file.coordinate, self._extent, strict=True)]
        wanted = []
        there = entries_within(entries, indexes.nbytes)
        for coordinate in boxes(intersection(box, self._box_of(file)), array.chunk_shape):
            within = tuple(k - start for k, start in zip(coordinate, first, strict=True))
            number = int(np.ravel_multi_index(within, self._extent))
            if there[number]:
                offset, nbytes = entries[number].tolist()
                wanted.append((offset, min(nbytes, most_nbytes(array)), coordinate))
        for together in _spans(sorted(wanted)):
            start = together[0][0]
            stop = max(offset + nbytes for offset, nbytes, _ in together)
            content = self._files.read_range(file.name, start, stop - start)
            for offset, nbytes, coordinate in together:
                yield coordinate, content[offset - start : offset - start + nbytes]

    def _box_of(self, file: ChunkFile) -> Box:
        """Return the pixels that a file is for."""
        sizes = zip(file.coordinate, self._file_shape, strict=True)
        return tuple((k * size, (k + 1) * size) for k, size in sizes)

    def _fill(
        self,
        pixels: npt.NDArray[Any],
        box: Box,
        coordinate: _Coordinate,
        chunk: npt.NDArray[Any],
    ) -> None:
        """Copy what a chunk has of a box."""
        place = zip(coordinate, self.array.chunk_shape, strict=True)
        origin = [k * size for k, size in place]
        whole = tuple(
            (start, start + size)
            for start, size in zip(origin, self.array.chunk_shape, strict=True)
        )
        common = intersection(box, whole)
        target = tuple(
            slice(a - start, b - start) for (a, b), (start, _) in zip(common, box, strict=True)
        )
        source = tuple(
            slice(a - start, b - start) for (a, b), start in zip(common, origin, strict=True)
        )
        pixels[target] = chunk[source]


def boxes(box: Box, sizes: Sequence[int]) -> Iterable[_Coordinate]:
    """Return the coordinates of the blocks, of `sizes` pixels, that a box touches."""
    return product(
        *(
            range(start // size, -(-stop // size)) if stop > start else ()
            for (start, stop), size in zip(box, sizes, strict=True)
        )
    )


def intersection(one: Box, other: Box) -> Box:
    """Return the pixels that two boxes have in common; of no extent where there are none."""
    return tuple(
        (max(a, c), max(max(a, c), min(b, d))) for (a, b), (c, d) in zip(one, other, strict=True)
    )


def _spans(
    wanted: Sequence[tuple[int, int, _Coordinate]],
) -> Iterator[list[tuple[int, int, _Coordinate]]]:
    """Yield the chunks, given in the order of their offsets, that are read at once."""
    together: list[tuple[int, int, _Coordinate]] = []
    stop = 0
    for one in wanted:
        offset, nbytes, _ = one
        is_far = offset - stop > _GAP_NBYTES
        is_much = together and offset + nbytes - together[0][0] > _TOGETHER_NBYTES
        if together and (is_far or is_much):
            yield together
            together = []
        together.append(one)
        stop = max(stop, offset + nbytes)
    if together:
        yield together
