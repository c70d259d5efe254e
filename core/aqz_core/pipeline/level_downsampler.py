"""Making one pyramid level from the planes of the one before, as they are recorded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.planning.layout import ArrayLayout
    from aqz_core.planning.pyramid import LevelGeometry

__all__ = ["LevelDownsampler"]

Plane = npt.NDArray[Any]
LeadIndex = tuple[int, ...]


class PlaneSink(Protocol):
    """Whatever takes the planes of the next level: its writer."""

    layout: ArrayLayout

    def add_plane(self, frame: Plane, lead: LeadIndex) -> None:
        """Take the plane at a index, in any order."""

    def skip(self, lead: LeadIndex, count: int = 1) -> int:
        """Leave out planes from a index on; return how many."""


class LevelDownsampler:
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
        writer: PlaneSink,
        z_size: int,
    ) -> None:
        self._downsampler = downsampler
        self._halves_plane = geometry.halves_plane
        self._halves_z = geometry.halves_z
        self._writer = writer
        self._z_size = z_size
        self._waiting: dict[LeadIndex, tuple[int, Plane | None]] = {}
        self._lock = threading.Lock()

    def __call__(self, lead: LeadIndex, plane: Plane) -> None:
        """Take the plane at a index of the level before; `plane` may be reused after."""
        if self._halves_plane:
            plane = self._downsampler.reduce_plane(plane)
        if not self._halves_z:
            self._writer.add_plane(plane, lead)
            return
        half, which = divmod(lead[-1], 2)
        target = (*lead[:-1], half)
        if which == 0 and lead[-1] == self._z_size - 1:
            self._writer.add_plane(plane, target)
            return
        with self._lock:
            partner = self._waiting.pop(target, None)
            if partner is None:
                kept = plane if self._halves_plane else plane.copy()
                self._waiting[target] = (which, kept)
                return
        self._write_pair(target, which, plane, partner[1])

    def skip(self, lead: LeadIndex) -> None:
        """Note that the plane at a index of the level before will never come."""
        if not self._halves_z:
            self._writer.skip(lead)
            return
        half, which = divmod(lead[-1], 2)
        target = (*lead[:-1], half)
        if which == 0 and lead[-1] == self._z_size - 1:
            self._writer.skip(target)
            return
        with self._lock:
            partner = self._waiting.pop(target, None)
            if partner is None:
                self._waiting[target] = (which, None)
                return
        which, plane = partner
        if plane is None:
            self._writer.skip(target)
        else:
            self._write_pair(target, which, plane, None)

    def _write_pair(
        self, target: LeadIndex, which: int, plane: Plane, partner: Plane | None
    ) -> None:
        """Write a plane, the first or second of a pair, combined with its partner."""
        if partner is None:  # never recorded: it reads as the fill value
            partner = np.full_like(plane, self._writer.layout.fill_value)
        first, second = (plane, partner) if which == 0 else (partner, plane)
        self._writer.add_plane(self._downsampler.combine(first, second), target)

    def finish(self, length: int) -> None:
        """Write the planes whose partners never came.

        Parameters
        ----------
        length
            How many planes the z axis has in the end.
        """
        for target, (which, plane) in sorted(self._waiting.items(), key=lambda item: item[0]):
            if plane is None:
                continue
            if which == 0 and 2 * target[-1] == length - 1:
                self._writer.add_plane(plane, target)
            else:
                self._write_pair(target, which, plane, None)
        self._waiting.clear()
