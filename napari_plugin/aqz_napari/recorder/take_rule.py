"""Which of the frames that come are recorded: from which one on, and how many of them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from aqz_napari.recorder.recorder_life import RecorderLife

__all__ = ["FrameChoice", "TakeRule"]

_ARRIVALS = 3
"""Frames whose distances tell a rate: the fewer, the sooner a recording begins."""


@dataclass(frozen=True, slots=True)
class TakeRule:
    """Which frames of a source are recorded; by default all, from the start on.

    Attributes
    ----------
    every : float or None
        Seconds: of the frames that come in this time one is taken, for a time-lapse. Frames that
        come with an index are all taken.
    from_rate : float or None
        The recording begins when frames come at this rate, per second. The two frames before,
        which showed it, are not recorded.
    start_when : callable or None
        The recording begins with the first frame, of any source, for which this returns true. It
        is called on the thread of the source.
    """

    every: float | None = None
    from_rate: float | None = None
    start_when: Callable[[NDArray[Any]], bool] | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("every", "from_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} of a TakeRule is {value}; give a positive number or None")

    @property
    def waits(self) -> bool:
        """Whether the recording begins later than it is started."""
        return self.from_rate is not None or self.start_when is not None

    def rate(self, coming: float | None) -> float | None:
        """Return how many frames a second are recorded of those that come."""
        if self.every is None or coming is None:
            return coming
        return min(coming, 1 / self.every)


class FrameChoice:
    """Says of each frame of one source whether it is recorded.

    Parameters
    ----------
    rule : TakeRule
        What is wanted.
    life : RecorderLife
        Knows whether the recording has begun, and is told when it does.
    """

    def __init__(self, rule: TakeRule, life: RecorderLife) -> None:
        self._rule, self._life = rule, life
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._due = 0.0

    def takes(self, pixels: NDArray[Any], index: Mapping[str, int] | None) -> bool:
        """Return whether a frame that has just come is recorded."""
        now = time.monotonic()
        if self._life.is_armed:
            if not self._begins(pixels, now):
                return False
            self._life.trigger()
        every = self._rule.every
        if every is None or index is not None:
            return True
        if now < self._due:
            return False
        # Counted from when the last one was due: a frame that is late does not delay the next.
        self._due = self._due + every if now < self._due + every else now + every
        return True

    def _begins(self, pixels: NDArray[Any], now: float) -> bool:
        """Return whether this is the frame that was waited for."""
        rule, arrivals = self._rule, self._arrivals
        arrivals.append(now)
        if rule.from_rate is not None and len(arrivals) == _ARRIVALS:
            seconds = arrivals[-1] - arrivals[0]
            if seconds * rule.from_rate <= _ARRIVALS - 1:
                return True
        return rule.start_when is not None and bool(rule.start_when(pixels))
