"""Axes stored in another order than frames arrive: pixels, pyramids, metadata and memory."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.finished import array_nodes, assert_finished_array, read_json
from tests.support.model import assert_level_equal, expected_levels, expected_scales
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, record, settings_for
from tests.support.published import level_keys
from tests.support.strategies import array_plans

FAST = {"durability": "none"}


def assert_recorded(plan, store):
    record(aqz, StreamPlan((plan,), FAST), store)
    for key, expected in zip(level_keys(plan), expected_levels(plan), strict=True):
        for read in DECODERS.values():
            assert_level_equal(read(store, key), expected, plan.method)
    for node, document in array_nodes(store).items():
        assert_finished_array(node, document)
        assert document["dimension_names"] == [axis.name for axis in plan.stored_axes]
    if plan.multiscale:
        (image,) = read_json(store / "zarr.json")["attributes"]["ome"]["multiscales"]
        scales = [one["coordinateTransformations"][0]["scale"] for one in image["datasets"]]
        np.testing.assert_allclose(scales, expected_scales(plan))
        assert [axis["name"] for axis in image["axes"]] == [a.name for a in plan.stored_axes]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(array_plans(permuted=True))
def test_any_order_reads_back_equal_on_every_level(plan):
    with tempfile.TemporaryDirectory() as folder:
        assert_recorded(plan, Path(folder) / "s.zarr")


@pytest.mark.parametrize("method", ["MEAN", "DECIMATE", "MIN", "MAX"])
def test_pyramid_where_channels_come_faster_than_planes(tmp_path, method):
    # The case that acquire-zarr 0.10.0 averages over channels.
    plan = ArrayPlan(
        axes=axes("tzcyx", (0, 8, 2, 32, 32), (1, 2, 1, 8, 8), (2, 2, 1, 2, 2)),
        storage=("t", "c", "z", "y", "x"),
        method=method,
        frames=48,
    )
    assert len(expected_levels(plan)) == 3
    assert_recorded(plan, tmp_path / "s")


def test_time_need_not_come_first_where_it_is_bounded(tmp_path):
    plan = ArrayPlan(
        axes=axes("tcyx", (4, 3, 6, 5), (3, 2, 4, 4)), storage=("c", "t", "x", "y"), frames=12
    )
    assert_recorded(plan, tmp_path / "s")
    document = read_json(tmp_path / "s" / "zarr.json")
    assert document["shape"] == [3, 4, 5, 6]


def test_positions_instead_of_names(tmp_path):
    plan = ArrayPlan(axes=axes("tzcyx", (2, 3, 2, 6, 5), (1, 2, 1, 4, 4)), frames=12)
    stream_settings = settings_for(aqz, StreamPlan((plan,)), tmp_path / "s")
    stream_settings.arrays[0].storage_dimension_order = [0, 2, 1, 4, 3]
    with aqz.ZarrStream(stream_settings) as stream:
        stream.append(frames_of(plan))
    (expected,) = expected_levels(replace(plan, storage=("t", "c", "z", "x", "y")))
    assert_level_equal(DECODERS["tensorstore"](tmp_path / "s", ""), expected, None)


def test_readers_see_the_declared_shape_where_time_is_not_first(tmp_path):
    plan = ArrayPlan(
        axes=axes("tcyx", (4, 3, 6, 5), (1, 1, 6, 5)), storage=("c", "t", "y", "x"), frames=5
    )
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), tmp_path / "s")) as stream:
        stream.append(frames_of(plan))
        stream.flush()
        pixels = DECODERS["zarr-python"](tmp_path / "s", "")
    assert_level_equal(pixels, expected_levels(plan)[0], None)


@pytest.mark.parametrize("storage", ["zctyx", "ctzyx", "tczyx"])
def test_memory_stays_inside_the_bound(tmp_path, storage):
    # Chunks of four time points keep every plane of the inner axes open.
    plan = ArrayPlan(
        axes=axes("tzcyx", (8, 5, 3, 64, 64), (4, 1, 1, 64, 64)),
        storage=tuple(storage),
        method="MEAN" if storage == "tczyx" else None,
        frames=120,
    )
    stream_settings = settings_for(aqz, StreamPlan((plan,), FAST), tmp_path / "s")
    bound = stream_settings.get_maximum_memory_usage()
    largest = 0
    with aqz.ZarrStream(stream_settings) as stream:
        for frame in frames_of(plan):
            stream.append(frame)
            largest = max(largest, stream.get_current_memory_usage())
    assert 15 * 4 * 64 * 64 * 2 <= largest <= bound


def test_a_budget_for_the_order_of_storage_is_too_small_for_another(tmp_path):
    plan = ArrayPlan(
        axes=axes("tzyx", (50, 40, 64, 64), (10, 1, 64, 64), (1, 1, 1, 1)),
        frames=1,
    )
    in_order = settings_for(aqz, StreamPlan((plan,)), tmp_path / "s")
    in_order.max_memory = 40 * 10 * 64 * 64 * 2 // 2
    with pytest.raises(aqz.MemoryBudgetError, match="Raise max_memory"):
        in_order.get_maximum_memory_usage()
    swapped = replace(
        plan,
        axes=axes("ztyx", (40, 50, 64, 64), (1, 10, 64, 64), (1, 1, 1, 1)),
        storage=tuple("tzyx"),
    )
    fits = settings_for(aqz, StreamPlan((swapped,)), tmp_path / "s")
    fits.max_memory = in_order.max_memory
    assert fits.get_maximum_memory_usage() == in_order.max_memory
