"""What the settings of one array come to: axes, levels, codecs, names. Nothing is stored here."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from aqz_core.codecs import CodecChain, Crc32cCodec, chain_for
from aqz_core.enums import DimensionType, ZarrVersion
from aqz_core.errors import FrameIndexError, OutOfBoundsError
from aqz_core.metadata import Axis
from aqz_core.metadata.units import size_in
from aqz_core.metadata.zarr_format import ZarrFormat, zarr_format
from aqz_core.planning.layout import ArrayLayout, plan_layout
from aqz_core.planning.pyramid import LevelGeometry, clamped, level_geometry
from aqz_core.settings.acquire_zarr import NEWEST, AcquireZarrRules
from aqz_core.settings.array import storage_permutation
from aqz_core.settings.checks import describe
from aqz_core.settings.compression import named_compression
from aqz_core.settings.keys import join, normalise_key

if TYPE_CHECKING:
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.plugins import CodecProvider
    from aqz_core.settings.array import ArraySettings, Channel, Dimension, PyramidZ

__all__ = ["ArrayPlan", "plan_array"]


@dataclass(frozen=True)
class ArrayPlan:
    """One array, or one multiscale image, as it will be recorded.

    Attributes
    ----------
    key
        Where it is in the store; empty for the root.
    version
        Zarr format.
    axes
        In storage order.
    lead_shape
        Sizes of the index axes in the order in which frames arrive.
    lead_order
        For each index axis of the store, its position in the order of arrival.
    transposed
        Whether planes are stored with X in front of Y.
    geometry, layouts
        Of each level, full resolution first.
    codecs
        What chunks pass through.
    downsampler
        How levels are made; None if there is one only.
    is_image
        Whether it is an NGFF image: a group of levels, rather than a plain array.
    channels
        Display settings.
    pyramid_z
        When z is halved, as `ArraySettings` say it.
    name
        Of the image, for people.
    """

    key: str
    version: ZarrVersion
    axes: tuple[Axis, ...]
    lead_shape: tuple[int, ...]
    lead_order: tuple[int, ...]
    transposed: bool
    geometry: tuple[LevelGeometry, ...]
    layouts: tuple[ArrayLayout, ...]
    codecs: CodecChain
    downsampler: Downsampler | None
    is_image: bool
    channels: tuple[Channel, ...]
    pyramid_z: PyramidZ
    name: str = ""

    @property
    def format(self) -> ZarrFormat:
        """How its nodes are laid out."""
        return zarr_format(self.version)

    @property
    def base(self) -> ArrayLayout:
        """The layout at full resolution."""
        return self.layouts[0]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame as it arrives."""
        rows, cols = self.base.frame_shape
        return (cols, rows) if self.transposed else (rows, cols)

    def index_of(self, index: Mapping[str, int | str]) -> tuple[int, ...]:
        """Return an index in the order of arrival from one by axis names.

        Raises
        ------
        FrameIndexError
            An axis is missing or unknown, or a position is outside of it.
        """
        names = [self.axes[stored].name for stored in self._arrival]
        if not isinstance(index, Mapping):
            raise FrameIndexError(
                f"array {self.key!r}: index must be a mapping with a position on each of the axes "
                f"{names}, such as {dict.fromkeys(names, 0)}, got {describe(index)}."
            )
        if set(index) != set(names):
            raise FrameIndexError(
                f"array {self.key!r}: the index {dict(index)!r} must give a position on each of "
                f"the axes {names}, and on no other."
            )
        return tuple(
            self._position(index[name], name, size)
            for name, size in zip(names, self.lead_shape, strict=True)
        )

    @cached_property
    def _arrival(self) -> tuple[int, ...]:
        """For each index axis in the order of arrival, its position in the store."""
        return tuple(self.lead_order.index(axis) for axis in range(len(self.lead_order)))

    def _position(self, given: int | str, axis: str, size: int) -> int:
        """Return a position on an axis; a channel may be given by name."""
        if isinstance(given, str):
            labels = [channel.name for channel in self.channels]
            kind = next(a.kind for a in self.axes if a.name == axis)
            if kind is not DimensionType.CHANNEL or given not in labels:
                known = f"its channels are {labels}" if labels else "its channels have no names"
                raise FrameIndexError(
                    f"array {self.key!r} has no {given!r} on axis {axis!r}; {known}."
                )
            return labels.index(given)
        try:
            position = operator.index(given)
        except TypeError:
            raise FrameIndexError(
                f"array {self.key!r}: the position {given!r} on axis {axis!r} is not an integer."
            ) from None
        if position < 0 or (size and position >= size):
            raise OutOfBoundsError(
                f"array {self.key!r}: position {position} on axis {axis!r} is outside of its "
                f"size {size or 'from 0 on'}."
            )
        return position

    def level_name(self, level: int) -> str:
        """Return where a level's array is in the store."""
        return join(self.key, str(level)) if self.is_image else self.key


def plan_array(
    settings: ArraySettings,
    *,
    key: str | None = None,
    in_plate: bool = False,
    rules: AcquireZarrRules = NEWEST,
    version: ZarrVersion,
    codec_providers: Mapping[str, CodecProvider],
    downsamplers: Mapping[str, Downsampler],
    random_access: bool,
) -> ArrayPlan:
    """Work out how one array is recorded; its settings are valid.

    Parameters
    ----------
    settings
        What the user asked for.
    key
        Where in the store, if not at ``settings.output_key``.
    in_plate
        Whether it is a field of view, which is an NGFF image in any case.
    rules
        What settings mean that changed their meaning.
    version
        Zarr format.
    codec_providers, downsamplers
        What the plug-ins offer, by name.
    random_access
        Whether the store can take the bytes of a shard in any order.
    """
    dimensions = settings.dimensions
    permutation = storage_permutation(settings)
    stored = [dimensions[axis] for axis in permutation]
    dtype = settings.data_type.dtype
    codecs = chain_for(named_compression(settings.compression), dtype, codec_providers)
    if settings.checksum:
        codecs = CodecChain((*codecs.codecs, Crc32cCodec()))
    method = settings.downsampling_method
    downsampler = downsamplers[method.name.lower()] if method is not None else None
    shape = tuple(d.array_size_px for d in stored)
    chunk_shape = tuple(d.chunk_size_px for d in stored)
    sharded = zarr_format(version).has_shards and stored[0].shard_size_chunks is not None
    shard_chunks = tuple(d.shard_size_chunks or 1 for d in stored) if sharded else None
    geometry: tuple[LevelGeometry, ...] = level_geometry(
        shape,
        chunk_shape,
        shard_chunks,
        [d.kind for d in stored],
        settings.max_levels,
        _z_ratio(settings.pyramid_z, stored),
    )
    if rules.clamps_chunks:
        geometry = tuple(clamped(level) for level in geometry)
    if downsampler is None:
        geometry = geometry[:1]
    pieces = codecs.is_identity and random_access and _is_zero(settings.fill_value)
    layouts = tuple(
        plan_layout(
            level.shape,
            level.chunk_shape,
            level.shard_chunks,
            dtype,
            fill_value=settings.fill_value,
            pieces=pieces,
            grouped=not in_plate and permutation[-3:-2] in ((), (len(permutation) - 3,)),
        )
        for level in geometry
    )
    key = normalise_key(settings.output_key) if key is None else key
    return ArrayPlan(
        key=key,
        version=version,
        axes=tuple(Axis(d.name, d.kind, d.unit, d.scale, d.origin) for d in stored),
        lead_shape=tuple(d.array_size_px for d in dimensions[:-2]),
        lead_order=tuple(permutation[:-2]),
        transposed=permutation[-1] != len(permutation) - 1,
        geometry=geometry,
        layouts=layouts,
        codecs=codecs,
        downsampler=downsampler,
        is_image=settings.is_ngff or in_plate or (rules.root_is_image and not key),
        channels=tuple(settings.channels),
        pyramid_z=settings.pyramid_z,
        name=settings.name,
    )


def _z_ratio(pyramid_z: PyramidZ, stored: Sequence[Dimension]) -> float | None:
    """Return how much larger pixels are along z than along Y and X, as `level_geometry` takes it.

    Sizes in units that cannot be compared count as those of a coarser z.
    """
    if pyramid_z == "chunks" or len(stored) < 3:
        return None
    z, *plane = (size_in(axis.unit, axis.scale or 1.0) for axis in stored[-3:])
    units = {unit for unit, _ in (z, *plane)}
    if pyramid_z == "never" or len(units) > 1:
        return math.inf
    return z[1] / min(size for _, size in plane)


def _is_zero(value: float) -> bool:
    """Return whether a fill value's bytes are all zero; minus zero's are not."""
    return value == 0 and not np.signbit(value)
