"""What is known of each frame: the rows of the log, filled forward.

A row tells what belongs to its frame. What holds until something else is said, the settings of
devices for instance, is written when it changes: under ``changed`` by the Micro-Manager hook, or by
a program that gives metadata with some frames only. Here every frame gets what holds for it.
Quantities that are measured for one frame, times and stage positions, are never filled forward.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from aqz_core.planning.frame_order import FrameRouter
from aqz_core.reading.frame_log import frame_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.reading.files import StoredFiles

__all__ = ["FrameTable", "elapsed_seconds"]

_MEASURED = frozenset(
    (
        *("elapsed_ms", "elapsed_s", "elapsed", "delta_t", "time", "timestamp", "received"),
        *("x_um", "y_um", "z_um", "ElapsedTime-ms", "runner_time_ms", "TimeStamp"),
    )
)
"""Keys of what is measured for one frame, and says nothing about the next."""

_TIMES = {
    "elapsed_ms": 1e-3,
    "elapsed_s": 1.0,
    "elapsed": 1.0,
    "delta_t": 1.0,
    "ElapsedTime-ms": 1e-3,
    "runner_time_ms": 1e-3,
}
"""Keys under which a time since the start is found, and their unit in seconds."""

Index = tuple[int, ...]


class FrameTable:
    """The metadata of the frames of one array.

    Parameters
    ----------
    files, log
        The store, and the name of the log in it; None if there is none.
    shape, order
        Sizes of the index axes in the order of arrival, and the position there of each as stored.
    """

    def __init__(
        self, files: StoredFiles, log: str | None, shape: Sequence[int], order: Sequence[int]
    ) -> None:
        router = FrameRouter(tuple(shape), tuple(order))
        lasting: dict[str, Any] = {}
        found: dict[int, tuple[Index, dict[str, Any], dict[str, Any]]] = {}
        for index, row in frame_rows(files, log) if log is not None else ():
            arrived = router.arrived(index)
            if arrived is None:
                continue
            own = {key: value for key, value in row.items() if key != "changed"}
            changed = row.get("changed")
            own |= changed if isinstance(changed, dict) else {}
            new = {key: value for key, value in own.items() if key not in _MEASURED}
            if any(key not in lasting or lasting[key] != value for key, value in new.items()):
                lasting = {**lasting, **new}
            found[router.number(arrived)] = index, own, lasting
        self._router = router
        self._numbers = sorted(found)
        self._found = found

    def row(self, index: Index) -> dict[str, Any]:
        """Return what is known of the frame at a storage index; empty if nothing is."""
        arrived = self._router.arrived(index)
        if arrived is None:
            return {}
        number = self._router.number(arrived)
        place = bisect_right(self._numbers, number)
        if not place:
            return {}
        nearest = self._numbers[place - 1]
        _, own, lasting = self._found[nearest]
        return {**lasting, **own} if nearest == number else dict(lasting)

    def rows(self) -> list[tuple[Index, dict[str, Any]]]:
        """Return index and metadata of every frame that has a row, in the order of arrival."""
        entries = (self._found[number] for number in self._numbers)
        return [(index, {**lasting, **own}) for index, own, lasting in entries]


def elapsed_seconds(row: Mapping[str, Any]) -> float | None:
    """Return the time of a frame since the start of its recording, or None if it is not told."""
    for key, unit in _TIMES.items():
        value = row.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) * unit
    return None
