"""A real camera driver: Micro-Manager's DemoCamera, run by pymmcore-plus."""

from __future__ import annotations

import gc
import json
import time
import weakref
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import (
    AcquisitionSource,
    LiveCameraSource,
    Recorder,
    SourceError,
    StopRule,
    acquisition_sources,
)
from aqz_napari.form.recording_plan import StoragePlan, plan_for
from aqz_napari.form.recording_start import RecordingStart
from aqz_napari.ome_zarr.reader import read_layers

pymmcore_plus = pytest.importorskip("pymmcore_plus", reason="needs pymmcore-plus")
mm_test_adapters = pytest.importorskip("mm_test_adapters", reason="needs mm-test-adapters")

DEADLINE = 60.0
pytestmark = [
    pytest.mark.micromanager,
    pytest.mark.filterwarnings("default"),
]


def demo_core():
    """Return a core with the DemoCamera."""
    core = pymmcore_plus.CMMCorePlus()
    core.setDeviceAdapterSearchPaths([str(mm_test_adapters.device_adapter_path())])
    core.loadDevice("Cam", "DemoCamera", "DCam")
    core.initializeDevice("Cam")
    core.setCameraDevice("Cam")
    core.setExposure(10)
    core.setAutoShutter(False)  # there is none
    return core


@pytest.fixture
def core():
    core = demo_core()
    core.loadDevice("Z", "DemoCamera", "DStage")
    core.loadDevice("Wheel", "DemoCamera", "DWheel")
    core.initializeDevice("Z")
    core.initializeDevice("Wheel")
    core.setFocusDevice("Z")
    core.setProperty("Cam", "PixelType", "16bit")
    for state, name in enumerate(("DAPI", "FITC")):
        core.defineConfig("Channel", name, "Wheel", "State", str(state))
    core.setChannelGroup("Channel")
    yield core
    core.unloadAllDevices()


def record(tmp_path, source, **others):
    plan = plan_for({"": source.describe()})
    recorder = Recorder(plan.settings(str(tmp_path / "out.ome.zarr")), {"": source}, **others)
    recorder.start()
    return recorder


def test_every_frame_of_live_mode_is_recorded(core, tmp_path):
    source = LiveCameraSource(core)
    recorder = record(tmp_path, source)
    deadline = time.monotonic() + DEADLINE
    while source.acquired <= 50:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    recorder.stop()
    report = recorder.wait(DEADLINE)
    assert report.status.dropped == 0
    assert report.status.written == source.acquired > 50
    assert not core.isSequenceRunning()
    records = aqz.read_frame_metadata(tmp_path / "out.ome.zarr")
    numbers = [int(r["source"]["ImageNumber"]) for r in records]
    assert numbers == list(range(len(numbers)))


def test_live_mode_that_runs_already_is_joined_and_left_running(core, tmp_path):
    core.startContinuousSequenceAcquisition(0)
    report = record(tmp_path, LiveCameraSource(core), stop_rule=StopRule(frames=20)).wait(DEADLINE)
    assert report.status.written == 20
    assert core.isSequenceRunning()
    core.stopSequenceAcquisition()


def frames_waiting(core, count):
    deadline = time.monotonic() + DEADLINE
    while core.getRemainingImageCount() < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_frames_from_before_the_click_are_not_recorded(core, tmp_path):
    core.startContinuousSequenceAcquisition(0)
    frames_waiting(core, 30)
    clicked = time.time()
    report = record(tmp_path, LiveCameraSource(core), stop_rule=StopRule(frames=10)).wait(DEADLINE)
    core.stopSequenceAcquisition()
    assert report.status.written == 10
    records = aqz.read_frame_metadata(tmp_path / "out.ome.zarr")
    numbers = [int(r["source"]["ImageNumber"]) for r in records]
    assert numbers == list(range(numbers[0], numbers[0] + 10))
    assert numbers[0] >= 30
    assert records[0]["timestamp"] > clicked


def test_time_stamps_are_those_of_the_camera(core, tmp_path):
    report = record(tmp_path, LiveCameraSource(core, count=25)).wait(DEADLINE)
    records = aqz.read_frame_metadata(report.store_path)
    for r in records:
        received = datetime.fromisoformat(r["source"]["TimeReceivedByCore"]).timestamp()
        assert r["timestamp"] == pytest.approx(received, abs=1e-5)
    elapsed = [float(r["source"]["ElapsedTime-ms"]) for r in records]
    mean = (elapsed[-1] - elapsed[0]) / 24e3
    account = json.loads(Path(report.store_path, "zarr.json").read_text())["attributes"]
    assert account["recording"]["interval"] == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("live", [False, True])
def test_the_time_scale_is_the_interval_that_the_camera_keeps(core, tmp_path, live):
    core.setExposure(4)  # DemoCamera needs some milliseconds more for a frame
    if live:
        core.startContinuousSequenceAcquisition(0)
        frames_waiting(core, 10)
    source = LiveCameraSource(core)
    spec = source.describe()
    plan = replace(
        plan_for({"": spec}, StoragePlan(codec="none")),
        destination=str(tmp_path / "out.ome.zarr"),
        stop=StopRule(frames=50),
    )
    begun = RecordingStart(plan, [(source, spec)], None)
    begun.begin()
    deadline = time.monotonic() + DEADLINE
    while begun.is_busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert begun.error is None
    report = begun.recorder.wait(DEADLINE)
    core.stopSequenceAcquisition()
    records = aqz.read_frame_metadata(tmp_path / "out.ome.zarr")
    numbers = [int(r["source"]["ImageNumber"]) for r in records]
    assert numbers == list(range(numbers[0], numbers[0] + 50))
    image = _ome(report)["multiscales"][0]
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"][0]
    means = [
        float(r["source"]["ElapsedTime-ms"]) / 1e3 / (number + 1)
        for r, number in zip(records, numbers, strict=True)
    ]
    if live:
        assert scale == pytest.approx(means[0], rel=0.5)
        assert scale != 0.004
    else:  # the frames that came while the store was opened are not lost, and were looked at
        assert numbers[0] == 0
        assert any(scale == pytest.approx(mean, rel=1e-3) for mean in means)


def test_a_start_that_fails_leaves_the_camera_as_it_was(core, tmp_path):
    source = LiveCameraSource(core)
    spec = source.describe()
    plan = replace(plan_for({"": spec}), destination=str(tmp_path / "file" / "out.zarr"))
    (tmp_path / "file").write_text("not a folder")
    begun = RecordingStart(plan, [(source, spec)], None)
    begun.begin()
    deadline = time.monotonic() + DEADLINE
    while begun.is_busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert begun.error is not None
    assert not core.isSequenceRunning()


def test_live_mode_that_is_switched_off_elsewhere_is_not_a_good_end(core, tmp_path):
    core.startContinuousSequenceAcquisition(0)
    recorder = record(tmp_path, LiveCameraSource(core))
    deadline = time.monotonic() + DEADLINE
    while recorder.status().written < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    core.stopSequenceAcquisition()
    report = recorder.wait(DEADLINE)
    assert "live mode was switched off" in report.status.message
    assert not report.status.is_complete


@pytest.fixture
def two_cameras(core):
    core.loadDevice("Cam2", "DemoCamera", "DCam")
    core.loadDevice("Both", "Utilities", "Multi Camera")
    for label in ("Cam2", "Both"):
        core.initializeDevice(label)
    core.setProperty("Cam2", "PixelType", "16bit")
    core.setProperty("Both", "Physical Camera 1", "Cam")
    core.setProperty("Both", "Physical Camera 2", "Cam2")
    core.setCameraDevice("Both")
    return core


def test_every_frame_of_two_cameras_goes_to_its_channel(two_cameras, tmp_path):
    source = LiveCameraSource(two_cameras)
    spec = source.describe()
    assert [(a.name, a.size) for a in spec.axes[:2]] == [("t", 0), ("c", 2)]
    recorder = record(tmp_path, source)
    deadline = time.monotonic() + DEADLINE
    while recorder.status().written < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    report = recorder.close()
    assert report.status.is_complete
    assert [c["label"] for c in _ome(report)["omero"]["channels"]] == ["Cam", "Cam2"]
    for r in aqz.read_frame_metadata(report.store_path):
        assert r["source"]["Camera"] == ["Cam", "Cam2"][r["c"]]


def test_an_acquisition_of_two_cameras_and_of_32_bits(two_cameras, tmp_path):
    useq = pytest.importorskip("useq")
    for label in ("Cam", "Cam2"):
        two_cameras.setProperty(label, "PixelType", "32bit")
    sequence = useq.MDASequence(
        time_plan={"interval": 0, "loops": 3},
        channels=[{"group": "Channel", "config": "DAPI"}, {"group": "Channel", "config": "FITC"}],
    )
    seen = {}
    two_cameras.mda.events.frameReady.connect(
        lambda image, event: seen.update(
            {(event.index["t"], 2 * event.index["c"] + event.index["cam"]): image.copy()}
        )
    )
    report = record(tmp_path, AcquisitionSource(two_cameras, sequence, run=True)).wait(DEADLINE)
    assert report.status.is_complete
    array = aqz.ZarrArrayReader(Path(report.store_path, "0"))
    assert (array.shape[:2], array.dtype) == ((3, 4), np.uint32)
    assert len(seen) == 12
    for index, image in seen.items():
        assert np.array_equal(array.read_plane(*index), image)
    names = [c["label"] for c in _ome(report)["omero"]["channels"]]
    assert names == ["DAPI Cam", "DAPI Cam2", "FITC Cam", "FITC Cam2"]


def test_an_acquisition_says_where_and_when_it_was(core, tmp_path):
    useq = pytest.importorskip("useq")
    core.loadDevice("XY", "DemoCamera", "DXYStage")
    core.initializeDevice("XY")
    core.setXYStageDevice("XY")
    core.definePixelSizeConfig("Res")
    core.setPixelSizeUm("Res", 0.5)
    core.setPixelSizeConfig("Res")
    assert core.getPixelSizeUm() == 0.5
    sequence = useq.MDASequence(
        time_plan={"interval": 0, "loops": 3},
        stage_positions=[{"x": 100, "y": -50, "z": 7}, {"x": 400, "y": 30, "z": 9}],
        z_plan={"range": 4, "step": 2},
    )
    sources = acquisition_sources(core, sequence)
    keys = ["a", "b"]
    specs = {key: source.describe() for key, source in zip(keys, sources, strict=True)}
    recorder = Recorder(
        plan_for(specs).settings(str(tmp_path / "out.ome.zarr")),
        dict(zip(keys, sources, strict=True)),
    )
    recorder.start()
    core.mda.run(sequence)
    report = recorder.wait(DEADLINE)
    assert report.status.is_complete
    by_name = {o["name"]: o for _, o, _ in read_layers(report.store_path)}
    for key, (x, y, z) in zip(keys, ((100, -50, 5), (400, 30, 7)), strict=True):
        (name,) = [name for name in by_name if name.startswith(key)]
        half = (512 - 1) / 2 * 0.5
        assert by_name[name]["translate"][-3:] == pytest.approx((z, y - half, x - half))
        assert by_name[name]["scale"][-3:] == (2, 0.5, 0.5)
        # as fast as it went, which nobody knew before
        assert 0.001 < by_name[name]["scale"][0] < 5
        assert by_name[name]["scale"][0] != 1
        assert "contrast_limits" not in by_name[name]  # 0 to 65535 would be black
    (first, *_) = aqz.read_frame_metadata(report.store_path, "a")
    assert first["source"]["position"]["x"] == pytest.approx(100, abs=1)


def test_a_sequence_of_known_length_ends_by_itself(core, tmp_path):
    report = record(tmp_path, LiveCameraSource(core, count=25)).wait(DEADLINE)
    assert report.status.message == "the camera stopped"
    assert report.status.written == 25
    assert report.status.is_complete


def test_a_core_dropped_after_the_last_frame_outlives_its_camera(sink):
    core = demo_core()
    source = LiveCameraSource(core, count=5)
    source.start(sink)
    source._thread.join(DEADLINE)
    source.stop()
    assert (len(sink.frames), sink.ended) == (5, "the camera stopped")
    held = weakref.ref(core)
    del core, source
    gc.collect()
    assert held() is not None  # deleted now, it would take the camera from under its thread


def test_without_a_camera(core):
    core.setCameraDevice("")
    with pytest.raises(SourceError, match="no camera"):
        LiveCameraSource(core).describe()


def test_an_acquisition_keeps_its_axes_and_order(core, tmp_path):
    useq = pytest.importorskip("useq")
    sequence = useq.MDASequence(
        axis_order="tzc",  # not the order on disk
        time_plan={"interval": 0, "loops": 2},
        z_plan={"range": 4, "step": 2},
        channels=[{"group": "Channel", "config": "DAPI"}, {"group": "Channel", "config": "FITC"}],
    )
    seen = {}
    core.mda.events.frameReady.connect(
        lambda image, event: seen.update({tuple(event.index[a] for a in "tcz"): image.copy()})
    )
    source = AcquisitionSource(core, sequence, run=True)
    spec = source.describe()
    assert [(a.name, a.size) for a in spec.axes[:3]] == [("t", 2), ("c", 2), ("z", 3)]
    report = record(tmp_path, source).wait(DEADLINE)
    assert report.status.message == "the acquisition finished"
    assert (report.status.written, report.status.dropped) == (12, 0)
    array = aqz.ZarrArrayReader(Path(report.store_path, "0"))
    assert len(seen) == 12
    for index, image in seen.items():
        assert np.array_equal(array.read_plane(*index), image)
    names = [c["label"] for c in _ome(report)["omero"]["channels"]]
    assert names == ["DAPI", "FITC"]


def test_an_acquisition_that_someone_else_runs_is_recorded_frame_by_frame(core, tmp_path):
    useq = pytest.importorskip("useq")
    recorder = record(tmp_path, AcquisitionSource(core))
    core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": 7}))
    report = recorder.wait(DEADLINE)
    assert report.status.written == 7
    records = aqz.read_frame_metadata(tmp_path / "out.ome.zarr")
    assert [r["source"]["index"]["t"] for r in records] == list(range(7))


def _ome(report):
    document = json.loads(Path(report.store_path, "zarr.json").read_text())
    return document["attributes"]["ome"]
