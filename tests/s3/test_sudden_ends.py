"""The service, or the recording process, ends without a word in the middle of a recording."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.cli import main
from tests.s3.conftest import new_bucket
from tests.s3.streams import frames, recorded, settings
from tests.s3.test_recording import with_tensorstore, with_zarr

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def spare_bucket(gateway):
    """A bucket from before the crashes: Ceph takes half a minute to make one after them."""
    return new_bucket(gateway)


@pytest.fixture(scope="module")
def another_spare_bucket(gateway):
    return new_bucket(gateway)


@pytest.fixture(scope="module")
def third_spare_bucket(gateway):
    return new_bucket(gateway)


@pytest.fixture(scope="module", autouse=True)
def _made_in_time(spare_bucket, another_spare_bucket, third_spare_bucket):
    """Make them at the beginning."""


def test_killed_recording_leaves_a_store_that_can_be_read(bucket):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3.record_forever", *bucket],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        text=True,
    )
    with process:
        assert any(int(line) >= 300 for line in process.stdout)
        process.kill()
    read = with_zarr(bucket, "a.zarr")
    assert len(read) % 32 == 0
    assert len(read) > 0
    assert np.array_equal(read, np.concatenate([frames(32)] * (len(read) // 32)))
    recorded(frames(2), "a.zarr", bucket.settings(), overwrite=True)
    assert bucket.uploads() == []
    assert len(with_zarr(bucket, "a.zarr")) == 2


def test_killed_service_ends_the_stream_in_time(gateway, spare_bucket):
    bucket = spare_bucket
    pixels = frames(100)
    stream = aqz.ZarrStream(settings("a.zarr", bucket.settings(retry_timeout=3.0), shard=8))
    for frame in pixels[:50]:
        stream.append(frame)
    gateway.kill_gateway()
    begun = time.monotonic()
    try:
        with pytest.raises(aqz.StorageError, match="cannot be read") as caught:  # noqa: PT012
            try:
                for frame in pixels[50:]:
                    stream.append(frame)
            finally:
                stream.close()
        assert time.monotonic() - begun < 10
        assert bucket.secret not in str(caught.value)
    finally:
        gateway.start_gateway()
    read = with_zarr(bucket, "a.zarr")
    assert len(read) % 32 == 0
    assert np.array_equal(read, pixels[: len(read)])
    for key in ("a.zarr/c/7/0/0", "a.zarr2/c/0/0/0"):  # one that was cut off, one of another
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    with aqz.ZarrStream.resume("a.zarr", s3=bucket.settings()) as stream:
        assert bucket.uploads() == ["a.zarr2/c/0/0/0"]
        for frame in pixels[stream.statistics().frames :]:
            stream.append(frame)
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)


def test_service_that_comes_back_is_not_noticed(gateway, another_spare_bucket):
    bucket = another_spare_bucket
    pixels = frames(100)
    stream = aqz.ZarrStream(settings("a.zarr", bucket.settings(retry_timeout=60.0), shard=8))
    for frame in pixels[:40]:
        stream.append(frame)
    gateway.kill_gateway()
    restart = threading.Thread(target=gateway.start_gateway)
    restart.start()
    for frame in pixels[40:]:
        stream.append(frame)
    stream.close()
    restart.join()
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)
    assert bucket.uploads() == []


def test_killed_service_loses_nothing_where_there_is_a_spill(
    gateway, third_spare_bucket, tmp_path, monkeypatch, capsys
):
    bucket, spill = third_spare_bucket, tmp_path / "spill"
    pixels = frames(100)
    s3 = bucket.settings(retry_timeout=3.0)
    stream = aqz.ZarrStream(settings("a.zarr", s3, shard=8, spill=spill))
    try:
        for number, frame in enumerate(pixels):
            if number == 50:
                gateway.kill_gateway()
            stream.append(frame, metadata={"number": number})
        stream.close()
        assert stream.statistics().spilled
    finally:
        gateway.start_gateway()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    assert main(["upload", str(spill)]) == 0
    assert "can be removed" in capsys.readouterr().out
    assert np.array_equal(with_zarr(bucket, "a.zarr"), pixels)
    assert np.array_equal(with_tensorstore(bucket, "a.zarr", monkeypatch), pixels)
    assert not [key for key in bucket.listing() if "spill" in key]
    recorded(pixels[:2], "b.zarr", s3, spill=tmp_path / "another")
    assert not (tmp_path / "another").exists()
