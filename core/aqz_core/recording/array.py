"""Recording one array of a stream: which frames come, and what is known of them.

Whatever is raised in the thread of the caller, at any instruction, a frame is taken or it is not:
see `Intake`, and ``docs/decisions/0001``.
"""

from __future__ import annotations

from _thread import get_ident
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import (
    FrameExistsError,
    FrameIndexError,
    FrameShapeError,
    OutOfBoundsError,
)
from aqz_core.pipeline.intake import Intake
from aqz_core.pipeline.pyramid_writer import PyramidWriter
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.recording.array_metadata import ArrayMetadata
from aqz_core.recording.frame_input import FrameAssembler
from aqz_core.recording.frame_log import FrameLog
from aqz_core.recording.frame_register import FrameRegister
from aqz_core.recording.publishing import ArrayPublication, TakenFrames
from aqz_core.recording.replay import replay
from aqz_core.settings.keys import join
from aqz_core.storage.names import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.metadata import Document
    from aqz_core.pipeline.intake import Run
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumePoint
    from aqz_core.plugins import FrameSteps

__all__ = ["ArrayRecorder"]

Frame = npt.NDArray[Any]

MAX_FRAMES = 2**31
"""Frames of one array, on an unlimited axis too: an index beyond is a mistake, not a recording."""

MAX_SKIPPED_FRAMES = 10_000_000
"""Frames that one call may skip: each layer of them is visited, which takes 2 us."""


class ArrayRecorder:
    """One array that takes frames.

    Which frames came, `FrameRegister` knows; what readers see, `publication`. `append` is one long
    method on purpose: at camera rates, a call costs as much as the copy of a small frame.

    Parameters
    ----------
    plan
        What is recorded, and where.
    engine
        Threads, memory and store of the whole recording.
    attributes
        Attributes that the array's node carries besides its own.
    process
        What each frame passes through before it is stored, if anything.
    policy
        What readers may see meanwhile, and what survives a loss of power.
    progress
        How far an earlier recording came that this one resumes.
    on_shard
        Told the level, name, size and chunks of every complete shard.

    Attributes
    ----------
    metadata
        The documents of the array.
    publication
        What readers see of it.
    """

    def __init__(
        self,
        plan: ArrayPlan,
        engine: Runtime,
        *,
        attributes: Document,
        process: FrameSteps | None,
        policy: WritePolicy,
        progress: ResumePoint | None = None,
        on_shard: Callable[[int, str, int, int], None],
    ) -> None:
        self.plan = plan
        self._engine = engine
        self._progress = progress
        self._process = process
        self._router = FrameRouter(plan.lead_shape, plan.lead_order)
        self._levels = PyramidWriter(
            plan, engine, policy=policy, progress=progress, on_shard=on_shard
        )
        frames = 0 if progress is None else progress.frames
        self._intake = Intake(self._levels.base, self._router, engine, frames)
        self._turn = self._intake.turn
        self._reader = FrameAssembler(
            plan.frame_shape if process is None else process.takes.shape,
            plan.base.dtype if process is None else process.takes.dtype,
            f"array {plan.key!r}",
            plan.base.fill_value,
            lambda: self.frames,
        )
        self._plain = (
            process is None
            and not plan.transposed
            and self._router.in_order
            and self._reader.pixels > 1
        )
        self._log = FrameLog(engine.sink, join(plan.level_name(0), LOG_NAME))
        self._register = FrameRegister(
            self._router,
            self._intake,
            self._log,
            lambda: self.metadata.certain or 0,
            self._count_no_more,
        )
        self.metadata = ArrayMetadata(plan, engine.sink, attributes, policy)
        self.publication = ArrayPublication(
            plan,
            engine,
            policy,
            self._intake,
            self._levels,
            self.metadata,
            self._log,
            lambda: TakenFrames(self.frames, self._final_length(), self._intake.recorded),
        )
        if progress is not None:
            self.publication.resume_from(progress)
            if progress.gaps:
                self._levels.expect_gaps()
            self._register.resume_from(progress)

    def restore(self, *, within_budget: bool) -> None:
        """Record the last frames of an earlier recording once more; see `replay`."""
        progress, self._progress = self._progress, None
        if progress is None or not progress.replay:
            return
        base = self._levels.base
        replay(progress, self.plan.key, self._router, base, self._engine, within_budget)
        # So that readers see at every level what they see at the first, and chunks that held frames
        # which are not taken up are replaced before those come again.
        if self.publication.shows_at_flush:
            self.publication.flush(sync=False)
        else:
            for level in range(len(self._levels)):
                self._levels.wait(level)

    def prepare(self) -> None:
        """Have memory for the first frames before they come."""
        self._levels.base.prepare()

    # ---- frames in --------------------------------------------------------------------------

    def append(self, data: object, metadata: object = None) -> int:
        """Take one frame, a stack of frames or a run of pixels; return the frames completed.

        Metadata belong to one frame.

        Raises
        ------
        FrameTypeError, FrameShapeError
            The pixels do not fit; nothing was taken.
        OutOfBoundsError
            They reach past the declared size; nothing was taken.
        AqzError
            The recording failed, or memory will never come free.
        """
        turn = self._turn
        me = (get_ident(),)
        if turn.setdefault(0, me) is not me:
            turn.wait(me)
        try:
            reader = self._reader
            if (
                metadata is None
                and self._plain
                and type(data) is np.ndarray
                and data.dtype == reader.dtype
                and data.flags.c_contiguous
                and reader.pending is None
            ):
                if data.shape != reader.shape:
                    return self._append_several(data, me)
                run = self._intake.run
                slots = run.slots
                taken = len(slots)
                if taken >= run.stop:
                    run = self._next_run(me)
                    slots = run.slots
                    taken = len(slots)
                slot = taken + run.shift
                run.put(data, slot)
                slots.append(slot)  # the frame is taken by this, and by nothing else
                if taken + 1 >= run.stop:
                    self._intake.end_run()
                return 1
            return self._append_checked(data, metadata)
        finally:
            turn.pop(0, None)

    def _append_several(self, data: Frame, me: tuple[int]) -> int:
        """Take a stack of plain frames, as many at once as go to the same layer."""
        pixels = self._reader.pixels
        is_stack = data.ndim > 2 and data.shape[-2:] == self._reader.shape
        if not data.size or data.size % pixels or not (is_stack or data.ndim == 1):
            return self._append_checked(data, None)
        frames = data.reshape(-1, *self._reader.shape)
        count = len(frames)
        self.check_room(count)
        done = 0
        while done < count:
            run = self._intake.run
            if len(run.slots) >= run.stop:
                run = self._next_run(me)
            taken = len(run.slots)
            length = min(count - done, run.stop - taken)
            first = taken + run.shift
            run.put_several(frames[done : done + length], first)
            run.slots.extend(range(first, first + length))  # they are taken by this, all at once
            done += length
            if taken + length >= run.stop:
                self._intake.end_run()
        return count

    def _next_run(self, me: tuple[int]) -> Run:
        """Return where the next frames go, in the order of arrival."""
        turn = self._turn
        if turn.wanted:
            turn.give_way(me)
        self.check_room(1)
        return self._intake.begin_run()

    def _append_checked(self, data: object, metadata: object) -> int:
        """Take what is no plain frame."""
        self._intake.settle()
        array, count, begun = self._reader.check(data)
        self.check_room(count + begun)
        checked = self._log.check(metadata)
        if checked is not None and (count != 1 or begun):
            raise FrameShapeError(
                f"array {self.plan.key!r}: metadata belong to one frame, but {count} were "
                "appended in one call; append them one by one."
            )
        for frame in self._reader.frames(array):
            self._take(frame, checked)
        return count

    def _take(self, frame: Frame, metadata: dict[str, Any] | None) -> None:
        """Take the frame that follows the last one."""
        number = self._intake.frames
        lead = self._router.lead(number)
        note = None
        if self._register.is_by_index:
            note = partial(self._register.note, number, FrameLog.line(lead, metadata))
        elif metadata is not None:
            note = partial(self._log.add, FrameLog.line(lead, metadata))
        self._intake.take(self._prepared(frame, lead), number, note)

    def skip_bytes(self, nbytes: int) -> None:
        """Pass over pixels, given in bytes; see `skip`."""
        itemsize = self._reader.dtype.itemsize
        if nbytes % itemsize:
            raise FrameShapeError(
                f"array {self.plan.key!r} has pixels of {itemsize} bytes; {nbytes} bytes are not a "
                "whole number of them"
            )
        self.skip(nbytes // itemsize)

    def skip_frames(self, frames: int) -> None:
        """Pass over whole frames; see `skip`."""
        self.skip(frames * self._reader.pixels)

    def skip(self, pixels: int) -> None:
        """Pass over pixels that follow those taken before; they read as the fill value.

        Raises
        ------
        OutOfBoundsError
            They reach past the declared size; nothing was skipped.
        """
        self._engine.delegates.run(self._skip, pixels)

    def _skip(self, pixels: int) -> None:
        """Do so, on a thread of the recording."""
        with (turn := self._turn):  # noqa: F841  # see `Turn`
            self._intake.pause()
            self._intake.check_open()
            self.check_room(-(-(self._reader.pending_pixels + pixels) // self._reader.pixels))
            if pixels // self._reader.pixels > MAX_SKIPPED_FRAMES:
                raise OutOfBoundsError(
                    f"array {self.plan.key!r}: {pixels // self._reader.pixels:,} frames cannot be "
                    f"skipped at once; skip {MAX_SKIPPED_FRAMES:,} at most, or write the frames "
                    "that follow by index."
                )
            completed, whole, rest = self._reader.skip(pixels)
            if completed is not None:
                self._take(completed, None)
            if whole:
                self._intake.pause()
                self._skip_frames(whole)
            if rest:
                self._reader.begin_frame(rest)

    def _skip_frames(self, count: int) -> None:
        """Pass over whole frames."""
        first = self.frames
        self.publication.gaps = True
        self._register.skip(first, first + count)
        while count:
            # Only frames that are stored one after the other can be passed over at once.
            at_once = count if self._router.in_order else 1
            skipped = self._levels.base.skip(self._router.lead(self.frames), at_once)
            self._intake.move_on(skipped)
            count -= skipped

    def write(
        self,
        data: object,
        position: Mapping[str, int | str],
        metadata: object = None,
        *,
        replace: bool = False,
    ) -> None:
        """Take the frame at a position on each index axis, by name.

        Raises
        ------
        FrameExistsError
            A frame is recorded there, and `replace` is not set or comes too late.
        FrameTypeError, FrameShapeError, AqzError
            As for `append`.
        """
        index = self.plan.index_of(position)
        with (turn := self._turn):  # noqa: F841  # see `Turn`
            self._intake.settle()
            checked = self._log.check(metadata)
            array, count, begun = self._reader.check(data)
            if count != 1 or begun:
                raise FrameShapeError(
                    f"array {self.plan.key!r} takes one frame of shape {self._reader.shape} "
                    f"at an index, not an array of shape {array.shape}."
                )
            number = self._router.number(index)
            if number >= MAX_FRAMES:
                raise FrameIndexError(
                    f"array {self.plan.key!r}: the index {index} is that of frame {number:,}; an "
                    f"array has {MAX_FRAMES:,} frames at most."
                )
            if self._register.is_recorded(number) and not replace:
                raise FrameExistsError(
                    f"array {self.plan.key!r} has a frame at index {index} already; give "
                    "replace=True to write it again."
                )
            given = next(self._reader.frames(array))
            if not index and not self.frames:  # the one frame of an image is always in order
                self._take(given, checked)
                return
            lead = self._router.lead(number)
            frame = self._prepared(given, lead)
            line = FrameLog.line(lead, checked)
            if not (self._register.is_recorded(number) or self._register.is_skipped(number)):
                self._intake.take(frame, number, partial(self._register.note, number, line))
                return
            frame = frame.copy()  # the caller's may change when the call is interrupted
        self._engine.delegates.run(self._write_again, frame, number, index, line)

    def _write_again(self, frame: Frame, number: int, index: tuple[int, ...], line: str) -> None:
        """Take a frame where one was taken or skipped; on a thread of the recording."""
        with (turn := self._turn):  # noqa: F841  # see `Turn`
            self._intake.pause()
            self._intake.check_open()
            recorded = self._register.is_recorded(number)
            where = f"array {self.plan.key!r} has a frame at index {index} already"
            advice = "it cannot be replaced."
            if not recorded:
                where = f"array {self.plan.key!r}: the frame at index {index} was skipped"
                advice = "close the stream and fill the gap after ZarrStream.resume."
            if len(self._levels) > 1:
                raise FrameExistsError(f"{where}, and its pyramid is made; {advice}")
            if not self._levels.base.replace(frame, self._router.lead(number)):
                raise FrameExistsError(
                    f"{where}, and its chunk is stored in a shard or with other frames; only a "
                    "chunk that is a file of one frame can be written again (chunk_size_px=1, "
                    "shard_size_chunks=None)."
                )
            self._register.note(number, line)
            if not recorded:
                self._register.fill(number)
                self._intake.count_filled()

    def _count_no_more(self) -> None:
        """Do not count on the order of frames from now on."""
        self._plain = False
        self._levels.expect_gaps()
        self.publication.gaps = self.publication.by_index = True

    def check_room(self, count: int) -> None:
        """Raise `OutOfBoundsError` if `count` more frames reach past the declared size."""
        limit = self._router.limit
        if limit is not None and self.frames + count > limit:
            first = self.plan.axes[0].name if self.plan.lead_shape else None
            size = self.plan.lead_shape[0] if self.plan.lead_shape else None
            declared = f"(dimension {first!r} has size {size})" if first else "(it is one image)"
            raise OutOfBoundsError(
                f"array {self.plan.key!r} was declared for {limit} frames {declared} and has "
                f"{self.frames}; {count} more do not fit. None of them was stored."
            )

    def _prepared(self, frame: Frame, lead: tuple[int, ...]) -> Frame:
        """Return a frame as it is stored: processed and, if need be, transposed."""
        if self._process is not None:
            frame = self._process(frame, lead)
        return np.ascontiguousarray(frame.T) if self.plan.transposed else frame

    # ---- numbers ----------------------------------------------------------------------------

    @property
    def frames(self) -> int:
        """Number of the next frame in the order of arrival."""
        return self._intake.frames

    @property
    def bytes_in(self) -> int:
        """Bytes of the frames that this stream recorded."""
        return self._intake.recorded * self._reader.pixels * self._reader.dtype.itemsize

    @property
    def bytes_stored(self) -> int:
        """Bytes that went to the store, all levels together."""
        return self._levels.bytes_stored

    @property
    def pending_nbytes(self) -> int:
        """Bytes of an incomplete frame."""
        return self._reader.pending_nbytes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape at full resolution, frames that are begun included."""
        base = self.plan.base
        if not base.lead_shape:
            return base.shape
        return (self._final_length(), *base.shape[1:])

    def _final_length(self) -> int:
        """Return how far the stored append axis reaches with the frames taken so far."""
        size = self.plan.base.shape[0]
        if not self.plan.lead_order or self.plan.lead_order[0] != 0:
            return size
        return self._router.length(self.frames)

    # ---- the end ----------------------------------------------------------------------------

    def stop_taking(self, closing: int) -> None:
        """Take no more frames, once a call of another thread has ended.

        Parameters
        ----------
        closing
            The thread that waits for the end; a call that it interrupted itself does not go on.

        Raises
        ------
        StalledError
            A call of another thread did not end.
        """
        turn = self._turn
        me = (get_ident(),)
        if turn.setdefault(0, me) is not me:
            turn.wait(me, timeout=self._engine.stall_timeout, closing=closing)
        try:
            self._intake.close()
        finally:
            turn.pop(0, None)

    def finish_level(self, level: int) -> None:
        """Hand over what is incomplete at one level; the level before must be done."""
        self._levels.finish(level, self._final_length())

    def wait(self, level: int) -> None:
        """Wait until everything handed over at one level is stored, or something failed."""
        self._levels.wait(level)

    def unfinished_shards(self) -> list[Callable[[], None]]:
        """Return calls that finish the shards that are still open."""
        return self._levels.unfinished_shards()

    def commit(self) -> None:
        """Return when every shard, finished by now, would survive a loss of power."""
        self._levels.commit()
