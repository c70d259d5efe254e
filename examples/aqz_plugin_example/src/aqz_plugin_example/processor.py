"""Hot pixels become the median of their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core import FrameFunction, FrameProcessor, FrameSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

Pixel = tuple[int, int]


def hot_pixels(pixels: Sequence[Pixel], order: int = -10) -> FrameProcessor:
    """Return a processor for pixels (row, column); early, so that others see repaired frames."""

    def prepare(spec: FrameSpec) -> FrameFunction | None:
        inside = [one for one in pixels if one[0] < spec.shape[0] and one[1] < spec.shape[1]]
        return (lambda frame, index: _repaired(frame, inside)) if inside else None

    return FrameProcessor("example hot pixels", prepare, order)


def parse_pixels(text: str) -> list[Pixel]:
    """Return the pixels of a text like ``"10,20 300,4"``."""
    pairs = (pair.split(",") for pair in text.split())
    return [(int(row), int(column)) for row, column in pairs]


def _repaired(frame: npt.NDArray[Any], pixels: Sequence[Pixel]) -> npt.NDArray[Any]:
    """Return a copy: the frame that came is the camera's."""
    repaired = frame.copy()
    for row, column in pixels:
        top, left = max(row - 1, 0), max(column - 1, 0)
        around = frame[top : row + 2, left : column + 2].astype(float)
        around[row - top, column - left] = np.nan
        repaired[row, column] = np.nanmedian(around)
    return repaired
