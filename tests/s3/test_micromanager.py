"""An acquisition that goes to an object store (Ceph) while it runs."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from tests.micromanager.subprocesses import run_scenario

pytestmark = pytest.mark.micromanager


def test_an_acquisition_goes_to_a_bucket(bucket, tmp_path):
    report = run_scenario(
        "to_bucket",
        tmp_path,
        endpoint=bucket.endpoint,
        bucket_name=bucket.name,
        key=bucket.key,
        secret=bucket.secret,
    )

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 8)
    for position in range(2):
        pixels = zarr.open_array(
            f"s3://{bucket.name}/run.ome.zarr/{position}/0",
            mode="r",
            storage_options=bucket.storage_options,
        )[...]
        assert pixels.shape == (2, 2, 128, 160)
        assert all(pixels[index].any() for index in np.ndindex(2, 2))
