"""Zarr V2 metadata: the content of ``.zarray``, ``.zgroup`` and ``.zattrs``.

V2 is written for readers that know nothing newer. There are no shards, no
dimension names, and attributes live in a file of their own, which is written
only where there are some. Chunk keys are separated by ``/``, as NGFF 0.4 asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import SettingsError
from aqz_core.metadata.zarr_v3 import FillValue, data_type_name, fill_value_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.metadata.json_text import Document

__all__ = ["array_document", "attributes_document", "dtype_string", "group_document"]


def group_document() -> Document:
    """Return the ``.zgroup`` of a group."""
    return {"zarr_format": 2}


def attributes_document(attributes: Mapping[str, Any]) -> Document:
    """Return the ``.zattrs`` of a group or array."""
    return dict(attributes)


def array_document(
    shape: Sequence[int],
    chunk_shape: Sequence[int],
    dtype: np.dtype[Any],
    compressor: Mapping[str, Any] | None,
    fill_value: FillValue = 0,
) -> Document:
    """Return the ``.zarray`` of an array.

    Parameters
    ----------
    shape, chunk_shape
        Pixels per axis of the array and of one chunk.
    dtype
        Pixel type; stored little endian.
    compressor
        A numcodecs configuration with its ``id``; None stores raw chunks.
    fill_value
        Value of pixels that were never written.

    Raises
    ------
    SettingsError
        If the shapes do not fit together, or the data type or the fill value
        cannot be expressed.
    """
    if len(chunk_shape) != len(shape) or any(size < 1 for size in chunk_shape):
        raise SettingsError(
            f"chunk shape {list(chunk_shape)} must have one size of at least 1 "
            f"for each of the {len(shape)} axes"
        )
    return {
        "chunks": [int(size) for size in chunk_shape],
        "compressor": None if compressor is None else dict(compressor),
        "dimension_separator": "/",
        "dtype": dtype_string(dtype),
        "fill_value": fill_value_json(fill_value, dtype),
        "filters": None,
        "order": "C",
        "shape": [int(size) for size in shape],
        "zarr_format": 2,
    }


def dtype_string(dtype: np.dtype[Any]) -> str:
    """Return the V2 name of a data type, such as ``<u2`` or ``|b1``."""
    data_type_name(dtype)
    return np.dtype(dtype).newbyteorder("<").str
