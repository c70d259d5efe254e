"""Real acquisitions by pymmcore-plus with Micro-Manager's DemoCamera; see `scenarios`."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import pytest

from tests.micromanager.stored import attributes, frames_by_axes, image, image_keys, series
from tests.micromanager.subprocesses import CHECKOUT, interrupt_scenario, run_scenario

pytestmark = pytest.mark.micromanager


@pytest.fixture
def store(tmp_path):
    return tmp_path / "run.ome.zarr"


def seen(report, channels=("DAPI", "FITC")):
    """Return what pymmcore-plus emitted, by this package's axes."""
    names = {"t": "time", "p": "position", "z": "z"}
    found = {}
    for index, crc in report["seen"]:
        axes = {names[key]: value for key, value in index.items() if key != "c"}
        if "c" in index:
            axes["channel"] = channels[index["c"]]
        found[frozenset(axes.items())] = crc
    assert len(found) == len(report["seen"])
    return found


@pytest.mark.parametrize("with_core", [True, False])
def test_a_sequence_with_positions(tmp_path, store, with_core):
    report = run_scenario("mda", tmp_path, with_core=with_core)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 24)
    assert frames_by_axes(store) == seen(report)
    assert series(store) == ["left", "1"]
    multiscales = attributes(store, "left")["ome"]["multiscales"][0]
    transforms = multiscales["datasets"][0]["coordinateTransformations"]
    assert transforms[0]["scale"] == [0.02, 1.0, 1.0, 1.0, 1.0]
    assert transforms[1]["translation"] == [0.0, 0.0, -1.0, -63.5, -63.5]


def test_a_well_plate(tmp_path, store):
    report = run_scenario("mda_wells", tmp_path)

    assert (report["raised"], report["frames"]) == ([], 4)
    assert image_keys(store) == ["A/1/0", "A/1/1", "B/2/0", "B/2/1"]
    plate = attributes(store)["ome"]["plate"]
    assert [well["path"] for well in plate["wells"]] == ["A/1", "B/2"]
    assert (len(plate["rows"]), len(plate["columns"]), plate["name"]) == (8, 12, "96-well")


def test_an_error_ends_the_acquisition_and_is_raised_by_close(tmp_path, store):
    report = run_scenario("mda_error", tmp_path)

    assert [name for name, _ in report["raised"]] == ["AcquisitionError", "FrameChangedError"]
    assert report["seconds"] < 8  # of the ten that the sequence would take
    assert len(frames_by_axes(store)) == report["frames"] == 4


def test_a_failing_slot_of_somebody_else_costs_no_frame(tmp_path, store):
    report = run_scenario("mda_beside_a_failing_slot", tmp_path)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 5)
    assert len(frames_by_axes(store)) == 5


def test_a_canceled_sequence_is_whole_as_far_as_it_came(tmp_path, store):
    report = run_scenario("mda_canceled", tmp_path)

    assert (report["raised"], report["state"]) == ([], "interrupted")
    assert frames_by_axes(store) == seen(report, ("DAPI",))


def test_ctrl_c_ends_in_a_readable_store(tmp_path, store):
    report = interrupt_scenario("mda_interrupted", tmp_path)

    assert report["raised"][0][0] == "KeyboardInterrupt"
    assert report["state"] == "interrupted"
    assert len(frames_by_axes(store)) == report["frames"] >= 4


def test_events_that_are_made_while_it_runs(tmp_path, store):
    report = run_scenario("mda_iterator", tmp_path)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 8)
    assert frames_by_axes(store) == seen(report)


@pytest.mark.parametrize("window", [False, True])
def test_viewers_read_a_run_by_the_index_of_its_events(tmp_path, window):
    report = run_scenario("mda_view", tmp_path, window=window)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 16)
    assert report["dims"] == ["t", "p", "c", "z", "y", "x"]
    assert set(map(tuple, report["shapes"])) == {(2, 2, 2, 3, 64, 64)}
    assert report["channels"] == ["DAPI", "FITC"]
    crcs = [crc for _, crc in report["seen"]]
    assert len(crcs) == 16
    assert len(set(crcs)) >= 8
    assert report["recent"] == report["stored"] == crcs
    assert report["absent"] == 0  # the first position has no stack
    assert report["forgotten"]  # the core keeps no handler that nobody else has


# ---- no frame vanishes without an exception -----------------------------------------------------


@pytest.mark.parametrize("with_core", [True, False])
def test_the_end_of_the_block_waits_for_a_run_on_another_thread(tmp_path, store, with_core):
    report = run_scenario("mda_on_a_thread", tmp_path, with_core=with_core)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 10)
    assert not report["running"]


def test_an_error_in_the_block_ends_a_run_on_another_thread(tmp_path, store):
    report = run_scenario("mda_on_a_thread", tmp_path, fails=True)

    assert [name for name, _ in report["raised"]] == ["KeyError"]
    assert (report["state"], report["running"]) == ("interrupted", False)


@pytest.mark.parametrize("with_core", [True, False])
@pytest.mark.parametrize("after_the_end", [False, True])
def test_a_second_run_is_refused_loudly(tmp_path, store, with_core, after_the_end):
    report = run_scenario("mda_twice", tmp_path, with_core=with_core, after_the_end=after_the_end)

    said = " ".join(message for _, message in report["raised"])
    assert "Each run needs an MDAHandler of its own" in said
    assert (report["state"], report["frames"]) == ("complete", 2)
    assert report["seconds"] < 8  # of the ten that the second run would take


# ---- what the store says ------------------------------------------------------------------------


def labels(store, key=""):
    """Return the channels of an image."""
    return [channel["label"] for channel in attributes(store, key)["ome"]["omero"]["channels"]]


@pytest.mark.parametrize("burst", [False, True])
@pytest.mark.parametrize("as_channels", [True, False])
def test_a_multi_camera_gives_the_frames_of_its_cameras(tmp_path, store, as_channels, burst):
    report = run_scenario("mda_cameras", tmp_path, as_channels=as_channels, burst=burst)

    assert (report["raised"], report["state"], report["frames"]) == ([], "complete", 8)
    stored = image(store)
    assert stored.shape[:-2] == ((4, 2) if as_channels else (4, 2, 1))
    assert labels(store) == (["DAPI Camera", "DAPI Camera2"] if as_channels else ["DAPI"])
    for index, crc in report["seen"]:
        assert zlib.crc32(stored[index["t"], index["cam"]].copy()) == crc


def test_a_camera_that_is_not_in_use_is_no_channel(tmp_path, store):
    report = run_scenario("mda_cameras", tmp_path, cameras=1)

    assert (report["state"], report["frames"], labels(store)) == ("complete", 4, ["DAPI"])


def test_depth_labels_region_and_protocol_are_kept(tmp_path, store):
    report = run_scenario("mda_protocol", tmp_path)

    assert (report["raised"], report["state"]) == ([], "complete")
    (key,) = image_keys(store)
    about = attributes(store, key)
    assert about["ome"]["omero"]["channels"][0]["window"]["end"] == 4095
    multiscales = about["ome"]["multiscales"][0]
    assert multiscales["name"] == "10X 5\xb5m"
    translation = multiscales["datasets"][0]["coordinateTransformations"][1]["translation"]
    assert translation[-2:] == [7 + 50 - 255.5, 5 + 100 - 255.5]
    protocol = about["micromanager"]["protocol"]["pymmcore_plus"]
    assert protocol["sequence"]["metadata"] == {"sample": "mouse 3"}
    assert {"devices", "config_groups", "pixel_size_configs"} <= set(protocol)


# ---- random plans -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["plus", "pycro"])
def test_random_plans_are_stored_as_they_were_done(engine):
    plans = int(os.environ.get("AQZ_RANDOM_PLANS", "12"))
    command = [sys.executable, "-W", "ignore", "-m", "tests.micromanager.random_plans", engine]
    run = subprocess.run(
        [*command, str(plans), os.environ.get("AQZ_RANDOM_SEED", "0")],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=100 + 4 * plans,
        check=False,
    )
    assert "REPORT" in run.stdout, run.stdout + run.stderr
