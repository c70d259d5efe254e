"""Layers: the slabs that a run of planes is scattered into, one for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from aqz_core.pipeline.buffers import Slab
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
    slabs, tiles
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
        "_slab_planes",
        "expected",
        "first_member",
        "key",
        "reduced",
        "skipped",
        "slabs",
        "slots",
        "tiles",
    )

    def __init__(
        self, layout: ArrayLayout, key: LayerKey, slabs: list[Slab], tiles: list[Tiles]
    ) -> None:
        self.key = key
        self.expected = layout.expected_slots(key)
        self.slabs = slabs
        self.tiles = tiles
        self.slots: list[int] = []
        self.reduced = 0
        self.skipped = 0
        self.first_member = 0
        self._all_slots = layout.slots
        self._slab_planes = layout.slab_planes

    @property
    def complete(self) -> bool:
        """Whether every plane is there that will come."""
        return len(self.slots) + self.skipped == self.expected

    @property
    def members(self) -> list[int]:
        """Which of its chunk layers have any planes."""
        if len(self.slots) == self._all_slots:
            return list(range(self._all_slots // self._slab_planes))
        return sorted({slot // self._slab_planes for slot in self.slots})

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
        """Set every slot that holds no plane to the fill value: slabs come with old pixels."""
        missing = sorted(set(range(self._all_slots)) - set(self.slots))
        for tiles in self.tiles:
            tiles.fill(missing, value)
