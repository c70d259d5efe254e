"""Frames written by index: any order, gaps, duplicates, names, and a memory that stays small."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.errors import (
    FrameExistsError,
    FrameIndexError,
    FrameShapeError,
    MemoryBudgetError,
    MetadataError,
    OutOfBoundsError,
    StorageError,
)
from tests.support.decoders import read_with_zarr_python
from tests.support.frames import encoded_frames
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.strategies import array_plans

STACKS = ArrayPlan(axes("tczyx", (0, 2, 3, 20, 24), (2, 1, 2, 8, 8), (2, 2, 1, 2, 2)), frames=24)


def opened(path, plan, channels=(), **options):
    stream_settings = settings_for(aqz, StreamPlan((plan,), {"durability": "none"}), path)
    for name, value in options.items():
        setattr(stream_settings, name, value)
    if channels:
        stream_settings.arrays[0].is_ngff = True
        stream_settings.arrays[0].channels = [aqz.Channel(name=name) for name in channels]
    return aqz.ZarrStream(stream_settings)


def index_of(plan, number):
    leading = plan.axes[:-2]
    sizes = [axis.size or 10**6 for axis in leading]
    return {
        axis.name: int(position)
        for axis, position in zip(leading, np.unravel_index(number, sizes), strict=True)
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_order_with_gaps_gives_the_same_array(data, tmp_path_factory):
    plans = array_plans(minimum_frames=1)
    plan = data.draw(plans.filter(lambda plan: len(plan.axes) > 2 and plan.method is None))
    frames = frames_of(plan)
    order = data.draw(st.permutations(range(plan.frames)))
    left_out = data.draw(st.sets(st.sampled_from(order), max_size=3)) - {plan.frames - 1}
    path = tmp_path_factory.mktemp("write") / "s"
    with opened(path, plan) as stream:
        for number in order:
            if number not in left_out:
                stream.write(frames[number], index_of(plan, number))
    frames[sorted(left_out)] = plan.fill_value
    stored = read_with_zarr_python(path, "0" if plan.is_ngff else plan.key)
    planes = stored.reshape(-1, *plan.frame_shape)
    np.testing.assert_array_equal(planes[: plan.frames], frames)


def test_a_pyramid_is_right_whatever_the_order(tmp_path):
    plan = ArrayPlan(STACKS.axes, frames=24, method="MEAN")
    frames = frames_of(plan)
    order = list(range(24))
    random.Random(3).shuffle(order)
    with opened(tmp_path / "s", plan) as stream:
        for number in order:
            stream.write(frames[number], index_of(plan, number))
    for level, expected in enumerate(expected_levels(plan)):
        np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", str(level)), expected)


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
@pytest.mark.parametrize("shard", [1, 4])
def test_far_apart_frames_stay_inside_the_budget(tmp_path, codec, shard):
    plan = ArrayPlan(
        axes("tyx", (0, 512, 512), (16, 128, 128), (shard, 2, 2)), codec=codec, frames=192
    )
    order = list(range(plan.frames))
    random.Random(5).shuffle(order)
    budget = 48 << 20  # five of the twelve chunk layers, all of which stay open to the end
    with opened(tmp_path / "s", plan, max_memory=budget) as stream:
        for number in order:
            frame = encoded_frames([number], 512, 512, "uint16")[0]
            stream.write(frame, {"t": number})
            assert stream.get_current_memory_usage() <= budget
    stored = read_with_zarr_python(tmp_path / "s", "")
    np.testing.assert_array_equal(stored, encoded_frames(range(plan.frames), 512, 512, "uint16"))


def test_channels_can_be_named(tmp_path):
    with opened(tmp_path / "s", STACKS, channels=("DAPI", "FITC")) as stream:
        stream.write(frames_of(STACKS)[0], {"t": 0, "c": "FITC", "z": 2})
        with pytest.raises(FrameIndexError, match=r"'GFP'.*DAPI"):
            stream.write(frames_of(STACKS)[0], {"t": 0, "c": "GFP", "z": 2})
    stored = read_with_zarr_python(tmp_path / "s", "0")
    np.testing.assert_array_equal(stored[0, 1, 2], frames_of(STACKS)[0])
    assert not stored[0, 0].any()


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ({"t": 0, "c": 0}, FrameIndexError, r"axes \['t', 'c', 'z'\]"),
        ({"t": 0, "c": 0, "z": 0, "p": 0}, FrameIndexError, "no other"),
        ({"t": 0.5, "c": 0, "z": 0}, FrameIndexError, "0.5"),
        ({"t": 0, "c": "DAPI", "z": 0}, FrameIndexError, "no names"),
        ({"t": 0, "c": 2, "z": 0}, OutOfBoundsError, "size 2"),
        ({"t": -1, "c": 0, "z": 0}, OutOfBoundsError, "-1"),
        ({"t": 10**30, "c": 0, "z": 0}, FrameIndexError, "2,147,483,648 frames at most"),
    ],
)
def test_a_bad_index_says_what_is_wrong(tmp_path, index, error, message):
    with opened(tmp_path / "s", STACKS) as stream, pytest.raises(error, match=message):
        stream.write(frames_of(STACKS)[0], index)


def test_a_second_frame_at_an_index_is_refused_unless_asked_for(tmp_path):
    first, second = frames_of(STACKS)[:2]
    index = {"t": 0, "c": 0, "z": 0}
    with opened(tmp_path / "s", STACKS) as stream:
        stream.write(first, index)
        with pytest.raises(FrameExistsError, match="replace=True"):
            stream.write(second, index)
        stream.write(second, index, replace=True)
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", "")[0, 0, 0], second)


def test_a_frame_of_a_stored_chunk_is_not_replaced_silently(tmp_path):
    plan = ArrayPlan(axes("tyx", (0, 512, 512), (1, 512, 512), (1, 1, 1)), frames=3)
    frames = frames_of(plan)
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames)
        with pytest.raises(FrameExistsError, match="its chunk is stored"):
            stream.write(frames[2], {"t": 0}, replace=True)
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", ""), frames)


@pytest.mark.parametrize("size", [16, 512])
@pytest.mark.parametrize("flushed", [False, True])
def test_a_stored_chunk_that_is_a_file_of_one_frame_is_replaced(tmp_path, size, flushed):
    plan = ArrayPlan(axes("tczyx", (0, 2, 3, size, size), (1, 1, 1, size, size), None), frames=12)
    frames = frames_of(plan)
    with opened(tmp_path / "s", plan) as stream:
        for number in range(12):
            stream.write(frames[number], index_of(plan, number))
        if flushed:
            stream.flush()
        for number in (0, 4, 11, 4):
            stream.write(frames[(number + 1) % 12], index_of(plan, number), replace=True)
    stored = read_with_zarr_python(tmp_path / "s", "").reshape(frames.shape)
    for number in range(12):
        expected = frames[(number + 1) % 12] if number in (0, 4, 11) else frames[number]
        np.testing.assert_array_equal(stored[number], expected)


def test_append_goes_on_behind_the_last_written_frame(tmp_path):
    plan = ArrayPlan(axes("tyx", (0, 8, 8), (2, 4, 4), (2, 2, 2)), frames=6)
    frames = frames_of(plan)
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames[:2])
        stream.write(frames[4], {"t": 4})
        stream.append(frames[5])
    stored = read_with_zarr_python(tmp_path / "s", "")
    np.testing.assert_array_equal(stored[[0, 1, 4, 5]], frames[[0, 1, 4, 5]])
    assert not stored[2:4].any()


def test_only_one_frame_has_an_index(tmp_path):
    with (
        opened(tmp_path / "s", STACKS) as stream,
        pytest.raises(FrameShapeError, match="one frame"),
    ):
        stream.write(frames_of(STACKS)[:2], {"t": 0, "c": 0, "z": 0})


# --- metadata of frames -----------------------------------------------------------------------


def test_metadata_of_frames_are_a_table(tmp_path):
    frames = frames_of(STACKS)
    with opened(tmp_path / "s", STACKS, channels=("DAPI", "FITC")) as stream:
        for number in (5, 0, 7):
            index = index_of(STACKS, number)
            stream.write(
                frames[number], index, metadata={"time_ms": number * 10.5, "stage": [1, 2]}
            )
        stream.flush()
        during = aqz.read_frame_metadata(tmp_path / "s")
    assert during == aqz.read_frame_metadata(tmp_path / "s")
    assert during[0] == {"t": 0, "c": 1, "z": 2, "time_ms": 52.5, "stage": [1, 2]}
    assert [row["time_ms"] for row in during] == [52.5, 0.0, 73.5]


def test_appended_frames_can_carry_metadata(tmp_path):
    frames = frames_of(STACKS)
    with opened(tmp_path / "s", STACKS) as stream:
        for number in range(4):
            stream.append(frames[number], metadata={"n": np.int64(number)})
        with pytest.raises(FrameShapeError, match="one frame"):
            stream.append(frames[:2], metadata={"n": 1})
        with pytest.raises(MetadataError, match="mapping"):
            stream.append(frames[0], metadata=[1])
    rows = aqz.read_frame_metadata(tmp_path / "s")
    assert [(row["t"], row["c"], row["z"], row["n"]) for row in rows] == [
        (0, 0, 0, 0),
        (0, 0, 1, 1),
        (0, 0, 2, 2),
        (0, 1, 0, 3),
    ]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    with opened(tmp_path / "s", STACKS) as stream:
        for frame in frames_of(STACKS)[:3]:
            stream.append(frame, metadata={"a": 1})
    log = next((tmp_path / "s").rglob("aqz.frames.jsonl"))
    log.write_bytes(log.read_bytes()[:-4])
    assert len(aqz.read_frame_metadata(tmp_path / "s")) == 2


def test_asking_for_an_array_that_is_not_there(tmp_path):
    with opened(tmp_path / "s", STACKS):
        pass
    with pytest.raises(aqz.UnknownArrayError, match="'other'"):
        aqz.read_frame_metadata(tmp_path / "s", "other")
    with pytest.raises(StorageError, match="no such directory"):
        aqz.read_frame_metadata(tmp_path / "nothing")


def test_a_budget_that_one_layer_does_not_fit_is_refused(tmp_path):
    with pytest.raises(MemoryBudgetError, match="max_memory"):
        opened(tmp_path / "s", STACKS, max_memory=1000)
