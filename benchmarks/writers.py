"""The writers under comparison, each behind the same two calls.

aqz_core and acquire-zarr share one vocabulary, so one function builds the settings for both from
whichever module it is given. TensorStore and zarr-python have no stream: they are context, and
get the layout that suits them (whole shards at a time, built from buffered frames).
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

    from benchmarks.cases import Case

__all__ = ["CONTEXT", "STREAMS", "Opened", "array_folder", "array_key", "can_record", "load_writer"]

STREAMS = {"aqz": "aqz_core", "acquire": "acquire_zarr", "aqz-checksum": "aqz_core"}
"""Writers with the streaming vocabulary, and their modules; one adds a CRC-32C to every chunk."""

CONTEXT = ("tensorstore", "zarr-python")
"""Writers measured for context only."""

Append = Callable[[Any], object]


class Opened(NamedTuple):
    """An open recording: one append function per array, and the call that finishes the store."""

    appends: list[Append]
    close: Callable[[], object]


Opener = Callable[["Case", Path], Opened]


def load_writer(name: str) -> Opener:
    """Import the writer and return the function that opens a recording with it.

    Raises
    ------
    ValueError
        If no writer has that name.
    ImportError
        If the writer is not installed.
    """
    if name in STREAMS:
        module = importlib.import_module(STREAMS[name])
        return partial(_open_stream, module, checksum=name == "aqz-checksum")
    if name == "tensorstore":
        return partial(_open_tensorstore, importlib.import_module("tensorstore"))
    if name == "zarr-python":
        return partial(_open_zarr_python, importlib.import_module("zarr"))
    msg = f"unknown writer {name!r}; there are {', '.join((*STREAMS, *CONTEXT))}"
    raise ValueError(msg)


def can_record(writer: str, case: Case) -> bool:
    """Return whether the case is within what the writer does: the context has no pyramids."""
    return not (writer in CONTEXT and case.pyramid)


def array_key(case: Case, index: int) -> str:
    """Return the key of the stream's array `index`: the root for a single one."""
    return "" if case.arrays == 1 else f"camera{index}"


def array_folder(store: Path, case: Case, index: int) -> Path:
    """Return the folder of the full-resolution array `index`."""
    node = store / array_key(case, index)
    return node / "0" if case.pyramid else node


def _open_stream(module: ModuleType, case: Case, store: Path, *, checksum: bool = False) -> Opened:
    """Open a ZarrStream of aqz_core or acquire-zarr."""
    module.set_log_level(module.LogLevel.ERROR)
    settings = module.StreamSettings(
        store_path=str(store),
        version=module.ZarrVersion.V3,
        arrays=[_array_settings(module, case, i) for i in range(case.arrays)],
    )
    for array in settings.arrays if checksum else ():
        array.checksum = True
    if hasattr(settings, "durability"):
        settings.durability = "shard"  # what acquire-zarr does, and cannot be told otherwise
    stream = module.ZarrStream(settings)
    if case.arrays == 1:
        return Opened([stream.append], stream.close)
    keys = [array_key(case, i) for i in range(case.arrays)]
    return Opened([partial(stream.append, key=key) for key in keys], stream.close)


def _array_settings(module: ModuleType, case: Case, index: int) -> Any:
    """Build the ArraySettings of one array in the vocabulary that both modules share."""
    sizes = (0, *case.inner, *case.frame)
    dimensions = [
        module.Dimension(
            name=axis,
            kind=getattr(module.DimensionType, kind),
            array_size_px=size,
            chunk_size_px=chunk,
            shard_size_chunks=shard,
        )
        for axis, kind, size, chunk, shard in zip(
            case.axes, case.axis_kinds(), sizes, case.chunk, case.shard, strict=True
        )
    ]
    settings = module.ArraySettings(
        output_key=array_key(case, index),
        dimensions=dimensions,
        data_type=np.dtype(case.dtype),
        compression=_compression(module, case),
    )
    if case.pyramid:
        settings.downsampling_method = getattr(module.DownsamplingMethod, case.pyramid)
    return settings


def _compression(module: ModuleType, case: Case) -> Any:
    """Build the CompressionSettings of a case, None for raw chunks."""
    if case.codec == "raw":
        return None
    if case.codec == "plain-zstd":
        compressor, codec, shuffle = module.Compressor.ZSTD, module.CompressionCodec.ZSTD, 0
    else:
        codec = getattr(module.CompressionCodec, f"BLOSC_{case.codec.upper()}")
        compressor, shuffle = module.Compressor.BLOSC1, 1
    return module.CompressionSettings(
        compressor=compressor, codec=codec, level=case.level, shuffle=shuffle
    )


class _LayerBuffer:
    """Gathers frames until a layer of whole shards is full, then hands the layer over.

    ``write(start, block)`` gets the first step and a block of shape (steps, *inner, Y, X), which
    it may keep: the next layer is gathered in another block.
    """

    def __init__(self, case: Case, write: Callable[[int, Any], object]) -> None:
        self._case = case
        self._write = write
        self._per_step = math.prod(case.inner)
        self._steps = case.shard_shape[0]
        self._start = 0
        self._count = 0
        self._block = self._new_block()

    def append(self, frame: Any) -> None:
        """Add one frame of shape (Y, X)."""
        self._block[self._count] = frame
        self._count += 1
        if self._count == len(self._block):
            self.flush()

    def flush(self) -> None:
        """Hand over the steps gathered so far."""
        if not self._count:
            return
        steps = self._count // self._per_step
        shape = (steps, *self._case.inner, *self._case.frame)
        self._write(self._start, self._block[: self._count].reshape(shape))
        self._start += steps
        self._count = 0
        self._block = self._new_block()

    def _new_block(self) -> Any:
        """Return an empty layer, shape (frames, Y, X)."""
        return np.empty((self._steps * self._per_step, *self._case.frame), self._case.dtype)


def _open_tensorstore(module: ModuleType, case: Case, store: Path) -> Opened:
    """Write layers of whole shards with TensorStore, two in flight; it syncs each file itself."""
    buffers, pending = [], []

    def write(array: Any, start: int, block: Any) -> None:
        pending.append(array[start : start + len(block)].write(block))
        if len(pending) > 2:
            pending.pop(0).result()

    for index in range(case.arrays):
        spec = _tensorstore_spec(case, array_folder(store, case, index))
        array = module.open(spec, create=True).result()
        buffers.append(_LayerBuffer(case, partial(write, array)))

    def close() -> None:
        for buffer in buffers:
            buffer.flush()
        for future in pending:
            future.result()

    return Opened([buffer.append for buffer in buffers], close)


def _tensorstore_spec(case: Case, folder: Path) -> dict[str, Any]:
    """Return the spec of a sharded Zarr v3 array, index at the end."""
    inner: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if case.codec == "plain-zstd":
        inner.append({"name": "zstd", "configuration": {"level": case.level}})
    elif case.codec != "raw":
        blosc = {"cname": case.codec, "clevel": case.level, "shuffle": "shuffle"}
        inner.append({"name": "blosc", "configuration": blosc | {"typesize": case.itemsize}})
    sharding = {
        "chunk_shape": case.chunk,
        "codecs": inner,
        "index_codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
    }
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(folder)},
        "metadata": {
            "shape": case.shape,
            "data_type": case.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": case.shard_shape}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        },
    }


def _open_zarr_python(module: ModuleType, case: Case, store: Path) -> Opened:
    """Write layers of whole shards with zarr-python; files are synced when the store is closed."""
    codecs = importlib.import_module("zarr.codecs")
    compressor = None
    if case.codec == "plain-zstd":
        compressor = codecs.ZstdCodec(level=case.level)
    elif case.codec != "raw":
        compressor = codecs.BloscCodec(cname=case.codec, clevel=case.level, shuffle="shuffle")
    buffers = []

    def write(array: Any, start: int, block: Any) -> None:
        array[start : start + len(block)] = block

    for index in range(case.arrays):
        array = module.create_array(
            array_folder(store, case, index),
            shape=case.shape,
            dtype=case.dtype,
            chunks=case.chunk,
            shards=case.shard_shape,
            compressors=compressor,
        )
        buffers.append(_LayerBuffer(case, partial(write, array)))

    def close() -> None:
        for buffer in buffers:
            buffer.flush()
        _sync_files(store)

    return Opened([buffer.append for buffer in buffers], close)


def _sync_files(folder: Path) -> None:
    """Sync every file below `folder`, eight at a time."""

    def sync(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sync, (p for p in folder.rglob("*") if p.is_file())))
