"""A source for Micro-Manager cameras run by pymmcore-plus: every frame of live mode.

`LiveCameraSource` takes every frame off the camera's circular buffer on a thread of its own,
which a viewer that shows only the latest image cannot do. It works with the core of
napari-micromanager.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from aqz_napari.sources.camera_facts import frame_axes, frame_dtype, planes
from aqz_napari.sources.frame_source import Axis, FrameSink, SourceError, SourceSpec

__all__ = ["LiveCameraSource"]

_SHORTEST_IDLE, _LONGEST_IDLE = 0.001, 0.02
"""Seconds to sleep when the camera's buffer is empty; half of an exposure, within these."""

_PARTING_SECONDS = 2.0

_KEPT = ("ElapsedTime-ms", "ImageNumber", "TimeReceivedByCore", "Camera")


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
        axes = frame_axes(core)
        interval = float(core.getExposure()) / 1e3 or 1.0
        return SourceSpec(
            camera,
            (Axis("t", 0, "time", interval, "second"), *axes),
            frame_dtype(core),
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
        if self._started_camera:
            _hold_for_a_while(self._core)
            if self._core.isSequenceRunning():
                self._core.stopSequenceAcquisition()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _run(self, sink: FrameSink) -> None:
        """Deliver frames until `stop`, the end of the sequence, or an overflow."""
        core = self._core
        try:
            idle = min(max(core.getExposure() / 2e3, _SHORTEST_IDLE), _LONGEST_IDLE)
            while True:
                # Asked before the buffer is looked at, so that no last frame is missed.
                running = core.isSequenceRunning()
                waiting = core.getRemainingImageCount()
                for _ in range(waiting):  # all that wait are taken before anything is asked again
                    image, tags = core.popNextImageAndMD()
                    self.acquired += 1
                    self.latest = np.asarray(image)
                    sink(planes(self.latest), metadata=_tags(tags))
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
                    return sink.end("the camera stopped")
                time.sleep(idle)
        except Exception as error:  # the core raises RuntimeError for everything
            sink.fail(f"the camera failed: {error}")


def _hold_for_a_while(core: Any) -> None:
    """Keep a core, whose sequence may have ended by itself, from being deleted at once.

    The thread of most cameras, the DemoCamera's too, says that it has stopped and then still uses
    the camera to tell the core so; nothing waits for that when the core is deleted.
    """
    timer = threading.Timer(_PARTING_SECONDS, id, (core,))
    timer.daemon = True
    timer.start()


def _tags(tags: Any) -> dict[str, Any]:
    """Return what the camera says about a frame that is worth keeping."""
    try:
        given = dict(tags)
    except (TypeError, ValueError):
        return {}
    return {name: given[name] for name in _KEPT if name in given}
