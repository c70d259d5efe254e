"""Rules for one array: dimensions, storage order, compression, fill value, channels.

Each function takes the settings and ``where``, the start of the message. Pure: nothing outside
of the given settings is looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from aqz_core.enums import CompressionCodec, Compressor, DataType, DimensionType
from aqz_core.errors import SettingsError
from aqz_core.metadata.omero import omero_attributes
from aqz_core.settings.array import PyramidZ, storage_permutation
from aqz_core.settings.compression import CompressionSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.settings.array import ArraySettings, Dimension

__all__ = ["check_array"]

_MIN_DIMENSIONS, _MAX_DIMENSIONS = 2, 8
_PYRAMID_Z = get_args(PyramidZ)
# Blosc 1 counts bytes in a C int and adds a header (BLOSC_MAX_BUFFERSIZE in blosc.h).
_BLOSC_MAX_BYTES = 2**31 - 1 - 16


class _Family(NamedTuple):
    """What a compressor takes."""

    codecs: frozenset[CompressionCodec]
    max_level: int
    max_shuffle: int


_FAMILIES = {
    Compressor.BLOSC1: _Family(
        frozenset(codec for codec in CompressionCodec if codec.name.startswith("BLOSC_")), 9, 2
    ),
    Compressor.ZSTD: _Family(frozenset({CompressionCodec.ZSTD}), 22, 0),
    Compressor.GZIP: _Family(frozenset({CompressionCodec.GZIP}), 9, 0),
}


def check_array(
    array: ArraySettings, where: str, *, in_plate: bool = False, sharded: bool = True
) -> None:
    """Check everything about an array but its key.

    Parameters
    ----------
    array : ArraySettings
        With elements of the right types in its lists.
    where : str
        Start of the message, for example ``"arrays[0] 'img'"``.
    in_plate : bool
        Whether it is a field of view, which is an NGFF image in any case.
    sharded : bool
        Whether the format has shards at all; Zarr V2 has not.

    Raises
    ------
    SettingsError
        For the first rule that is broken.
    """
    _check_dimensions(array.dimensions, where)
    if sharded:
        _check_sharding(array.dimensions, where)
    storage_permutation(array, where)
    if isinstance(array.compression, CompressionSettings):  # plug-ins check their own
        _check_compression(array.compression, where)
        if array.compression.compressor is Compressor.BLOSC1:
            _check_blosc_chunk(array, where)
    _check_fill_value(array, where)
    if array.pyramid_z not in _PYRAMID_Z:
        raise SettingsError(
            f"{where}: pyramid_z is {array.pyramid_z!r}; use one of {', '.join(_PYRAMID_Z)}"
        )
    if array.checksum and not sharded:
        raise SettingsError(
            f"{where}: checksum=True needs Zarr V3, whose codec crc32c holds it; "
            "leave it out for Zarr V2"
        )
    if array.channels:
        if not (array.is_ngff or in_plate):
            raise SettingsError(
                f"{where}: channels are NGFF metadata and this is a plain array; set "
                "is_ngff=True or remove them"
            )
        _check_channels(array, where)


def _check_dimensions(dimensions: list[Dimension], where: str) -> None:
    """Check number, names, kinds and sizes."""
    rank = len(dimensions)
    if not _MIN_DIMENSIONS <= rank <= _MAX_DIMENSIONS:
        raise SettingsError(
            f"{where}: {rank} dimensions given; an array has {_MIN_DIMENSIONS} to "
            f"{_MAX_DIMENSIONS}, the last two being the rows and columns of a frame"
        )
    seen: dict[str, int] = {}
    for position, dimension in enumerate(dimensions):
        if not dimension.name.strip():
            raise SettingsError(f"{where}: dimensions[{position}] has no name; give it one")
        if dimension.name in seen:
            raise SettingsError(
                f"{where}: dimensions[{seen[dimension.name]}] and dimensions[{position}] are "
                f"both named {dimension.name!r}; rename one"
            )
        seen[dimension.name] = position
        _check_dimension(dimension, position, rank, f"{where}: dimension {dimension.name!r}")


def _check_dimension(dimension: Dimension, position: int, rank: int, where: str) -> None:
    """Check one dimension that has a name."""
    if position >= rank - 2 and dimension.kind is not DimensionType.SPACE:
        raise SettingsError(
            f"{where}: kind is {dimension.kind}; the last two dimensions are the rows and "
            "columns of a frame and need DimensionType.SPACE"
        )
    if dimension.array_size_px == 0 and rank == 2:
        raise SettingsError(
            f"{where}: array_size_px is 0, but an array of two dimensions is one frame of fixed "
            "size; give the size, or a dimension in front for more frames"
        )
    if dimension.array_size_px == 0 and position > 0:
        raise SettingsError(
            f"{where}: array_size_px is 0 (unlimited), which only the first dimension may be; "
            "give its size"
        )
    if dimension.chunk_size_px == 0:
        raise SettingsError(f"{where}: chunk_size_px is 0; give at least 1")
    if not math.isfinite(dimension.scale) or dimension.scale < 0:
        raise SettingsError(
            f"{where}: scale is {dimension.scale}; give a positive number, or 0 for the default"
        )
    if not math.isfinite(dimension.origin):
        raise SettingsError(f"{where}: origin is {dimension.origin}; give a finite number")


def _check_sharding(dimensions: list[Dimension], where: str) -> None:
    """Check that either all or no dimensions have shards, of one chunk at least."""
    for dimension in dimensions:
        if dimension.shard_size_chunks == 0:
            raise SettingsError(
                f"{where}: dimension {dimension.name!r}: shard_size_chunks is 0; give at least 1, "
                "or None on every dimension to write no shards"
            )
    without = [d.name for d in dimensions if d.shard_size_chunks is None]
    if without and len(without) < len(dimensions):
        raise SettingsError(
            f"{where}: shard_size_chunks is None on {without} but not on the other dimensions; "
            "use None on all of them to write no shards, or a number on all"
        )


def _check_compression(compression: CompressionSettings, where: str) -> None:
    """Check that codec, level and shuffle belong to the compressor."""
    compressor = compression.compressor
    if compressor is Compressor.NONE:  # as in acquire-zarr, the other settings have no effect
        return
    family = _FAMILIES[compressor]
    where = f"{where}: compression"
    if compression.codec not in family.codecs:
        raise SettingsError(
            f"{where}: {compression.codec} does not go with {compressor}; use "
            f"{_one_of(family.codecs)}"
        )
    if compression.level > family.max_level:
        raise SettingsError(
            f"{where}: level is {compression.level}; {compressor} takes 0 to {family.max_level}"
        )
    if compression.shuffle > family.max_shuffle:
        takes = "0 (none), 1 (bytes) or 2 (bits)" if family.max_shuffle else "0 only"
        raise SettingsError(
            f"{where}: shuffle is {compression.shuffle}; {compressor} takes {takes}"
        )


def _check_blosc_chunk(array: ArraySettings, where: str) -> None:
    """Check that Blosc can take a whole chunk at once."""
    nbytes = array.data_type.dtype.itemsize * math.prod(d.chunk_size_px for d in array.dimensions)
    if nbytes > _BLOSC_MAX_BYTES:
        raise SettingsError(
            f"{where}: a chunk has {nbytes} bytes and Compressor.BLOSC1 takes at most "
            f"{_BLOSC_MAX_BYTES}; make chunk_size_px smaller"
        )


def _check_fill_value(array: ArraySettings, where: str) -> None:
    """Check that a pixel can have the fill value."""
    if not _fits(array.fill_value, array.data_type):
        raise SettingsError(
            f"{where}: fill_value {array.fill_value!r} is not a value of {array.data_type}; "
            f"{_range(array.data_type)}"
        )


def _fits(value: float, data_type: DataType) -> bool:
    """Return whether `value` is in the range of a type, and whole where it has to be."""
    if data_type is DataType.BOOL:
        return value in (0, 1)
    if isinstance(value, bool):
        return False
    kind = data_type.dtype
    if kind.kind == "f":
        special = value != value or abs(value) == math.inf
        return special or abs(value) <= float(np.finfo(kind).max)
    limits = np.iinfo(kind)
    return value == value // 1 and int(limits.min) <= value <= int(limits.max)


def _range(data_type: DataType) -> str:
    """Say which fill values a type takes."""
    if data_type is DataType.BOOL:
        return "use False or True"
    kind = data_type.dtype
    if kind.kind == "f":
        return f"use a number of at most {float(np.finfo(kind).max)}"
    limits = np.iinfo(kind)
    return f"use a whole number from {limits.min} to {limits.max}"


def _check_channels(array: ArraySettings, where: str) -> None:
    """Check the display settings of channels against the channel axis."""
    axes = [d for d in array.dimensions if d.kind is DimensionType.CHANNEL]
    if len(axes) > 1:
        raise SettingsError(
            f"{where}: channels given, but {[d.name for d in axes]} are all of "
            "DimensionType.CHANNEL; keep one"
        )
    expected = axes[0].array_size_px if axes else 1
    if axes and expected == 0:
        raise SettingsError(
            f"{where}: channels given, but dimension {axes[0].name!r} is unlimited; give its "
            "array_size_px"
        )
    if len(array.channels) != expected:
        axis = f"dimension {axes[0].name!r}" if axes else "an array without a channel axis"
        raise SettingsError(
            f"{where}: {len(array.channels)} channels given, but {axis} has {expected}; give one "
            "for each"
        )
    for position, channel in enumerate(array.channels):
        inside = f"{where}: channels[{position}]"
        if channel.window is not None and not all(map(math.isfinite, channel.window)):
            raise SettingsError(
                f"{inside}: window is {channel.window}; give finite numbers, which JSON can hold"
            )
        try:  # colour and window, by the rules of what writes them
            omero_attributes([channel], array.data_type.dtype)
        except SettingsError as error:
            raise SettingsError(f"{inside}: {error}") from None


def _one_of(codecs: Iterable[CompressionCodec]) -> str:
    """List codecs in the order of their numbers."""
    return " or ".join(str(codec) for codec in sorted(codecs))
