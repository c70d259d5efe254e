"""Opening, closing, and everything a stream leaves behind or leaves alone."""

from __future__ import annotations

import copy
import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import AqzError, StoreExistsError, StreamClosedError
from tests.support.decoders import read_with_zarr_python
from tests.support.finished import array_nodes, assert_finished_array, read_json, stored_files
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.recorder import RecorderJob, run_recorder

PLAN = ArrayPlan(axes=axes("tyx", (0, 10, 14), (2, 4, 5), (2, 2, 1)), key="img", frames=7)
OTHER = ArrayPlan(axes=axes("tyx", (0, 8, 8), (1, 4, 4), (2, 2, 1)), key="other", frames=5, seed=1)


def settings(path, *plans, **options):
    return settings_for(aqz, StreamPlan(plans or (PLAN,), options), path)


def opened(path, *plans, **options):
    return aqz.ZarrStream(settings(path, *plans, **options))


def assert_stored(path, plan=PLAN):
    np.testing.assert_array_equal(
        read_with_zarr_python(path, plan.key), frames_of(plan), strict=True
    )
    for folder, document in array_nodes(path).items():
        assert_finished_array(folder, document)


def test_leaving_the_block_closes(tmp_path):
    with opened(tmp_path / "s") as stream:
        assert stream.is_active()
        stream.append(frames_of(PLAN))
    assert not stream.is_active()
    assert_stored(tmp_path / "s")


def test_closing_twice_is_the_same_as_once(tmp_path):
    stream = opened(tmp_path / "s")
    stream.append(frames_of(PLAN))
    stream.close()
    before = {name: (tmp_path / "s" / name).read_bytes() for name in stored_files(tmp_path / "s")}
    stream.close()
    after = {name: (tmp_path / "s" / name).read_bytes() for name in stored_files(tmp_path / "s")}
    assert after == before


def test_a_closed_stream_takes_no_frames(tmp_path):
    stream = opened(tmp_path / "s")
    stream.append(frames_of(PLAN))
    stream.close()
    with pytest.raises(StreamClosedError, match="closed"):
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "s")


def test_an_error_in_the_block_passes_and_the_store_is_finished(tmp_path):
    with pytest.raises(ZeroDivisionError), opened(tmp_path / "s") as stream:  # noqa: PT012
        stream.append(frames_of(PLAN))
        raise ZeroDivisionError
    assert not stream.is_active()
    assert_stored(tmp_path / "s")


def test_a_forgotten_stream_is_finished_with_a_warning(tmp_path):
    stream = opened(tmp_path / "s")
    stream.append(frames_of(PLAN))
    with pytest.warns(ResourceWarning, match="close"):  # noqa: PT031
        del stream
        gc.collect()
    assert_stored(tmp_path / "s")


@pytest.mark.parametrize("warnings", ["default", "error"])
def test_a_stream_open_at_interpreter_exit_is_finished(tmp_path, warnings):
    plan = StreamPlan((PLAN, OTHER))
    job = RecorderJob(str(tmp_path / "s"), plan, ending="forget", warnings=warnings)
    outcome = run_recorder(job)
    assert outcome.returncode == 0, outcome.stderr
    assert "ResourceWarning" in outcome.stderr
    assert_stored(tmp_path / "s", PLAN)
    assert_stored(tmp_path / "s", OTHER)


def test_settings_changed_after_opening_do_not_matter(tmp_path):
    given = settings(tmp_path / "s")
    untouched = copy.deepcopy(given)
    with aqz.ZarrStream(given) as stream:
        assert given == untouched
        given.arrays[0].dimensions[1].array_size_px = 3
        given.arrays[0].output_key = "elsewhere"
        given.store_path = str(tmp_path / "elsewhere")
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "s")
    assert not (tmp_path / "elsewhere").exists()


def test_one_settings_object_opens_several_streams(tmp_path):
    given = settings(tmp_path / "a")
    for name in "ab":
        given.store_path = tmp_path / name
        with aqz.ZarrStream(given) as stream:
            stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "a")
    assert_stored(tmp_path / "b")


def test_the_store_path_may_be_a_path(tmp_path):
    given = settings(tmp_path / "s")
    given.store_path = Path(tmp_path / "p")
    with aqz.ZarrStream(given) as stream:
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "p")


def test_many_streams_one_after_the_other(tmp_path):
    for number in range(12):
        with opened(tmp_path / f"{number}", durability="none") as stream:
            stream.append(frames_of(PLAN))
        assert_stored(tmp_path / f"{number}")


def test_streams_side_by_side(tmp_path):
    streams = [opened(tmp_path / f"{number}", durability="none") for number in range(3)]
    for frame in frames_of(PLAN):
        for stream in streams:
            stream.append(frame)
    for number, stream in enumerate(streams):
        stream.close()
        assert_stored(tmp_path / f"{number}")


# ---- how much was appended --------------------------------------------------------------


def test_the_shape_of_an_unlimited_array_is_what_was_appended(tmp_path):
    with opened(tmp_path / "s", PLAN) as stream:
        for frame in frames_of(PLAN)[:5]:
            stream.append(frame)
    assert read_json(tmp_path / "s/img/zarr.json")["shape"] == [5, 10, 14]


def test_a_started_step_of_the_first_dimension_counts_as_a_whole_one(tmp_path):
    plan = ArrayPlan(
        axes=axes("tcyx", (0, 3, 6, 6), (2, 2, 4, 4), (1, 1, 1, 1)), frames=4, fill_value=9
    )
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames_of(plan))
    array = read_with_zarr_python(tmp_path / "s", "")
    assert array.shape == (2, 3, 6, 6)
    np.testing.assert_array_equal(array.reshape(6, 6, 6)[:4], frames_of(plan))
    assert (array[1, 1:] == 9).all()


def test_an_array_that_got_less_than_declared_is_as_long_as_what_it_got(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (50, 10, 14), (4, 4, 5), (2, 2, 1)), frames=3, key="img")
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames_of(plan))
    assert_stored(tmp_path / "s", plan)


def test_an_array_that_got_nothing_is_there_and_empty(tmp_path):
    with opened(tmp_path / "s", PLAN, OTHER) as stream:
        stream.append(frames_of(OTHER), "other")
    assert read_with_zarr_python(tmp_path / "s", "img").shape == (0, 10, 14)
    assert_stored(tmp_path / "s", OTHER)


def test_a_trailing_partial_frame_is_reported_and_the_whole_ones_are_kept(tmp_path):
    pixels = frames_of(PLAN).reshape(-1)
    stream = opened(tmp_path / "s")
    stream.append(pixels)
    stream.append(pixels[:30])
    with pytest.warns(UserWarning, match="img"):
        stream.close()
    assert not stream.is_active()
    assert_stored(tmp_path / "s")


# ---- what is there already --------------------------------------------------------------


def test_an_existing_array_is_not_overwritten_unasked(tmp_path):
    with opened(tmp_path / "s") as stream:
        stream.append(frames_of(PLAN))
    before = {name: (tmp_path / "s" / name).read_bytes() for name in stored_files(tmp_path / "s")}
    with pytest.raises(StoreExistsError, match="img") as caught:
        opened(tmp_path / "s")
    assert isinstance(caught.value, FileExistsError)
    assert "overwrite" in str(caught.value)
    after = {name: (tmp_path / "s" / name).read_bytes() for name in stored_files(tmp_path / "s")}
    assert after == before


def test_one_existing_array_of_several_stops_all(tmp_path):
    with opened(tmp_path / "s", OTHER) as stream:
        stream.append(frames_of(OTHER))
    with pytest.raises(StoreExistsError, match="other"):
        opened(tmp_path / "s", PLAN, OTHER)
    assert not (tmp_path / "s" / "img").exists()
    assert_stored(tmp_path / "s", OTHER)


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a/b"), ("a/b", "a")], ids=["below an array", "above an array"]
)
def test_an_array_is_not_put_below_or_above_an_existing_one(tmp_path, first, second):
    plans = {
        key: ArrayPlan(axes=PLAN.axes, key=key, frames=3, seed=len(key)) for key in (first, second)
    }
    with opened(tmp_path / "s", plans[first]) as stream:
        stream.append(frames_of(plans[first]))
    with pytest.raises(StoreExistsError):
        opened(tmp_path / "s", plans[second])
    assert_stored(tmp_path / "s", plans[first])


def test_other_arrays_and_foreign_files_are_left_alone(tmp_path):
    with opened(tmp_path / "s", OTHER) as stream:
        stream.append(frames_of(OTHER))
    (tmp_path / "s" / "notes.txt").write_text("mine")
    (tmp_path / "s" / "group").mkdir()
    (tmp_path / "s" / "group" / "protocol.pdf").write_bytes(b"%PDF")
    inside = replace(PLAN, key="group/img")
    with opened(tmp_path / "s", PLAN, inside) as stream:
        stream.append(frames_of(PLAN), "img")
        stream.append(frames_of(inside), "group/img")
    for plan in (PLAN, inside, OTHER):
        np.testing.assert_array_equal(
            read_with_zarr_python(tmp_path / "s", plan.key), frames_of(plan)
        )
    assert (tmp_path / "s" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "s" / "group" / "protocol.pdf").read_bytes() == b"%PDF"


def test_overwrite_leaves_nothing_of_the_old_store(tmp_path):
    large = ArrayPlan(axes=axes("tyx", (0, 40, 40), (1, 4, 4), (1, 1, 1)), key="img", frames=9)
    with opened(tmp_path / "s", large, OTHER, durability="none") as stream:
        stream.append(frames_of(large), "img")
    with opened(tmp_path / "s", PLAN, overwrite=True) as stream:
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "s", PLAN)
    assert stored_files(tmp_path / "s") == {
        "zarr.json",
        "img/zarr.json",
        *(f"img/c/{t}/{y}/{x}" for t in range(2) for y in range(2) for x in range(3)),
    }


@pytest.mark.parametrize("name", ["thesis.txt", "a.zarr/zarr.json", ".hidden"])
def test_overwrite_removes_stores_only(tmp_path, name):
    precious = tmp_path / "s" / name
    precious.parent.mkdir(parents=True)
    precious.write_text("all of it")
    with pytest.raises(StoreExistsError, match="no part of a recording"):
        opened(tmp_path / "s", overwrite=True)
    assert precious.read_text() == "all of it"


@pytest.mark.parametrize("names", [(), ("zarr.json.aqz-partial",), (".img.aqz-lock",)])
def test_overwrite_of_what_a_crash_left_of_a_beginning(tmp_path, names):
    (tmp_path / "s").mkdir()
    for name in names:
        (tmp_path / "s" / name).touch()
    with opened(tmp_path / "s", overwrite=True) as stream:
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "s")


def test_overwrite_of_what_is_not_there_is_no_error(tmp_path):
    with opened(tmp_path / "s", overwrite=True) as stream:
        stream.append(frames_of(PLAN))
    assert_stored(tmp_path / "s")


def test_settings_that_cannot_be_recorded_destroy_nothing(tmp_path):
    with opened(tmp_path / "s") as stream:
        stream.append(frames_of(PLAN))
    broken = settings(tmp_path / "s", overwrite=True)
    broken.arrays[0].dimensions[1].chunk_size_px = 0
    with pytest.raises(AqzError):
        aqz.ZarrStream(broken)
    assert_stored(tmp_path / "s")


# ---- statistics -------------------------------------------------------------------------


def test_statistics_count_frames_and_bytes(tmp_path):
    stream = opened(tmp_path / "s", PLAN, OTHER)
    before = stream.statistics()
    assert (before.frames, before.bytes_in, before.dropped) == (0, 0, 0)
    stream.append(frames_of(PLAN), "img")
    stream.append(frames_of(OTHER), "other")
    during = stream.statistics()
    assert during.frames == 12
    assert during.bytes_in == frames_of(PLAN).nbytes + frames_of(OTHER).nbytes
    assert 0 <= during.queue_fill <= 1
    stream.close()
    after = stream.statistics()
    assert after.frames == 12
    assert after.dropped == 0
    assert after.seconds > 0
    assert after.megabytes_per_second > 0
    on_disk = sum(
        (tmp_path / "s" / name).stat().st_size
        for name in stored_files(tmp_path / "s")
        if not name.endswith("zarr.json")
    )
    assert frames_of(PLAN).nbytes + frames_of(OTHER).nbytes <= after.bytes_written
    assert after.bytes_written >= on_disk * 0.9


def test_frames_that_came_as_pixels_count_when_they_are_whole(tmp_path):
    with opened(tmp_path / "s") as stream:
        pixels = frames_of(PLAN).reshape(-1)
        stream.append(pixels[: 140 * 2 + 1])
        assert stream.statistics().frames == 2
        stream.append(pixels[140 * 2 + 1 : 140 * 3])
        assert stream.statistics().frames == 3


def test_memory_in_use_is_told(tmp_path):
    with opened(tmp_path / "s") as stream:
        stream.append(frames_of(PLAN))
        assert stream.get_current_memory_usage() >= 0
