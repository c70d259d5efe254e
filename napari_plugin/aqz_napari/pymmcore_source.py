"""Sources for Micro-Manager cameras run by pymmcore-plus: live mode and acquisitions.

`LiveCameraSource` takes every frame off the camera's circular buffer on a thread of its own,
which a viewer that shows only the latest image cannot do. `AcquisitionSource` listens to the
frames of a multi-dimensional acquisition. Both work with the core of napari-micromanager.
pymmcore-plus itself is not imported: a core is handed in, or the running one is asked for.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.frame_source import Axis, FrameSink, SourceError, SourceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AcquisitionSource", "LiveCameraSource", "running_core"]

_IDLE = 0.002
"""Seconds to sleep when the camera's buffer is empty."""

_KINDS = {"t": "time", "c": "channel", "z": "space"}
_KEPT = ("ElapsedTime-ms", "ImageNumber", "TimeReceivedByCore", "Camera")


def running_core() -> Any | None:
    """Return the pymmcore-plus core of this program if it has a camera, else None."""
    # CMMCorePlus.instance() would make a core where there is none.
    module = sys.modules.get("pymmcore_plus.core._mmcore_plus")
    reference = getattr(module, "_instance", None)
    core = reference() if reference is not None else None
    return core if core is not None and core.getCameraDevice() else None


class LiveCameraSource:
    """Every frame of a camera in live mode.

    Live mode is started when it is not running, and then stopped again at the end.

    Parameters
    ----------
    core : CMMCorePlus or CMMCore
        Configured, with a camera.
    count : int, optional
        Frames to ask the camera for; by default it runs until `stop`.

    Attributes
    ----------
    latest : numpy.ndarray or None
        The newest frame, for a preview: taking frames off the buffer leaves none for others.
    acquired : int
        Frames taken off the buffer.
    """

    def __init__(self, core: Any, count: int | None = None) -> None:
        self._core = core
        self._count = count
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._started_camera = False
        self.latest: np.ndarray[Any, Any] | None = None
        self.acquired = 0

    def describe(self) -> SourceSpec:
        """Say what the camera delivers with its present settings."""
        core = self._core
        camera = core.getCameraDevice()
        if not camera:
            raise SourceError("no camera is configured; load a configuration first")
        if core.getNumberOfCameraChannels() > 1:
            raise SourceError(f"{camera} has several channels; choose one physical camera")
        axes = _frame_axes(core)
        interval = float(core.getExposure()) / 1e3 or 1.0
        return SourceSpec(
            camera,
            (Axis("t", 0, "time", interval, "second"), *axes),
            _dtype(core),
            update_ndim=len(axes),
            metadata={"camera": camera, "exposure_ms": float(core.getExposure())},
        )

    def start(self, sink: FrameSink) -> None:
        """Start live mode if need be, and take frames off its buffer."""
        core = self._core
        self._stopped.clear()
        if not core.isSequenceRunning():
            if self._count is None:
                core.startContinuousSequenceAcquisition(0)
            else:
                core.startSequenceAcquisition(self._count, 0, True)
            self._started_camera = True
        self._thread = threading.Thread(
            target=self._run, args=(sink,), name="aqz camera", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop taking frames, after those the camera has made already."""
        self._stopped.set()
        if self._started_camera and self._core.isSequenceRunning():
            self._core.stopSequenceAcquisition()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _run(self, sink: FrameSink) -> None:
        """Deliver frames until `stop`, the end of the sequence, or an overflow."""
        core = self._core
        try:
            while True:
                # Asked before the buffer is looked at, so that no last frame is missed.
                running = core.isSequenceRunning()
                if core.getRemainingImageCount() > 0:
                    image, tags = core.popNextImageAndMD()
                    self.acquired += 1
                    self.latest = np.asarray(image)
                    sink(_planes(self.latest), metadata=_tags(tags))
                elif self._stopped.is_set():
                    return
                elif not running:
                    return sink.end("the camera stopped")
                else:
                    time.sleep(_IDLE)
                if core.isBufferOverflowed():
                    return sink.fail(
                        "the camera's own buffer overflowed: frames came faster than they could "
                        "be taken; give it more memory or use a lower rate"
                    )
        except Exception as error:  # the core raises RuntimeError for everything
            sink.fail(f"the camera failed: {error}")


class AcquisitionSource:
    """Every frame of a multi-dimensional acquisition of pymmcore-plus.

    Parameters
    ----------
    core : CMMCorePlus
        Its ``mda`` runs the acquisition.
    sequence : useq.MDASequence, optional
        What will be run: gives the axes, and each frame its place on them. Without it frames
        are recorded one after the other, with their index as metadata.
    run : bool, default False
        Run `sequence` when the recording starts; otherwise wait for whoever runs it.
    """

    def __init__(self, core: Any, sequence: Any = None, *, run: bool = False) -> None:
        if run and sequence is None:
            raise ValueError("run=True needs the sequence to run")
        self._core = core
        self._sequence = sequence
        self._run_it = run
        self._sink: FrameSink | None = None
        self._sizes: dict[str, int] = {}

    def describe(self) -> SourceSpec:
        """Say which axes the acquisition has."""
        rows_and_columns = _frame_axes(self._core)
        sequence = self._sequence
        if sequence is None:
            axes = [Axis("t", 0, "time", 1.0, "second")]
            channels: tuple[Any, ...] = ()
        else:
            self._sizes = {k: n for k, n in sequence.sizes.items() if n and k in "tpcgz"}
            order = sorted(self._sizes, key="ptgcz".index)
            axes = [self._axis(name) for name in order] or [Axis("t", 0, "time")]
            channels = tuple((c.config, None, None) for c in sequence.channels)
        return SourceSpec(
            "acquisition",
            (*axes, *rows_and_columns),
            _dtype(self._core),
            update_ndim=len(rows_and_columns),
            channels=channels,
            metadata={} if sequence is None else {"sequence": sequence.model_dump(mode="json")},
        )

    def start(self, sink: FrameSink) -> None:
        """Listen to the acquisition, and run it if asked to."""
        self._sink = sink
        events = self._core.mda.events
        events.frameReady.connect(self._on_frame)
        events.sequenceFinished.connect(self._on_finished)
        if self._run_it:
            self._core.run_mda(self._sequence)

    def stop(self) -> None:
        """Listen no more; an acquisition that was run from here is cancelled."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        events = self._core.mda.events
        events.frameReady.disconnect(self._on_frame)
        events.sequenceFinished.disconnect(self._on_finished)
        if self._run_it and self._core.mda.is_running():
            self._core.mda.cancel()

    def _axis(self, name: str) -> Axis:
        """Return the axis of a letter of the sequence."""
        size = self._sizes[name]
        scale, unit = 1.0, None
        if name == "z":
            steps = list(self._sequence.z_plan or [])
            scale = abs(steps[1] - steps[0]) if len(steps) > 1 else 1.0
            unit = "micrometer"
        elif name == "t":
            interval = getattr(self._sequence.time_plan, "interval", None)
            scale = interval.total_seconds() if interval is not None else 0.0
            unit = "second"
        return Axis(name, size, _KINDS.get(name, "other"), scale or 1.0, unit)

    def _on_frame(self, image: Any, event: Any, meta: Mapping[str, Any] | None = None) -> None:
        """Deliver a frame; runs on the thread of the acquisition."""
        sink = self._sink
        if sink is None:
            return
        index = {str(axis): int(place) for axis, place in event.index.items()}
        about = {"index": index} | {
            name: value
            for name, value in (meta or {}).items()
            if name in ("runner_time_ms", "exposure_ms", "position", "camera_device")
            and isinstance(value, (int, float, str))
        }
        place = {axis: index.get(axis, 0) for axis in self._sizes} if self._sizes else None
        sink(_planes(np.asarray(image)), index=place, metadata=about)

    def _on_finished(self, *_: object) -> None:
        """End with the acquisition."""
        if self._sink is not None:
            self._sink.end("the acquisition finished")


def _frame_axes(core: Any) -> tuple[Axis, ...]:
    """Return the axes of one image: rows and columns, with colours in front if it has them."""
    size = float(core.getPixelSizeUm())
    scale, unit = (size, "micrometer") if size else (1.0, None)
    plane = (
        Axis("y", int(core.getImageHeight()), "space", scale, unit),
        Axis("x", int(core.getImageWidth()), "space", scale, unit),
    )
    if core.getNumberOfComponents() > 1:
        return (Axis("c", 3, "channel"), *plane)
    return plane


def _dtype(core: Any) -> np.dtype[Any]:
    """Return the data type of a pixel, or of one colour of it."""
    components = int(core.getNumberOfComponents())
    nbytes = int(core.getBytesPerPixel()) // (4 if components > 1 else 1)
    return np.dtype(
        {1: "uint8", 2: "uint16", 4: "float32" if components == 1 else "uint32"}[nbytes]
    )


def _planes(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an image with its colours in front of rows and columns, opacity left out."""
    return image if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)


def _tags(tags: Any) -> dict[str, Any]:
    """Return what the camera says about a frame that is worth keeping."""
    try:
        given = dict(tags)
    except (TypeError, ValueError):
        return {}
    return {name: given[name] for name in _KEPT if name in given}
