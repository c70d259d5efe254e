"""A source for Micro-Manager cameras run by pymmcore-plus: every frame of live mode.

`LiveCameraSource` takes every frame off the camera's circular buffer on a thread of its own,
which a viewer that shows only the latest image cannot do. It works with the core of
napari-micromanager.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from aqz_napari.sources.camera_facts import (
    camera_channels,
    frame_axes,
    frame_dtype,
    live_interval,
    planes,
    received_at,
)
from aqz_napari.sources.frame_source import Axis, FrameSink, SourceError, SourceSpec

__all__ = ["LiveCameraSource"]

_SHORTEST_IDLE, _LONGEST_IDLE = 0.001, 0.02
"""Seconds to sleep when the camera's buffer is empty; half of an exposure, within these."""

_PARTING_SECONDS = 2.0

_MEASURING_SECONDS = 1.0
"""Longest wait for the first frames of a camera, from which its interval is known."""

_KEPT = ("ElapsedTime-ms", "ImageNumber", "TimeReceivedByCore", "Camera")


class LiveCameraSource:
    """Every frame of a camera in live mode.

    Live mode is started when it is not running, and then stopped again at the end. Frames that
    were in the camera's buffer before `prepare`, or `start` without it, are not recorded. The
    cameras of a multi-camera device become channels.

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
        Frames taken off the buffer for the recording.
    """

    def __init__(self, core: Any, count: int | None = None) -> None:
        self._core = core
        self._count = count
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._started_camera = self._is_prepared = False
        self._cameras: list[str] = []
        self._stale = 0
        self._since = 0.0
        self.latest: np.ndarray[Any, Any] | None = None
        self.acquired = 0

    def describe(self) -> SourceSpec:
        """Say what the camera delivers with its present settings."""
        core = self._core
        camera = core.getCameraDevice()
        if not camera:
            raise SourceError("no camera is configured; load a configuration first")
        cameras, axes = camera_channels(core), frame_axes(core)
        if cameras and len(axes) > 2:
            raise SourceError(
                f"{camera} combines colour cameras, whose frames have no place in one image; "
                "choose one physical camera"
            )
        channels = tuple((name, None, None) for name in cameras or [camera])
        exposure = float(core.getExposure())
        lead = [Axis("t", 0, "time", exposure / 1e3 or 1.0, "second")]
        lead += [Axis("c", len(cameras), "channel")] if cameras else []
        return SourceSpec(
            camera,
            (*lead, *axes),
            frame_dtype(core),
            update_ndim=len(axes),
            channels=channels if len(axes) == 2 else (),
            metadata={"camera": camera, "exposure_ms": exposure},
        )

    def prepare(self) -> SourceSpec:
        """Let the camera run from now on, and describe it with the interval that it keeps."""
        self._run_camera()
        self._is_prepared = True
        deadline = time.monotonic() + _MEASURING_SECONDS
        while (interval := live_interval(self._core)) is None and time.monotonic() < deadline:
            if not self._core.isSequenceRunning():
                break
            time.sleep(_SHORTEST_IDLE)
        spec = self.describe()
        if interval is None:
            return spec
        time_axis = replace(spec.axes[0], scale=float(f"{interval:.4g}"))
        return replace(spec, axes=(time_axis, *spec.axes[1:]))

    def start(self, sink: FrameSink) -> None:
        """Start live mode if need be, and take frames off its buffer."""
        self._stopped.clear()
        if not self._is_prepared:
            self._run_camera()
        self._cameras = camera_channels(self._core)
        self._thread = threading.Thread(
            target=self._run, args=(sink,), name="aqz camera", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop taking frames, after those the camera has made already."""
        self._stopped.set()
        self._is_prepared = False
        if self._started_camera:
            _hold_for_a_while(self._core)
            if self._core.isSequenceRunning():
                self._core.stopSequenceAcquisition()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _run_camera(self) -> None:
        """Start live mode, or note what an earlier live mode has left in the buffer."""
        core = self._core
        self._since = time.time()
        if core.isSequenceRunning():
            self._stale = int(core.getRemainingImageCount())
            return
        if self._count is None:
            core.startContinuousSequenceAcquisition(0)
        else:
            core.startSequenceAcquisition(self._count, 0, True)
        self._started_camera, self._stale = True, 0

    def _run(self, sink: FrameSink) -> None:
        """Deliver frames until `stop`, the end of the sequence, or an overflow."""
        core = self._core
        taken: Counter[int] = Counter()
        try:
            idle = min(max(core.getExposure() / 2e3, _SHORTEST_IDLE), _LONGEST_IDLE)
            while True:
                # Asked before the buffer is looked at, so that no last frame is missed.
                running = core.isSequenceRunning()
                waiting = core.getRemainingImageCount()
                for _ in range(waiting):  # all that wait are taken before anything is asked again
                    image, tags = core.popNextImageAndMD()
                    if not self._is_stale(tags):
                        self._deliver(sink, np.asarray(image), tags, taken)
                if core.isBufferOverflowed():
                    return sink.fail(
                        "the camera's own buffer overflowed: frames came faster than they could "
                        "be taken; give it more memory or use a lower rate"
                    )
                if waiting:
                    continue
                if self._stopped.is_set():
                    return
                if not running:
                    return self._camera_stopped(sink)
                time.sleep(idle)
        except Exception as error:  # the core raises RuntimeError for everything
            sink.fail(f"the camera failed: {error}")

    def _is_stale(self, tags: Any) -> bool:
        """Return whether a frame was made before the recording was asked for."""
        if not self._stale:
            return False
        self._stale -= 1
        received = received_at(tags)  # the buffer may have been emptied by its camera meanwhile
        return received is None or received < self._since

    def _deliver(
        self, sink: FrameSink, image: np.ndarray[Any, Any], tags: Any, taken: Counter[int]
    ) -> None:
        """Hand a frame over; those of several cameras go to their channels."""
        self.acquired += 1
        self.latest = image
        index = None
        if self._cameras:
            channel = _channel(tags)
            index = {"t": taken[channel], "c": channel}
            taken[channel] += 1
        sink(planes(image), index=index, metadata=_about(tags))

    def _camera_stopped(self, sink: FrameSink) -> None:
        """End when the camera has: as it should after a known number of frames."""
        if self._count is not None and self.acquired >= self._count * max(1, len(self._cameras)):
            sink.end("the camera stopped")
        else:
            sink.fail("the camera stopped: live mode was switched off, or a setting was changed")


def _hold_for_a_while(core: Any) -> None:
    """Keep a core, whose sequence may have ended by itself, from being deleted at once.

    The thread of most cameras, the DemoCamera's too, says that it has stopped and then still uses
    the camera to tell the core so; nothing waits for that when the core is deleted.
    """
    timer = threading.Timer(_PARTING_SECONDS, id, (core,))
    timer.daemon = True
    timer.start()


def _channel(tags: Any) -> int:
    """Return which camera of a multi-camera device made a frame."""
    for name, value in dict(tags).items():
        if name.endswith("CameraChannelIndex"):
            return int(value)
    return 0


def _about(tags: Any) -> dict[str, Any]:
    """Return what the camera says about a frame that is worth keeping, with its time."""
    try:
        given = dict(tags)
    except (TypeError, ValueError):
        return {}
    received = received_at(given)
    stamp = {} if received is None else {"timestamp": received}
    return stamp | {name: given[name] for name in _KEPT if name in given}
