"""What the form says, as frozen records: destination, arrays, storage, limits.

The form fills a `RecordingPlan` in and shows one again; everything that has to be decided is
decided here or by the engine, never in a widget. A plan becomes `aqz_core.StreamSettings` by
`RecordingPlan.settings`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

import aqz_core as aqz
from aqz_napari.form.destination import is_remote, split_suffix
from aqz_napari.recorder.recorder_status import StopRule
from aqz_napari.recorder.take_rule import TakeRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_napari.sources.frame_source import SourceSpec

__all__ = [
    "CODECS",
    "KINDS",
    "PYRAMIDS",
    "ArrayPlan",
    "AxisPlan",
    "RecordingPlan",
    "StoragePlan",
    "array_keys",
    "array_plan",
    "array_settings",
    "for_sites",
    "plan_for",
    "suggested",
]

KINDS = {
    "space": aqz.DimensionType.SPACE,
    "channel": aqz.DimensionType.CHANNEL,
    "time": aqz.DimensionType.TIME,
    "other": aqz.DimensionType.OTHER,
}
"""What an axis can count."""

CODECS: dict[str, tuple[aqz.Compressor, aqz.CompressionCodec]] = {
    name: (aqz.Compressor.NONE, aqz.CompressionCodec.NONE)
    if (given := aqz.compression_settings(name, "uint16")) is None
    else (given.compressor, given.codec)
    for name in aqz.COMPRESSION_NAMES
}
"""Codecs by the name in the form."""

PYRAMIDS: dict[str, aqz.DownsamplingMethod | None] = {
    "none": None,
    **{method.name.lower(): method for method in aqz.DownsamplingMethod},
}
"""Pyramid methods by the name in the form."""


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """One row of the form. Size 0 is unlimited; `shard` counts chunks, 0 writes no shards."""

    name: str
    kind: str
    size: int
    chunk: int
    shard: int
    scale: float = 1.0
    unit: str = ""
    origin: float = 0.0


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """One array of the store.

    Attributes
    ----------
    key : str
        Path in the store; empty for the root.
    title : str
        Name of the source, for people.
    dtype : str
        Name of the data type.
    axes : tuple of AxisPlan
        Slowest first.
    update_shape : tuple of int
        Shape of what the source delivers, which the last axes must have.
    every_frame : bool
        Whether the source promises each frame.
    channels : tuple
        As in `SourceSpec.channels`.
    is_labels : bool
        Whether pixels are numbers of objects, which must not be averaged.
    """

    key: str
    title: str
    dtype: str
    axes: tuple[AxisPlan, ...]
    update_shape: tuple[int, ...]
    every_frame: bool = True
    channels: tuple[tuple[str, str | None, tuple[float, float] | None], ...] = ()
    is_labels: bool = False

    @property
    def update_nbytes(self) -> int:
        """Bytes of one delivery."""
        return int(np.prod(self.update_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """How pixels are stored; names are those of the form."""

    codec: str = "blosc-lz4"
    level: int = 1
    shuffle: int = 1
    pyramid: str = "none"
    levels: int = 0
    version: int = 3
    checksum: bool = False


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """Everything that the form says.

    Attributes
    ----------
    arrays : tuple of ArrayPlan
        One for each chosen source.
    storage : StoragePlan
        The same for all of them.
    stop : StopRule
        Limits.
    take : TakeRule
        Which frames are recorded.
    destination : str
        Path or URL, perhaps with templates.
    endpoint : str
        URL of the service for an ``s3://`` destination; empty for AWS.
    spill_folder : str
        For a URL: folder on this machine in which the recording goes on, in a folder of its own,
        when the service fails; empty to let it fail.
    notes : str
        Stored with the recording, as the attribute ``notes`` of its root.
    metadata : str
        Lines of name and value, stored as the attribute ``metadata``.
    is_snapshot : bool
        Whether it is one frame: what layers show, and the next one of cameras.
    """

    arrays: tuple[ArrayPlan, ...] = ()
    storage: StoragePlan = field(default_factory=StoragePlan)
    stop: StopRule = field(default_factory=StopRule)
    take: TakeRule = field(default_factory=TakeRule)
    destination: str = ""
    endpoint: str = ""
    spill_folder: str = ""
    notes: str = ""
    metadata: str = ""
    is_snapshot: bool = False

    def settings(self, store_path: str) -> aqz.StreamSettings:
        """Return the engine's settings for this plan.

        Parameters
        ----------
        store_path : str
            Path or URL without templates.

        Raises
        ------
        TypeError, SettingsError
            A number or name is none that the engine knows.
        """
        arrays = [array_settings(self._timed(array), self.storage) for array in self.arrays]
        return aqz.StreamSettings(
            store_path=store_path,
            version=aqz.ZarrVersion(self.storage.version),
            arrays=arrays,
            s3=aqz.S3Settings(endpoint=self.endpoint) if self.endpoint else None,
            spill=self._spill(store_path),
            # Readers find several images where NGFF lists them; plain arrays cannot be listed.
            bioformats2raw=len(arrays) > 1 and all(array.is_ngff for array in arrays),
        )

    def _timed(self, array: ArrayPlan) -> ArrayPlan:
        """Return the array with the interval of a time-lapse on its axis of time."""
        every = self.take.every
        if every is None or array.axes[0].kind != "time" or array.axes[0].size:
            return array
        first = replace(array.axes[0], scale=every, unit="second")
        return replace(array, axes=(first, *array.axes[1:]))

    def snapshot(self) -> RecordingPlan:
        """Return the plan of one frame, under a name of its own."""
        stem, suffix = split_suffix(self.destination)
        return replace(
            self,
            destination=f"{stem}_snap{suffix}",
            stop=replace(self.stop, frames=1, seconds=None, nbytes=None),
            take=TakeRule(),
            is_snapshot=True,
        )

    def _spill(self, store_path: str) -> str | None:
        """Return the folder for what a remote store does not take; None if there is none."""
        if not (self.spill_folder and is_remote(store_path)):
            return None
        name = store_path.rstrip("/").rpartition("/")[2]
        return f"{self.spill_folder.rstrip('/')}/{name}.spill"

    def with_array(self, array: ArrayPlan) -> RecordingPlan:
        """Return a plan where the array of that key is replaced."""
        return replace(self, arrays=tuple(array if a.key == array.key else a for a in self.arrays))


def plan_for(specs: Mapping[str, SourceSpec], storage: StoragePlan | None = None) -> RecordingPlan:
    """Return a plan with chunks and shards chosen for what the sources deliver."""
    arrays = tuple(array_plan(key, spec) for key, spec in specs.items())
    return RecordingPlan(arrays, storage or StoragePlan())


def array_plan(key: str, spec: SourceSpec) -> ArrayPlan:
    """Return the plan of one array, with chunks and shards chosen for it."""
    axes = tuple(
        AxisPlan(axis.name, axis.kind, axis.size, 1, 1, axis.scale, axis.unit or "", axis.origin)
        for axis in spec.axes
    )
    return suggested(
        ArrayPlan(
            key,
            spec.name,
            spec.dtype.name,
            axes,
            spec.update_shape,
            spec.every_frame,
            tuple(spec.channels),
            spec.is_labels,
        )
    )


def suggested(array: ArrayPlan) -> ArrayPlan:
    """Return the array with the chunks and shards that the engine proposes."""
    layout = aqz.suggest_layout([axis.size for axis in array.axes], np.dtype(array.dtype))
    return replace(
        array,
        axes=tuple(
            replace(axis, chunk=chunk, shard=shard)
            for axis, chunk, shard in zip(
                array.axes, layout.chunk_shape, layout.shard_chunks, strict=True
            )
        ),
    )


def for_sites(
    array: ArrayPlan, generic: SourceSpec, specs: Sequence[SourceSpec]
) -> list[ArrayPlan]:
    """Return an array for each site of an acquisition that was not known when the form was filled.

    Parameters
    ----------
    array : ArrayPlan
        What the form says.
    generic : SourceSpec
        What the form was filled in from. What differs from it was said by the user, and is
        taken over by the names of axes; sizes are those of the acquisition.
    specs : sequence of SourceSpec
        What the sources of the sites describe.
    """
    before = {axis.name: axis for axis in array_plan("", generic).axes}
    said = {axis.name: axis for axis in array.axes if axis != before.get(axis.name)}
    plans = []
    for spec in specs:
        plan = array_plan("", spec)
        axes = [
            replace(said[axis.name], kind=axis.kind, size=axis.size, origin=axis.origin)
            if axis.name in said
            else axis
            for axis in plan.axes
        ]
        plans.append(replace(plan, axes=tuple(axes)))
    return plans


def array_keys(titles: Sequence[str]) -> list[str]:
    """Return keys for sources of these names: the root for one, else names fit for a path."""
    if len(titles) == 1:
        return [""]
    keys: list[str] = []
    for title in titles:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", title).strip("_") or "array"
        key, number = plain, 2
        while key in keys:
            key, number = f"{plain}_{number}", number + 1
        keys.append(key)
    return keys


def array_settings(array: ArrayPlan, storage: StoragePlan) -> aqz.ArraySettings:
    """Return the engine's settings of one array.

    Axes that OME-NGFF has no words for make it a plain array, without pyramid and colours, rather
    than an image that readers refuse.
    """
    compressor, codec = CODECS[storage.codec]
    compression = None
    if compressor is not aqz.Compressor.NONE:
        compression = aqz.CompressionSettings(
            compressor=compressor,
            codec=codec,
            level=storage.level,
            shuffle=storage.shuffle if compressor is aqz.Compressor.BLOSC1 else 0,
        )
    sharded = all(axis.shard for axis in array.axes) and storage.version == 3
    channel_sizes = [axis.size for axis in array.axes if axis.kind == "channel"]
    fits = len(array.channels) == (channel_sizes[0] if channel_sizes else 1)
    settings = aqz.ArraySettings(
        output_key=array.key,
        compression=compression,
        checksum=storage.checksum,
        data_type=aqz.DataType.of(array.dtype),
        dimensions=[
            aqz.Dimension(
                name=axis.name,
                kind=KINDS[axis.kind],
                unit=axis.unit or None,
                scale=axis.scale,
                origin=axis.origin,
                array_size_px=axis.size,
                chunk_size_px=axis.chunk,
                shard_size_chunks=axis.shard if sharded else None,
            )
            for axis in array.axes
        ],
    )
    if settings.ngff_problems():
        return settings
    settings.is_ngff = True
    levels = _pyramid_levels(array, storage)
    if levels:
        method = PYRAMIDS[storage.pyramid]
        decimate = aqz.DownsamplingMethod.DECIMATE  # a mean of labels is no label
        settings.downsampling_method = decimate if array.is_labels else method
        settings.max_levels = levels
    settings.channels = [
        aqz.Channel(name=name, color=colour, window=window)
        for name, colour, window in (array.channels if fits else ())
    ]
    return settings


def _pyramid_levels(array: ArrayPlan, storage: StoragePlan) -> int:
    """Return how many smaller versions are made: no more than rows and columns are halved.

    The engine would halve z beyond that, down to one plane of a stack, which is what viewers that
    show the smallest level in 3-D would show.
    """
    if storage.pyramid == "none":
        return 0
    useful = min((-(-a.size // max(1, a.chunk)) - 1).bit_length() for a in array.axes[-2:])
    return min(useful, storage.levels) if storage.levels else useful
