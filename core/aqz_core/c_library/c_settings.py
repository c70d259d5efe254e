"""Settings of a stream from the structures of ``zarr.types.h``: copies, nothing of C is kept.

Structures of acquire-zarr 0.5 begin as the newest do and are shorter, so that one reader serves
both: it knows the distance from one array to the next, and leaves alone what is not there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import aqz_core
from aqz_core import CompressionCodec, Compressor, DataType, DimensionType, ZarrVersion
from aqz_core.c_library.structures import Structure
from aqz_core.compat import v0_5

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_settings"]

_log = logging.getLogger("aqz")

# What C can name: the numbers are those of Python, of which there are more.
DATA_TYPES = [one for one in DataType if one <= DataType.FLOAT64]
COMPRESSORS = [one for one in Compressor if one <= Compressor.ZSTD]
CODECS = [one for one in CompressionCodec if one <= CompressionCodec.ZSTD]


def read_settings(ffi: Any, given: Any) -> aqz_core.StreamSettings | v0_5.StreamSettings:
    """Return the settings of a program, in the vocabulary of their generation.

    Parameters
    ----------
    ffi
        That of the library.
    given
        ``AqzSettings``: structures, their generation, and the size of an array's settings.

    Raises
    ------
    SettingsError
        A number names no member of its enumeration, a text is not UTF-8, a pointer is missing.
    """
    stream = Structure(ffi, given.settings)
    arrays = stream.elements("arrays", "array_count", given.array_size)
    if given.is_v0_5:
        return v0_5.StreamSettings(
            **_common(stream), arrays=[v0_5.ArraySettings(**_common_array(one)) for one in arrays]
        )
    hcs = stream.inner("hcs_settings")
    plates = [] if hcs is None else hcs.elements("plates", "plate_count")
    return aqz_core.StreamSettings(
        **_common(stream),
        arrays=[_array(one) for one in arrays],
        hcs_plates=[_plate(one) for one in plates],
    )


def _common(stream: Structure) -> dict[str, Any]:
    """Return what both generations know of a stream."""
    s3 = stream.inner("s3_settings")
    given = stream.fields.version
    return {
        "store_path": stream.path("store_path"),
        "s3": None if s3 is None else _s3(s3),
        "version": stream.member("version", ZarrVersion) if given else ZarrVersion.V3,
        "max_threads": stream.fields.max_threads,
        "overwrite": stream.fields.overwrite,
    }


def _s3(s3: Structure) -> aqz_core.S3Settings:
    """Return how a bucket is reached."""
    return aqz_core.S3Settings(
        endpoint=s3.text("endpoint") or "",
        bucket_name=s3.text("bucket_name") or "",
        region=s3.text("region") or None,
    )


def _common_array(array: Structure) -> dict[str, Any]:
    """Return what both generations know of an array, in the vocabulary of 0.5."""
    compression = array.inner("compression_settings")
    method = None
    if array.fields.multiscale:
        method = array.member("downsampling_method", v0_5.DownsamplingMethod)
    elif array.fields.downsampling_method:  # the newest acquire-zarr has no other switch
        _log.warning("%s", array.says("downsampling_method is set without multiscale: no pyramid"))
    return {
        "output_key": array.text("output_key"),
        "compression": None if compression is None else _compression(compression),
        "dimensions": [_dimension(one) for one in array.elements("dimensions", "dimension_count")],
        "data_type": array.member("data_type", DATA_TYPES),
        "downsampling_method": method,
    }


def _array(array: Structure) -> aqz_core.ArraySettings:
    """Return the settings of an array of the newest generation."""
    common = _common_array(array)
    method = common.pop("downsampling_method")
    return aqz_core.ArraySettings(
        **common,
        downsampling_method=None if method is None else method.newest,
        max_levels=array.fields.max_levels,
        storage_dimension_order=array.numbers(
            "storage_dimension_order", array.fields.dimension_count
        ),
    )


def _compression(compression: Structure) -> aqz_core.CompressionSettings:
    """Return how chunks are compressed."""
    return aqz_core.CompressionSettings(
        compressor=compression.member("compressor", COMPRESSORS),
        codec=compression.member("codec", CODECS),
        level=compression.fields.level,
        shuffle=compression.fields.shuffle,
    )


def _dimension(dimension: Structure) -> aqz_core.Dimension:
    """Return one axis."""
    fields = dimension.fields
    return aqz_core.Dimension(
        name=dimension.text("name") or "",
        kind=dimension.member("type", DimensionType),
        unit=dimension.text("unit") or None,
        scale=fields.scale,
        array_size_px=fields.array_size_px,
        chunk_size_px=fields.chunk_size_px,
        shard_size_chunks=fields.shard_size_chunks,
    )


def _plate(plate: Structure) -> aqz_core.Plate:
    """Return a plate."""
    return aqz_core.Plate(
        path=plate.text("path") or "",
        name=plate.text("name") or "",
        row_names=plate.texts("row_names", "row_count"),
        column_names=plate.texts("column_names", "column_count"),
        wells=_wells(plate.elements("wells", "well_count")),
        acquisitions=[_acquisition(a) for a in plate.elements("acquisitions", "acquisition_count")],
    )


def _wells(wells: Iterable[Structure]) -> list[aqz_core.Well]:
    """Return the wells of a plate."""
    return [
        aqz_core.Well(
            row_name=well.text("row_name") or "",
            column_name=well.text("column_name") or "",
            images=[_field(one) for one in well.elements("images", "image_count")],
        )
        for well in wells
    ]


def _field(field: Structure) -> aqz_core.FieldOfView:
    """Return an image of a well."""
    array = field.inner("array_settings")
    return aqz_core.FieldOfView(
        path=field.text("path") or "",
        acquisition_id=field.fields.acquisition_id if field.fields.has_acquisition_id else None,
        array_settings=aqz_core.ArraySettings() if array is None else _array(array),
    )


def _acquisition(acquisition: Structure) -> aqz_core.Acquisition:
    """Return a run over a plate."""
    fields = acquisition.fields
    return aqz_core.Acquisition(
        id=fields.id,
        name=acquisition.text("name"),
        description=acquisition.text("description"),
        start_time=fields.start_time if fields.has_start_time else None,
        end_time=fields.end_time if fields.has_end_time else None,
    )
