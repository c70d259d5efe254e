"""How far a growing array can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.planning.layout import ArrayLayout, LayerKey

__all__ = ["HighWaterMark"]


class HighWaterMark:
    """The length, on the append axis, up to which every buffer is stored or left out.

    Parameters
    ----------
    layout
        The array's chunk grid.
    start
        Length that is stored already when the recording begins.
    """

    def __init__(self, layout: ArrayLayout, start: int = 0) -> None:
        self._layout = layout
        self._missing: dict[int, int] = {}
        self._columns_left: dict[LayerKey, int] = {}
        self._unit = start // layout.append_unit
        self._newest = self._unit
        self.by_index = False
        """Whether later units count although earlier ones are incomplete: planes come by index."""

    def advance(self, stored: Iterable[LayerKey]) -> int:
        """Count stored buffers, given by their layer; return the length that can be read."""
        columns = len(self._layout.columns)
        for key in stored:
            unit = key[0]
            left = self._missing.pop(unit, None)
            left = self._layout.buffers_per_unit(unit) if left is None else left
            self._missing[unit] = left - 1
            # A plane of which one column is stored is no plane yet.
            if left_here := self._columns_left.pop(key, columns) - 1:
                self._columns_left[key] = left_here
            else:
                self._newest = max(self._newest, unit + 1)
        while self._missing.get(self._unit) == 0:
            del self._missing[self._unit]
            self._unit += 1
        units = self._newest if self.by_index else self._unit
        length = units * self._layout.append_unit
        limit = self._layout.shape[0]
        return min(length, limit) if limit else length
