"""From the order in which frames arrive to where they are stored.

Only this module knows both orders. Frames arrive with the last index axis counting fastest, in
the order of the settings' dimensions; in the store, the index axes may stand in another order.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["FrameRouter", "WrittenFrames"]


class FrameRouter:
    """Storage indices of consecutive frames.

    Parameters
    ----------
    lead_shape
        Sizes of the index axes in the order of arrival; the first may be 0 (unlimited).
    storage_order
        For each index axis of the store, its position in the order of arrival.
    """

    def __init__(self, lead_shape: tuple[int, ...], storage_order: tuple[int, ...]) -> None:
        self._lead_shape = lead_shape
        self._inner = lead_shape[1:]
        self._storage_order = storage_order
        self.in_order = storage_order == tuple(range(len(lead_shape)))
        self.frames_per_index = math.prod(self._inner)
        self.limit = math.prod(lead_shape) if 0 not in lead_shape else None

    def lead(self, frame: int) -> tuple[int, ...]:
        """Return the storage index of the frame with this number, counted from 0."""
        if not self._storage_order:
            return ()
        index = []
        for size in reversed(self._inner):
            frame, rest = divmod(frame, size)
            index.append(rest)
        index.append(frame)
        index.reverse()
        if self.in_order:
            return tuple(index)
        return tuple(index[axis] for axis in self._storage_order)

    def number(self, index: tuple[int, ...]) -> int:
        """Return the number of the frame at an index given in the order of arrival."""
        number = index[0] if index else 0
        for position, size in zip(index[1:], self._inner, strict=True):
            number = number * size + position
        return number

    def arrived(self, lead: object) -> tuple[int, ...] | None:
        """Return a storage index, as a log has it, in the order of arrival.

        None if it is none of this array.
        """
        if not isinstance(lead, list | tuple) or len(lead) != len(self._storage_order):
            return None
        index = [0] * len(lead)
        for axis, position in zip(self._storage_order, lead, strict=True):
            size = self._lead_shape[axis]
            if type(position) is not int or position < 0 or 0 < size <= position:
                return None
            index[axis] = position
        return tuple(index)

    def length(self, frames: int) -> int:
        """Return how far `frames` frames reach on the first axis of arrival, rounded up."""
        return -(-frames // self.frames_per_index)


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
        """Return whether a frame is recorded."""
        return frame < self._flags.size and bool(self._flags[frame])

    def add(self, first: int, stop: int | None = None) -> None:
        """Note a frame, or those from `first` up to `stop`."""
        stop = first + 1 if stop is None else stop
        if stop > self._flags.size:
            grown = np.zeros(max(2 * self._flags.size, stop), bool)
            grown[: self._flags.size] = self._flags
            self._flags = grown
        self._flags[first:stop] = True

    def remove(self, frame: int) -> None:
        """Note that a frame is not recorded."""
        if frame in self:
            self._flags[frame] = False

    def remove_all(self, others: WrittenFrames) -> None:
        """Note that none of the others' frames is recorded."""
        common = min(self._flags.size, others._flags.size)
        self._flags[:common] &= ~others._flags[:common]
