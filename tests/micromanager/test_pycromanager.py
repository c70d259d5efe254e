"""Real acquisitions by pycro-manager's Python engine with Micro-Manager's DemoCamera.

Each runs in a process of its own with a deadline; see `scenarios`.
"""

from __future__ import annotations

import zlib

import msgpack
import numpy as np
import pytest

import aqz_core as aqz
from tests.micromanager.stored import (
    attributes,
    frames_by_axes,
    image,
    image_keys,
    seen_by_axes,
    series,
)
from tests.micromanager.subprocesses import interrupt_scenario, run_scenario

pytestmark = pytest.mark.micromanager


@pytest.fixture
def store(tmp_path):
    return tmp_path / "run.ome.zarr"


def check_whole(report, store, frames):
    """Every frame that the engine handed over is stored under its axes, and no other one."""
    assert report["raised"] == []
    assert (report["state"], report["frames"], report["missing"]) == ("complete", frames, 0)
    assert frames_by_axes(store) == seen_by_axes(report)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"known": False}, {"wrap": True}],
    ids=["events and core", "learned", "generator"],
)
def test_positions_channels_and_stacks(tmp_path, store, arguments):
    report = run_scenario("positions", tmp_path, **arguments)

    check_whole(report, store, 16)
    assert series(store) == ["0", "1"]
    ome = attributes(store, "1")["ome"]
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == list("tczyx")
    assert [axis.get("unit") for axis in ome["multiscales"][0]["axes"]][2:] == ["micrometer"] * 3
    assert [c["label"] for c in ome["omero"]["channels"]] == ["DAPI", "FITC"]
    assert [c["color"] for c in ome["omero"]["channels"]] == ["0000FF", "00FF00"]
    scale, translation = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"][2:] == [0.5, 1.0, 1.0]
    # The stage stands at (100, 50) um, which is the centre of a frame of 128 x 160 pixels of 1 um.
    assert translation["translation"][2:] == [0.0, 50 - 63.5, 100 - 79.5]


def test_events_tell_interval_and_order_of_the_table_of_frames(tmp_path, store):
    report = run_scenario("positions", tmp_path)

    assert report["raised"] == []
    multiscales = attributes(store, "0")["ome"]["multiscales"][0]
    assert multiscales["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    assert multiscales["datasets"][0]["coordinateTransformations"][0]["scale"][0] == 0.02
    rows = aqz.read_frame_metadata(store, "0")
    assert len(rows) == 8
    assert {row["exposure_ms"] for row in rows if row["c"] == 1} == {2}
    assert {row["x_um"] for row in rows} == {0}
    assert attributes(store, "0")["micromanager"]["summary"]["Core-Camera"] == "Camera"


def test_a_burst_without_events(tmp_path, store):
    report = run_scenario("burst", tmp_path)

    check_whole(report, store, 40)
    rows = aqz.read_frame_metadata(store)
    assert [row["image_number"] for row in rows] == list(range(40))
    received = [row["received_by_core"] for row in rows]
    assert received == sorted(received)
    assert "Binning" in rows[0]["changed"]
    assert not any("changed" in row for row in rows[1:])


def test_labels_of_wells_become_a_plate(tmp_path, store):
    report = run_scenario("well_labels", tmp_path)

    check_whole(report, store, 6)
    plate = attributes(store)["ome"]["plate"]
    assert [well["path"] for well in plate["wells"]] == ["A/1", "A/2"]
    assert image_keys(store) == ["A/1/0", "A/2/0", "A/2/1"]
    assert attributes(store, "A/2/1")["micromanager"]["position"]["label"] == "A2-Site_1"


def test_custom_axes_with_text_in_any_order(tmp_path, store):
    report = run_scenario("custom_axes", tmp_path)

    check_whole(report, store, 6)
    assert attributes(store)["micromanager"]["axes"] == [
        {"name": "time", "values": [0, 1, 2]},
        {"name": "polarization", "values": ["left", "right"]},
    ]
    assert attributes(store)["ome"]["multiscales"][0]["axes"][1]["name"] == "polarization"


def test_more_axes_than_an_image_can_have_make_several_images(tmp_path, store):
    report = run_scenario("many_axes", tmp_path)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 32)
    keys = [f"angle_{a}_repetition_{r}" for a in (0, 90) for r in (0, 1)]
    assert sorted(series(store)) == keys
    assert {image(store, key).shape for key in keys} == {(2, 2, 2, 128, 160)}
    seen = {
        tuple(axes[name] for name in ("repetition", "angle", "time", "channel", "z")): crc
        for axes, crc in report["seen"]
    }
    for (repetition, angle, time, channel, z), crc in seen.items():
        stored = image(store, f"angle_{angle}_repetition_{repetition}")
        assert zlib.crc32(stored[time, "xy".index(channel), z].copy()) == crc


def test_closed_by_the_last_notification(tmp_path, store):
    check_whole(run_scenario("notification", tmp_path), store, 6)


def test_by_default_nothing_reaches_the_engines_storage(tmp_path):
    report = run_scenario("nothing_piles_up", tmp_path)

    assert (report["frames"], report["engine"]) == (5, 0)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "NDTiff"])
def test_passthrough_hands_frames_on_as_they_are(tmp_path, store, on_disk):
    report = run_scenario("passthrough", tmp_path, on_disk=on_disk)

    engine = {frozenset(axes.items()): crc for axes, crc in report["engine"]}
    assert len(engine) == 8
    assert frames_by_axes(store) == engine


def test_the_engines_dataset_reads_from_the_recording(tmp_path, store):
    report = run_scenario("attached", tmp_path)

    check_whole(report, store, 24)
    seen = seen_by_axes(report)
    assert {frozenset(axes.items()): crc for axes, crc in report["saved"]} == seen
    assert {frozenset(axes.items()): crc for axes, crc in report["kept"]} == seen
    assert report["awaited"] in seen.values()
    assert sorted(report["array"]) == [2, 2, 2, 3, 128, 160]
    assert report["in_memory"] == 0


def test_a_users_processor_may_drop_frames(tmp_path, store):
    report = run_scenario("user_processor", tmp_path)

    assert (report["raised"], report["state"], report["missing"]) == ([], "incomplete", 1)
    assert attributes(store)["micromanager"]["missing"] == [{"t": 1}]


def test_a_users_processor_may_split_frames(tmp_path, store):
    report = run_scenario("user_processor", tmp_path, result="list")

    assert (report["raised"], report["frames"]) == ([], 6)
    assert image(store).shape == (3, 2, 128, 80)


@pytest.mark.parametrize("wait", [0.0, 1.0], ids=["engine running", "engine finished"])
def test_a_raising_processor_is_never_lost(tmp_path, store, wait):
    report = run_scenario("raising_processor", tmp_path, wait=wait)

    assert [name for name, _ in report["raised"]] == ["AcquisitionError", "ValueError"]
    assert report["raised"][1][1] == "boom"
    assert report["calls"] == 3
    assert (report["state"], report["frames"]) == ("failed", 2)
    assert attributes(store)["micromanager"]["state"] == "failed"
    assert len(frames_by_axes(store)) == 2
    assert report["stderr"].count("Traceback") == 1 or "boom" in report["stderr"]


def test_a_lost_frame_is_filled_and_listed(tmp_path, store):
    report = run_scenario("missing_frame", tmp_path)

    assert (report["raised"], report["state"]) == ([], "incomplete")
    assert frames_by_axes(store) == seen_by_axes(report)
    notes = attributes(store)["micromanager"]
    assert (notes["missing_frames"], notes["missing"]) == (1, [{"t": 1, "c": 1}])
    assert not image(store)[1, 1].any()


def test_duplicates_are_an_error(tmp_path, store):
    report = run_scenario("duplicate", tmp_path)

    assert report["raised"][1][0] == "DuplicateFrameError"
    assert "{'time': 1}" in report["raised"][1][1]
    assert len(frames_by_axes(store)) == 2


@pytest.mark.parametrize(("policy", "kept"), [("keep", 0), ("replace", -1)])
def test_duplicates_by_policy(tmp_path, store, policy, kept):
    report = run_scenario("duplicate", tmp_path, on_duplicate=policy)

    assert (report["raised"], report["duplicates"]) == ([], 1)
    claims = [crc for axes, crc in report["seen"] if axes == {"time": 1}]
    assert len(set(claims)) == 2
    assert frames_by_axes(store)[frozenset({"time": 1}.items())] == claims[kept]


def test_an_unplanned_position_is_an_error_that_says_what_to_do(tmp_path):
    report = run_scenario("unknown_position", tmp_path)

    assert report["raised"][1][0] == "UnknownCoordinateError"
    assert "axes={'position'" in report["raised"][1][1]


def test_another_shape_in_mid_run_is_an_error(tmp_path, store):
    report = run_scenario("roi_change", tmp_path)

    assert report["raised"][1][0] == "FrameChangedError"
    assert "32 x 64 uint16" in report["raised"][1][1]
    assert len(frames_by_axes(store)) == 2


def test_another_shape_may_go_to_another_store(tmp_path, store):
    report = run_scenario("roi_change", tmp_path, on_change="new_store")

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 4)
    both = frames_by_axes(store) | frames_by_axes(tmp_path / "run_2.ome.zarr")
    assert both == seen_by_axes(report)
    assert image(tmp_path / "run_2.ome.zarr").shape == (4, 32, 64)


def test_stacks_sequenced_by_hardware(tmp_path, store):
    check_whole(run_scenario("z_sequence", tmp_path), store, 15)


def test_an_error_in_the_users_own_code_comes_out_and_the_store_is_finished(tmp_path, store):
    report = run_scenario("error_in_body", tmp_path)

    assert report["raised"] == [["KeyError", "'mine'"]]
    assert report["state"] == "complete"  # the engine acquires all images first
    assert frames_by_axes(store) == seen_by_axes(report)


def test_an_aborted_acquisition_is_whole_as_far_as_it_came(tmp_path, store):
    report = run_scenario("aborted", tmp_path)

    assert (report["raised"], report["state"]) == ([], "interrupted")
    assert attributes(store)["micromanager"]["state"] == "interrupted"
    assert 6 <= report["frames"] < 400
    assert frames_by_axes(store) == seen_by_axes(report)


def test_ctrl_c_ends_in_a_readable_store(tmp_path, store):
    report = interrupt_scenario("interrupted", tmp_path)

    assert report["raised"][0][0] == "KeyboardInterrupt"
    notes = attributes(store)["micromanager"]
    assert notes["state"] == "interrupted"
    assert notes["frames"] >= 4
    assert len(frames_by_axes(store)) == notes["frames"]


def test_colour_of_64_bits_is_unpacked(tmp_path, store):
    report = run_scenario("rgb", tmp_path)

    assert (report["raised"], report["frames"]) == ([], 2)
    raw = np.load(tmp_path / "raw.npy")
    components = raw.view("uint16").reshape(*raw.shape, 4)
    stored = image(store)
    assert stored.dtype == np.uint16
    for channel, component in enumerate((2, 1, 0)):
        np.testing.assert_array_equal(stored[:, channel], components[..., component])
    omero = attributes(store)["ome"]["omero"]["channels"]
    assert [(c["label"], c["color"]) for c in omero] == [
        ("Red", "FF0000"),
        ("Green", "00FF00"),
        ("Blue", "0000FF"),
    ]


def test_grey_pixels_of_8_bits(tmp_path, store):
    report = run_scenario("pixel_types", tmp_path)

    check_whole(report, store, 2)
    assert image(store).dtype == np.uint8


@pytest.mark.parametrize("t", [1, 4], ids=["snap", "burst"])
def test_cameras_with_the_same_axes_are_told_apart(tmp_path, store, t):
    report = run_scenario("multi_camera", tmp_path, t=t, as_channels=t == 1)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 2 * t)
    stored = image(store)
    assert stored.shape == (t, 2, 128, 160)
    names = {"0": 0, "1": 1, "Camera": 0, "Camera2": 1}
    for camera in range(2):
        came = [crc for name, _, crc in report["tags"] if names[name] == camera]
        assert [crc_of(stored[n, camera]) for n in range(t)] == came


def crc_of(frame):
    return zlib.crc32(np.ascontiguousarray(frame))


def test_unnamed_cameras_are_an_error_that_says_what_to_do(tmp_path):
    report = run_scenario("multi_camera", tmp_path, named=False)

    assert report["raised"][1][0] == "DuplicateFrameError"
    assert "cameras=[...]" in report["raised"][1][1]


def test_a_slow_store_blocks_and_loses_nothing(tmp_path, store):
    report = run_scenario("slow_store", tmp_path)

    check_whole(report, store, 80)
    assert report["peak_queue_fill"] > 0.9


def test_a_slow_store_may_stop_the_acquisition(tmp_path, store):
    report = run_scenario("slow_store", tmp_path, back_pressure="stop")

    assert report["raised"][1][0] == "BackPressureError"
    assert 0 < report["frames"] < 80
    assert len(frames_by_axes(store)) == report["frames"]


def test_an_overflow_of_the_cameras_buffer_keeps_what_came(tmp_path, store):
    report = run_scenario("overflow", tmp_path)

    assert report["raised"][0][0] == "HardwareControlException"
    assert report["state"] == "interrupted"
    assert len(frames_by_axes(store)) == report["frames"] > 0


def records(frame):
    """Return the record in the pixels of a SequenceTester frame."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(frame.tobytes())
    return unpacker.unpack()


def test_serial_numbers_in_the_pixels_prove_order_and_completeness(tmp_path, store):
    report = run_scenario("sequence_tester", tmp_path)

    assert (report["raised"], report["frames"]) == ([], 200)
    serials = [records(frame)[1][1] for frame in image(store)]
    assert serials == list(range(serials[0], serials[0] + 200))


def test_stage_positions_in_the_pixels_prove_the_z_axis(tmp_path, store):
    report = run_scenario("sequence_tester", tmp_path, t=3, z=4)

    assert (report["raised"], report["frames"]) == ([], 12)
    stored = image(store)
    for t, z in np.ndindex(3, 4):
        settings = records(stored[t, z])[5]
        found = [value[1] for device, value, *_ in settings if device[1] == "ZPositionUm"]
        assert found == [0.5 * z]


def test_the_engines_adaptive_example_is_one_store(tmp_path, store):
    report = run_scenario("adaptive", tmp_path)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 16)
    assert image(store).shape == (4, 128, 160)
    assert image(store, "by_loop_index_time").shape == (3, 4, 128, 160)
    for axes, crc in report["seen"]:
        stored = image(store)[axes["loop_index"]]
        if "time" in axes:
            stored = image(store, "by_loop_index_time")[axes["time"], axes["loop_index"]]
        assert zlib.crc32(stored.copy()) == crc


def test_an_error_leaves_nobody_waiting_for_an_image(tmp_path, store):
    report = run_scenario("adaptive", tmp_path, fails=True)

    assert [name for name, _ in report["raised"]] == ["AcquisitionError", "ValueError"]
    assert (report["state"], report["frames"]) == ("failed", 2)


@pytest.mark.parametrize(
    ("plan", "shapes"),
    [
        ("max projection", {"by_time_z": (2, 3), "by_time": (2,)}),
        ("intermittent z", {"": (6, 3)}),
        ("tiled", {"0_0": (1,), "0_1": (1,), "1_0": (1,), "1_1": (1,)}),
        ("hardware triggered", {"": (4,)}),
    ],
)
def test_plans_of_the_engines_tutorials(tmp_path, store, plan, shapes):
    report = run_scenario("tutorial", tmp_path, plan=plan)

    assert (report["raised"], report["state"], report["missing"]) == ([], "complete", 0)
    assert {key: image(store, key).shape[:-2] for key in image_keys(store)} == shapes
    stored = {
        zlib.crc32(np.ascontiguousarray(frame))
        for key in shapes
        for frame in image(store, key).reshape(-1, 128, 160)
    }
    assert {crc for _, crc in report["seen"]} <= stored


def test_a_processor_with_the_event_queue_steers_the_run(tmp_path, store):
    report = run_scenario("queue_driven", tmp_path)

    check_whole(report, store, 5)


def test_an_error_ends_a_run_that_a_processor_steers(tmp_path, store):
    report = run_scenario("queue_driven", tmp_path, fails=True)

    assert report["raised"][-1] == ["ValueError", "boom"]
    assert (report["state"], report["frames"]) == ("failed", 2)
