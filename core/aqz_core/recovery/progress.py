"""How far one array of an earlier recording came, and which frames must be taken up again.

Chunks may have been stored half-full, and planes of a pyramid may have waited in memory for others.
So the append axis is looked at in *units*: steps at which chunks, and pairs of planes, begin at
every level. Units in which everything is stored are left alone; the stored frames of the others
are read back and recorded once more, which brings every level to where it was.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from aqz_core.errors import ResumeError
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.planning.resume_point import LeadIndex, ResumePoint
from aqz_core.reading.planes import StoredPlanes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.survey import Node

__all__ = ["find_resume_point"]


def find_resume_point(
    files: StoredFiles,
    plan: ArrayPlan,
    owner: Node,
    levels: Sequence[Node],
    providers: Mapping[str, CodecProvider],
    logged: Collection[int],
    *,
    live: bool,
) -> ResumePoint:
    """Find out how far an array was recorded.

    Parameters
    ----------
    files
        The store.
    plan
        How it is recorded.
    owner, levels
        The node with the recording's state, and the arrays of its levels.
    providers
        Codecs by name.
    logged
        Numbers of the frames that a log tells of, in the order of arrival.
    live
        Whether more can be added to its shards.

    Raises
    ------
    ResumeError
        Frames that were stored for certain are missing, or damaged.
    """
    search = _Search(files, plan, levels, providers, live, gaps=owner.aqz.get("gaps") is True)
    certain = owner.aqz.get("frames")
    if certain is None:
        return search.by_index(logged, closed=owner.aqz.get("state") == "complete")
    limit = search.router.limit
    if type(certain) is not int or certain < 0 or (limit is not None and certain > limit):
        raise ResumeError(f"{owner.where}: the attribute aqz speaks of {certain!r} frames")
    return search.in_order(certain)


class _Search:
    """What is asked of one array's files."""

    def __init__(
        self,
        files: StoredFiles,
        plan: ArrayPlan,
        levels: Sequence[Node],
        providers: Mapping[str, CodecProvider],
        live: bool,
        *,
        gaps: bool,
    ) -> None:
        self._gaps = gaps
        self.router = FrameRouter(plan.lead_shape, plan.lead_order)
        self._plan = plan
        self._live = live
        self._planes = [StoredPlanes(files, node, providers) for node in levels]
        self._lengths = tuple(node.array.shape[0] for node in levels if node.array is not None)
        self._unit = _unit(plan, live)

    # ---- frames that were appended ----------------------------------------------------------

    def in_order(self, certain: int) -> ResumePoint:
        """Find the progress of frames that came in order, of which `certain` are stored."""
        plan, per_index = self._plan, self.router.frames_per_index
        frames = self._frames_from(certain)
        start = 0
        if plan.lead_order and plan.lead_order[0] == 0:
            # A repair may have made levels longer than they are complete, but not the count.
            start = min(certain // per_index, self._complete_length()) // self._unit * self._unit
        first = start * per_index
        if not self._gaps:
            self._check_certain(first, certain, start)
        return ResumePoint(
            frames=frames,
            certain=certain,
            lengths=self._lengths,
            start=start,
            replay=range(first, frames),
            written=None,
            read_plane=self._planes[0].read,
            read_nbytes=self._planes[0].read_nbytes,
            is_final=lambda level, chunk: self._span(level, chunk)[1] <= start,
            gaps=self._gaps,
        )

    def _check_certain(self, first: int, certain: int, start: int) -> None:
        """Raise if anything is gone that readers could see."""
        for number in range(first, certain):
            if not self._planes[0].has(self.router.lead(number)):
                raise self._lost(f"frame {number}", certain)
        missing = self._planes[0].missing_file(start)
        if missing is not None:
            raise self._lost(f"the file {missing}", certain)

    def _frames_from(self, certain: int) -> int:
        """Return how many frames are stored: the certain ones and those that follow them.

        A chunk of several planes may have been stored half-full, so that one of its planes counts
        only if it is not all fill value, in any of its chunks. Chunks may have been stored in
        another order than that of their frames: those behind a gap do not count.
        """
        frames, base = certain, self._planes[0]
        one_plane = self._plan.base.chunk_planes == 1
        while frames != self.router.limit:
            lead = self.router.lead(frames)
            if not base.has(lead) or not (one_plane or base.is_whole(lead)):
                break
            frames += 1
        return frames

    def _complete_length(self) -> int:
        """Return the length, in pixels of the first level, up to which all levels are stored."""
        lengths = self._lengths if self._live else self._walked_lengths()
        return min(
            length * level.scale_factors[0]
            for length, level in zip(lengths, self._plan.geometry, strict=True)
        )

    def _walked_lengths(self) -> list[int]:
        """Return how far the files of each level reach without a gap.

        Metadata do not tell: shards that are not live are counted while nobody can see them.
        """
        return [self._walked(level, planes) for level, planes in enumerate(self._planes)]

    def _walked(self, level: int, planes: StoredPlanes) -> int:
        """Return how far the files of one level reach without a gap."""
        inner = self._plan.geometry[level].shape[1:-2]
        walk = FrameRouter((0, *inner), tuple(range(len(inner) + 1)))
        planes.look_ahead()
        number = 0
        while number < self._lengths[level] * walk.frames_per_index:
            if not planes.has(walk.lead(number)):
                break
            number += 1
        return number // walk.frames_per_index

    # ---- frames that were written by index --------------------------------------------------

    def by_index(self, logged: Collection[int], *, closed: bool) -> ResumePoint:
        """Find the progress of frames that were written by index, with gaps.

        Nothing tells which chunks of a pyramid are complete, unless the stream was closed.
        """
        stored = {
            number: lead
            for number, lead in ((number, self.router.lead(number)) for number in sorted(logged))
            if self._is_stored(lead)
        }
        counts = Counter(lead[0] // self._unit for lead in stored.values())
        reached = self._complete_length()
        complete = {
            unit
            for unit, count in counts.items()
            if count == self._frames_in(unit) and self._stop(unit) <= reached
            if closed or len(self._planes) == 1
        }
        start = 0
        while start // self._unit in complete:
            start += self._unit
        written = sorted(stored)
        return ResumePoint(
            frames=written[-1] + 1 if written else 0,
            certain=None,
            lengths=self._lengths,
            start=start,
            replay=[n for n in written if stored[n][0] // self._unit not in complete],
            written=written,
            read_plane=self._planes[0].read,
            read_nbytes=self._planes[0].read_nbytes,
            is_final=lambda level, chunk: self._span(level, chunk)[0] // self._unit in complete,
            gaps=True,
            lost=[n for n in sorted(logged) if not self._planes[0].has(self.router.lead(n))],
        )

    def _is_stored(self, lead: LeadIndex) -> bool:
        """Tell whether the plane at an index is stored."""
        base = self._planes[0]
        return base.has(lead) and (self._plan.base.chunk_planes == 1 or base.in_use(lead))

    def _frames_in(self, unit: int) -> int:
        """Return how many frames a unit has."""
        return (self._stop(unit) - unit * self._unit) * math.prod(self._plan.base.lead_shape[1:])

    # ---- units ------------------------------------------------------------------------------

    def _stop(self, unit: int) -> int:
        """Return where a unit ends on the append axis, pixels of the first level."""
        size = self._plan.base.shape[0]
        stop = (unit + 1) * self._unit
        return min(stop, size) if size else stop

    def _span(self, level: int, chunk: int) -> tuple[int, int]:
        """Return the pixels of the first level that a chunk coordinate stands for."""
        size = self._plan.layouts[level].chunk_shape[0]
        size *= self._plan.geometry[level].scale_factors[0]
        return chunk * size, (chunk + 1) * size

    def _lost(self, what: str, certain: int) -> ResumeError:
        """Say that something is gone that readers could see."""
        return ResumeError(
            f"array {self._plan.key!r}: {what} is missing, though {certain} frames were stored. "
            "`aqz validate` shows what is damaged; record into another store."
        )


def _unit(plan: ArrayPlan, live: bool) -> int:
    """Return the step of the append axis at which chunks of all levels begin, pixels of level 0.

    Where nothing can be added to a shard, it is the step at which shards begin.
    """
    if not plan.lead_order:
        return 1
    steps = []
    for layout, level in zip(plan.layouts, plan.geometry, strict=True):
        step = layout.append_unit
        if layout.shard_chunks is not None and not live:
            step = math.lcm(step, layout.chunk_shape[0] * layout.shard_chunks[0])
        steps.append(step * level.scale_factors[0])
    return math.lcm(*steps)
