"""What Micro-Manager recorded, opened by other programs: validators, ome-zarr, iohub, napari."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.micromanager.stored import image, image_keys
from tests.micromanager.subprocesses import CHECKOUT, run_scenario
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs

pytestmark = pytest.mark.micromanager


def opened(program, *stores, before=()):
    """Run a program that opens stores and return what it printed, by store."""
    command = [*before, sys.executable, "-m", f"tests.micromanager.{program}", *map(str, stores)]
    run = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("OPENED ")]
    assert lines, run.stderr
    return json.loads(lines[-1].removeprefix("OPENED "))


@pytest.fixture(scope="module")
def positions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("positions")
    assert run_scenario("positions", folder)["state"] == "complete"
    return folder / "run.ome.zarr"


@pytest.fixture(scope="module")
def wells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wells")
    assert run_scenario("well_labels", folder)["state"] == "complete"
    return folder / "run.ome.zarr"


def means(store, key):
    """Return the mean of every time point."""
    return pytest.approx([time.mean() for time in image(store, key)])


def test_validators_accept_positions(positions):
    validate_with_yaozarrs(positions)
    for key in image_keys(positions):
        assert_valid_ngff(positions / key)


def test_validators_accept_plates(wells):
    validate_with_yaozarrs(wells)
    assert_valid_ngff(wells / "A" / "2" / "1")


def test_ngff_zarr_reads_positions_and_wells(positions, wells):
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="needs ngff-zarr")
    for store in (positions, wells):
        for key in image_keys(store):
            (level,) = ngff_zarr.from_ngff_zarr(str(store / key)).images
            np.testing.assert_array_equal(np.asarray(level.data), image(store, key))
    read = ngff_zarr.from_ngff_zarr(str(positions / "0")).images[0]
    assert (read.dims, read.scale["z"]) == (("t", "c", "z", "y", "x"), 0.5)


def test_ome_zarr_and_iohub_read_positions_and_plates(positions, wells):
    keys = image_keys(positions)
    found = opened("open_elsewhere", *(positions / key for key in keys), wells)
    for key in keys:
        (node,) = found[str(positions / key)]["ome-zarr"]
        assert (node["shape"], node["channels"]) == ([2, 2, 2, 128, 160], ["DAPI", "FITC"])
        assert node["means"] == means(positions, key)
    assert found[str(wells)]["ome-zarr"]
    if isinstance(found[str(wells)]["iohub"], str):
        pytest.skip(f"iohub is {found[str(wells)]['iohub']}")
    for key in keys:
        (position,) = found[str(positions / key)]["iohub"]
        assert position["channels"] == ["DAPI", "FITC"]
        assert position["scale"] == [0.02, 1.0, 0.5, 1.0, 1.0]
        assert position["means"] == means(positions, key)
    fields = found[str(wells)]["iohub"]
    assert [field["name"] for field in fields] == ["A/1/0", "A/2/0", "A/2/1"]
    for field in fields:
        assert field["means"] == means(wells, field["name"])


def test_napari_shows_positions_and_plates(positions, wells):
    pytest.importorskip("napari", reason="needs the extra `napari`")
    before = []
    if not os.environ.get("DISPLAY"):
        if shutil.which("xvfb-run") is None:
            pytest.skip("needs a display or xvfb-run")
        before = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"]
    found = opened("open_in_napari", positions, wells / "A" / "2" / "1", before=before)

    layers = found[str(positions)]["layers"]
    assert len(layers) == 4  # two positions of two channels
    for layer in layers:
        assert (layer["axes"], layer["shape"]) == (["t", "z", "y", "x"], [2, 2, 128, 160])
        assert layer["scale"] == [0.02, 0.5, 1.0, 1.0]
        assert layer["units"] == ["second", "micrometer", "micrometer", "micrometer"]
    assert [layer["translate"][-2:] for layer in layers[1::2]] == [[-63.5, -79.5], [-13.5, 20.5]]
    assert ["DAPI" in layer["name"] for layer in layers] == [True, False, True, False]
    last = [image(positions, key)[-1, c].mean() for key in image_keys(positions) for c in range(2)]
    assert [layer["mean"] for layer in layers] == pytest.approx(last)
    assert all(one["colors"] > 2 for one in found.values())
