"""Metadata in every spelling that Micro-Manager has for it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_micromanager import read_frame_metadata
from aqz_micromanager.tags import TagTable, camera_of, number, pixel_size_um, plain


@pytest.mark.parametrize(
    ("tags", "size"),
    [
        ({"PixelSizeUm": 0.65}, 0.65),
        ({"PixelSize_um": "0.65"}, 0.65),
        ({"pixel_size_um": np.float32(0.5)}, 0.5),
        ({"PixelSizeUm": 0.0}, None),
        ({"PixelSizeUm": None}, None),
        ({"PixelSizeUm": "NaN"}, None),
        ({}, None),
    ],
)
def test_pixel_sizes(tags, size):
    assert pixel_size_um(tags) == size


def test_truth_values_are_no_numbers():
    assert number({"Exposure": True}, "Exposure") is None


def test_properties_are_written_once_and_when_they_change():
    table = TagTable("compact")
    tags = {"Axes": {"time": 0}, "Height": "512", "Camera-Gain": "1", "Exposure": "5.0"}
    assert table.row(tags) == {"exposure_ms": 5, "changed": {"Camera-Gain": "1"}}
    assert table.row(tags) == {"exposure_ms": 5}
    assert table.row({**tags, "Camera-Gain": "2"})["changed"] == {"Camera-Gain": "2"}


def test_full_rows_keep_everything():
    tags = {"Axes": {"time": 0}, "Height": "512", "Camera-Gain": "1"}
    table = TagTable("full")
    assert [table.row(tags), table.row(tags)] == [tags, tags]


def test_no_rows():
    assert TagTable(None).row({"Exposure": 5}) is None


@pytest.mark.parametrize(
    ("tags", "camera"),
    [
        ({"Camera": "right"}, "right"),
        ({"Camera": "Multi", "CameraChannelIndex": 1}, "right"),
        ({"Camera": "Multi", "CameraChannelIndex": "0"}, "left"),
        ({"Camera": "Multi", "CameraChannelIndex": 2}, None),
        ({"Camera": "Multi"}, None),
    ],
)
def test_cameras(tags, camera):
    assert camera_of(tags, ("left", "right")) == camera


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_anything_becomes_json(value):
    text = json.dumps(plain(value), allow_nan=False)
    assert isinstance(text, str)


def test_numpy_becomes_json():
    value = {"a": np.int64(3), "b": np.array([1.5, math.inf]), "c": (np.bool_(True),)}
    assert plain(value) == {"a": 3, "b": [1.5, "inf"], "c": [True]}


def test_a_reader_fills_in_what_did_not_change(tmp_path):
    store = tmp_path / "a.zarr"
    table = TagTable("compact")
    with aqz.open_stream(store, shape=(0, 4, 4), dtype="uint8", axes="tyx") as stream:
        for gain in ("1", "1", "2"):
            tags = {"Exposure": 5, "Camera-Gain": gain, "Camera-Mode": "fast"}
            stream.append(np.ones((4, 4), np.uint8), metadata=table.row(tags))

    rows = read_frame_metadata(store)
    assert [row["tags"]["Camera-Gain"] for row in rows] == ["1", "1", "2"]
    assert {row["tags"]["Camera-Mode"] for row in rows} == {"fast"}
    assert not any("changed" in row for row in rows)
