"""``zarr.json`` as three decoders read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from aqz_core.errors import SettingsError
from aqz_core.metadata import to_json, zarr_v3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BYTES = {"configuration": {"endian": "little"}, "name": "bytes"}
BLOSC = {
    "name": "blosc",
    "configuration": {
        "blocksize": 0,
        "clevel": 1,
        "cname": "lz4",
        "shuffle": "bitshuffle",
        "typesize": 2,
    },
}
ZSTD = {"name": "zstd", "configuration": {"checksum": False, "level": 3}}
GZIP = {"name": "gzip", "configuration": {"level": 5}}

FILLS = [
    ("uint8", 255),
    ("uint16", 7),
    ("uint32", 2**32 - 1),
    ("uint64", 2**64 - 1),
    ("int8", -128),
    ("int16", -5),
    ("int32", -(2**31)),
    ("int64", -(2**63)),
    ("float16", 0.5),
    ("float32", 0.1),
    ("float64", -0.0),
    ("float16", float("nan")),
    ("float32", float("inf")),
    ("float64", float("-inf")),
    ("bool", True),
    ("bool", False),
]


def document(**changes: Any) -> dict[str, Any]:
    """Return an array document of 3 frames of 6 by 8 pixels, with changes."""
    given: dict[str, Any] = {
        "shape": (3, 6, 8),
        "chunk_shape": (1, 4, 4),
        "shard_shape": (2, 8, 4),
        "dtype": np.dtype("uint16"),
        "codecs": [BYTES],
        "dimension_names": ["t", "y", "x"],
    }
    return zarr_v3.array_document(**(given | changes))


@pytest.mark.parametrize("shards", [None, (2, 8, 4)], ids=["chunks", "shards"])
@pytest.mark.parametrize(("name", "fill"), FILLS)
def test_unwritten_pixels_read_as_the_fill_value(
    name: str,
    fill: float,
    shards: tuple[int, ...] | None,
    store: Callable[..., Path],
    read: Callable[[Path], np.ndarray[Any, Any]],
) -> None:
    dtype = np.dtype(name)
    pixels = read(store({"zarr.json": document(dtype=dtype, fill_value=fill, shard_shape=shards)}))
    expected = np.full((3, 6, 8), fill, dtype)
    assert pixels.dtype == dtype
    assert pixels.tobytes() == expected.tobytes() or np.isnan(fill)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("codec", [BLOSC, ZSTD, GZIP], ids=lambda codec: str(codec["name"]))
@pytest.mark.parametrize("shards", [None, (2, 8, 4)], ids=["chunks", "shards"])
def test_decoders_take_every_codec_and_index_location(
    codec: dict[str, Any],
    location: str,
    shards: tuple[int, ...] | None,
    store: Callable[..., Path],
    read: Callable[[Path], np.ndarray[Any, Any]],
) -> None:
    made = document(codecs=[BYTES, codec], index_location=location, shard_shape=shards)
    assert read(store({"zarr.json": made})).shape == (3, 6, 8)


def test_the_sharded_document_is_the_one_acquire_zarr_writes() -> None:
    expected = """{"attributes": {}, "chunk_grid": {"configuration": {"chunk_shape": [2, 8, 4]},
        "name": "regular"}, "chunk_key_encoding": {"configuration": {"separator": "/"},
        "name": "default"}, "codecs": [{"configuration": {"chunk_shape": [1, 4, 4],
        "codecs": [{"configuration": {"endian": "little"}, "name": "bytes"}],
        "index_codecs": [{"configuration": {"endian": "little"}, "name": "bytes"},
        {"name": "crc32c"}], "index_location": "end"}, "name": "sharding_indexed"}],
        "data_type": "uint16", "dimension_names": ["t", "y", "x"], "fill_value": 0,
        "node_type": "array", "shape": [3, 6, 8], "storage_transformers": [], "zarr_format": 3}"""
    assert document() == json.loads(expected)


def test_without_shards_the_chunks_are_the_grid_and_hold_the_codecs_themselves() -> None:
    made = document(shard_shape=None, codecs=[BYTES, ZSTD])
    assert made["chunk_grid"]["configuration"]["chunk_shape"] == [1, 4, 4]
    assert made["codecs"] == [BYTES, ZSTD]


def test_names_and_attributes_of_array_and_group_are_kept(store: Callable[..., Path]) -> None:
    path = store(
        {
            "zarr.json": zarr_v3.group_document({"made by": "é"}),
            "a/zarr.json": document(attributes={"exposure": 0.1}),
            "b/zarr.json": document(dimension_names=None),
        }
    )
    group = zarr.open_group(path, mode="r")
    a, b = group["a"], group["b"]
    assert isinstance(a, zarr.Array)
    assert isinstance(b, zarr.Array)
    assert dict(group.attrs) == {"made by": "é"}
    assert dict(a.attrs) == {"exposure": 0.1}
    assert a.metadata.dimension_names == ("t", "y", "x")  # type: ignore[union-attr]
    assert b.metadata.dimension_names is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "fill"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int16", 0.5),
        ("int16", float("nan")),
        ("bool", 2),
        ("float16", 1e6),
        ("float64", 10**400),
        ("uint8", "0"),
        ("float32", None),
    ],
)
def test_a_fill_value_that_no_pixel_can_hold_is_refused(name: str, fill: Any) -> None:
    with pytest.raises(SettingsError, match="fill_value"):
        document(dtype=np.dtype(name), fill_value=fill)


def test_numpy_scalars_are_fill_values_too() -> None:
    made = document(fill_value=np.uint16(9))
    assert json.loads(to_json(made))["fill_value"] == 9
    assert document(dtype=np.dtype(bool), fill_value=np.True_)["fill_value"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk_shape": (1, 4)},
        {"shard_shape": (2, 6, 4)},
        {"chunk_shape": (0, 4, 4)},
        {"dimension_names": ["y", "x"]},
        {"dtype": np.dtype("complex64")},
    ],
)
def test_a_document_that_no_reader_could_open_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        document(**changes)
