"""Bringing a resumed array to where it was: its last frames are read back and recorded again.

Half-full chunks of every level, and planes of a pyramid that wait for others, are then as they were
when the earlier recording ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import MemoryBudgetError

if TYPE_CHECKING:
    from aqz_core.pipeline.level_writer import LevelWriter
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.frame_order import FrameRouter
    from aqz_core.planning.resume_point import ResumePoint

__all__ = ["replay"]


def replay(
    progress: ResumePoint,
    key: str,
    router: FrameRouter,
    base: LevelWriter,
    engine: Runtime,
    within_budget: bool,
) -> None:
    """Record the stored frames of incomplete chunks once more.

    Parameters
    ----------
    progress
        Which frames, and how they are read.
    key, router
        Of the array.
    base
        Takes them, at full resolution.
    engine
        Has the memory.
    within_budget
        Whether what reading takes is part of it, as of a budget that somebody set; by default a
        stream plans for what recording takes, which may be all of it.

    Raises
    ------
    MemoryBudgetError
        Reading back and storing anew do not both fit the budget.
    AqzError
        Something cannot be read or stored.
    """
    pool = engine.pixels
    reading = progress.read_nbytes if within_budget else 0
    pool.capacity -= reading
    try:
        _record_again(progress, router, base, pool.capacity)
    except MemoryBudgetError as error:
        raise MemoryBudgetError(
            f"array {key!r}: to resume it, the last chunks are read back while they are "
            f"rewritten, which takes {progress.read_nbytes:,} bytes more than to record "
            f"them ({error}). Raise max_memory, or record into another store."
        ) from error
    finally:
        pool.capacity += reading


def _record_again(
    progress: ResumePoint, router: FrameRouter, base: LevelWriter, capacity: int
) -> None:
    """Read every frame and record it."""
    if capacity <= 0:
        raise MemoryBudgetError("nothing is left for pixels")
    for number in progress.replay:
        lead = router.lead(number)
        base.add_plane(progress.read_plane(lead), lead)
