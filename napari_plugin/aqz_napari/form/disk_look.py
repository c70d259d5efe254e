"""Looking at a plan and at the disk behind it, without waiting for a disk that does not answer.

A network disk that is gone, or asleep, keeps everybody who asks it waiting for minutes: it is asked
on a thread of its own, and a window waits for the answer as long as nobody notices. No Qt.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_napari.form.destination import free_bytes
from aqz_napari.form.plan_problems import Problem, problems, store_path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.form.recording_plan import RecordingPlan

__all__ = ["DiskLook", "PlanLook"]


@dataclass(frozen=True, slots=True)
class PlanLook:
    """What a look at a plan found.

    Attributes
    ----------
    problems : tuple of Problem
        All that is wrong with it.
    path : str
        Where the next store will be; empty if that cannot be said.
    free : int or None
        Bytes free there; None where nobody knows.
    """

    problems: tuple[Problem, ...]
    path: str = ""
    free: int | None = None


class DiskLook:
    """Looks at plans, one after the other, on threads of its own.

    Attributes
    ----------
    changed : bool
        Whether an answer came too late for who asked, since this was last set to False.
    """

    patience = 0.1
    """Seconds that are waited for an answer."""
    keeps = 5.0
    """Seconds for which an answer stands in for one that is still to come."""

    def __init__(self) -> None:
        self.changed = False
        self._asked: threading.Thread | None = None
        self._known: tuple[float, RecordingPlan, PlanLook] | None = None

    def look(self, plan: RecordingPlan, exists: Callable[[str], bool]) -> PlanLook:
        """Return what is wrong with a plan, and where it goes.

        While the disk does not answer, that is what is wrong.

        Parameters
        ----------
        plan : RecordingPlan
            What the form says.
        exists : callable
            Says whether a destination is taken.
        """
        if self._asked is None or not self._asked.is_alive():
            self._asked = threading.Thread(
                target=self._look, args=(plan, exists), name="aqz disk", daemon=True
            )
            self._asked.start()
            self._asked.join(self.patience)
        is_late = self._asked.is_alive()
        self.changed = self.changed and is_late
        if self._known is not None:
            when, known_plan, known = self._known
            if known_plan == plan and (not is_late or time.monotonic() - when < self.keeps):
                return known
        return _unanswered(plan)

    def _look(self, plan: RecordingPlan, exists: Callable[[str], bool]) -> None:
        """Ask the disk."""
        try:
            path = store_path_of(plan, exists)
        except (OSError, ValueError, RuntimeError):
            path = ""  # the problems say why
        free = free_bytes(path or plan.destination) if plan.destination else None
        look = PlanLook(tuple(problems(plan, exists)), path, free)
        self._known = time.monotonic(), plan, look
        self.changed = True


def _unanswered(plan: RecordingPlan) -> PlanLook:
    """Report that the disk does not answer."""
    folder = plan.destination.rpartition("/")[0] or plan.destination
    return PlanLook((Problem("destination", f"{folder} does not answer yet; is the disk there?"),))
