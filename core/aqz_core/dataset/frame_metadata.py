"""What is known of each frame: the rows of the log, filled forward.

A row tells what belongs to its frame. What holds until something else is said, the settings of
devices for instance, is written when it changes: under ``changed`` by the Micro-Manager hook, or by
a program that gives metadata with some frames only. Here every frame gets what holds for it.
Quantities that are measured for one frame, times and stage positions, are never filled forward.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
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

_LONGEST = 1e300
"""No time is longer; JSON has whole numbers that no float can hold."""

_MOST_CELLS = 2**26
"""Of a table: some gigabytes."""

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
        self._router = router = FrameRouter(tuple(shape), tuple(order))
        self._lines: list[tuple[Index, dict[str, Any]]] = []
        self._history: dict[str, tuple[list[int], list[Any]]] = {}
        latest: dict[int, int] = {}
        for index, row in frame_rows(files, log) if log is not None else ():
            arrived = router.arrived(index)
            if arrived is None:
                continue
            own = {key: value for key, value in row.items() if key != "changed"}
            changed = row.get("changed")
            own |= changed if isinstance(changed, dict) else {}
            latest[router.number(arrived)] = len(self._lines)
            self._remember(own)
            self._lines.append((index, own))
        self._numbers = sorted(latest)
        self._latest = latest

    def _remember(self, own: Mapping[str, Any]) -> None:
        """Note what a line says that holds until another one says something else.

        Only what is new is kept: a copy of everything for each line would be the square of the log.
        """
        for key, value in own.items():
            if key in _MEASURED:
                continue
            lines, values = self._history.setdefault(key, ([], []))
            if not values or values[-1] != value:
                lines.append(len(self._lines))
                values.append(value)

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
        line = self._latest[nearest]
        lasting = {
            key: values[said - 1]
            for key, (lines, values) in self._history.items()
            if (said := bisect_right(lines, line))
        }
        return {**lasting, **self._lines[line][1]} if nearest == number else lasting

    def measured(self) -> list[tuple[Index, dict[str, Any]]]:
        """Return index and metadata of every frame that has a row, without what was filled in."""
        return [self._lines[self._latest[number]] for number in self._numbers]

    def rows(self) -> list[tuple[Index, dict[str, Any]]]:
        """Return index and metadata of every frame that has a row, in the order of arrival.

        Raises
        ------
        StorageError
            There are too many different keys: each row would have all of them.
        """
        if len(self._numbers) * len(self._history) > _MOST_CELLS:
            raise StorageError(
                f"the log of frames has {len(self._history):,} different keys in "
                f"{len(self._numbers):,} rows, too many for a table; read_metadata gives single "
                "frames"
            )
        wanted = set(self._latest.values())
        lasting: dict[str, Any] = {}
        filled: dict[int, dict[str, Any]] = {}
        for line, (_, own) in enumerate(self._lines):
            lasting.update((key, value) for key, value in own.items() if key not in _MEASURED)
            if line in wanted:
                filled[line] = {**lasting, **own}
        lines = (self._latest[number] for number in self._numbers)
        return [(self._lines[line][0], filled[line]) for line in lines]


def elapsed_seconds(row: Mapping[str, Any]) -> float | None:
    """Return the time of a frame since the start of its recording, or None if it is not told."""
    for key, unit in _TIMES.items():
        value = row.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) * unit if abs(value) < _LONGEST else None
    return None
