"""How recording and napari's window get along: frames kept, jitter, cost of a set.

    xvfb-run -a python -m benchmarks.napari_capture [--seconds 30] [--json results.json]

Three measurements in a real window, each beside the same without recording, alternating:

- Micro-Manager's DemoCamera, 512 x 512, 16 bit, at 100 frames a second through
  `LiveCameraSource`, shown by the widget's own preview: frames made by the camera alone, and
  acquired, written and dropped;
- the jitter of a 10 ms timer of the main thread meanwhile;
- what a recorder adds to ``layer.data = frame``, for a burst of 300.

DemoCamera sleeps for the exposure after making each image, so that 10 ms of exposure are 89 to 95
frames a second on an idle machine; 9 ms with one image drawn beforehand are a little over 100.

Needs the extras ``napari`` and ``micromanager``, and a display.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import aqz_core as aqz
from aqz_napari import LayerSource, LiveCameraSource, Recorder, StopRule
from aqz_napari.form.recording_plan import plan_for

SHAPE = (512, 512)
EXPOSURE_MS = 9.0
TICK = 0.010
BURST = 300


def demo_core():
    """Return a core with a DemoCamera of a little over 100 frames a second."""
    from mm_test_adapters import device_adapter_path
    from pymmcore_plus import CMMCorePlus

    core = CMMCorePlus()
    core.setDeviceAdapterSearchPaths([str(device_adapter_path())])
    core.loadDevice("Camera", "DemoCamera", "DCam")
    core.initializeAllDevices()
    core.setCameraDevice("Camera")
    core.setExposure(EXPOSURE_MS)
    core.setProperty("Camera", "PixelType", "16bit")
    core.setProperty("Camera", "OnCameraCCDXSize", SHAPE[1])
    core.setProperty("Camera", "OnCameraCCDYSize", SHAPE[0])
    core.setProperty("Camera", "FastImage", 1)
    core.setAutoShutter(False)
    return core


def recorder_for(source, folder, name, **options):
    """Return a recorder of one source into a new store."""
    plan = plan_for({"": source.describe()})
    return Recorder(plan.settings(str(folder / f"{name}.ome.zarr")), {"": source}, **options)


def jitter_while(condition):
    """Run the event loop and return how late each tick of a 10 ms timer was, in seconds."""
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtWidgets import QApplication

    moments = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(round(TICK * 1000))
    timer.timeout.connect(lambda: moments.append(time.perf_counter()))
    timer.start()
    while condition():
        QApplication.processEvents()
        time.sleep(0.0005)
    timer.stop()
    return np.abs(np.diff(moments) - TICK)


def percentiles(late):
    """Return jitter as people read it, milliseconds."""
    return {
        "p50_ms": round(1e3 * float(np.percentile(late, 50)), 2),
        "p99_ms": round(1e3 * float(np.percentile(late, 99)), 2),
        "max_ms": round(1e3 * float(late.max()), 2),
        "ticks": len(late),
    }


class Forget:
    """A sink that forgets: the load of a camera without storing."""

    def __call__(self, frame, **_):
        return True

    def end(self, message=""):
        pass

    fail = end


def camera_alone(core, seconds):
    """Return the frames a second that the camera makes while nobody takes them."""
    core.setCircularBufferMemoryFootprint(1024)
    core.startContinuousSequenceAcquisition(0)
    start = time.perf_counter()
    time.sleep(seconds)
    made, took = core.getRemainingImageCount(), time.perf_counter() - start
    core.stopSequenceAcquisition()
    core.clearCircularBuffer()
    return round(made / took, 1)


def watch_camera(viewer, source, preview, condition, begin):
    """Return the jitter while a camera's newest frame is shown as the widget does, and its rate."""
    from aqz_napari.widget.live_preview import LivePreview

    feed = LivePreview(viewer, lambda: source.latest)
    if preview:
        feed.start()
    start = time.monotonic()
    begin()
    late = jitter_while(condition)
    feed.stop()
    seconds = time.monotonic() - start
    shown = {"shown_per_second": round(feed.shown / seconds, 1)}
    if preview:
        shown["redraw_ms"] = round(1e3 * feed.cost, 1)
    return percentiles(late) | shown


def measure_camera(viewer, folder, seconds, turns, preview):
    """Take frames off the camera, without and with recording, by turns."""
    core = demo_core()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint16), name="preview", contrast_limits=(0, 4095))
    results = {"camera_alone_fps": camera_alone(core, 3.0), "without": [], "recording": []}
    for turn in range(turns):
        forgotten = LiveCameraSource(core)
        until = time.monotonic() + seconds
        results["without"].append(
            watch_camera(
                viewer, forgotten, preview,
                lambda until=until: time.monotonic() < until,
                lambda source=forgotten: source.start(Forget()),
            )
        )  # fmt: skip
        forgotten.stop()
        name = f"camera{turn}"
        source = LiveCameraSource(core)
        recorder = recorder_for(source, folder, name, stop_rule=StopRule(seconds=seconds))
        late = watch_camera(
            viewer, source, preview, lambda recorder=recorder: not recorder.state.is_over,
            recorder.start,
        )  # fmt: skip
        results["recording"].append(
            late | camera_result(folder / f"{name}.ome.zarr", source, recorder)
        )
    viewer.layers.remove(layer)
    return results


def camera_result(store, source, recorder):
    """Return what was acquired, written and dropped, and whether it is all there in order."""
    status = recorder.wait().status
    numbers = [int(record["source"]["ImageNumber"]) for record in aqz.read_frame_metadata(store)]
    return {
        "acquired": source.acquired,
        "written": status.written,
        "stored": aqz.ZarrArrayReader(store / "0").shape[0],
        "dropped": status.dropped,
        "in_order": numbers == list(range(len(numbers))),
        "frames_per_second": round(status.written / status.seconds, 1),
    }


def measure_sets(viewer, folder, name, record):
    """Return the median seconds of ``layer.data = frame`` in a burst, and what was stored."""
    random = np.random.default_rng(0)
    frames = random.integers(0, 4096, (BURST, *SHAPE), np.uint16)
    layer = viewer.add_image(frames[0], name=name, contrast_limits=(0, 4095))
    recorder = recorder_for(LayerSource(layer), folder, name) if record else None
    if recorder is not None:
        recorder.start()
    times = []
    for frame in frames:
        start = time.perf_counter()
        layer.data = frame
        times.append(time.perf_counter() - start)
    result = {"median_ms": round(1e3 * float(np.median(times)), 3)}
    if recorder is not None:
        status = recorder.close().status
        array = aqz.ZarrArrayReader(folder / f"{name}.ome.zarr" / "0")
        equal = all(np.array_equal(array.read_plane(i), frames[i]) for i in range(BURST))
        result |= {"written": status.written, "dropped": status.dropped, "equal_in_order": equal}
    viewer.layers.remove(layer)
    return result


def measure_tap(viewer, folder):
    """Return the median seconds that the recorder's own callback takes."""
    frame = np.zeros(SHAPE, np.uint16)
    layer = viewer.add_image(frame, name="tap")
    source = LayerSource(layer)
    with recorder_for(source, folder, "tap"):
        times = []
        for _ in range(BURST):
            start = time.perf_counter()
            source._on_data()
            times.append(time.perf_counter() - start)
    viewer.layers.remove(layer)
    return {"median_ms": round(1e3 * float(np.median(times)), 3)}


def main():
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--turns", type=int, default=1, help="pairs without and with recording")
    parser.add_argument("--no-preview", action="store_true", help="show nothing meanwhile")
    parser.add_argument("--camera-only", action="store_true", help="leave the bursts out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import napari

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        viewer = napari.Viewer(show=True)
        results = {
            "camera": measure_camera(
                viewer, folder, arguments.seconds, arguments.turns, not arguments.no_preview
            ),
            "sets_without": [],
            "sets_recorded": [],
        }
        for turn in range(
            0 if arguments.camera_only else 3
        ):  # alternating, because a machine has moods
            results["sets_without"].append(measure_sets(viewer, folder, f"plain{turn}", False))
            results["sets_recorded"].append(measure_sets(viewer, folder, f"burst{turn}", True))
        if not arguments.camera_only:
            results["callback"] = measure_tap(viewer, folder)
        viewer.close()
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
