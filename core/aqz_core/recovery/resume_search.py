"""How far one array of an earlier recording came, and which frames must be recorded again.

Chunks may have been stored half-full, and planes of a pyramid may have waited in memory for others.
So the append axis is looked at in *units*: steps at which chunks, and pairs of planes, begin at
every level. Units in which everything is stored are left alone; the stored frames of the others
are read back and recorded once more, which brings every level to where it was.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aqz_core.errors import ResumeError, StorageError
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.planning.resume_point import LeadIndex, ResumePoint
from aqz_core.reading.frame_log import logged_frames
from aqz_core.reading.frame_record import held_frames, most_frames
from aqz_core.reading.planes import StoredPlanes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.frame_log import LoggedFrames
    from aqz_core.reading.node import Node

__all__ = ["find_resume_point"]

Flags = npt.NDArray[np.bool_]

_MOST_LOST = 2**20
"""Frames on record for which there are no files, and with which a recording can be resumed."""


def find_resume_point(
    files: StoredFiles,
    plan: ArrayPlan,
    owner: Node,
    levels: Sequence[Node],
    providers: Mapping[str, CodecProvider],
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
    live
        Whether more can be added to its shards.

    Raises
    ------
    ResumeError
        What the metadata say cannot be right, or frames are damaged that must be read back.
    """
    search = _Search(files, plan, levels, providers, live)
    try:
        logged = logged_frames(files, levels[0].log, search.router, most_frames(levels[0]))
    except StorageError as error:
        raise ResumeError(f"{error}. Record into another store.") from error
    found = _found(search, owner, levels, logged)
    keeps = found.keeps.copy()
    keeps[: len(logged.damaged)] |= logged.damaged[: len(keeps)]
    found = replace(found, keeps=keeps)
    if owner.aqz.get("frames") is None:  # lines tell of every frame that comes
        return found
    told = logged.recorded | logged.skipped | logged.lost
    return replace(found, forgets=bool(told[found.frames :].any()))


def _found(
    search: _Search, owner: Node, levels: Sequence[Node], logged: LoggedFrames
) -> ResumePoint:
    """Find out how far an array was recorded, in order or by index."""
    certain = owner.aqz.get("frames")
    closed = owner.aqz.get("state") == "complete"
    if certain is None:
        flushed = logged.recorded if closed else logged.flushed & logged.recorded
        return search.by_index(logged.recorded, flushed, logged.reached, closed=closed)
    limit = search.router.limit
    if type(certain) is not int or certain < 0 or (limit is not None and certain > limit):
        raise ResumeError(f"{owner.where}: the attribute aqz speaks of {certain!r} frames")
    if certain > (most := most_frames(levels[0])):
        raise ResumeError(
            f"{owner.where}: the attribute aqz speaks of {certain:,} frames, and what is stored "
            f"has room for {most:,} at most. Record into another store."
        )
    # Of a single image, the metadata are not rewritten before the end: the log may know more.
    gaps = owner.aqz.get("gaps") is True or bool(search.router.limit == 1 and logged.skipped.any())
    if not gaps and search.has_all(certain):
        return search.in_order(certain)
    skipped = logged.skipped | logged.lost if gaps else np.zeros(0, bool)
    return search.with_gaps(certain, skipped, closed=closed)


class _Search:
    """What is asked of one array's files."""

    def __init__(
        self,
        files: StoredFiles,
        plan: ArrayPlan,
        levels: Sequence[Node],
        providers: Mapping[str, CodecProvider],
        live: bool,
    ) -> None:
        self.router = FrameRouter(plan.lead_shape, plan.lead_order)
        self._plan = plan
        self._live = live
        self._planes = [StoredPlanes(files, node, providers) for node in levels]
        self._lengths = tuple(node.array.shape[0] for node in levels if node.array is not None)
        self._unit = _unit(plan, live)
        self._held = held_frames(levels[0])

    # ---- frames that were appended ----------------------------------------------------------

    def in_order(self, certain: int) -> ResumePoint:
        """Find the progress of frames that came in order, of which `certain` are stored."""
        frames = self._frames_from(certain)
        start = self._start(certain)
        return ResumePoint(
            frames=frames,
            certain=frames,
            lengths=self._kept_lengths(frames),
            start=start,
            replay=range(start * self.router.frames_per_index, frames),
            written=None,
            read_plane=self._planes[0].read,
            read_nbytes=self._planes[0].read_nbytes,
            keeps=np.ones(frames, bool),
            is_final=lambda level, chunk: self._span(level, chunk)[1] <= start,
        )

    def has_all(self, certain: int) -> bool:
        """Return whether nothing is gone that readers could see."""
        start = self._start(certain)
        first = start * self.router.frames_per_index
        base = self._planes[0]
        return all(base.has(self.router.lead(n)) for n in range(first, certain)) and (
            base.has_files(start)
        )

    def with_gaps(self, certain: int, skipped: Flags, *, closed: bool) -> ResumePoint:
        """Find the progress of frames that came in order, some of which were left out, or are lost.

        It is resumed as a recording by index, so that they can be written.
        """
        frames = certain if closed else self._frames_from(certain, skipped)
        recorded = np.ones(frames, bool)
        recorded[: len(skipped)] &= ~skipped[:frames]
        # What follows the certain ones was looked at one by one.
        left_out = np.flatnonzero(skipped[:frames])
        reached = int(left_out[-1]) + 1 if left_out.size else 0
        found = self.by_index(recorded, recorded, reached, closed=closed)
        return replace(found, appended=frames)

    def _start(self, certain: int) -> int:
        """Return the length up to which nothing is missing at any level."""
        plan = self._plan
        if not plan.lead_order or plan.lead_order[0] != 0:
            return 0
        # A repair may have made levels longer than they are complete, but not the count.
        reached = min(certain // self.router.frames_per_index, self._complete_length())
        start = reached // self._unit * self._unit
        while start and not self._has_pyramid(start - self._unit, start):
            start -= self._unit
        return start

    def _has_pyramid(self, begin: int, stop: int) -> bool:
        """Return whether the smaller levels of a part of the append axis are stored."""
        for planes, level in zip(self._planes[1:], self._plan.geometry[1:], strict=True):
            factor = level.scale_factors[0]
            rows = range(begin // factor, stop // factor)
            inner = map(range, level.shape[1:-2])
            if not all(planes.has(lead) for lead in product(rows, *inner)):
                return False
        return True

    def _frames_from(self, certain: int, skipped: Flags | None = None) -> int:
        """Return how many frames are stored or skipped: the certain ones and those that follow.

        A chunk of several planes may have been stored half-full, so that one of its planes counts
        only if it is not all fill value, in any of its chunks. Chunks may have been stored in
        another order than that of their frames: those behind a gap do not count.
        """
        frames, base = certain, self._planes[0]
        while frames != self.router.limit:
            is_skipped = skipped is not None and frames < len(skipped) and skipped[frames]
            if not is_skipped and not base.is_stored(self.router.lead(frames)):
                break
            frames += 1
        return frames

    def _reached(self, frames: int) -> tuple[int, ...]:
        """Return the lengths of the levels, the first one as long as the frames that it holds."""
        first, *others = self._lengths
        if self._plan.lead_order and self._plan.lead_order[0] == 0:
            first = max(first, self.router.length(frames))
        elif self._plan.lead_order and frames:
            first = self._plan.base.shape[0]
        return (first, *others)

    def _kept_lengths(self, frames: int) -> tuple[int, ...]:
        """Return the lengths of the levels without what lies behind the last frame."""
        first, *others = self._reached(frames)
        if self._plan.lead_order and self._plan.lead_order[0] == 0:
            first = self.router.length(frames)
            sizes = [level.append_size(first) for level in self._plan.geometry[1:]]
            others = [min(pair) for pair in zip(others, sizes, strict=True)]
        return (first, *others)

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

    def by_index(
        self, recorded: Flags, certain: Flags, reached: int, *, closed: bool
    ) -> ResumePoint:
        """Find the progress of frames that were written by index, with gaps.

        Nothing tells which chunks of a pyramid are complete, unless the stream was closed.

        Parameters
        ----------
        recorded
            Which frames are on record as having come.
        certain
            Which of them were stored for certain, if their chunks are there.
        reached
            Number behind the last frame that was left out.
        closed
            Whether the stream was closed.
        """
        base = self._planes[0]
        count = int(recorded.sum())
        if count > self._held + _MOST_LOST:
            raise ResumeError(
                f"array {self._plan.key!r}: {count:,} frames are on record, but its files hold "
                f"{self._held:,} at most. `aqz validate` shows what is damaged; record into "
                "another store."
            )
        numbers = [int(number) for number in np.flatnonzero(recorded)]
        leads = {number: self.router.lead(number) for number in numbers}
        stored = {
            number: lead
            for number, lead in leads.items()
            if base.is_stored(lead, certain=bool(certain[number]))
        }
        complete = self._complete_units(stored, closed=closed)
        start = 0
        while start // self._unit in complete:
            start += self._unit
        frames = max(reached, max(stored, default=-1) + 1)
        keeps = recorded & certain
        keeps[list(stored)] = True
        return ResumePoint(
            frames=frames,
            certain=None,
            lengths=self._reached(frames),
            start=start,
            replay=[n for n, lead in stored.items() if self._unit_of(lead) not in complete],
            written=list(stored),
            read_plane=base.read,
            read_nbytes=base.read_nbytes,
            keeps=keeps,
            is_final=lambda level, chunk: self._span(level, chunk)[0] // self._unit in complete,
            gaps=True,
            lost=[number for number in numbers if number not in stored],
        )

    def _complete_units(self, stored: Mapping[int, LeadIndex], *, closed: bool) -> frozenset[int]:
        """Return the units that have every frame, at every level."""
        if not self._plan.lead_order or not (closed or len(self._planes) == 1):
            return frozenset()
        counts = Counter(map(self._unit_of, stored.values()))
        reached = self._complete_length()
        return frozenset(
            unit
            for unit, count in counts.items()
            if count == self._frames_in(unit) and self._stop(unit) <= reached
        )

    def _unit_of(self, lead: LeadIndex) -> int:
        """Return the unit that a plane is in; a single image is one."""
        return lead[0] // self._unit if lead else 0

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
