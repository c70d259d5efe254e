"""How recording and napari's window get along: frames kept, jitter, cost of a set.

    xvfb-run -a python -m benchmarks.napari_capture [--seconds 30] [--json results.json]

Three measurements in a real window, each beside the same without recording:

- Micro-Manager's DemoCamera, 512 x 512, 16 bit, at 100 frames a second through
  `LiveCameraSource`: frames acquired, written and dropped;
- the jitter of a 10 ms timer of the main thread meanwhile;
- what a recorder adds to ``layer.data = frame``, for a burst of 300.

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
from aqz_napari.recording_plan import plan_for

SHAPE = (512, 512)
EXPOSURE_MS = 10.0
TICK = 0.010
BURST = 300


def demo_core():
    """Return a core with a DemoCamera of 100 frames a second."""
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


def measure_camera(viewer, folder, seconds, preview_rate):
    """Record the camera while the newest frame is shown as live view does."""
    from qtpy.QtCore import QTimer

    core = demo_core()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint16), name="preview", contrast_limits=(0, 4095))
    shown = {"source": None}

    def show():
        latest = getattr(shown["source"], "latest", None)
        if latest is not None:
            layer.data = latest

    preview = QTimer()
    preview.timeout.connect(show)
    if preview_rate:
        preview.start(round(1000 / preview_rate))

    # The same load without storing: the frames are taken off the buffer and forgotten.
    class Forget:
        def __call__(self, frame, **_):
            return True

        def end(self, message=""):
            pass

        fail = end

    baseline = LiveCameraSource(core)
    shown["source"] = baseline
    baseline.start(Forget())
    until = time.monotonic() + min(seconds, 10)
    without = jitter_while(lambda: time.monotonic() < until)
    baseline.stop()

    source = LiveCameraSource(core)
    recorder = recorder_for(source, folder, "camera", stop_rule=StopRule(seconds=seconds))
    shown["source"] = source
    recorder.start()
    late = jitter_while(lambda: not recorder.state.is_over)
    preview.stop()
    status = recorder.wait().status
    array = aqz.ZarrArrayReader(folder / "camera.ome.zarr" / "0")
    numbers = [
        int(record["source"]["ImageNumber"])
        for record in aqz.read_frame_metadata(folder / "camera.ome.zarr")
    ]
    viewer.layers.remove(layer)
    return {
        "seconds": round(status.seconds, 2),
        "acquired": source.acquired,
        "written": status.written,
        "stored": array.shape[0],
        "dropped": status.dropped,
        "in_order": numbers == list(range(len(numbers))),
        "frames_per_second": round(status.written / seconds, 1),
        "jitter_recording": percentiles(late),
        "jitter_without": percentiles(without),
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
    parser.add_argument("--preview-rate", type=float, default=20.0, help="frames shown a second")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import napari

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        viewer = napari.Viewer(show=True)
        results = {
            "camera": measure_camera(viewer, folder, arguments.seconds, arguments.preview_rate),
            "sets_without": [],
            "sets_recorded": [],
        }
        for turn in range(3):  # alternating, because a machine has moods
            results["sets_without"].append(measure_sets(viewer, folder, f"plain{turn}", False))
            results["sets_recorded"].append(measure_sets(viewer, folder, f"burst{turn}", True))
        results["callback"] = measure_tap(viewer, folder)
        viewer.close()
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
