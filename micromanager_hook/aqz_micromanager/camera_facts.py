"""What is known of the camera: pixel size, bit depth, and which part of its sensor a frame is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_micromanager.tags import number, pixel_size_um, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["CameraFacts", "facts_of"]


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """The camera, as far as it is known.

    Attributes
    ----------
    pixel_um
        Edge of a pixel, micrometres; None if it is not calibrated.
    bit_depth
        Bits of a pixel that the camera fills.
    corner
        Column and row of a frame's first pixel on the sensor, in binned pixels.
    sensor
        Columns and rows of the whole sensor, in binned pixels.
    channel_name
        Of the only channel.
    """

    pixel_um: float | None = None
    bit_depth: int | None = None
    corner: tuple[float, float] | None = None
    sensor: tuple[float, float] | None = None
    channel_name: str | None = None

    def origin_um(self, stage_um: float | None, size: int, axis: int) -> float:
        """Return where the first pixel of a frame lies.

        Parameters
        ----------
        stage_um
            Where the stage is: the centre of the sensor, or of the frame if the sensor is unknown.
        size
            Pixels of the frame.
        axis
            0 for x, 1 for y.
        """
        if not self.pixel_um or stage_um is None:
            return 0.0
        first = -(size - 1) / 2
        if self.corner is not None and self.sensor is not None:
            first = self.corner[axis] - (self.sensor[axis] - 1) / 2
        return stage_um + first * self.pixel_um


def facts_of(tags: Mapping[str, Any]) -> CameraFacts:
    """Return what a frame's metadata, or those that a core gives before, say of the camera."""
    depth = number(tags, "BitDepth")
    return CameraFacts(
        pixel_um=pixel_size_um(tags),
        bit_depth=int(depth) if depth else None,
        corner=_corner(tags),
        sensor=tags.get("Sensor"),
        channel_name=text(tags, "Channel"),
    )


def _corner(tags: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return where the region of interest begins, from either engine's spelling."""
    column, row = number(tags, "ROI-X-start"), number(tags, "ROI-Y-start")
    if column is not None and row is not None:
        return column, row
    match = re.fullmatch(r"(\d+)-(\d+)-(\d+)-(\d+)", text(tags, "ROI") or "")
    return (float(match[1]), float(match[2])) if match else None
