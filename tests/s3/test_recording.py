"""Recordings to a real service (Ceph), read back by others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorstore
import zarr
import zarrs  # noqa: F401  # registers its codec pipeline with zarr

import aqz_core as aqz
from tests.s3.streams import frames, recorded, settings

ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}
BLOSC = aqz.CompressionSettings(
    compressor=aqz.Compressor.BLOSC1, codec=aqz.CompressionCodec.BLOSC_LZ4, level=1, shuffle=1
)


def with_zarr(bucket, path):
    """Read an array with zarr-python through s3fs."""
    url = f"s3://{bucket.name}/{path}"
    return zarr.open_array(url, mode="r", storage_options=bucket.storage_options)[...]


def with_tensorstore(bucket, path, monkeypatch, version=3):
    """Read an array with TensorStore."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    place = {"driver": "s3", "bucket": bucket.name, "path": f"{path}/", "aws_region": "us-east-1"}
    store = {**place, "endpoint": bucket.endpoint}
    spec = {"driver": "zarr3" if version == 3 else "zarr", "kvstore": store}
    return tensorstore.open(spec, open=True).result().read().result()


def with_zarrs(bucket, path, tmp_path):
    """Copy the objects of an array into a directory, and read them with zarrs."""
    for key in bucket.listing():
        if key.startswith(path):
            file = tmp_path / key
            file.parent.mkdir(parents=True, exist_ok=True)
            bucket.client.download_file(bucket.name, key, str(file))
    with zarr.config.set(ZARRS):
        return zarr.open_array(tmp_path / path, mode="r")[...]


@pytest.mark.parametrize("compression", [None, BLOSC], ids=["plain", "blosc"])
def test_three_decoders_read_what_was_recorded(bucket, tmp_path, monkeypatch, compression):
    # 200 frames of 1024 x 1024 in shards of 64 MiB are in benchmarks/object_store.py
    pixels = frames(72)
    if compression is not None:
        pixels //= 4096
    recorded(pixels, "a.zarr", bucket.settings(), shard=8, compression=compression)
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)
    assert np.array_equal(with_tensorstore(bucket, "a.zarr", monkeypatch), pixels)
    assert np.array_equal(with_zarrs(bucket, "a.zarr", tmp_path), pixels)
    assert bucket.uploads() == []


def test_store_named_by_a_url(bucket):
    s3 = bucket.settings(bucket_name="")
    stream = aqz.ZarrStream(settings(f"s3://{bucket.name}/deep/down/a.zarr", s3))
    stream.append(frames(1)[0])
    stream.close()
    assert stream.store_path == f"s3://{bucket.name}/deep/down/a.zarr"
    assert "deep/down/a.zarr/zarr.json" in bucket.listing()


def test_pyramid(bucket):
    pixels = frames(20)
    recorded(
        pixels,
        "a.zarr",
        bucket.settings(),
        is_ngff=True,
        downsampling_method=aqz.DownsamplingMethod.DECIMATE,
    )
    assert np.array_equal(with_zarr(bucket, "a.zarr/0"), pixels)
    assert np.array_equal(with_zarr(bucket, "a.zarr/1"), pixels[:, ::2, ::2])


def test_zarr_v2(bucket, monkeypatch):
    pixels = frames(8)
    with pytest.warns(DeprecationWarning, match="Zarr V2"):
        recorded(pixels, "a.zarr", bucket.settings(), version=aqz.ZarrVersion.V2)
    array = next(key for key in bucket.listing() if key.endswith(".zarray")).rpartition("/")[0]
    read = with_tensorstore(bucket, array, monkeypatch, version=2)
    assert np.array_equal(np.squeeze(read), pixels)


def test_overwrite_deletes_the_store_and_nothing_else(bucket):
    for key in ("a.zarr/old/zarr.json", "a.zarr2/zarr.json", "b"):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"{}")
    recorded(frames(2), "a.zarr", bucket.settings(), overwrite=True)
    assert {key for key in bucket.listing() if "/c/" not in key} == {
        "a.zarr/zarr.json",
        "a.zarr2/zarr.json",
        "b",
    }


def test_more_objects_than_one_request_deletes(bucket):
    s3 = bucket.settings()
    with aqz.ZarrStream(settings("a.zarr", s3, chunk=1, shard=1)) as stream:
        sink = stream._session.sink
        with ThreadPoolExecutor(8) as threads:
            for number in range(1005):
                threads.submit(sink.write, f"c/{number}/0/0", b"x", sync=False)
    recorded(frames(1), "a.zarr", s3, overwrite=True)
    assert len(bucket.listing()) == 2


def test_array_grows_as_its_shards_become_visible(bucket):
    pixels = frames(40)
    stream = aqz.ZarrStream(settings("a.zarr", bucket.settings(), shard=4))
    assert with_zarr(bucket, "a.zarr").shape == (0, 512, 512)
    for frame in pixels:
        stream.append(frame)
        read = with_zarr(bucket, "a.zarr") if stream.statistics().frames % 13 == 0 else pixels[:0]
        assert len(read) % 16 == 0
        assert np.array_equal(read, pixels[: len(read)])
    stream.close()
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)


@pytest.mark.parametrize("count", [3, 20], ids=["within a part", "beyond a part"])
def test_flush_shows_half_full_shards(bucket, count):
    pixels = frames(48)
    stream = aqz.ZarrStream(settings("a.zarr", bucket.settings(), chunk=1, shard=32))
    for frame in pixels[:count]:
        stream.append(frame)
    stream.flush()
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels[:count])
    for frame in pixels[count : count + 10]:
        stream.append(frame)
    stream.flush()
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels[: count + 10])
    for frame in pixels[count + 10 :]:
        stream.append(frame)
    stream.close()
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)
    assert bucket.uploads() == []


def test_metadata_of_frames_and_of_the_array(bucket):
    stream = aqz.ZarrStream(settings("a.zarr", bucket.settings()))
    for number, frame in enumerate(frames(3)):
        stream.append(frame, metadata={"exposure": number})
    stream.write_custom_metadata({"sample": "S1"})
    stream.close()
    get = bucket.client.get_object
    log = get(Bucket=bucket.name, Key="a.zarr/aqz.frames.jsonl")["Body"].read().splitlines()
    assert [json.loads(line)["metadata"] for line in log] == [{"exposure": n} for n in range(3)]
    document = json.loads(get(Bucket=bucket.name, Key="a.zarr/zarr.json")["Body"].read())
    assert document["attributes"]["sample"] == "S1"


def test_many_shards_open_at_once_stay_inside_the_budget(bucket):
    pixels = frames(64)
    s3 = bucket.settings()
    given = settings("a.zarr", s3, chunk=8, shard=8, max_memory=160 << 20)
    for dimension in given.arrays[0].dimensions[1:]:
        dimension.chunk_size_px, dimension.shard_size_chunks = 64, 1
    stream = aqz.ZarrStream(given)
    for frame in pixels:
        stream.append(frame)
    stream.close()
    memory = stream._session.plan.memory
    assert stream._session.sink.peak_part_nbytes <= memory.parts <= 160 << 20
    assert len([key for key in bucket.listing() if "/c/" in key]) == 64
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)
