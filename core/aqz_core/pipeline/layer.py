"""Layers: the buffers that a run of planes is scattered into, one for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from aqz_core.pipeline.buffers import Buffer
    from aqz_core.pipeline.tiling import Tiles
    from aqz_core.planning.layout import ArrayLayout, LayerKey

__all__ = ["Layer"]


class Layer:
    """Planes that will be stored together.

    Attributes
    ----------
    key
        Which layer of the array it is.
    expected
        Slots that planes inside the array have.
    buffers, tiles
        The memory of each column, and how planes lie in it.
    slots
        Slots that hold a plane, in the order of arrival.
    reduced
        How many of them the next level has seen.
    skipped
        How many planes will never come.
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
        self.skipped = 0
        self.first_member = 0
        self._all_slots = layout.slots
        self._buffer_planes = layout.buffer_planes

    @property
    def complete(self) -> bool:
        """Whether every plane is there that will come."""
        return len(self.slots) + self.skipped == self.expected

    @property
    def members(self) -> list[int]:
        """Which of its chunk layers have any planes."""
        if len(self.slots) == self._all_slots:
            return list(range(self._all_slots // self._buffer_planes))
        return sorted({slot // self._buffer_planes for slot in self.slots})

    def scatter(self, frame: npt.NDArray[Any], slot: int) -> None:
        """Copy a plane into its slot of every column."""
        for tiles in self.tiles:
            tiles.scatter(frame, slot)
        self.slots.append(slot)

    def gather(self, frame: npt.NDArray[Any], slot: int) -> None:
        """Copy a plane back out of its slot."""
        for tiles in self.tiles:
            tiles.gather(frame, slot)

    def fill_missing(self, value: float) -> None:
        """Set every slot that holds no plane to the fill value: buffers come with old pixels."""
        missing = sorted(set(range(self._all_slots)) - set(self.slots))
        for tiles in self.tiles:
            tiles.fill(missing, value)
