"""Random recordings, read back by independent decoders and compared with the model.

Settings, data types, codecs, ragged sizes, pyramids, several arrays and the way frames are handed
over are all drawn at random; every pixel encodes where it belongs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.planning import layout
from tests.support.decoders import DECODERS, ZARRITA_DTYPES
from tests.support.finished import array_nodes, assert_finished_array, read_json, stored_files
from tests.support.model import assert_level_equal, expected_levels, expected_scales
from tests.support.plans import CODECS, ArrayPlan, StreamPlan, axes, record, settings_for
from tests.support.published import level_keys
from tests.support.strategies import DTYPES, METHODS, array_plans, stream_plans
from tests.support.validators import assert_valid_ngff

# Syncing thousands of tiny files is the disk's test, not ours.
FAST = {"durability": "none"}


def few(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def assert_stored(store, plan, decoders=DECODERS):
    """Read every level of every array with every decoder."""
    for array in plan.arrays:
        for key, expected in zip(level_keys(array), expected_levels(array), strict=True):
            for name, read in decoders.items():
                try:
                    assert_level_equal(read(store, key), expected, array.method)
                except Exception as error:
                    raise AssertionError(f"{name}, array {key!r} of {array}: {error}") from error


def assert_image_metadata(store, array):
    """Check the scales, and what the judges of NGFF say."""
    node = store / array.key
    (image,) = read_json(node / "zarr.json")["attributes"]["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == [axis.name for axis in array.axes]
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in image["datasets"]]
    np.testing.assert_allclose(scales, expected_scales(array))
    assert_valid_ngff(node)


def assert_complete(store, plan):
    """Check pixels, metadata and files of a finished store."""
    assert_stored(store, plan)
    nodes = array_nodes(store)
    assert {folder.relative_to(store).as_posix() for folder in nodes} == {
        key or "." for array in plan.arrays for key in level_keys(array)
    }
    for folder, document in nodes.items():
        assert_finished_array(folder, document)
    for array in plan.arrays:
        if array.multiscale:
            assert_image_metadata(store, array)


def recorded_and_checked(plan):
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s.zarr"
        record(aqz, plan, store)
        assert_complete(store, plan)


@few(75)
@given(stream_plans(**FAST))
def test_any_recording_reads_back_equal_in_every_decoder(plan):
    recorded_and_checked(plan)


@few(25)
@given(stream_plans(**FAST, live=False))
def test_any_recording_that_is_not_live_reads_back_equal(plan):
    recorded_and_checked(plan)


@few(40)
@given(plan=stream_plans(**FAST), data=st.data())
def test_how_buffers_are_cut_does_not_show(plan, data, monkeypatch):
    # Arrays of a real size are cut into buffers and pieces; small ones are when the limits are.
    for limit in ("MAX_SLAB_NBYTES", "MIN_SLAB_NBYTES", "MAX_PIECE_LAYER_NBYTES"):
        monkeypatch.setattr(layout, limit, data.draw(st.integers(1, 2000), label=limit))
    recorded_and_checked(plan)


@pytest.mark.node
@few(20)
@given(array_plans(dtypes=ZARRITA_DTYPES, minimum_frames=1))
def test_finished_recordings_read_back_equal_in_zarrita(zarrita, plan):
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s.zarr"
        record(aqz, StreamPlan((plan,), FAST), store)
        levels = zarrita(store, level_keys(plan))
        for actual, expected in zip(levels, expected_levels(plan), strict=True):
            assert_level_equal(actual, expected, plan.method)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_pyramid_of_every_data_type_and_method(tmp_path, dtype, method):
    plan = StreamPlan(
        (
            ArrayPlan(
                axes=axes("tczyx", (0, 2, 5, 21, 18), (1, 1, 2, 5, 4), (2, 1, 2, 2, 1)),
                dtype=dtype,
                method=method,
                codec="zstd",
                frames=20,
                batch=3,
            ),
        ),
        FAST,
    )
    record(aqz, plan, tmp_path / "s")
    assert len(expected_levels(plan.arrays[0])) == 4
    assert_complete(tmp_path / "s", plan)


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(tmp_path, codec, shuffle, sharded):
    plan = StreamPlan(
        (
            ArrayPlan(
                axes=axes("tyx", (0, 70, 50), (3, 32, 32), (2, 2, 1) if sharded else None),
                codec=codec,
                level=3,
                shuffle=shuffle if codec.startswith("blosc") else 0,
                frames=8,
            ),
        ),
        FAST,
    )
    record(aqz, plan, tmp_path / "s")
    assert_complete(tmp_path / "s", plan)
    document = read_json(tmp_path / "s" / "zarr.json")
    codecs = document["codecs"]
    if sharded:
        codecs = codecs[0]["configuration"]["codecs"]
    names = [entry["name"] for entry in codecs]
    assert names == ["bytes", codec.split("-")[0]] if codec != "none" else names == ["bytes"]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_frames_of_a_camera_size(tmp_path, codec, live):
    # Large enough for aligned writes past the page cache, buffers of several rows, many batches.
    plan = StreamPlan(
        (
            ArrayPlan(
                axes=axes("tyx", (0, 1030, 1300), (2, 256, 512), (4, 4, 2)),
                codec=codec,
                frames=19,
                key="camera",
            ),
            ArrayPlan(
                axes=axes("zyx", (16, 512, 512), (8, 128, 128), (2, 2, 2)),
                codec=codec,
                method="MEAN",
                frames=16,
                batch=5,
                key="stack",
            ),
        ),
        {"live": live},
    )
    record(aqz, plan, tmp_path / "s")
    assert_complete(tmp_path / "s", plan)


def test_large_chunks_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_PIECE_LAYER_NBYTES", 40_000)
    monkeypatch.setattr(layout, "MIN_PIECE_NBYTES", 4096)
    plan = StreamPlan(
        (
            ArrayPlan(
                axes=axes("tyx", (0, 96, 128), (16, 32, 64), (2, 2, 1)), frames=41, blanks={3, 4}
            ),
        )
    )
    record(aqz, plan, tmp_path / "s")
    assert_complete(tmp_path / "s", plan)


@pytest.mark.parametrize("fill_value", [float("nan"), float("inf"), -float("inf"), -0.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_special_fill_values_of_floats(tmp_path, dtype, fill_value):
    plan = StreamPlan(
        (
            ArrayPlan(
                axes=axes("tcyx", (0, 3, 9, 7), (1, 1, 4, 4), (1, 1, 2, 2)),
                dtype=dtype,
                fill_value=fill_value,
                frames=5,
                blanks=frozenset({1, 3}),
            ),
        ),
        FAST,
    )
    record(aqz, plan, tmp_path / "s")
    assert_complete(tmp_path / "s", plan)


def test_pixels_equal_to_zero_differ_from_the_fill_value(tmp_path):
    # A chunk of zeros may only be left out where zero is what a missing chunk reads as.
    plan = StreamPlan(
        (ArrayPlan(axes=axes("tyx", (0, 8, 8), (1, 4, 4), (1, 1, 1)), fill_value=7, frames=3),),
        FAST,
    )
    with aqz.ZarrStream(settings_for(aqz, plan, tmp_path / "s")) as stream:
        stream.append(np.zeros((3, 8, 8), np.uint16))
    for name, read in DECODERS.items():
        assert not read(tmp_path / "s", "").any(), name


def test_negative_zero_is_kept(tmp_path):
    plan = StreamPlan(
        (ArrayPlan(axes=axes("tyx", (0, 4, 4), (1, 4, 4), (1, 1, 1)), dtype="float32"),), FAST
    )
    with aqz.ZarrStream(settings_for(aqz, plan, tmp_path / "s")) as stream:
        stream.append(np.full((4, 4), -0.0, np.float32))
    for name, read in DECODERS.items():
        assert np.signbit(read(tmp_path / "s", "")).all(), name


def test_a_store_holds_nothing_but_documents_and_chunks(tmp_path):
    plan = StreamPlan(
        (
            ArrayPlan(axes=axes("tyx", (0, 5, 6), (2, 3, 3), (1, 2, 1)), key="a/b", frames=3),
            ArrayPlan(axes=axes("tyx", (0, 5, 6), (2, 3, 3)), key="c", frames=3),
        )
    )
    record(aqz, plan, tmp_path / "s")
    assert stored_files(tmp_path / "s") == {
        "zarr.json",
        "a/zarr.json",
        "a/b/zarr.json",
        *(f"a/b/c/{t}/0/{x}" for t in (0, 1) for x in (0, 1)),
        "c/zarr.json",
        *(f"c/c/{t}/{y}/{x}" for t in (0, 1) for y in (0, 1) for x in (0, 1)),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
