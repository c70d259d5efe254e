"""Frames that wait until the sizes of all axes are known: at most the first time point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_micromanager.pixels import Pixels

__all__ = ["ArrivedFrame", "FrameHold"]


@dataclass(frozen=True, slots=True)
class ArrivedFrame:
    """A frame as the acquisition engine handed it over.

    Attributes
    ----------
    pixels : (Y, X) or (Y, X, components)
        Not yet unpacked.
    axes
        Its coordinates.
    tags
        Its metadata.
    """

    pixels: Pixels
    axes: Mapping[str, Any]
    tags: Mapping[str, Any]


class FrameHold:
    """Copies of frames, within a bound.

    Parameters
    ----------
    max_nbytes
        Bound on their pixels.
    """

    def __init__(self, max_nbytes: int) -> None:
        self._max_nbytes = max_nbytes
        self._frames: list[ArrivedFrame] = []
        self.nbytes = 0

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._frames)

    def has_room_for(self, frame: ArrivedFrame) -> bool:
        """Return whether one more frame can wait."""
        return self.nbytes + frame.pixels.nbytes <= self._max_nbytes

    def get(self, axes: Mapping[str, Any]) -> ArrivedFrame | None:
        """Return the frame with these axes, if it waits."""
        return next((frame for frame in list(self._frames) if frame.axes == axes), None)

    def add(self, frame: ArrivedFrame) -> None:
        """Keep a copy of a frame."""
        self.nbytes += frame.pixels.nbytes
        self._frames.append(ArrivedFrame(np.array(frame.pixels), dict(frame.axes), frame.tags))

    def release(self) -> Iterator[ArrivedFrame]:
        """Yield the frames in the order in which they came, and forget them."""
        frames, self._frames, self.nbytes = self._frames, [], 0
        frames.reverse()
        while frames:
            yield frames.pop()
