"""What one task does: read the pixels of a block, encode its chunks, store whole files.

A job can be pickled. The processes that run its tasks each open source and destination once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import threading
import uuid
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from aqz_core.chunks.shard_format import MISSING, encode_index
from aqz_core.codecs.chain import chain_from_v3
from aqz_core.errors import StorageError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.files import open_files
from aqz_core.reading.regions import StoredRegions, boxes, intersection
from aqz_core.reading.stored_array import StoredArray
from aqz_core.settings.keys import join
from aqz_core.storage import platform
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.names import PARTIAL
from aqz_core.storage.opening import open_sink
from aqz_core.transcoding.documents import level_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.reading.regions import Box
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.sink import Sink
    from aqz_core.transcoding.layout import ImageLayout, LevelLayout
    from aqz_core.transcoding.source import Source

__all__ = ["Job", "StoredFile", "Task", "flush", "write_documents", "write_whole"]

_OPEN: dict[str, _Ends] = {}
_JOBS: dict[str, Job] = {}
_LOCK = threading.RLock()

_SYNCED_NBYTES = 1 << 20 if hasattr(os, "sync") else 0
"""Smaller files are flushed all together by `flush`: what a loss of power takes of them before is
noticed by its checksum."""

_MOST_JOBS = 4
"""Jobs whose source and destination a worker keeps open: one at a time is usual."""


@dataclass(frozen=True, slots=True)
class Task:
    """A block of a level, and the blocks of the levels after it that are of the same pixels."""

    image: int
    level: int
    block: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was stored, or need not be: `nbytes` is 0 where nothing is recorded in it.

    Attributes
    ----------
    name
        In the destination.
    nbytes, checksum
        Its size, and its CRC-32C.
    """

    name: str
    nbytes: int
    checksum: int


@dataclass(frozen=True)
class Job:
    """Everything that a task needs to know.

    Attributes
    ----------
    source
        What is transcoded.
    settings
        Name the destination.
    layouts
        How each image is stored.
    documents
        For each image and level, the document of its array as V3 or V2 has it.
    is_v2
        Whether chunks are files.
    codecs
        Of each image, as a V3 document lists them.
    methods
        Downsampling method of each image; None where none is needed.
    plugins
        That offer codecs, methods, places.
    identity
        Tells this job from others, and from the same one with another source.
    """

    source: Source
    settings: StreamSettings
    layouts: tuple[ImageLayout, ...]
    documents: tuple[tuple[bytes, ...], ...]
    is_v2: bool
    codecs: tuple[Sequence[Mapping[str, Any]], ...]
    methods: tuple[str | None, ...]
    plugins: tuple[object, ...]
    identity: str
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _received, (self.nonce, self._packed)

    @cached_property
    def _packed(self) -> bytes:
        """What another process makes it of: it is sent with every group of tasks."""
        return pickle.dumps([getattr(self, one.name) for one in fields(self)])

    def run(self, tasks: Iterable[Task]) -> list[tuple[Task, list[StoredFile]]]:
        """Make the blocks of some tasks and return the files that hold them.

        Raises
        ------
        StorageError
            Something cannot be read or stored; the message says what.
        """
        ends = self._ends()
        return [(task, list(ends.make(task))) for task in tasks]

    def check(self, file: StoredFile) -> bool:
        """Return whether a file is stored, with the bytes that it had."""
        if not file.nbytes:
            return True
        content = self._ends().sink.read(file.name)
        return (
            content is not None
            and len(content) == file.nbytes
            and google_crc32c.value(content) == file.checksum
        )

    def array(self, image: int, level: int) -> StoredArray:
        """Return the array of a level as its document describes it."""
        document = json.loads(self.documents[image][level])
        where = level_name(self.source.images[image], level)
        return StoredArray.parse(document, where)

    def _ends(self) -> _Ends:
        """Return source and destination, opened once in each process."""
        with _LOCK:
            if self.nonce not in _OPEN:
                _OPEN[self.nonce] = _Ends(self)
            return _OPEN[self.nonce]

    def close(self) -> None:
        """Let go of what this process opened."""
        with _LOCK:
            ends = _OPEN.pop(self.nonce, None)
        if ends is not None:
            ends.close()


def _received(nonce: str, packed: bytes) -> Job:
    """Return the job that was sent to this process, the same one for all of its tasks."""
    with _LOCK:
        if nonce not in _JOBS:
            _JOBS[nonce] = Job(*pickle.loads(packed))
            for old in list(_JOBS)[:-_MOST_JOBS]:
                _JOBS.pop(old).close()
        return _JOBS[nonce]


class _Ends:
    """Source and destination of a job in one process."""

    def __init__(self, job: Job) -> None:
        hooks = create_plugin_manager(job.plugins)
        self._job = job
        self._providers = hooks.codecs()
        self._methods = hooks.downsamplers()
        self.sink: Sink = open_sink(job.settings, hooks.sinks(), claim=False)
        self._files = open_files(job.settings.store_path, job.settings.s3)
        self._recorded: dict[int, npt.NDArray[np.bool_] | None] = {}
        self._array = lru_cache(job.array)
        self._lock = threading.Lock()

    def make(self, task: Task) -> Iterator[StoredFile]:
        """Store the files of a task."""
        layout = self._job.layouts[task.image]
        pixels = self._pixels(task)
        for number in range(task.level, len(layout.levels)):
            level = layout.levels[number]
            if number > task.level:
                if not level.follows:
                    return
                pixels = self._halved(pixels, task.image, level)
            yield from self._store(task, number, level, pixels)

    def _pixels(self, task: Task) -> npt.NDArray[Any]:
        """Return the pixels of a task's block, from the source or from the level before."""
        layout = self._job.layouts[task.image]
        level = layout.levels[task.level]
        box = _box(level, task.block)
        if level.source is not None:
            return self._job.source.read(task.image, level.source, box)
        before = layout.levels[task.level - 1]
        steps = [round(a / b) for a, b in zip(level.factors, before.factors, strict=True)]
        larger = tuple(
            (a * step, min(b * step, n))
            for (a, b), step, n in zip(box, steps, before.shape, strict=True)
        )
        name = level_name(self._job.source.images[task.image], task.level - 1)
        array = self._array(task.image, task.level - 1)
        pixels = StoredRegions(self._files, name, array, self._providers).read(larger)
        return self._halved(pixels, task.image, level)

    def _halved(self, pixels: npt.NDArray[Any], image: int, level: LevelLayout) -> npt.NDArray[Any]:
        """Return pixels of the next level."""
        method: Downsampler = self._methods[self._job.methods[image] or "mean"]
        lead, plane = pixels.shape[:-2], pixels.shape[-2:]
        planes = pixels.reshape(-1, *plane)
        small = np.empty((len(planes), *(-(-n // 2) for n in plane)), pixels.dtype)
        for target, one in zip(small, planes, strict=True):
            method.reduce_plane(one, out=target)
        small = small.reshape(*lead, *small.shape[-2:])
        return _combined(small, method) if level.halves_z else small

    def _store(
        self, task: Task, number: int, level: LevelLayout, pixels: npt.NDArray[Any]
    ) -> Iterator[StoredFile]:
        """Store the files of one block."""
        job = self._job
        folder = level_name(job.source.images[task.image], number)
        array = self._array(task.image, number)
        chain = chain_from_v3(job.codecs[task.image], array.dtype, self._providers)
        box = _box(level, task.block)
        encoded = {
            coordinate: chain.encode(_chunk(pixels, box, coordinate, level, array))
            for coordinate in boxes(box, level.chunk_shape)
            if self._is_recorded(task.image, level, coordinate)
        }
        separator = array.key_separator

        def named(coordinate: Iterable[int]) -> str:
            return join(folder, array.key_prefix + separator.join(map(str, coordinate)))

        if job.is_v2:
            for coordinate in boxes(box, level.chunk_shape):
                yield self._write(named(coordinate), encoded.get(coordinate))
        else:
            yield self._write(named(task.block), _shard(encoded, level, task.block))

    def _write(self, name: str, content: bytes | bytearray | None) -> StoredFile:
        """Store a file, and return what it is told by."""
        if content is None:
            return StoredFile(name, 0, 0)
        try:
            write_whole(self.sink, name, content)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                error.errno,
                f"{join(self.sink.url, name)} cannot be stored: {error.strerror or error}; what is "
                "stored stays, and the same call makes the rest when that is fixed",
            ) from error
        return StoredFile(name, len(content), google_crc32c.value(bytes(content)))

    def _is_recorded(self, image: int, level: LevelLayout, coordinate: tuple[int, ...]) -> bool:
        """Return whether a chunk has pixels of a frame that was recorded."""
        flags = self._flags(image)
        if flags is None or flags.all():
            return True
        chunk = zip(coordinate, level.chunk_shape, level.factors, strict=True)
        part = tuple(
            slice(int(k * size * factor), math.ceil((k + 1) * size * factor))
            for k, size, factor in list(chunk)[:-2]
        )
        return bool(flags[part].any())

    def _flags(self, image: int) -> npt.NDArray[np.bool_] | None:
        """Return which planes of an image are recorded."""
        with self._lock:
            if image not in self._recorded:
                self._recorded[image] = self._job.source.recorded(image)
            return self._recorded[image]

    def close(self) -> None:
        """Let go of connections."""
        self._files.close()
        self.sink.close()


def write_documents(sink: Sink, documents: Mapping[str, bytes]) -> None:
    """Store metadata, what is above last, so that a store is seen when it is whole."""
    for name in sorted(documents, key=lambda name: name.count("/"), reverse=True):
        write_whole(sink, name, documents[name])


def write_whole(sink: Sink, name: str, content: bytes | bytearray) -> None:
    """Store a file in one step, even if another process is storing the same one.

    A task whose worker seemed to be lost runs a second time, perhaps while the first still does.
    """
    sync = memoryview(content).nbytes >= _SYNCED_NBYTES
    if not isinstance(sink, FilesystemSink):
        sink.write(name, content, sync=sync)
        return
    unique = f"{name}.{uuid.uuid4().hex[:12]}{PARTIAL}"
    sink.write(unique, content, sync=sync)
    try:
        platform.replace(f"{sink.url}/{unique}", f"{sink.url}/{name}")
    except BaseException:
        with contextlib.suppress(OSError):
            sink.remove(unique)
        raise
    sink.names_changed.note(f"{sink.url}/{name}")


def flush(sink: Sink) -> None:
    """Return when what `write_whole` stored, in any process here, would survive a power loss."""
    sink.commit()
    is_local = isinstance(sink, FilesystemSink)
    if is_local and not platform.sync_filesystem(sink.url) and hasattr(os, "sync"):
        os.sync()


def _box(level: LevelLayout, block: Sequence[int]) -> Box:
    """Return the pixels of a block, as far as the level reaches."""
    whole = tuple(
        (k * size, (k + 1) * size) for k, size in zip(block, level.block_shape, strict=True)
    )
    return intersection(whole, tuple((0, n) for n in level.shape))


def _chunk(
    pixels: npt.NDArray[Any],
    box: Box,
    coordinate: Sequence[int],
    level: LevelLayout,
    array: StoredArray,
) -> npt.NDArray[Any]:
    """Return the pixels of a whole chunk, little endian; what is outside is the fill value."""
    starts = [
        k * size - first
        for k, size, (first, _) in zip(coordinate, level.chunk_shape, box, strict=True)
    ]
    part = pixels[
        tuple(
            slice(start, start + size)
            for start, size in zip(starts, level.chunk_shape, strict=True)
        )
    ]
    stored = array.dtype.newbyteorder("<")
    if part.shape == level.chunk_shape:
        return np.ascontiguousarray(part, stored)
    chunk = np.full(level.chunk_shape, array.fill_value, stored)
    chunk[tuple(slice(0, n) for n in part.shape)] = part
    return chunk


def _shard(
    encoded: Mapping[tuple[int, ...], bytes], level: LevelLayout, block: Sequence[int]
) -> bytearray | None:
    """Return a shard, its index at the end; None if it would hold nothing."""
    if not encoded:
        return None
    counts = [a // b for a, b in zip(level.block_shape, level.chunk_shape, strict=True)]
    entries = np.full((math.prod(counts), 2), MISSING, "<u8")
    content = bytearray()
    for within in product(*map(range, counts)):
        coordinate = tuple(k * n + one for k, n, one in zip(block, counts, within, strict=True))
        if coordinate in encoded:
            number = int(np.ravel_multi_index(within, counts))
            entries[number] = len(content), len(encoded[coordinate])
            content += encoded[coordinate]
    return content + encode_index(entries)


def _combined(pixels: npt.NDArray[Any], method: Downsampler) -> npt.NDArray[Any]:
    """Return half of the planes along z, the third axis from the end."""
    depth = pixels.shape[-3]
    halved = np.empty((*pixels.shape[:-3], -(-depth // 2), *pixels.shape[-2:]), pixels.dtype)
    for lead in np.ndindex(pixels.shape[:-3]):
        for z in range(0, depth, 2):
            first = pixels[(*lead, z)]
            target = halved[(*lead, z // 2)]
            if z + 1 < depth:
                method.combine(first, pixels[(*lead, z + 1)], out=target)
            else:
                target[...] = first
    return halved
