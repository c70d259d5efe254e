"""Flushing while frames come, so that a sudden end loses no more than the last seconds.

A flush costs requests or writes, and at camera speed it is not needed: shards become complete, and
with them their frames safe, within seconds. So it is made only when a frame would get too old.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.recording.array import ArrayRecorder

__all__ = ["PeriodicFlush", "flush_period"]

_log = logging.getLogger("aqz")

BUCKET_SECONDS = 10.0
"""How old frames get at most in an object store, unless the stream says something else."""

MOST_FILLED = 0.75
"""Beyond this share of its memory the recording is behind, and waiting would lose frames."""

LEAST_REST = 10
"""How many times as long as a flush takes frames may wait where nobody said how long."""

LOOKS = 4
"""How often the age of frames is looked at while they may get old."""


def flush_period(flush_seconds: float | None, *, random_access: bool) -> float | None:
    """Return how old frames may get before they are safe; None for as old as they like.

    Parameters
    ----------
    flush_seconds
        What the stream says.
    random_access
        Whether the store is one that shows shards while they grow.
    """
    if flush_seconds is None:
        return None if random_access else BUCKET_SECONDS
    return flush_seconds or None


class _Mark(NamedTuple):
    """How much an array had taken at one moment; the frames before came later than `since`."""

    since: float
    frames: int
    nbytes: int


class _Waiting:
    """The frames of one array that are not safe yet."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._looked = time.monotonic()
        self._seen = 0
        self._flushed = 0

    def age(self, array: ArrayRecorder) -> float:
        """Return for how long, at most, the oldest frame has been waiting; 0 if none does."""
        now = time.monotonic()
        if array.bytes_in > self._seen:
            self._marks.append(_Mark(self._looked, array.frames, array.bytes_in))
            self._seen = array.bytes_in
        self._looked = now
        certain = array.metadata.certain
        while self._marks and (
            self._marks[0].nbytes <= self._flushed
            or (certain is not None and self._marks[0].frames <= certain)
        ):
            self._marks.popleft()
        return now - self._marks[0].since if self._marks else 0.0

    def flush(self, array: ArrayRecorder, *, sync: bool) -> None:
        """Make every frame safe."""
        taken = array.bytes_in
        array.publication.flush(sync=sync)
        self._flushed = taken


class PeriodicFlush:
    """Flushes each array before its oldest frame is too old.

    Parameters
    ----------
    seconds
        How old a frame may get.
    sync
        Whether what is flushed shall survive a loss of power.
    strict
        Whether to keep to that whatever it costs; if not, flushing takes a tenth of the time at
        most.

    Attributes
    ----------
    interval
        Seconds after which `look` should be called again, at most.
    """

    def __init__(self, seconds: float, *, sync: bool, strict: bool) -> None:
        self.interval = seconds / LOOKS
        self._seconds = seconds
        self._sync = sync
        self._strict = strict
        self._waiting: dict[str, _Waiting] = {}
        self._longest = 0.0
        self._told = False

    def look(self, arrays: Iterable[ArrayRecorder], filled: float) -> None:
        """Flush what must not wait until the next look.

        Parameters
        ----------
        arrays
            All arrays of the stream.
        filled
            Share of the recording's memory that is in use.
        """
        began = time.monotonic()
        limit = self._seconds if self._strict else max(self._seconds, LEAST_REST * self._longest)
        for array in arrays:
            waiting = self._waiting.setdefault(array.plan.key, _Waiting())
            if waiting.age(array) + self.interval + 2 * self._longest < limit:
                continue
            if filled > MOST_FILLED:
                self._tell_behind()
                return
            waiting.flush(array, sync=self._sync)
        took = time.monotonic() - began
        self._longest = max(took, 0.8 * self._longest)
        if self._strict:
            self._longest = min(self._longest, self._seconds / 2)

    def _tell_behind(self) -> None:
        """Say once that the store takes frames more slowly than they come."""
        if not self._told:
            self._told = True
            _log.warning(
                "the store takes frames more slowly than they come: frames wait in memory for "
                "longer than flush_seconds = %g, and a sudden end would lose them",
                self._seconds,
            )
