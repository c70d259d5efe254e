"""Presets: chunks, storage and limits to start from, built in or in files of the engine.

A preset file is a settings file of `aqz_core.StreamSettings` (YAML or JSON), so that the same
file drives the dock widget, a script and the command line. What it says of axes is taken over
by name; sizes stay those of the source.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aqz_core as aqz
from aqz_napari.form.recording_plan import (
    CODECS,
    PYRAMIDS,
    ArrayPlan,
    RecordingPlan,
    StoragePlan,
    suggested,
)

if TYPE_CHECKING:
    import os

__all__ = ["PRESETS", "apply_preset", "load_choices", "load_preset", "save_preset"]

_COMMENT = "# Record to Zarr: "

PRESETS = {
    "Camera time-lapse": "Fast compression, planes cut for viewing, large shards",
    "Fast disk": "No compression, a frame per chunk: the least work for each frame",
    "Z-stack with pyramid": "Compact, with smaller versions for viewing",
    "Few, small files": "Strong compression, whole frames per chunk, large shards",
    "Object store": "Compressed, shards of a size that uploads well",
}
"""Built-in presets by name, and what they are for."""

_OBJECT_SHARD = 64 << 20


def apply_preset(plan: RecordingPlan, name: str) -> RecordingPlan:
    """Return a plan with a built-in preset.

    Raises
    ------
    KeyError
        There is no preset of that name.
    """
    if name not in PRESETS:
        raise KeyError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    arrays = tuple(suggested(array) for array in plan.arrays)
    storage = StoragePlan(version=plan.storage.version)
    if name == "Fast disk":
        storage = replace(storage, codec="none", shuffle=0)
        arrays = tuple(map(_whole_frames, arrays))
    elif name == "Z-stack with pyramid":
        storage = replace(storage, codec="blosc-zstd", pyramid="mean")
    elif name == "Few, small files":
        storage = replace(storage, codec="blosc-zstd", level=5)
        arrays = tuple(map(_whole_frames, arrays))
    elif name == "Object store":
        storage = replace(storage, codec="blosc-zstd")
        arrays = tuple(_with_shards_of(array, _OBJECT_SHARD) for array in arrays)
    return replace(plan, arrays=arrays, storage=storage)


def save_preset(
    plan: RecordingPlan, path: str | os.PathLike[str], choices: dict[str, Any] | None = None
) -> None:
    """Write a plan as a settings file; the destination keeps its templates.

    What only the dock widget knows (limits, captures, what is shown) is a comment at the end of a
    YAML file: the same file goes on driving scripts and the command line.

    Raises
    ------
    OSError
        The file cannot be written.
    SettingsError, TypeError
        The plan holds what the engine does not know.
    """
    plan.settings(plan.destination).to_file(path)
    if choices is not None and not str(path).endswith(".json"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{_COMMENT}{json.dumps(choices)}\n")


def load_choices(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a settings file says to the dock widget only; empty if nothing."""
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            if line.startswith(_COMMENT):
                return dict(json.loads(line.removeprefix(_COMMENT)))
    return {}


def load_preset(plan: RecordingPlan, path: str | os.PathLike[str]) -> RecordingPlan:
    """Return a plan with what a settings file says.

    Raises
    ------
    aqz_core.AqzError
        The file cannot be read, or holds no settings.
    """
    settings = aqz.StreamSettings.from_file(path)
    if not settings.arrays:
        raise aqz.SettingsError(f"{path} has settings without an array")
    by_key = {array.output_key: array for array in settings.arrays}
    first = settings.arrays[0]
    return replace(
        plan,
        arrays=tuple(_with_axes_of(array, by_key.get(array.key, first)) for array in plan.arrays),
        storage=_storage_of(first, settings),
        destination=settings.store_path or plan.destination,
        endpoint=settings.s3.endpoint if settings.s3 is not None else plan.endpoint,
        spill_folder=settings.spill.rpartition("/")[0] if settings.spill else plan.spill_folder,
    )


def _whole_frames(array: ArrayPlan) -> ArrayPlan:
    """Return the array with one frame to a chunk and shards as large as proposed."""
    planes = 1
    for axis in array.axes[:-2]:
        planes *= axis.chunk * max(1, axis.shard)
    axes = [replace(axis, chunk=1, shard=1) for axis in array.axes[:-2]]
    if axes:
        last = axes[-1]
        size = array.axes[len(axes) - 1].size
        axes[-1] = replace(last, shard=min(planes, size) if size else planes)
    axes += [replace(axis, chunk=axis.size, shard=1) for axis in array.axes[-2:]]
    return replace(array, axes=tuple(axes))


def _with_shards_of(array: ArrayPlan, nbytes: int) -> ArrayPlan:
    """Return the array with shards of at most about so many bytes."""
    from aqz_napari.form.estimates import estimate

    axes = list(array.axes)
    position = len(axes) - 3
    while position >= 0 and axes[position].shard > 1:
        if estimate(replace(array, axes=tuple(axes))).shard_nbytes <= nbytes:
            break
        axes[position] = replace(axes[position], shard=max(1, axes[position].shard // 2))
    return replace(array, axes=tuple(axes))


def _with_axes_of(array: ArrayPlan, given: aqz.ArraySettings) -> ArrayPlan:
    """Return the array with chunks, shards, scales and units of axes of the same name."""
    by_name = {dimension.name: dimension for dimension in given.dimensions}
    axes = []
    for axis in array.axes:
        dimension = by_name.get(axis.name)
        if dimension is not None:
            axis = replace(
                axis,
                chunk=dimension.chunk_size_px,
                shard=dimension.shard_size_chunks or 0,
                scale=dimension.scale,
                unit=dimension.unit or "",
            )
        axes.append(axis)
    return replace(array, axes=tuple(axes))


def _storage_of(array: aqz.ArraySettings, settings: aqz.StreamSettings) -> StoragePlan:
    """Return how an array is stored, in the words of the form."""
    given = array.compression
    codec, level, shuffle = "none", 1, 0
    if isinstance(given, aqz.CompressionSettings):
        names = {pair: name for name, pair in CODECS.items()}
        codec = names.get((given.compressor, given.codec), "none")
        level, shuffle = given.level, given.shuffle
    pyramids = {method: name for name, method in PYRAMIDS.items()}
    return StoragePlan(
        codec,
        level,
        shuffle,
        pyramids[array.downsampling_method],
        array.max_levels,
        int(settings.version),
        array.checksum,
    )
