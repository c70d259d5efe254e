"""What a transcoding will do, how far it is, and what it has done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProgressReporter", "TranscodingPlan", "TranscodingProgress", "TranscodingReport"]


@dataclass(frozen=True, slots=True)
class TranscodingPlan:
    """What a transcoding will do, known before anything is read.

    Attributes
    ----------
    images : int
        Images, label images counted.
    tasks : int
        Each makes whole files that no other one writes.
    source_nbytes : int
        Pixels that are read from the source, uncompressed; more than it has where its chunks are
        cut by shards of the destination.
    source_factor : float
        How often a byte of the source is read on the average.
    nbytes : int
        Pixels that are stored, uncompressed, all levels.
    task_nbytes : int
        Bound on the memory that a task takes for pixels and chunks.
    workers : int
        Tasks at the same time.
    left_out : tuple of str
        Files of the source that are not carried over.
    """

    images: int
    tasks: int
    source_nbytes: int
    source_factor: float
    nbytes: int
    task_nbytes: int
    workers: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TranscodingProgress:
    """How far a transcoding is.

    Attributes
    ----------
    plan : TranscodingPlan
        What it does.
    done, total : int
        Tasks; those that an earlier call did are counted.
    seconds_left : float or None
        At the speed so far; None while nothing can be said.
    """

    plan: TranscodingPlan
    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TranscodingReport:
    """What a transcoding has done.

    Attributes
    ----------
    plan : TranscodingPlan
        What was to be done.
    tasks, files, nbytes : int
        What this call has made: tasks, files, and bytes as they are stored.
    kept : int
        Tasks that an earlier call had done, and whose files have the right checksums.
    seconds : float
        How long it took.
    """

    plan: TranscodingPlan
    tasks: int
    files: int
    nbytes: int
    kept: int
    seconds: float


class ProgressReporter:
    """Counts tasks and tells somebody."""

    def __init__(
        self, plan: TranscodingPlan, tell: Callable[[TranscodingProgress], object] | None
    ) -> None:
        self._plan = plan
        self._tell = tell
        self._found = self._made = 0
        self._began = time.monotonic()

    def found(self) -> None:
        """Count a task that was done before."""
        self._found += 1
        self._began = time.monotonic()
        self.tell()

    def made(self) -> None:
        """Count a task that was done now."""
        self._made += 1
        self.tell()

    def ended(self) -> None:
        """Count the tasks that had nothing to do."""
        if self._found + self._made < self._plan.tasks:
            self._found = self._plan.tasks - self._made
            self.tell()

    def tell(self) -> None:
        """Report how far it is."""
        if self._tell is None:
            return
        left = None
        if self._made:
            rest = self._plan.tasks - self._found - self._made
            left = (time.monotonic() - self._began) / self._made * rest
        done = self._found + self._made
        self._tell(TranscodingProgress(self._plan, done, self._plan.tasks, left))
