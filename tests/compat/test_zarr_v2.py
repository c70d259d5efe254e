"""Zarr V2 with NGFF 0.4: what old readers read, in the places where acquire-zarr 0.5.1 put it."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.finished import read_json, stored_files
from tests.support.model import assert_level_equal, expected_levels, expected_scales
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, record, settings_for
from tests.support.published import level_keys
from tests.support.strategies import array_plans
from tests.support.validators import validate_with_ome_zarr_models, validate_with_yaozarrs

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

FAST = {"durability": "none", "version": aqz.ZarrVersion.V2}


def v2(*plans, **options):
    return StreamPlan(plans, {**FAST, **options})


def grey(key="img", **fields):
    return ArrayPlan(axes=axes("tyx", (0, 20, 30), (4, 8, 8)), key=key, **{"frames": 6, **fields})


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.booleans().flatmap(lambda other: array_plans(key="a/b", permuted=other)))
def test_any_recording_reads_back_equal(plan):
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s.zarr"
        record(aqz, v2(plan), store)
        for key, expected in zip(level_keys(plan), expected_levels(plan), strict=True):
            for name, read in DECODERS.items():
                # No type of TensorStore's driver for V2.
                if name != "tensorstore" or plan.dtype != "float16":
                    assert_level_equal(read(store, key), expected, plan.method)
        if plan.multiscale:
            (image,) = read_json(store / "a/b/.zattrs")["multiscales"]
            scales = [one["coordinateTransformations"][0]["scale"] for one in image["datasets"]]
            np.testing.assert_allclose(scales, expected_scales(plan))
            assert image["version"] == "0.4"
            if not plan.storage:  # NGFF does not allow every order
                validate_with_yaozarrs(store / "a/b")
                validate_with_ome_zarr_models(store / "a/b")


@pytest.mark.parametrize("codec", ["none", "blosc-lz4", "blosc-zstd", "zstd", "gzip"])
def test_codecs_in_all_three_decoders(tmp_path, codec):
    plan = grey(codec=codec, level=3)
    record(aqz, v2(plan), tmp_path / "s")
    for read in DECODERS.values():
        assert_level_equal(read(tmp_path / "s", "img"), expected_levels(plan)[0], None)


def test_files_are_those_of_acquire_zarr(tmp_path):
    record(aqz, v2(grey("g/a"), grey("ms", method="MEAN")), tmp_path / "s")
    chunks = {f"{t}/{y}/{x}" for t in (0, 1) for y in (0, 1, 2) for x in (0, 1, 2, 3)}
    files = stored_files(tmp_path / "s")
    assert {name for name in files if name.startswith("g/")} == {
        "g/.zgroup",
        "g/a/.zarray",
        "g/a/.zattrs",
        *(f"g/a/{chunk}" for chunk in chunks),
    }
    assert {name for name in files if "/." in f"/{name}"} == {
        ".zgroup",
        "g/.zgroup",
        "g/a/.zarray",
        "g/a/.zattrs",
        "ms/.zgroup",
        "ms/.zattrs",
        *(f"ms/{level}/.zarray" for level in (0, 1, 2)),
    }
    assert set(read_json(tmp_path / "s" / "g/a/.zattrs")) == {"aqz"}
    assert json.loads((tmp_path / "s" / ".zgroup").read_text()) == {"zarr_format": 2}
    assert read_json(tmp_path / "s" / "g/a/.zarray") == {
        "chunks": [4, 8, 8],
        "compressor": None,
        "dimension_separator": "/",
        "dtype": "<u2",
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": [6, 20, 30],
        "zarr_format": 2,
    }


def test_an_empty_key_is_an_image(tmp_path):
    plan = grey("")
    record(aqz, v2(plan), tmp_path / "s")
    (image,) = read_json(tmp_path / "s" / ".zattrs")["multiscales"]
    assert [one["path"] for one in image["datasets"]] == ["0"]
    assert "type" not in image
    pixels = DECODERS["tensorstore"](tmp_path / "s", "0")
    assert_level_equal(pixels, expected_levels(plan)[0], None)


def test_an_image_at_the_root_has_children_but_none_with_a_number(tmp_path):
    both = v2(grey(""), grey("labels"))
    record(aqz, both, tmp_path / "s")
    assert DECODERS["zarr-python"](tmp_path / "s", "labels").shape == (6, 20, 30)
    with pytest.raises(aqz.SettingsError, match="pyramid level 0"):
        aqz.ZarrStream(settings_for(aqz, v2(grey(""), grey("0")), tmp_path / "t"))


def test_chunks_of_small_levels_are_no_larger_than_the_level(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (0, 64, 24), (2, 16, 16)), key="img", method="MEAN", frames=4)
    record(aqz, v2(plan), tmp_path / "s")
    assert read_json(tmp_path / "s" / "img/1/.zarray")["chunks"] == [2, 16, 12]
    record(aqz, StreamPlan((plan,)), tmp_path / "v3")
    grid = read_json(tmp_path / "v3" / "img/1/zarr.json")["chunk_grid"]["configuration"]
    assert grid["chunk_shape"] == [2, 16, 16]


def test_shards_have_no_meaning(tmp_path):
    stream_settings = settings_for(aqz, v2(grey()), tmp_path / "s")
    stream_settings.arrays[0].dimensions[0].shard_size_chunks = 0
    stream_settings.arrays[0].dimensions[1].shard_size_chunks = None
    with aqz.ZarrStream(stream_settings) as stream:
        stream.append(frames_of(grey()))
    assert (tmp_path / "s/img/1/2/3").stat().st_size == 4 * 8 * 8 * 2


def test_readers_can_follow(tmp_path):
    plan = grey(frames=9)
    with aqz.ZarrStream(settings_for(aqz, v2(plan), tmp_path / "s")) as stream:
        assert DECODERS["tensorstore"](tmp_path / "s", "img").shape == (0, 20, 30)
        stream.append(frames_of(plan))
        stream.flush()
        pixels = DECODERS["zarr-python"](tmp_path / "s", "img")
        assert_level_equal(pixels, expected_levels(plan)[0], None)


def test_chunk_files_appear_whole(tmp_path):
    # Written under another name and renamed: no reader ever sees half a chunk.
    seen = set()
    plan = grey(frames=40)
    with aqz.ZarrStream(settings_for(aqz, v2(plan), tmp_path / "s")) as stream:
        for frame in frames_of(plan):
            stream.append(frame)
            seen |= {file.stat().st_size for file in (tmp_path / "s/img").glob("[0-9]*/*/*")}
    assert seen <= {4 * 8 * 8 * 2}


def test_v2_is_deprecated_but_new_recordings_are_v3(tmp_path, caplog):
    assert aqz.StreamSettings().version is aqz.ZarrVersion.V3
    stream_settings = settings_for(aqz, v2(grey()), tmp_path / "s")
    with (
        caplog.at_level(logging.WARNING, "aqz"),
        pytest.warns(DeprecationWarning, match="Zarr V2 is deprecated"),
    ):
        aqz.ZarrStream(stream_settings).close()
    assert "Zarr V2 is deprecated" in caplog.text


def test_a_store_of_the_other_format_is_not_overwritten(tmp_path):
    record(aqz, v2(grey()), tmp_path / "s")
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings_for(aqz, StreamPlan((grey(),)), tmp_path / "s"))
