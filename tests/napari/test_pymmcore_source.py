"""A real camera driver: Micro-Manager's DemoCamera, run by pymmcore-plus."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import AcquisitionSource, LiveCameraSource, Recorder, SourceError, StopRule
from aqz_napari.form.recording_plan import plan_for

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
    time.sleep(1.5)
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


def test_a_sequence_of_known_length_ends_by_itself(core, tmp_path):
    report = record(tmp_path, LiveCameraSource(core, count=25)).wait(DEADLINE)
    assert report.status.message == "the camera stopped"
    assert report.status.written == 25


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
    import json

    document = json.loads(Path(report.store_path, "zarr.json").read_text())
    return document["attributes"]["ome"]
