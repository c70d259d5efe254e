"""Layers: the buffers that a run of planes is scattered into, one for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from aqz_core.pipeline.buffers import Buffer
    from aqz_core.pipeline.threads import JobGroup
    from aqz_core.pipeline.tiling import Tiles
    from aqz_core.planning.layout import ArrayLayout, LayerKey

__all__ = ["Layer"]


class Layer:
    """Planes that will be stored together.

    A plane is taken once its slot stands in `slots`: one call into C, which happens or does not.

    Attributes
    ----------
    key
        Which layer of the array it is.
    expected
        Slots that planes inside the array have, without those that were handed over before.
    buffers, tiles
        The memory of each column, and how planes lie in it.
    slots
        Slots that hold a plane, in the order of arrival.
    reduced
        How many of them the next level has seen.
    skipped
        Slots whose planes are left out.
    stored
        Slots of planes that are in the store alone: the layer was shelved. Whoever stores it the
        next time reads them back.
    storing
        The jobs that store those, if they have not ended.
    first_member
        Which of its chunk layers is the first that was not handed over before.
    """

    __slots__ = (
        "_all_slots",
        "_buffer_planes",
        "buffers",
        "expected",
        "first_member",
        "key",
        "reduced",
        "skipped",
        "slots",
        "stored",
        "storing",
        "tiles",
    )

    def __init__(
        self, layout: ArrayLayout, key: LayerKey, buffers: list[Buffer], tiles: list[Tiles]
    ) -> None:
        self.key = key
        self.expected = layout.expected_slots(key)
        self.buffers = buffers
        self.tiles = tiles
        self.slots: list[int] = []
        self.reduced = 0
        self.skipped: set[int] = set()
        self.stored: set[int] = set()
        self.storing: JobGroup | None = None
        self.first_member = 0
        self._all_slots = layout.slots
        self._buffer_planes = layout.buffer_planes

    @property
    def complete(self) -> bool:
        """Whether every plane is there that will come."""
        return len(self.slots) + len(self.skipped) + len(self.stored) == self.expected

    @property
    def begun(self) -> bool:
        """Whether any plane came for it, or was left out."""
        return bool(self.slots or self.skipped or self.stored)

    @property
    def members(self) -> list[int]:
        """Which of its chunk layers have any planes."""
        if len(self.slots) == self._all_slots:
            return list(range(self._all_slots // self._buffer_planes))
        return sorted({slot // self._buffer_planes for slot in (*self.slots, *self.stored)})

    def scatter(self, frame: npt.NDArray[Any], slot: int) -> None:
        """Copy a plane into its slot of every column; it is not taken by that alone."""
        for tiles in self.tiles:
            tiles.scatter(frame, slot)

    def scatter_several(self, frames: npt.NDArray[Any], first: int) -> None:
        """Copy a stack of planes into the slots from `first` on."""
        for tiles in self.tiles:
            tiles.scatter_several(frames, first)

    def gather(self, frame: npt.NDArray[Any], slot: int) -> None:
        """Copy a plane back out of its slot."""
        for tiles in self.tiles:
            tiles.gather(frame, slot)

    def take_again(self, frame: npt.NDArray[Any], slot: int) -> bool:
        """Copy a plane over what its slot has, or was skipped in; return whether it has one."""
        if slot not in self.slots:
            if slot not in self.stored and slot not in self.skipped:
                return False
            self.stored.discard(slot)
            self.skipped.discard(slot)
            self.slots.append(slot)
        self.scatter(frame, slot)
        return True

    def fill_missing(self, value: float) -> None:
        """Give what holds no plane the fill value: buffers come with old pixels in them.

        That includes planes that lie outside the array. Chunks without any plane are left alone.
        """
        if len(self.slots) == self._all_slots:
            return
        taken = {*self.slots, *self.stored}
        planes = self._buffer_planes
        missing = [
            slot
            for member in self.members
            for slot in range(member * planes, (member + 1) * planes)
            if slot not in taken
        ]
        for tiles in self.tiles:
            tiles.fill(missing, value)
