"""The independent reader against stores that zarr-python wrote."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    ZstdCodec,
)

from aqz_core.errors import StorageError
from aqz_core.reading.array_reader import ZarrArrayReader

DTYPES = [
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]
COMPRESSORS = {
    "none": [],
    "blosc-lz4": [BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle", typesize=2)],
    "blosc-zstd": [BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=2)],
    "zstd": [ZstdCodec(level=1)],
    "gzip": [GzipCodec(level=2)],
    "zstd-crc32c": [ZstdCodec(level=1), Crc32cCodec()],
}


def write_array(path, pixels, chunk, chunks_per_shard, codecs, *, endian="little", **options):
    """Write with zarr-python; `chunks_per_shard` None stores a file per chunk."""
    location = options.pop("index_location", "end")
    chain = [BytesCodec(endian=endian), *codecs]
    if chunks_per_shard is None:
        grid = {"chunks": chunk, "serializer": chain[0], "compressors": chain[1:]}
    else:
        shard = tuple(c * n for c, n in zip(chunk, chunks_per_shard, strict=True))
        sharding = ShardingCodec(chunk_shape=chunk, codecs=chain, index_location=location)
        grid = {"chunks": shard, "serializer": sharding, "compressors": None}
    array = zarr.create_array(
        path, shape=pixels.shape, dtype=pixels.dtype, filters=None, **grid, **options
    )
    array[...] = pixels
    return array


@st.composite
def stored_arrays(draw):
    axes = draw(st.integers(2, 5))
    sizes = st.integers(1, 7 if axes < 5 else 4)
    shape = tuple(draw(sizes) for _ in range(axes))
    chunk = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    sharded = draw(st.booleans())
    per_shard = tuple(draw(st.integers(1, 3)) for _ in range(axes)) if sharded else None
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    seed = draw(st.integers(0, 2**32 - 1))
    raw = np.random.default_rng(seed).integers(0, 2**15, shape)  # what float16 can hold
    return {
        "pixels": (raw % 2 if dtype.kind == "b" else raw).astype(dtype),
        "chunk": chunk,
        "chunks_per_shard": per_shard,
        "codecs": COMPRESSORS[draw(st.sampled_from(sorted(COMPRESSORS)))],
        "endian": draw(st.sampled_from(["little", "big"])),
        "index_location": draw(st.sampled_from(["start", "end"])),
    }


@given(stored_arrays())
@settings(max_examples=60)
def test_reads_what_zarr_python_wrote(case):
    with tempfile.TemporaryDirectory() as folder:
        write_array(folder, **case)
        reader = ZarrArrayReader(folder)
        pixels = case["pixels"]

        assert reader.shape == pixels.shape
        assert reader.dtype == pixels.dtype
        assert reader.chunk_shape == case["chunk"]
        assert (reader.shard_shape is None) == (case["chunks_per_shard"] is None)
        np.testing.assert_array_equal(reader.read(), pixels)
        last = tuple(-1 for _ in pixels.shape[:-2])
        np.testing.assert_array_equal(reader.read_plane(*last), pixels[last])


@pytest.mark.parametrize(
    ("dtype", "fill_value"),
    [("uint16", 65535), ("int8", -3), ("bool", True), ("float32", np.inf), ("float64", np.nan)],
)
@pytest.mark.parametrize("chunks_per_shard", [None, (1, 2, 2), (3, 2, 2)])
def test_what_was_never_written_is_the_fill_value(tmp_path, dtype, fill_value, chunks_per_shard):
    pixels = np.ones((3, 4, 4), dtype)
    pixels[1] = fill_value  # zarr-python does not store a chunk of nothing else
    write_array(tmp_path, pixels, (1, 2, 2), chunks_per_shard, [], fill_value=fill_value)

    plane = ZarrArrayReader(tmp_path).read_plane(1)

    stored = [file for file in tmp_path.rglob("c/1/**/*") if file.is_file()]
    assert stored == []
    np.testing.assert_array_equal(plane, np.full((4, 4), fill_value, dtype))


def test_fill_value_given_as_bits(tmp_path):
    write_array(tmp_path, np.zeros((2, 2), "float32"), (2, 2), None, [])
    edit_metadata(tmp_path, fill_value="0x7fc00001")
    (tmp_path / "c" / "0" / "0").unlink(missing_ok=True)

    plane = ZarrArrayReader(tmp_path).read_plane()

    assert plane.view("uint32").tolist() == [[0x7FC00001] * 2] * 2


def test_attributes_and_other_chunk_keys(tmp_path):
    pixels = np.arange(24, dtype="uint16").reshape(2, 3, 4)
    write_array(
        tmp_path,
        pixels,
        (1, 2, 2),
        None,
        [],
        attributes={"a": 1},
        chunk_key_encoding={"name": "v2", "separator": "."},
        dimension_names=["t", "y", "x"],
    )
    reader = ZarrArrayReader(tmp_path)

    assert dict(reader.attributes) == {"a": 1}
    assert reader.stored.dimension_names == ("t", "y", "x")
    np.testing.assert_array_equal(reader.read(), pixels)


@pytest.mark.parametrize("index_location", ["start", "end"])
def test_a_flipped_byte_in_a_shard_index_is_found(tmp_path, index_location):
    shard = write_one_shard(tmp_path, index_location=index_location)
    data = bytearray(shard.read_bytes())
    data[0 if index_location == "start" else -5] ^= 1
    shard.write_bytes(data)

    with pytest.raises(StorageError, match=r"c/0/0.*checksum"):
        ZarrArrayReader(tmp_path).read()


def test_a_flipped_byte_in_a_chunk_is_found(tmp_path):
    shard = write_one_shard(tmp_path, codecs=COMPRESSORS["zstd-crc32c"])
    data = bytearray(shard.read_bytes())
    data[3] ^= 1
    shard.write_bytes(data)

    with pytest.raises(StorageError, match=r"c/0/0.*crc32c"):
        ZarrArrayReader(tmp_path).read()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("blosc-lz4", "a blosc chunk of 64 bytes says"),
        ("zstd", "does not begin as zstd does"),
        ("gzip", "not valid"),
    ],
)
def test_compressed_bytes_that_are_none(tmp_path, name, problem):
    write_array(tmp_path, np.ones((2, 2), "uint16"), (2, 2), None, COMPRESSORS[name])
    (tmp_path / "c" / "0" / "0").write_bytes(b"nonsense" * 8)

    with pytest.raises(StorageError, match=rf"c/0/0.*{problem}"):
        ZarrArrayReader(tmp_path).read()


def test_truncated_files_are_found(tmp_path):
    shard = write_one_shard(tmp_path, index_location="start")
    data = shard.read_bytes()

    shard.write_bytes(data[:-1])
    with pytest.raises(StorageError, match="past the end"):
        ZarrArrayReader(tmp_path).read()
    shard.write_bytes(data[:10])
    with pytest.raises(StorageError, match="too short"):
        ZarrArrayReader(tmp_path).read()


def test_an_uncompressed_chunk_of_the_wrong_size(tmp_path):
    write_array(tmp_path, np.ones((2, 2), "uint16"), (2, 2), None, [])
    (tmp_path / "c" / "0" / "0").write_bytes(b"1234567")

    with pytest.raises(StorageError, match="7 bytes, not to 8"):
        ZarrArrayReader(tmp_path).read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"zarr_format": 2}, "zarr_format must be 3"),
        ({"node_type": "group"}, "a group, not an array; give the path of an array in it"),
        ({"data_type": "complex64"}, "complex64"),
        ({"fill_value": 70000}, "does not fit the data type uint16"),
        ({"fill_value": "NaN"}, "does not fit"),
        ({"chunk_grid": {"name": "rectilinear"}}, "rectilinear"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}}, "not fit"),
        ({"chunk_grid": {"name": "regular", "configuration": {}}}, "'chunk_shape' is missing"),
        ({"codecs": [{"name": "bytes"}, {"name": "lzma"}]}, "lzma"),
        ({"codecs": []}, "out of range"),
        ({"chunk_key_encoding": {"name": "flat"}}, "flat"),
        ({"shape": "ab"}, "is not a list of whole numbers"),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path, change, message):
    write_array(tmp_path, np.ones((2, 2), "uint16"), (2, 2), None, [])
    edit_metadata(tmp_path, **change)

    with pytest.raises(StorageError, match=rf"zarr\.json: .*{message}"):
        ZarrArrayReader(tmp_path)


def test_there_is_nothing_to_read(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        ZarrArrayReader(tmp_path / "absent")
    (tmp_path / ".zarray").write_text("{}")
    with pytest.raises(StorageError, match="Zarr V2"):
        ZarrArrayReader(tmp_path)
    (tmp_path / "zarr.json").write_text("{")
    with pytest.raises(StorageError, match="not valid JSON"):
        ZarrArrayReader(tmp_path)


def test_indices_outside_of_the_array(tmp_path):
    write_array(tmp_path, np.ones((2, 2, 2), "uint16"), (1, 2, 2), None, [])
    reader = ZarrArrayReader(tmp_path)

    with pytest.raises(IndexError, match="outside"):
        reader.read_plane(2)
    with pytest.raises(IndexError, match="0 indices for the 1 axes"):
        reader.read_plane()


def write_one_shard(folder, *, index_location="end", codecs=()) -> Path:
    """Write an array of four chunks in one shard; return the shard's file."""
    pixels = np.arange(1, 17, dtype="uint16").reshape(4, 4)
    write_array(folder, pixels, (2, 2), (2, 2), codecs, index_location=index_location)
    return folder / "c" / "0" / "0"


def edit_metadata(folder, **changes) -> None:
    """Change top-level entries of an array's zarr.json."""
    file = folder / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
