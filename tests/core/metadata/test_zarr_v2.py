"""``.zarray`` and ``.zgroup`` as three decoders read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr

from aqz_core.errors import SettingsError
from aqz_core.metadata import zarr_v2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOSC = {"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 1}

FILLS = [
    ("uint8", 255, "|u1"),
    ("uint16", 7, "<u2"),
    ("uint32", 2**32 - 1, "<u4"),
    ("uint64", 2**64 - 1, "<u8"),
    ("int8", -128, "|i1"),
    ("int16", -5, "<i2"),
    ("int32", -(2**31), "<i4"),
    ("int64", -(2**63), "<i8"),
    ("float16", 0.5, "<f2"),
    ("float32", float("nan"), "<f4"),
    ("float64", float("-inf"), "<f8"),
    ("bool", True, "|b1"),
]


@pytest.mark.parametrize("compressor", [None, BLOSC], ids=["raw", "blosc"])
@pytest.mark.parametrize(("name", "fill", "text"), FILLS)
def test_unwritten_pixels_read_as_the_fill_value(
    name: str,
    fill: float,
    text: str,
    compressor: dict[str, Any] | None,
    store: Callable[..., Path],
    read: Callable[[Path], np.ndarray[Any, Any]],
) -> None:
    dtype = np.dtype(name)
    made = zarr_v2.array_document((3, 6, 8), (2, 4, 4), dtype, compressor, fill)
    assert made["dtype"] == text
    pixels = read(store({".zarray": made}))
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, np.full((3, 6, 8), fill, dtype))


def test_the_document_is_the_one_acquire_zarr_writes() -> None:
    made = zarr_v2.array_document((3, 6, 8), (2, 4, 4), np.dtype("uint16"), BLOSC)
    assert made == {
        "chunks": [2, 4, 4],
        "compressor": {"clevel": 1, "cname": "lz4", "id": "blosc", "shuffle": 1},
        "dimension_separator": "/",
        "dtype": "<u2",
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": [3, 6, 8],
        "zarr_format": 2,
    }


def test_chunks_lie_in_folders_and_the_compressor_is_found(
    store: Callable[..., Path], read: Callable[[Path], np.ndarray[Any, Any]]
) -> None:
    chunk = np.arange(16, dtype="<u2").reshape(4, 4)
    path = store({".zarray": zarr_v2.array_document((4, 4), (4, 4), chunk.dtype, BLOSC)})
    (path / "0").mkdir()
    (path / "0" / "0").write_bytes(numcodecs.get_codec(BLOSC).encode(chunk))
    np.testing.assert_array_equal(read(path), chunk)


def test_groups_and_their_attributes_open(store: Callable[..., Path]) -> None:
    path = store(
        {
            ".zgroup": zarr_v2.group_document(),
            ".zattrs": zarr_v2.attributes_document({"a": [1, "é"]}),
        }
    )
    assert dict(zarr.open_group(path, mode="r").attrs) == {"a": [1, "é"]}


@pytest.mark.parametrize("chunk", [(4, 4), (0, 4, 4)])
def test_chunk_shapes_that_no_reader_could_use_are_refused(chunk: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="chunk shape"):
        zarr_v2.array_document((3, 6, 8), chunk, np.dtype("uint8"), None)
