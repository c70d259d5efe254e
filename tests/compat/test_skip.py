"""Skipped data read as the fill value, whatever was recorded before and whatever is left out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from tests.support.decoders import read_with_tensorstore, read_with_zarr_python
from tests.support.finished import array_nodes, assert_finished_array, stored_files
from tests.support.frames import encoded_frames
from tests.support.model import assert_level_equal, expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.published import level_keys
from tests.support.strategies import array_plans

FAST = {"durability": "none"}


def grey(path, frames=0, **fields):
    """Settings of a time series of 4 x 6 pixels, two frames to a chunk, two chunks to a shard."""
    plan = ArrayPlan(axes=axes("tyx", (frames, 4, 6), (2, 4, 6), (2, 1, 1)), **fields)
    return settings_for(aqz, StreamPlan((plan,), FAST), path)


def record_with_gaps(plan, gaps, path):
    """Append a plan's frames one by one, and skip those of `gaps`."""
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), FAST), path)) as stream:
        run = 0
        for number, frame in enumerate(frames_of(plan)):
            if number in gaps:
                run += 1
                continue
            stream.skip_frames(run)
            run = 0
            stream.append(frame)
        stream.skip(run * frames_of(plan)[:1].nbytes if plan.frames else 0)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    plan=array_plans(dtypes=("uint8", "int16", "float32"), codecs=("none", "zstd")),
    gaps=st.frozensets(st.integers(0, 30), min_size=1, max_size=20),
)
def test_skipped_frames_read_as_the_fill_value_on_every_level(plan, gaps):
    gaps = frozenset(gap for gap in gaps if gap < plan.frames)
    plan = ArrayPlan(**{**plan.__dict__, "blanks": gaps})  # the model's way to say the same
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s.zarr"
        record_with_gaps(plan, gaps, store)
        for key, expected in zip(level_keys(plan), expected_levels(plan), strict=True):
            assert_level_equal(read_with_zarr_python(store, key), expected, plan.method)
        for node, document in array_nodes(store).items():
            assert_finished_array(node, document)


def test_nothing_of_older_frames_shows(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s")) as stream:
        stream.append(np.full((700, 4, 6), 7, np.uint16))
        stream.skip_frames(600)
        stream.append(np.full((1, 4, 6), 9, np.uint16))
    pixels = read_with_tensorstore(tmp_path / "s", "")
    assert pixels.shape == (1301, 4, 6)
    assert (pixels[:700] == 7).all()
    assert not pixels[700:1300].any()
    assert (pixels[1300] == 9).all()


def test_part_of_a_frame(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s", fill_value=3)) as stream:
        stream.append(np.full(12, 5, np.uint16))
        stream.skip(24)  # the other half of the frame
        stream.skip(24)  # half of the next
        stream.append(np.full(12, 6, np.uint16))
        stream.skip(2 * 24 * 3 + 24)  # three frames and a half
        stream.append(np.full(12, 8, np.uint16))
    pixels = read_with_zarr_python(tmp_path / "s", "").reshape(-1, 2, 12)
    assert pixels[:, :, 0].tolist() == [[5, 3], [3, 6], [3, 3], [3, 3], [3, 3], [3, 8]]
    assert (pixels == pixels[:, :, :1]).all()


def test_whole_chunks_are_not_stored(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s")) as stream:
        stream.append(np.ones((2, 4, 6), np.uint16))
        stream.skip_frames(1000)
        stream.append(np.ones((2, 4, 6), np.uint16))
    names = {"zarr.json", "c/0/0/0", "c/250/0/0", "aqz.frames.jsonl"}
    assert stored_files(tmp_path / "s") == names
    assert read_with_zarr_python(tmp_path / "s", "").shape == (1004, 4, 6)


def test_shards_with_skipped_chunks_are_finished_while_the_recording_goes_on(tmp_path):
    done = []

    class Listener:
        @aqz.hookimpl
        def aqz_shard_written(self, event):
            done.append(event.path)

    with aqz.ZarrStream(grey(tmp_path / "s"), plugins=[Listener()]) as stream:
        for _ in range(20):
            stream.append(np.ones((2, 4, 6), np.uint16))
            stream.skip_frames(2)
        stream.flush()
        files = list((tmp_path / "s" / "c").glob("*/0/0"))
    assert len(files) == 20
    assert len(done) == 20


def test_no_call_skips_for_hours(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s")) as stream:
        with pytest.raises(aqz.OutOfBoundsError, match=r"10,000,000 at most.*by index"):
            stream.skip_frames(10**30)
        stream.append(np.full((1, 4, 6), 9, np.uint16))
    assert read_with_tensorstore(tmp_path / "s", "").shape == (1, 4, 6)


def test_skipping_counts_as_frames(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s", frames=5)) as stream:
        stream.skip_frames(3)
        stream.append(np.ones((1, 4, 6), np.uint16))
        with pytest.raises(aqz.OutOfBoundsError, match="2 more do not fit"):
            stream.skip_frames(2)
        stream.skip_frames(1)
        with pytest.raises(aqz.OutOfBoundsError):
            stream.skip(2)
        assert stream.statistics().frames == 5
    assert read_with_zarr_python(tmp_path / "s", "").shape == (5, 4, 6)


def test_a_skipped_frame_can_be_written_until_its_chunk_is_stored(tmp_path):
    with aqz.ZarrStream(grey(tmp_path / "s")) as stream:
        stream.skip_frames(1)
        stream.append(np.full((1, 4, 6), 2, np.uint16))
        stream.write(np.ones((4, 6), np.uint16), {"t": 0})
        stream.append(np.full((1, 4, 6), 3, np.uint16))
        with pytest.raises(aqz.FrameExistsError):
            stream.write(np.ones((4, 6), np.uint16), {"t": 0})
    stored = read_with_zarr_python(tmp_path / "s", "")
    assert stored[:, 0, 0].tolist() == [1, 2, 3]


def test_in_one_of_several_arrays(tmp_path):
    plans = tuple(
        ArrayPlan(axes=axes("tyx", (0, 4, 6), (3, 4, 6)), key=key, frames=0) for key in "ab"
    )
    frames = encoded_frames(range(5), 4, 6, "uint16")
    with aqz.ZarrStream(settings_for(aqz, StreamPlan(plans), tmp_path / "s")) as stream:
        stream.append(frames, "a")
        stream.skip_frames(4, "b")
        stream.append(frames[:1], key="b")
        with pytest.raises(aqz.UnknownArrayError):
            stream.skip(10)
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", "a"), frames)
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", "b")[4], frames[0])


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True])
def test_what_is_no_count(tmp_path, count):
    with aqz.ZarrStream(grey(tmp_path / "s")) as stream:
        with pytest.raises(TypeError):
            stream.skip(count)
        with pytest.raises(TypeError):
            stream.skip_frames(count)
        stream.skip(0)
        with pytest.raises(aqz.FrameShapeError, match="not a whole number"):
            stream.skip(3)
    with pytest.raises(aqz.StreamClosedError):
        stream.skip(2)
