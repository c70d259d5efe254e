"""Every example runs as it stands, warns of nothing, and leaves the store that it promises."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.decoders import DECODERS
from tests.support.finished import read_json
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs

EXAMPLES = Path(__file__).parent.parent / "examples"

# What each leaves behind: arrays by key, with their shapes.
STORES = {
    "one_array": {"camera": (10, 3, 540, 960)},
    "several_arrays": {
        "sample1/brightfield": (25, 1, 240, 320),
        "sample1/fluorescence": (25, 2, 240, 320),
    },
    "custom_metadata": {"image/0": (3, 64, 64)},
    "plate": {
        "experiment/A/1/fov1/0": (3, 3, 128, 128),
        "experiment/C/7/fov2/1": (3, 3, 64, 64),
        "experiment/A/1/labels": (128, 128),
    },
    "settings_in_a_file": {"image": (40, 96, 96)},
    "v0_5_one_array": {"array1": (10, 3, 108, 192)},
    "v0_5_several_arrays": {
        "sample1/brightfield": (15, 1, 108, 192),
        "sample1/fluorescence": (15, 2, 108, 192),
    },
}


def run(name, folder):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), str(folder)]
    subprocess.run(command, check=True, timeout=60, cwd=folder, env={**os.environ})
    return folder / f"{name}.zarr"


def test_every_example_is_run():
    names = {file.stem for file in EXAMPLES.glob("*.py")}
    assert names >= set(STORES) | {"object_store"}


@pytest.mark.parametrize("name", STORES)
def test_example(tmp_path, name):
    store = run(name, tmp_path)
    for key, shape in STORES[name].items():
        for read in DECODERS.values():
            assert read(store, key).shape == shape


def test_pixels_of_two_cameras(tmp_path):
    store = run("several_arrays", tmp_path)
    pixels = DECODERS["tensorstore"](store, "sample1/fluorescence")
    expected = 1000 * np.arange(1, 3) + np.arange(25)[:, None]
    assert np.array_equal(pixels, np.broadcast_to(expected[..., None, None], pixels.shape))


def test_metadata_of_ones_own(tmp_path):
    attributes = read_json(run("custom_metadata", tmp_path) / "image/zarr.json")["attributes"]
    assert attributes["position"] == 42
    assert attributes["operator"] == "night shift"
    assert attributes["travel"] == {"low": 0, "high": 100}


def test_plate_is_valid(tmp_path):
    store = run("plate", tmp_path)
    validate_with_yaozarrs(store / "experiment")
    assert_valid_ngff(store / "experiment/A/1/fov1")


def test_metadata_where_0_5_1_had_them(tmp_path):
    assert read_json(run("v0_5_one_array", tmp_path) / "acquire.json") == {"microscope": "left"}


def test_object_store_says_how_it_is_called():
    command = [sys.executable, str(EXAMPLES / "object_store.py")]
    told = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert told.returncode == 1
    assert told.stderr == "usage: python examples/object_store.py ENDPOINT BUCKET [REGION]\n"


def test_object_store_says_what_it_records():
    settings = runpy.run_path(str(EXAMPLES / "object_store.py"))["settings"]
    stream = settings("http://localhost:9000", "recordings", "us-east-1")
    assert stream.get_array_keys() == ["image"]
    assert stream.get_maximum_memory_usage() > 0
