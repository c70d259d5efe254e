"""Making one pyramid level from the planes of the one before, as they are recorded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from aqz_core.array_writer import ArrayWriter
    from aqz_core.pyramid import LevelGeometry
    from aqz_core.reduction import Downsampler

__all__ = ["LevelReducer"]

Plane = npt.NDArray[Any]
LeadIndex = tuple[int, ...]


class LevelReducer:
    """Reduces planes of one level and writes them to the next; called by the workers.

    Where z is halved, planes come in pairs (2k, 2k + 1); the first of a pair to arrive waits for
    the other. A last plane without a partner is taken as it is.

    Parameters
    ----------
    downsampler
        The method.
    geometry
        The next level's.
    writer
        The next level's.
    z_size
        Planes on the z axis of the level before; 0 when unlimited.
    """

    def __init__(
        self,
        downsampler: Downsampler,
        geometry: LevelGeometry,
        writer: ArrayWriter,
        z_size: int,
    ) -> None:
        self._downsampler = downsampler
        self._halves_plane = geometry.halves_plane
        self._halves_z = geometry.halves_z
        self._writer = writer
        self._z_size = z_size
        self._waiting: dict[LeadIndex, tuple[int, Plane]] = {}
        self._lock = threading.Lock()

    def __call__(self, lead: LeadIndex, plane: Plane) -> None:
        """Take the plane at a leading index of the level before; `plane` may be reused after."""
        if self._halves_plane:
            plane = self._downsampler.reduce_plane(plane)
        if not self._halves_z:
            self._writer.write(plane, lead)
            return
        half, which = divmod(lead[-1], 2)
        target = (*lead[:-1], half)
        if which == 0 and lead[-1] == self._z_size - 1:
            self._writer.write(plane, target)
            return
        with self._lock:
            partner = self._waiting.pop(target, None)
            if partner is None:
                kept = plane if self._halves_plane else plane.copy()
                self._waiting[target] = (which, kept)
                return
        first, second = (plane, partner[1]) if which == 0 else (partner[1], plane)
        self._writer.write(self._downsampler.combine(first, second), target)

    def finish(self, length: int, fill_value: float) -> None:
        """Write the planes whose partners never came.

        Parameters
        ----------
        length
            How many planes the z axis has in the end.
        fill_value
            What a partner counts as that lies inside the array but was not recorded.
        """
        for target, (which, plane) in sorted(self._waiting.items(), key=lambda item: item[0]):
            alone = which == 0 and 2 * target[-1] == length - 1
            if not alone:
                missing = np.full_like(plane, fill_value)
                pair = (plane, missing) if which == 0 else (missing, plane)
                plane = self._downsampler.combine(*pair)
            self._writer.write(plane, target)
        self._waiting.clear()
