"""The metadata that Micro-Manager sends with every frame ("tags"), read whatever their spelling.

Numbers may come as text, the same thing has different names in the Python and in the Java engine
and in pymmcore-plus, and the Java engine repeats every device property in every frame. `TagTable`
turns them into rows of a table: measured values in every row, all others only when they change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeAlias

import numpy as np

__all__ = [
    "FrameMetadata",
    "TagTable",
    "camera_of",
    "number",
    "pixel_size_um",
    "plain",
    "text",
    "typed",
]

Tags: TypeAlias = Mapping[str, Any]
FrameMetadata: TypeAlias = Literal["compact", "full"] | None

_NUMBERS = {
    "elapsed_ms": ("ElapsedTime-ms", "runner_time_ms"),
    "received_by_core": ("TimeReceivedByCore",),
    "exposure_ms": ("Exposure", "Exposure-ms", "exposure_ms"),
    "image_number": ("ImageNumber",),
    "x_um": ("XPositionUm", "XPosition_um_Intended"),
    "y_um": ("YPositionUm", "YPosition_um_Intended"),
    "z_um": ("ZPositionUm", "ZPosition_um_Intended"),
}
_TEXTS = {
    "time": ("Time",),
    "camera_name": ("Camera", "camera_device"),
    "position_name": ("PositionName",),
}
_READ = {name for names in (*_NUMBERS.values(), *_TEXTS.values()) for name in names}

# The array itself says it, or the core always sends the same, whatever it acquires.
_SAID_ELSEWHERE = {
    *("Axes", "Height", "Width", "PixelType"),
    *("Frame", "FrameIndex", "Slice", "SliceIndex", "Position", "PositionIndex", "ChannelIndex"),
}


def number(tags: Tags, *names: str) -> float | None:
    """Return the first of the named tags that is a finite number, or text that says one."""
    for name in names:
        value = tags.get(name)
        if value is None or isinstance(value, bool):
            continue
        try:
            found = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(found):
            return found
    return None


def text(tags: Tags, *names: str) -> str | None:
    """Return the first of the named tags that is not empty, as text."""
    for name in names:
        value = tags.get(name)
        if value is not None and (said := typed(str(value))):
            return said
    return None


def pixel_size_um(tags: Tags) -> float | None:
    """Return the edge of a pixel in micrometres; 0 means that it is not calibrated."""
    size = number(tags, "PixelSizeUm", "PixelSize_um", "pixel_size_um")
    return size if size is not None and size > 0 else None


def camera_of(tags: Tags, cameras: tuple[str, ...]) -> str | None:
    """Return which of several cameras took a frame, or None if the tags do not tell.

    Parameters
    ----------
    tags
        Of the frame. Bursts name the camera; snaps of a multi-camera only number it.
    cameras
        Labels, in the order of the multi-camera's channels.
    """
    name = text(tags, "Camera", "camera_device")
    if name in cameras:
        return name
    index = number(tags, "CameraChannelIndex", "Multi Camera-CameraChannelIndex")
    if index is not None and 0 <= index < len(cameras):
        return cameras[int(index)]
    return None


def typed(value: str) -> str:
    """Return text as it was typed, in characters that every reader of JSON takes.

    Device strings in Latin-1 come from the core with surrogates in place of what is not UTF-8;
    others, which stand for no character at all, are spelled out.
    """
    if value.isascii():
        return value
    return "".join(_typed(character) for character in value)


def _typed(character: str) -> str:
    """Return one character, or what an unpaired surrogate stands for."""
    code = ord(character)
    if not 0xD800 <= code <= 0xDFFF:
        return character
    return chr(code - 0xDC00) if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what it cannot hold becomes text."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        return typed(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {typed(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "model_dump"):  # a pydantic model, such as useq's
        return plain(value.model_dump(exclude_unset=True))
    return typed(str(value))


class TagTable:
    """Makes the rows of one image's table of frames.

    Parameters
    ----------
    form
        ``"compact"``: measured values, and under ``"changed"`` those others that are new or differ
        from the last row. ``"full"``: everything as it came. None: no rows.
    standalone
        Whether a row says nothing by being like the last one: a frame that is written again takes
        its row to another place.
    """

    def __init__(self, form: FrameMetadata, *, standalone: bool = False) -> None:
        self._form = form
        self._standalone = standalone
        self._last: dict[str, Any] = {}

    def row(self, tags: Tags) -> dict[str, Any] | None:
        """Return the row of a frame, in the order in which frames are stored."""
        if self._form is None:
            return None
        if self._form == "full":
            return {typed(str(key)): plain(value) for key, value in tags.items()}
        row: dict[str, Any] = {}
        for name, spellings in _NUMBERS.items():
            if (value := number(tags, *spellings)) is not None:
                row[name] = int(value) if value.is_integer() and name != "elapsed_ms" else value
            elif (said := text(tags, *spellings)) is not None:
                row[name] = said  # a date, for instance: better kept than lost
        for name, spellings in _TEXTS.items():
            if (found := text(tags, *spellings)) is not None:
                row[name] = found
        if changed := self._changed(tags):
            row["changed"] = changed
        return row

    def _changed(self, tags: Tags) -> dict[str, Any]:
        """Return the tags that no column holds and that differ from the last row's."""
        changed = {}
        for key, value in tags.items():
            if key in _READ or key in _SAID_ELSEWHERE:
                continue
            said = plain(value)  # arrays have no truth value: only what is stored is compared
            if self._standalone or key not in self._last or self._last[key] != said:
                self._last[key] = said
                changed[typed(str(key))] = said
        return changed
