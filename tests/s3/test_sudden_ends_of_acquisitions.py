"""The service ends in the middle of an acquisition by Micro-Manager.

After the other sudden ends, as nobody can make a bucket for a while after one.
"""

from __future__ import annotations

import zlib

import pytest

from aqz_core.upload import upload_spill
from tests.micromanager.subprocesses import interrupt_scenario
from tests.s3.test_micromanager import pixels, reached

pytestmark = pytest.mark.micromanager


def test_a_lost_server_ends_the_acquisition_once_and_is_the_cause(gateway, tmp_path):
    try:
        report = interrupt_scenario(
            "lost_bucket",
            tmp_path,
            gateway.kill_gateway,
            store="lost.ome.zarr",
            **reached(gateway.spare),
        )
    finally:
        gateway.start_gateway()

    names = [name for name, _ in report["raised"]]
    assert names[:2] == ["AcquisitionError", "StorageError"]
    assert "Connection" in str(report["raised"]) or "connect" in str(report["raised"])
    assert report["state"] == "failed"
    assert report["calls"] < 300  # it did not go on to its end
    assert report["stderr"].count("recording to lost.ome.zarr failed") == 1


def test_a_lost_server_loses_nothing_with_a_spill(gateway, tmp_path):
    spill = tmp_path / "spill"
    try:
        report = interrupt_scenario(
            "lost_bucket",
            tmp_path,
            gateway.kill_gateway,
            store="spilled.ome.zarr",
            spill=str(spill),
            **reached(gateway.spare),
        )
    finally:
        gateway.start_gateway()

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 120)
    assert report["spilled"]
    upload_spill(spill, None, s3=gateway.spare.settings())
    stored = pixels(gateway.spare, "spilled.ome.zarr/0")
    assert [zlib.crc32(frame) for frame in stored] == [crc for _, crc in report["seen"]]
