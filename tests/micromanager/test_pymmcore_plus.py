"""Real acquisitions by pymmcore-plus with Micro-Manager's DemoCamera; see `scenarios`."""

from __future__ import annotations

import pytest

from tests.micromanager.stored import attributes, frames_by_axes, image_keys, series
from tests.micromanager.subprocesses import interrupt_scenario, run_scenario

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


@pytest.mark.parametrize("relay_memory", [1, 1 << 28], ids=["frame by frame", "unhindered"])
def test_a_sequence_with_positions(tmp_path, store, relay_memory):
    report = run_scenario("mda", tmp_path, relay_memory=relay_memory)

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
    keys = ["plate/A/1/0", "plate/A/1/1", "plate/B/2/0", "plate/B/2/1"]
    assert image_keys(store) == keys
    assert len(attributes(store, "plate")["ome"]["plate"]["wells"]) == 2


def test_an_error_ends_the_acquisition_and_is_raised_by_close(tmp_path, store):
    report = run_scenario("mda_error", tmp_path)

    assert [name for name, _ in report["raised"]] == ["AcquisitionError", "FrameChangedError"]
    assert report["seconds"] < 8  # of the ten that the sequence would take
    assert len(frames_by_axes(store)) == report["frames"] == 4


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
