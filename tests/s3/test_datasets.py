"""Datasets in buckets, and transcoding from one bucket to another that is flaky."""

from __future__ import annotations

import pickle

import numpy as np

import aqz_core as aqz
from aqz_core.storage.objects import lease
from tests.s3.streams import frames, recorded

KEYS = {"key": "key", "secret": "secret", "region": "us-east-1"}


def s3_of(endpoint):
    return aqz.S3Settings(endpoint=endpoint.endpoint, bucket_name="bucket", **KEYS)


def test_a_bucket_that_fails_now_and_then_gives_and_takes_the_same_pixels(
    endpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.01)  # the tasks must not take it away
    pixels, s3 = frames(4), s3_of(endpoint)
    recorded(pixels, "a.zarr", s3)
    endpoint.fail("503", "(PUT|GET) .*/c/", times=2)
    report = aqz.transcode(
        "a.zarr", "b.zarr", source_s3=s3, s3=s3, chunks=(1, 256, 256), shards=(2, 2, 2)
    )
    assert report.files == 2
    assert np.array_equal(aqz.open_dataset("b.zarr", s3=s3).to_dask().compute(), pixels)
    aqz.transcode("b.zarr", tmp_path / "c.zarr", source_s3=s3)
    assert np.array_equal(aqz.open_dataset(tmp_path / "c.zarr").to_dask().compute(), pixels)


def test_a_bucket_is_opened_again_by_the_worker_that_computes(endpoint):
    pixels, s3 = frames(5), s3_of(endpoint)
    recorded(pixels, "a.zarr", s3)
    cells = aqz.open_dataset("a.zarr", s3=s3)
    assert np.array_equal(cells.read_image(t=4), pixels[4])
    assert cells.recorded().all()
    lazy = pickle.loads(pickle.dumps(cells.to_xarray()))
    assert np.array_equal(lazy.isel(t=3).compute(scheduler="single-threaded").values, pixels[3])
