"""Which frames of an array are recorded, for recordings that come by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from aqz_core.planning.frame_order import FrameRouter

__all__ = ["WrittenFrames"]


class WrittenFrames:
    """One flag for each frame, in the order of arrival.

    Parameters
    ----------
    router
        The array's frame numbers.
    appended
        How many frames were appended, in order, before.
    """

    def __init__(self, router: FrameRouter, appended: int) -> None:
        size = router.limit if router.limit is not None else 1024
        self._flags = np.zeros(max(size, appended), bool)
        self._flags[:appended] = True

    def __contains__(self, frame: int) -> bool:
        """Tell whether a frame is recorded."""
        return frame < self._flags.size and bool(self._flags[frame])

    def add(self, frame: int) -> None:
        """Note a frame."""
        if frame >= self._flags.size:
            grown = np.zeros(max(2 * self._flags.size, frame + 1), bool)
            grown[: self._flags.size] = self._flags
            self._flags = grown
        self._flags[frame] = True
