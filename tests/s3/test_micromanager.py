"""Acquisitions that go to an object store (Ceph) while they run."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_micromanager import ZarrProcessor
from tests.micromanager.stored import seen_by_axes
from tests.micromanager.subprocesses import run_scenario

pytestmark = pytest.mark.micromanager


def reached(bucket):
    """Return what a scenario needs to reach a bucket."""
    return {
        "endpoint": bucket.endpoint,
        "bucket_name": bucket.name,
        "key": bucket.key,
        "secret": bucket.secret,
    }


def pixels(bucket, key):
    """Return the pixels of an array."""
    url = f"s3://{bucket.name}/{key}"
    return zarr.open_array(url, mode="r", storage_options=bucket.storage_options)[...]


@pytest.mark.parametrize(
    ("labels", "keys"),
    [(None, ["0", "1"]), (["A1-Site_0", "B2-Site_0"], ["A/1/0", "B/2/0"])],
    ids=["positions", "plate"],
)
def test_an_acquisition_goes_to_a_bucket(bucket, tmp_path, labels, keys):
    report = run_scenario("to_bucket", tmp_path, labels=labels, **reached(bucket))

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 8)
    seen = seen_by_axes(report)
    for position, key in enumerate(keys):
        stored = pixels(bucket, f"run.ome.zarr/{key}/0")
        assert stored.shape == (2, 2, 128, 160)
        for t, c in np.ndindex(2, 2):
            where = labels[position] if labels else position
            axes = {"time": t, "position": where, "channel": ("DAPI", "FITC")[c]}
            assert zlib.crc32(stored[t, c]) == seen[frozenset(axes.items())]


@pytest.mark.parametrize("spills", [False, True], ids=["bucket", "bucket and spill"])
def test_wells_that_nobody_planned_are_added_in_a_bucket(endpoint, tmp_path, spills):
    s3 = aqz.S3Settings(
        endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="s", region="us-east-1"
    )
    spill = tmp_path / "spill" if spills else None
    labels = ["A1-Site_0", "A1-Site_1", "B2-Site_0"]
    with ZarrProcessor("run.zarr", settings=aqz.StreamSettings(s3=s3, spill=spill)) as processor:
        for time, visited in enumerate((1, 1, 3, 3)):
            for number in range(visited):
                frame = np.full((64, 64), 10 * number + time + 1, "uint16")
                processor(frame, {"Axes": {"time": time, "position": labels[number]}})

    assert (processor.state, processor.statistics().spilled) == ("complete", False)
    store = {"key": "id", "secret": "s", "endpoint_url": endpoint.endpoint}
    for number, key in enumerate(["A/1/0", "A/1/1", "B/2/0"]):
        url = f"s3://bucket/run.zarr/{key}/0"
        stored = zarr.open_array(url, mode="r", storage_options=store)[:, 0, 0]
        first = 0 if number == 0 else 2
        assert stored[first:].tolist() == [10 * number + time + 1 for time in range(first, 4)]
