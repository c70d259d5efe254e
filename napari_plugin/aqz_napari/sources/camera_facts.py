"""What a pymmcore-plus core says about its camera and its images, and how to listen to it.

pymmcore-plus is not imported: a core is handed in, or the running one is asked for.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.sources.frame_source import Axis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "camera_channels",
    "frame_axes",
    "frame_dtype",
    "listen",
    "live_interval",
    "planes",
    "received_at",
    "running_core",
]


def running_core() -> Any | None:
    """Return the pymmcore-plus core of this program if it has a camera, else None."""
    # CMMCorePlus.instance() would make a core where there is none.
    module = sys.modules.get("pymmcore_plus.core._mmcore_plus")
    reference = getattr(module, "_instance", None)
    core = reference() if reference is not None else None
    return core if core is not None and core.getCameraDevice() else None


def camera_channels(core: Any) -> list[str]:
    """Return the cameras that a multi-camera device combines; none for a plain camera."""
    count = int(core.getNumberOfCameraChannels())
    return [str(core.getCameraChannelName(i)) for i in range(count)] if count > 1 else []


def frame_axes(core: Any) -> tuple[Axis, ...]:
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


def frame_dtype(core: Any) -> np.dtype[Any]:
    """Return the data type of a pixel, or of one colour of it; pymmcore delivers integers only."""
    components = int(core.getNumberOfComponents())
    nbytes = int(core.getBytesPerPixel()) // (4 if components > 1 else 1)
    return np.dtype({1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}[nbytes])


def live_interval(core: Any) -> float | None:
    """Return the seconds from frame to frame of a running sequence; None while there are few."""
    try:
        _, tags = core.getLastImageAndMD()
        frames, elapsed = int(tags["ImageNumber"]) + 1, float(tags["ElapsedTime-ms"])
    except (RuntimeError, IndexError, KeyError, ValueError, TypeError):
        return None  # no frame yet, or a camera that counts in its own way
    return elapsed / 1e3 / frames if frames > 2 and elapsed > 0 else None


def received_at(tags: Mapping[str, Any]) -> float | None:
    """Return when the core got a frame, in seconds since 1970; None where it does not say."""
    try:
        return datetime.fromisoformat(str(tags["TimeReceivedByCore"])).timestamp()
    except (KeyError, ValueError):
        return None


def planes(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an image with its colours in front of rows and columns, opacity left out."""
    return image if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)


def listen(signal: Any, callback: Callable[..., None]) -> None:
    """Have a signal of the core call back on the thread that emits it.

    In a program with a window the signals are Qt's, which would queue the call for the main
    thread: frames would wait there without a bound, and behind every redraw.
    """
    if type(signal).__module__.partition(".")[0].startswith(("PyQt", "PySide")):
        from qtpy.QtCore import Qt

        signal.connect(callback, Qt.ConnectionType.DirectConnection)
    else:
        signal.connect(callback)
