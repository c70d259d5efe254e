"""Random settings that aqz and acquire-zarr 0.10.0 both have, as calls on either module."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

__all__ = ["stream_settings"]

Maker = Callable[[ModuleType], Any]
"""Builds one settings object in the vocabulary of a module."""

_NAMES = st.text("abcdefgh_0123456789é ", min_size=1, max_size=8).map(lambda text: "n" + text)
_IDS = st.text("ABCDEFabc019", min_size=1, max_size=3)
_SIZES = st.integers(1, 5000)
_SCALES = st.floats(0, 1e6, allow_nan=False, width=32).map(float)
_UNITS = st.sampled_from((None, "second", "micrometer", "1", "on"))
_COMPRESSIONS = (
    ("NONE", "NONE", 1, 0),
    ("BLOSC1", "BLOSC_LZ4", 9, 2),
    ("BLOSC1", "BLOSC_ZSTD", 0, 1),
    ("ZSTD", "ZSTD", 22, 0),
)
_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


@st.composite
def stream_settings(draw: st.DrawFn) -> Maker:
    """Draw the settings of a stream, valid or not: a config file may hold what cannot record."""
    arrays = draw(st.lists(_arrays(key=True), min_size=1, max_size=2))
    plates = draw(st.lists(_plates(), max_size=1))
    fields = {
        "store_path": draw(st.sampled_from(("out.zarr", "/data/a b/x.zarr", "true"))),
        "max_threads": draw(st.integers(0, 64)),
        "overwrite": draw(st.booleans()),
    }
    region = draw(st.sampled_from((None, "us-east-1")))
    s3 = draw(st.booleans())

    def make(api: ModuleType) -> Any:
        settings = api.StreamSettings(
            **fields,
            arrays=[array(api) for array in arrays],
            hcs_plates=[plate(api) for plate in plates],
        )
        if s3:
            settings.s3 = api.S3Settings(endpoint="http://h:9000", bucket_name="bkt", region=region)
        return settings

    return make


@st.composite
def _arrays(draw: st.DrawFn, *, key: bool) -> Maker:
    """Draw one array."""
    names = draw(st.lists(_NAMES, min_size=2, max_size=5, unique=True))
    dimensions = [draw(_dimensions(name)) for name in names]
    compression = draw(st.sampled_from((None, *_COMPRESSIONS)))
    dtype = draw(st.sampled_from((*_DTYPES, "float32", "float64")))
    method = draw(st.sampled_from((None, "DECIMATE", "MEAN", "MIN", "MAX")))
    inner = draw(st.permutations(names[1:-2])) if draw(st.booleans()) else None
    order = [] if inner is None or len(names) < 3 else [names[0], *inner, *names[-2:]]
    fields: dict[str, Any] = {
        "max_levels": draw(st.integers(0, 5)) if method else 0,  # acquire-zarr loses others
        "is_ngff": draw(st.booleans()),
        "storage_dimension_order": order,
    }
    if key:
        fields["output_key"] = draw(st.sampled_from(("", "img", "a/b", "1")))

    def make(api: ModuleType) -> Any:
        array = api.ArraySettings(
            dimensions=[dimension(api) for dimension in dimensions],
            data_type=getattr(api.DataType, dtype.upper()),
            downsampling_method=method and getattr(api.DownsamplingMethod, method),
            **fields,
        )
        if compression is not None:
            compressor, codec, level, shuffle = compression
            array.compression = api.CompressionSettings(
                compressor=getattr(api.Compressor, compressor),
                codec=getattr(api.CompressionCodec, codec),
                level=level,
                shuffle=shuffle,
            )
        return array

    return make


@st.composite
def _dimensions(draw: st.DrawFn, name: str) -> Maker:
    """Draw one dimension."""
    kind = draw(st.sampled_from(("SPACE", "CHANNEL", "TIME", "OTHER")))
    fields = {
        "name": name,
        "unit": draw(_UNITS),
        "scale": draw(_SCALES),
        "array_size_px": draw(st.integers(0, 2**32 - 1)),
        "chunk_size_px": draw(_SIZES),
        "shard_size_chunks": draw(_SIZES),
    }
    return lambda api: api.Dimension(kind=getattr(api.DimensionType, kind), **fields)


@st.composite
def _plates(draw: st.DrawFn) -> Maker:
    """Draw one plate of one or two wells."""
    rows = draw(st.lists(_IDS, min_size=1, max_size=3, unique_by=str.lower))
    columns = draw(st.lists(_IDS, min_size=1, max_size=3, unique_by=str.lower))
    array = draw(_arrays(key=False))
    fields = draw(st.lists(_IDS, min_size=1, max_size=2, unique=True))
    acquisitions = draw(st.lists(st.integers(0, 99), max_size=2, unique=True))
    times = draw(st.sampled_from((None, 1343731272000)))
    name = draw(st.sampled_from(("", "My plate", "12")))

    def make(api: ModuleType) -> Any:
        images = [
            api.FieldOfView(
                path=path,
                acquisition_id=acquisitions[0] if acquisitions else None,
                array_settings=array(api),
            )
            for path in fields
        ]
        return api.Plate(
            path="plates/one",
            name=name,
            row_names=rows,
            column_names=columns,
            wells=[api.Well(row_name=rows[0], column_name=columns[-1], images=images)],
            acquisitions=[
                api.Acquisition(id=number, name="run", start_time=times, end_time=times)
                for number in acquisitions
            ],
        )

    return make
