"""A recording in plain words: what is declared, what is appended, and how.

A plan is data: it knows no recorder. `settings_for` and `record` turn it into calls on a module
that speaks the vocabulary (``aqz_core``, or the library whose vocabulary it is), so that one plan
can be recorded by either. The model (`tests.support.model`) reads the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.support.frames import encoded_frames

__all__ = [
    "CODECS",
    "ArrayPlan",
    "Axis",
    "StreamPlan",
    "axes",
    "frames_of",
    "record",
    "settings_for",
]

# name -> (Compressor member, CompressionCodec member)
CODECS = {
    "none": ("NONE", "NONE"),
    "blosc-lz4": ("BLOSC1", "BLOSC_LZ4"),
    "blosc-lz4hc": ("BLOSC1", "BLOSC_LZ4HC"),
    "blosc-zstd": ("BLOSC1", "BLOSC_ZSTD"),
    "blosc-zlib": ("BLOSC1", "BLOSC_ZLIB"),
    "blosc-blosclz": ("BLOSC1", "BLOSC_BLOSCLZ"),
    "zstd": ("ZSTD", "ZSTD"),
    "gzip": ("GZIP", "GZIP"),
}


@dataclass(frozen=True)
class Axis:
    """One dimension: ``size`` 0 is unlimited, ``shard`` None writes plain chunk files."""

    name: str
    kind: str
    size: int
    chunk: int
    shard: int | None = 1
    scale: float = 1.0
    unit: str | None = None


@dataclass(frozen=True)
class ArrayPlan:
    """One array of a stream and the frames it gets.

    ``blanks`` are frame numbers whose pixels are all the fill value, ``batch`` and ``form`` say
    how frames are handed over: ``form`` is "stack" (n, y, x) or "pixels" (flat buffers whose ends
    do not fall on frame boundaries).
    """

    axes: tuple[Axis, ...]
    dtype: str = "uint16"
    key: str = ""
    codec: str = "none"
    level: int = 1
    shuffle: int = 0
    method: str | None = None
    max_levels: int = 0
    is_ngff: bool = False
    fill_value: float = 0
    frames: int = 1
    blanks: frozenset[int] = frozenset()
    seed: int = 0
    batch: int = 1
    form: str = "stack"
    storage: tuple[str, ...] = ()

    @property
    def stored_axes(self) -> tuple[Axis, ...]:
        """The axes in the order of the store; ``axes`` are in the order in which frames come."""
        by_name = {axis.name: axis for axis in self.axes}
        return tuple(by_name[name] for name in self.storage) if self.storage else self.axes

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.axes[-2].size, self.axes[-1].size

    @property
    def inner_frames(self) -> int:
        """How many frames make up one step along the first dimension."""
        return prod(axis.size for axis in self.axes[1:-2])

    @property
    def recorded_shape(self) -> tuple[int, ...]:
        """Shape in the end, axes as they come: a started step along the first one counts."""
        sizes = tuple(axis.size for axis in self.axes)
        if len(sizes) == 2 or self.stored_axes[0] != self.axes[0]:
            return sizes
        return (-(-self.frames // self.inner_frames), *sizes[1:])

    @property
    def multiscale(self) -> bool:
        """Whether the key is an NGFF group with level arrays, not an array."""
        return self.is_ngff or self.method is not None


@dataclass(frozen=True)
class StreamPlan:
    """Several arrays recorded into one store.

    The arrays of ``fields`` are those of a plate ``plate``: their keys are ``plate/row/col/field``.
    """

    arrays: tuple[ArrayPlan, ...]
    options: dict[str, Any] = field(default_factory=dict)
    fields: tuple[ArrayPlan, ...] = ()


def axes(
    names: str,
    sizes: Sequence[int],
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
    **more: Any,
) -> tuple[Axis, ...]:
    """Write axes briefly: one letter per axis, kinds by the usual letters (t, c, z, y, x)."""
    kinds = {"t": "TIME", "c": "CHANNEL", "z": "SPACE", "y": "SPACE", "x": "SPACE"}
    factors: Sequence[int | None] = [None] * len(names) if shards is None else shards
    return tuple(
        Axis(name, kinds.get(name, "OTHER"), size, chunk, shard, **more)
        for name, size, chunk, shard in zip(names, sizes, chunks, factors, strict=True)
    )


def frames_of(plan: ArrayPlan) -> np.ndarray:
    """Return every frame that the plan appends, shape ``(frames, y, x)``."""
    frames = encoded_frames(range(plan.frames), *plan.frame_shape, plan.dtype, plan.seed)
    for number in plan.blanks:
        if number < plan.frames:
            frames[number] = plan.fill_value
    return frames


def settings_for(api: ModuleType, plan: StreamPlan, path: Path) -> Any:
    """Return the ``StreamSettings`` of a plan in the vocabulary of ``api``."""
    return api.StreamSettings(
        store_path=str(path),
        arrays=[_array_settings(api, array) for array in plan.arrays],
        **plan.options,
        **({"hcs_plates": [_plate(api, plan.fields)]} if plan.fields else {}),
    )


def record(api: ModuleType, plan: StreamPlan, path: Path) -> None:
    """Record the plan: the arrays take turns, one append each, until all have their frames."""
    stream = api.ZarrStream(settings_for(api, plan, path))
    try:
        waiting = [(array.key, _appends(array)) for array in (*plan.arrays, *plan.fields)]
        while waiting:
            for turn in list(waiting):
                key, parts = turn
                part = next(parts, None)
                if part is None:
                    waiting.remove(turn)
                else:
                    stream.append(part, key)
    finally:
        stream.close()


def _appends(plan: ArrayPlan) -> Iterator[np.ndarray]:
    """Cut the plan's frames into the arrays handed to ``append``."""
    frames = frames_of(plan)
    if plan.form == "pixels":
        flat = frames.reshape(-1)
        step = max(1, plan.batch * frames[0].size - 1) if len(frames) else 1
        for start in range(0, flat.size, step):
            yield flat[start : start + step]
        return
    for start in range(0, len(frames), plan.batch):
        part = frames[start : start + plan.batch]
        yield part[0] if len(part) == 1 else part


def _plate(api: ModuleType, fields: Sequence[ArrayPlan]) -> Any:
    """Return the ``Plate`` of fields: every second one belongs to the second acquisition."""
    wells: dict[tuple[str, str], list[Any]] = {}
    for number, plan in enumerate(fields):
        _, row, column, name = plan.key.split("/")
        images = wells.setdefault((row, column), [])
        images.append(
            api.FieldOfView(
                path=name,
                acquisition_id=number % 2,
                array_settings=_array_settings(api, plan, key=""),
            )
        )
    return api.Plate(
        path="plate",
        name="A plate",
        row_names=["A", "B", "C"],
        column_names=["1", "2"],
        wells=[
            api.Well(row_name=row, column_name=column, images=images)
            for (row, column), images in wells.items()
        ],
        acquisitions=[
            api.Acquisition(id=0, name="first", start_time=1343731272000),
            api.Acquisition(id=1, description="second", end_time=1343731273000),
        ],
    )


def _array_settings(api: ModuleType, plan: ArrayPlan, key: str | None = None) -> Any:
    """Return the ``ArraySettings`` of one array."""
    compressor, codec = CODECS[plan.codec]
    more: dict[str, Any] = {}
    if plan.fill_value != 0:
        more["fill_value"] = plan.fill_value
    if plan.codec != "none":
        more["compression"] = api.CompressionSettings(
            compressor=getattr(api.Compressor, compressor),
            codec=getattr(api.CompressionCodec, codec),
            level=plan.level,
            shuffle=plan.shuffle,
        )
    # Older releases of the vocabulary do not know these names.
    if plan.max_levels:
        more["max_levels"] = plan.max_levels
    if plan.storage:
        more["storage_dimension_order"] = list(plan.storage)
    if plan.is_ngff:
        more["is_ngff"] = True
    if plan.method is not None:
        more["downsampling_method"] = getattr(api.DownsamplingMethod, plan.method)
    return api.ArraySettings(
        output_key=plan.key if key is None else key,
        data_type=np.dtype(plan.dtype),
        dimensions=[
            api.Dimension(
                name=axis.name,
                kind=getattr(api.DimensionType, axis.kind),
                array_size_px=axis.size,
                chunk_size_px=axis.chunk,
                shard_size_chunks=axis.shard,
                scale=axis.scale,
                unit=axis.unit,
            )
            for axis in plan.axes
        ],
        **more,
    )
