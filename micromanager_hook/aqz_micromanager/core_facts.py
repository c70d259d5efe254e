"""What a Micro-Manager core tells before the first frame.

Cores come with two spellings of their methods: pymmcore's ``getImageWidth`` and pycro-manager's
``get_image_width``.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import numpy as np

from aqz_micromanager.pixels import FrameSpec

__all__ = ["ask", "camera_labels", "camera_spec", "core_summary", "core_tags"]

_DEVICES = {
    "Camera": "getCameraDevice",
    "Shutter": "getShutterDevice",
    "XYStage": "getXYStageDevice",
    "Focus": "getFocusDevice",
    "Autofocus": "getAutoFocusDevice",
}

# Properties that cameras' adapters have for the size of their sensor, in pixels without binning.
_SENSOR_SIZES = (
    ("OnCameraCCDXSize", "OnCameraCCDYSize"),
    ("SensorWidth", "SensorHeight"),
    ("X-dimension", "Y-dimension"),
    ("WidthMax", "HeightMax"),
)

# 4 bytes of grey may be whole numbers or floats: only a frame can tell.
_GREY: dict[int, np.dtype[Any]] = {1: np.dtype("uint8"), 2: np.dtype("uint16")}
_COLOR: dict[int, np.dtype[Any]] = {4: np.dtype("uint8"), 8: np.dtype("uint16")}


def camera_spec(core: Any) -> FrameSpec | None:
    """Return what the camera's frames are, or None if the core does not tell."""
    shape = (int(ask(core, "getImageHeight")), int(ask(core, "getImageWidth")))
    nbytes = int(ask(core, "getBytesPerPixel"))
    color = int(ask(core, "getNumberOfComponents")) > 1
    dtype = (_COLOR if color else _GREY).get(nbytes)
    if dtype is None or 0 in shape:
        return None
    return FrameSpec(shape, dtype, 3 if color else 1)


def core_tags(core: Any) -> dict[str, Any]:
    """Return tags that every frame will have: pixel size, bit depth, and region of the sensor."""
    tags = {"PixelSizeUm": ask(core, "getPixelSizeUm")}
    with contextlib.suppress(Exception):  # a stand-in for a core need not know everything
        tags["BitDepth"] = int(ask(core, "getImageBitDepth"))
    with contextlib.suppress(Exception):
        column, row, width, height = (int(edge) for edge in ask(core, "getROI"))
        tags["ROI"] = f"{column}-{row}-{width}-{height}"
        tags["Sensor"] = _sensor(core)
    return tags


def _sensor(core: Any) -> tuple[float, float] | None:
    """Return columns and rows of the whole sensor, binned, if the camera says how large it is."""
    camera = ask(core, "getCameraDevice")
    names = set(ask(core, "getDevicePropertyNames", camera))
    for across, down in _SENSOR_SIZES:
        if {across, down} <= names:
            binning = float(str(_property(core, camera, "Binning") or 1).split("x", maxsplit=1)[0])
            sizes = (float(ask(core, "getProperty", camera, name)) for name in (across, down))
            width, height = (size // binning for size in sizes)
            return width, height
    return None


def _property(core: Any, device: str, name: str) -> Any:
    """Return a property that a device may not have."""
    has = ask(core, "hasProperty", device, name)
    return ask(core, "getProperty", device, name) if has else None


def camera_labels(core: Any) -> tuple[str, ...]:
    """Return the labels of the cameras that record at once; empty if there is one."""
    count = int(ask(core, "getNumberOfCameraChannels"))
    return (
        tuple(str(ask(core, "getCameraChannelName", n)) for n in range(count)) if count > 1 else ()
    )


def core_summary(core: Any) -> dict[str, Any]:
    """Return which devices the core uses."""
    summary: dict[str, Any] = {
        f"Core-{role}": str(ask(core, method)) for role, method in _DEVICES.items()
    }
    summary["PixelSizeUm"] = float(ask(core, "getPixelSizeUm"))
    summary["Exposure"] = float(ask(core, "getExposure"))
    return summary


def ask(core: Any, method: str, *arguments: Any) -> Any:
    """Call a method of the core by either spelling."""
    found = getattr(core, method, None)
    if found is None:
        spelling = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=Y)(?=S)", "_", method).lower()
        found = getattr(core, spelling)
    return found(*arguments)
