"""Which frames of one image came, and which of those that were planned did not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Coverage"]


class Coverage:
    """Which places of one image have their frame.

    Parameters
    ----------
    shape
        Size of each axis; None for one without an end, which must be the first.
    planned
        Indices of the frames that are expected; None if every one is.
    from_first
        Whether nothing was expected before the step of the first axis that comes first.
    """

    def __init__(
        self,
        shape: tuple[int | None, ...],
        planned: Collection[tuple[int, ...]] | None = None,
        *,
        from_first: bool = False,
    ) -> None:
        self._shape = shape
        self._inner = tuple(size or 1 for size in shape[1:])
        self._size = None if shape and shape[0] is None else math.prod(s or 1 for s in shape)
        self._taken = bytearray(self._size or 0)
        self._unplanned: bytearray | None = None
        if planned is not None:
            wanted = [self._flat(index) for index in planned]
            self._reach(max(wanted, default=-1))
            self._unplanned = bytearray(b"\1") * len(self._taken)
            for flat in wanted:
                self._unplanned[flat] = 0
        self._expected_from = 0
        self._from_first = from_first
        self.count = 0

    def has(self, index: tuple[int, ...]) -> bool:
        """Return whether a place is taken."""
        flat = self._flat(index)
        return flat < len(self._taken) and bool(self._taken[flat])

    def take(self, index: tuple[int, ...]) -> None:
        """Note that a place has its frame."""
        flat = self._flat(index)
        if self._from_first and not self.count:
            self._expected_from = flat - flat % math.prod(self._inner)
        self._reach(flat)
        self.count += not self._taken[flat]
        self._taken[flat] = 1

    def _reach(self, flat: int) -> None:
        """Have room for a place, in whole steps of the first axis: what is in one is expected."""
        if flat >= len(self._taken):
            step = math.prod(self._inner)
            self._taken.extend(bytes((flat // step + 1) * step - len(self._taken)))

    def grow(self, shape: tuple[int | None, ...]) -> None:
        """Take more places; only those of frames that come from now on are expected."""
        grown = Coverage(shape, self._expected())
        for index in self._indices(self._taken, 1):
            grown.take(index)
        self._shape, self._inner, self._size = grown._shape, grown._inner, grown._size
        self._taken, self._unplanned = grown._taken, grown._unplanned
        self._expected_from = 0

    def _expected(self) -> list[tuple[int, ...]]:
        """Return the places that have a frame or should have one."""
        return [*self._indices(self._taken, 1), *self.missing()]

    @property
    def missing_count(self) -> int:
        """Number of frames that were expected and did not come."""
        if self._unplanned is None:
            return self._taken.count(0, self._expected_from)
        done = int.from_bytes(self._taken, "big") | int.from_bytes(self._beyond(), "big")
        return len(self._taken) - done.bit_count()

    @property
    def planned_count(self) -> int:
        """Number of frames that were expected so far, those that came beyond the plan included."""
        return self.count + self.missing_count

    def missing(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every frame that was expected and did not come."""
        if self._unplanned is None:
            yield from self._indices(self._taken, 0, self._expected_from)
            return
        beyond = self._beyond()
        for flat, (came, other) in enumerate(zip(self._taken, beyond, strict=True)):
            if not came and not other:
                yield self._index(flat)

    def _beyond(self) -> bytearray:
        """Return a flag for every place that nobody asked for."""
        assert self._unplanned is not None
        more = len(self._taken) - len(self._unplanned)
        return self._unplanned + b"\1" * more if more else self._unplanned

    def _indices(self, flags: bytearray, value: int, start: int = 0) -> Iterator[tuple[int, ...]]:
        """Yield the index of every place with a flag of that value."""
        at = flags.find(value, start)
        while at >= 0:
            yield self._index(at)
            at = flags.find(value, at + 1)

    def _flat(self, index: tuple[int, ...]) -> int:
        """Return the number of a place, counted in storage order."""
        flat = index[0] if index else 0
        for position, size in zip(index[1:], self._inner, strict=True):
            flat = flat * size + position
        return flat

    def _index(self, flat: int) -> tuple[int, ...]:
        """Return the index of a place: the inverse of `_flat`."""
        if not self._shape:
            return ()
        index = []
        for size in reversed(self._inner):
            flat, rest = divmod(flat, size)
            index.append(rest)
        return (flat, *reversed(index))
