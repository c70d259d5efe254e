"""The frames that came last, kept in memory for whoever looks on while it is recorded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_micromanager.pixels import Pixels
    from aqz_micromanager.routing import Place

__all__ = ["RecentFrames", "joined"]

_NBYTES = 64 << 20


class RecentFrames:
    """Copies of the last frames, within a bound; none before somebody asked for one.

    Parameters
    ----------
    max_nbytes
        Bound on their pixels. The newest frame is kept however large it is.
    """

    def __init__(self, max_nbytes: int = _NBYTES) -> None:
        self.max_nbytes = max_nbytes
        self.is_wanted = False
        self._frames: OrderedDict[Place, Pixels] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def keep(self, place: Place, planes: Sequence[Pixels]) -> None:
        """Keep a copy of a frame if anybody wants it."""
        if not self.is_wanted:
            return
        pixels = joined(planes)
        with self._lock:
            self._forget(place)
            self._frames[place] = pixels
            self._nbytes += pixels.nbytes
            while self._nbytes > self.max_nbytes and len(self._frames) > 1:
                self._forget(next(iter(self._frames)))

    def get(self, place: Place) -> Pixels | None:
        """Return a frame, or None if it is not among the last ones."""
        with self._lock:
            found = self._frames.get(place)
        return None if found is None else found.copy()

    def _forget(self, place: Place) -> None:
        """Let go of a frame."""
        before = self._frames.pop(place, None)
        self._nbytes -= 0 if before is None else before.nbytes


def joined(planes: Sequence[Pixels]) -> Pixels:
    """Return a copy of a frame: (Y, X), or (Y, X, components) in colour."""
    return np.array(planes[0]) if len(planes) == 1 else np.stack(planes, axis=-1)
