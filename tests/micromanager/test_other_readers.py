"""What Micro-Manager recorded, opened by programs that know nothing of aqz."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.micromanager.stored import image_keys
from tests.micromanager.subprocesses import run_scenario
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs

pytestmark = pytest.mark.micromanager


def read_with_ome_zarr(store):
    """Return path and shape of every image that ome-zarr finds, in a process of its own."""
    code = (
        "import sys; from ome_zarr.io import parse_url; from ome_zarr.reader import Reader\n"
        "for node in Reader(parse_url(sys.argv[1]))():\n"
        "    print(tuple(node.data[0].shape), node.metadata.get('channel_names'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_positions(tmp_path):
    run_scenario("positions", tmp_path)
    store = tmp_path / "run.ome.zarr"

    validate_with_yaozarrs(store)
    for key in image_keys(store):
        assert_valid_ngff(store / key)
        assert "(2, 2, 2, 128, 160) ['DAPI', 'FITC']" in read_with_ome_zarr(store / key)


def test_plates(tmp_path):
    run_scenario("well_labels", tmp_path)
    plate = tmp_path / "run.ome.zarr" / "plate"

    validate_with_yaozarrs(plate)
    assert_valid_ngff(plate / "A" / "2" / "1")
    assert "(1, 2, 128, 160)" in read_with_ome_zarr(plate / "A" / "2" / "1")
