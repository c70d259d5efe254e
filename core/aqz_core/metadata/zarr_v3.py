"""Zarr V3 metadata: the content of ``zarr.json`` for arrays and groups.

Arrays are sharded unless no shard shape is given. The rules come from the Zarr
V3 core specification and its ``sharding_indexed`` codec. Pure functions: what
is written, and when, is not decided here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.metadata.json_text import Document

__all__ = ["IndexLocation", "array_document", "fill_value_json", "group_document"]

IndexLocation: TypeAlias = Literal["start", "end"]
FillValue: TypeAlias = "int | float | np.generic"
"""A truth value, a number or a numpy scalar."""

DATA_TYPES = frozenset(
    {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | {"float16", "float32", "float64", "bool"}
)
"""Zarr data type names that aqz writes; each is numpy's name as well."""


def group_document(attributes: Mapping[str, Any] | None = None) -> Document:
    """Return the ``zarr.json`` of a group."""
    return {"attributes": dict(attributes or {}), "node_type": "group", "zarr_format": 3}


def array_document(
    shape: Sequence[int],
    chunk_shape: Sequence[int],
    shard_shape: Sequence[int] | None,
    dtype: np.dtype[Any],
    codecs: Sequence[Mapping[str, Any]],
    fill_value: FillValue = 0,
    dimension_names: Sequence[str | None] | None = None,
    index_location: IndexLocation = "end",
    attributes: Mapping[str, Any] | None = None,
) -> Document:
    """Return the ``zarr.json`` of an array.

    Parameters
    ----------
    shape
        Pixels per axis, as far as recorded.
    chunk_shape
        Pixels per axis of one chunk, the unit that is compressed.
    shard_shape
        Pixels per axis of one shard file, a multiple of `chunk_shape`; None
        writes one file per chunk.
    dtype
        One of the types in `DATA_TYPES`; pixels are little endian.
    codecs
        Codec documents of a chunk, the ``bytes`` codec first.
    fill_value
        Value of pixels that were never written.
    dimension_names
        One name per axis; None leaves the field out.
    index_location
        Where in a shard its index lies. Not used without shards.
    attributes
        User attributes.

    Raises
    ------
    SettingsError
        If the shapes do not fit together, or the data type or the fill value
        cannot be expressed.
    """
    chunk = [int(size) for size in chunk_shape]
    outer = chunk if shard_shape is None else [int(size) for size in shard_shape]
    _check_shapes(len(shape), chunk, outer, dimension_names)
    chunk_codecs = [dict(codec) for codec in codecs]
    document: Document = {
        "attributes": dict(attributes or {}),
        "chunk_grid": {"configuration": {"chunk_shape": outer}, "name": "regular"},
        "chunk_key_encoding": {"configuration": {"separator": "/"}, "name": "default"},
        "codecs": chunk_codecs
        if shard_shape is None
        else [_sharding_codec(chunk, chunk_codecs, index_location)],
        "data_type": data_type_name(dtype),
        "fill_value": fill_value_json(fill_value, dtype),
        "node_type": "array",
        "shape": [int(size) for size in shape],
        "storage_transformers": [],
        "zarr_format": 3,
    }
    if dimension_names is not None:
        document["dimension_names"] = list(dimension_names)
    return document


def data_type_name(dtype: np.dtype[Any]) -> str:
    """Return the Zarr name of a data type; `SettingsError` for one that aqz does not write."""
    if dtype.name not in DATA_TYPES:
        raise SettingsError(
            f"data type {dtype} cannot be written; choose one of {', '.join(sorted(DATA_TYPES))}"
        )
    return dtype.name


def fill_value_json(value: FillValue, dtype: np.dtype[Any]) -> bool | int | float | str:
    """Return a fill value as both Zarr versions spell it in JSON.

    Parameters
    ----------
    value
        A number or truth value.
    dtype
        The array's data type.

    Returns
    -------
    bool, int, float or str
        ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` stand for the numbers that
        JSON does not have; other floats are given at the precision of `dtype`.

    Raises
    ------
    SettingsError
        If a pixel of that type cannot hold the value.
    """
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, bool | int | float):
        raise _unfit_fill(value, dtype)
    return _float_fill(number, dtype) if dtype.kind == "f" else _whole_fill(number, dtype)


def _whole_fill(value: float, dtype: np.dtype[Any]) -> bool | int:
    """Return the JSON form of a fill value of an integer or truth-value array."""
    lowest, highest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not lowest <= value <= highest or value != int(value):
        raise _unfit_fill(value, dtype)
    return bool(value) if dtype.kind == "b" else int(value)


def _float_fill(value: float, dtype: np.dtype[Any]) -> float | str:
    """Return the JSON form of a fill value of a floating-point array."""
    try:
        with np.errstate(over="ignore"):
            number = float(dtype.type(value))
    except OverflowError as error:
        raise _unfit_fill(value, dtype) from error
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        if not math.isinf(value):
            raise _unfit_fill(value, dtype)
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _unfit_fill(value: object, dtype: np.dtype[Any]) -> SettingsError:
    """Return the error for a fill value that pixels cannot hold."""
    return SettingsError(
        f"fill_value {value!r} cannot be a pixel of type {dtype}; "
        "choose a value inside the range of the data type"
    )


def _sharding_codec(
    chunk_shape: list[int], codecs: list[Document], index_location: IndexLocation
) -> Document:
    """Return the codec document of a sharded array."""
    little_endian = {"configuration": {"endian": "little"}, "name": "bytes"}
    return {
        "configuration": {
            "chunk_shape": chunk_shape,
            "codecs": codecs,
            "index_codecs": [little_endian, {"name": "crc32c"}],
            "index_location": index_location,
        },
        "name": "sharding_indexed",
    }


def _check_shapes(
    ndim: int, chunk: list[int], shard: list[int], names: Sequence[str | None] | None
) -> None:
    """Raise `SettingsError` where shapes or names do not fit the number of axes or each other."""
    if len(chunk) != ndim or len(shard) != ndim:
        raise SettingsError(
            f"chunk shape {chunk} and shard shape {shard} must have one size "
            f"for each of the {ndim} axes"
        )
    if names is not None and len(names) != ndim:
        raise SettingsError(f"{len(names)} dimension names {list(names)} for {ndim} axes")
    pairs = zip(chunk, shard, strict=True)
    if any(inner < 1 or outer < 1 or outer % inner for inner, outer in pairs):
        raise SettingsError(
            f"shard shape {shard} must be a multiple of chunk shape {chunk} along every axis, "
            "and both at least 1"
        )
