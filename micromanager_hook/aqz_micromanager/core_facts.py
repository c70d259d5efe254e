"""What a Micro-Manager core tells before the first frame.

Cores come with two spellings of their methods: pymmcore's ``getImageWidth`` and pycro-manager's
``get_image_width``.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from aqz_micromanager.pixels import FrameSpec

__all__ = ["camera_spec", "core_summary", "core_tags"]

_DEVICES = {
    "Camera": "getCameraDevice",
    "Shutter": "getShutterDevice",
    "XYStage": "getXYStageDevice",
    "Focus": "getFocusDevice",
    "Autofocus": "getAutoFocusDevice",
}

# 4 bytes of grey may be whole numbers or floats: only a frame can tell.
_GREY: dict[int, np.dtype[Any]] = {1: np.dtype("uint8"), 2: np.dtype("uint16")}
_COLOR: dict[int, np.dtype[Any]] = {4: np.dtype("uint8"), 8: np.dtype("uint16")}


def camera_spec(core: Any) -> FrameSpec | None:
    """Return what the camera's frames are, or None if the core does not tell."""
    shape = (int(_ask(core, "getImageHeight")), int(_ask(core, "getImageWidth")))
    nbytes = int(_ask(core, "getBytesPerPixel"))
    color = int(_ask(core, "getNumberOfComponents")) > 1
    dtype = (_COLOR if color else _GREY).get(nbytes)
    if dtype is None or 0 in shape:
        return None
    return FrameSpec(shape, dtype, 3 if color else 1)


def core_tags(core: Any) -> dict[str, Any]:
    """Return tags that every frame will have: the pixel size."""
    return {"PixelSizeUm": _ask(core, "getPixelSizeUm")}


def core_summary(core: Any) -> dict[str, Any]:
    """Return which devices the core uses."""
    summary: dict[str, Any] = {
        f"Core-{role}": str(_ask(core, method)) for role, method in _DEVICES.items()
    }
    summary["PixelSizeUm"] = float(_ask(core, "getPixelSizeUm"))
    summary["Exposure"] = float(_ask(core, "getExposure"))
    return summary


def _ask(core: Any, method: str) -> Any:
    """Call a method of the core by either spelling."""
    found = getattr(core, method, None)
    if found is None:
        spelling = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=Y)(?=S)", "_", method).lower()
        found = getattr(core, spelling)
    return found()
