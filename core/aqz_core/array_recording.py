"""Recording one array of a stream, with all its levels and its metadata."""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from aqz_core.array_levels import ArrayLevels
from aqz_core.array_metadata import ArrayMetadata
from aqz_core.errors import (
    AqzError,
    FrameExistsError,
    FrameIndexError,
    FrameShapeError,
    MemoryBudgetError,
    OutOfBoundsError,
)
from aqz_core.frame_log import LOG_NAME, FrameLog
from aqz_core.frames import FrameReader
from aqz_core.plans import join
from aqz_core.router import FrameRouter
from aqz_core.written_frames import WrittenFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.engine import Engine
    from aqz_core.hooks import FrameFunction
    from aqz_core.metadata import Document
    from aqz_core.plans import ArrayPlan
    from aqz_core.recovery.progress import ArrayProgress

__all__ = ["ArrayRecording"]

Frame = npt.NDArray[Any]

MAX_FRAMES = 2**31
"""Frames of one array, on an unlimited axis too: an index beyond is a mistake, not a recording."""

MAX_SKIPPED_FRAMES = 10_000_000
"""Frames that one call may skip: each layer of them is visited, which takes 2 us."""


class ArrayRecording:
    """One array that takes frames.

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
    live
        Whether readers can follow the recording.
    sync
        Whether complete shards are flushed to the device.
    protect
        Whether what was flushed to the device once must survive a loss of power ever after.
    progress
        How far an earlier recording came that this one goes on with.
    on_shard
        Told the level, name, size and chunks of every complete shard.
    """

    def __init__(
        self,
        plan: ArrayPlan,
        engine: Engine,
        *,
        attributes: Document,
        process: FrameFunction | None,
        live: bool,
        sync: bool,
        protect: bool = True,
        progress: ArrayProgress | None = None,
        on_shard: Callable[[int, str, int, int], None],
    ) -> None:
        self.plan = plan
        self.frames = 0
        self.bytes_in = 0
        self._engine = engine
        self._sync = sync
        self._progress = progress
        self._random_access = engine.sink.random_access
        self._live = live and self._random_access
        self._process = process
        self._router = FrameRouter(plan.lead_shape, plan.lead_order)
        where = f"array {plan.key!r}"
        self._reader = FrameReader(plan.frame_shape, plan.base.dtype, where, plan.base.fill_value)
        self._plain_append = process is None and not plan.transposed
        self._levels = ArrayLevels(
            plan,
            engine,
            live=self._live,
            sync=sync,
            protect=protect,
            progress=progress,
            on_shard=on_shard,
        )
        self._log = FrameLog(engine.sink, join(plan.level_name(0), LOG_NAME))
        self._written: WrittenFrames | None = None
        self._taken = 0
        self._flushed = 0
        self._flushed_frames = 0
        self._published_at = 0
        self._waiting: tuple[int, int] | None = None
        self._appending = threading.Lock()
        self.metadata = ArrayMetadata(
            plan, engine.sink, attributes, live=self._live, protect=protect
        )
        if progress is not None:
            self._take_up(progress)

    def _take_up(self, progress: ArrayProgress) -> None:
        """Begin where an earlier recording ended; `restore` brings its last frames back."""
        self.frames = progress.frames
        self.metadata.take_up(progress)
        if progress.gaps:
            self._levels.expect_gaps()
        self.metadata.gaps = progress.gaps
        if self.metadata.lengths is not None:
            self._flushed = progress.lengths[0]
        if progress.written is not None:
            self._written = WrittenFrames(self._router, 0)
            self._levels.base.head.skips_gaps = True
            for number in progress.written:
                self._written.add(number)
        for number in progress.lost:  # the log shall not tell of them for ever
            self._log.add_skipped(number, number + 1)

    def restore(self) -> None:
        """Read the stored frames of incomplete chunks back and record them once more.

        Half-full chunks of every level, and planes of a pyramid that wait for others, are then as
        they were when the earlier recording ended. What reading takes is set aside meanwhile.

        Raises
        ------
        MemoryBudgetError
            Reading back and storing anew do not both fit the budget.
        AqzError
            Something cannot be read or stored.
        """
        progress, self._progress = self._progress, None
        if progress is None or not progress.replay:
            return
        pool = self._engine.pixels
        pool.capacity -= progress.read_nbytes
        try:
            self._replay(progress)
        except MemoryBudgetError as error:
            raise MemoryBudgetError(
                f"array {self.plan.key!r}: to go on, the last chunks are read back while they are "
                f"stored anew, which takes {progress.read_nbytes:,} bytes more than to record "
                f"them ({error}). Raise max_memory, or record into another store."
            ) from error
        finally:
            pool.capacity += progress.read_nbytes

    def _replay(self, progress: ArrayProgress) -> None:
        """Record stored frames once more."""
        if self._engine.pixels.capacity <= 0:
            raise MemoryBudgetError("nothing is left for pixels")
        for number in progress.replay:
            lead = self._router.lead(number)
            self._levels.base.write(progress.read_plane(lead), lead)

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
        with self._appending:
            if metadata is None and self._is_plain_frame(data):
                self._check_room(1)
                self._take(data)
                return 1
            array, count, begun = self._reader.check(data)
            self._check_room(count + begun)
            checked = FrameLog.check(metadata)
            if checked is not None and (count != 1 or begun):
                raise FrameShapeError(
                    f"array {self.plan.key!r}: metadata belong to one frame, but {count} were "
                    "appended in one call; append them one by one."
                )
            for frame in self._reader.frames(array):
                if checked is not None:
                    self._log.add(self._next_lead(), checked)
                self._take(frame, logged=checked is not None)
            return count

    def skip(self, pixels: int) -> None:
        """Pass over pixels that follow those taken before; they read as the fill value.

        Raises
        ------
        OutOfBoundsError
            They reach past the declared size; nothing was skipped.
        """
        with self._appending:
            self._check_room(-(-(self._reader.pending_pixels + pixels) // self._reader.pixels))
            if pixels // self._reader.pixels > MAX_SKIPPED_FRAMES:
                raise OutOfBoundsError(
                    f"array {self.plan.key!r}: {pixels // self._reader.pixels:,} frames cannot be "
                    f"skipped at once; skip {MAX_SKIPPED_FRAMES:,} at most, or write the frames "
                    "that follow by index."
                )
            completed, whole = self._reader.skip(pixels)
            if completed is not None:
                self._take(completed)
            if self._written is not None:
                for number in range(self.frames, self.frames + whole):
                    self._written.add(number)
            self._levels.expect_gaps()
            if whole:
                self._log.add_skipped(self.frames, self.frames + whole)
            while whole:
                # Only frames that are stored one after the other can be passed over at once.
                at_once = whole if self._router.in_order else 1
                skipped = self._levels.base.skip(self._next_lead(), at_once)
                self.frames += skipped
                self._taken += skipped
                whole -= skipped

    def write(
        self, data: object, index: tuple[int, ...], metadata: object, *, replace: bool
    ) -> None:
        """Take the frame at an index, in the order of arrival.

        Raises
        ------
        FrameExistsError
            A frame is recorded there, and `replace` is not set or comes too late.
        FrameTypeError, FrameShapeError, AqzError
            As for `append`.
        """
        with self._appending:
            checked = FrameLog.check(metadata)
            array, count, begun = self._reader.check(data)
            if count != 1 or begun:
                raise FrameShapeError(
                    f"array {self.plan.key!r} takes one frame of shape {self.plan.frame_shape} "
                    f"at an index, not an array of shape {array.shape}."
                )
            number = self._router.number(index)
            if number >= MAX_FRAMES:
                raise FrameIndexError(
                    f"array {self.plan.key!r}: the index {index} is that of frame {number:,}; an "
                    f"array has {MAX_FRAMES:,} frames at most."
                )
            if self._written is None:
                self._written = WrittenFrames(self._router, self.frames)
                if self.frames:
                    self._log.add_appended(self.frames)
                self._levels.base.head.skips_gaps = True
            frame = next(self._reader.frames(array))
            lead = self._router.lead(number)
            if number in self._written:
                self._replace(frame, lead, index, replace=replace)
            else:
                self._levels.base.write(self._prepared(frame, lead), lead)
                self._written.add(number)
                self.frames = max(self.frames, number + 1)
                self._taken += 1
                self.bytes_in += self.plan.base.frame_nbytes
            self._log.add(lead, checked)

    def _replace(
        self, frame: Frame, lead: tuple[int, ...], index: tuple[int, ...], *, replace: bool
    ) -> None:
        """Take a frame a second time."""
        where = f"array {self.plan.key!r} has a frame at index {index} already"
        if not replace:
            raise FrameExistsError(f"{where}; give replace=True to write it again.")
        if len(self._levels) > 1:
            raise FrameExistsError(f"{where}, and its pyramid is made; it cannot be replaced.")
        if not self._levels.base.replace(self._prepared(frame, lead), lead):
            raise FrameExistsError(
                f"{where}, and its chunk is stored, "
                "in a shard or with other frames; only a chunk that is a file of one frame can be "
                "replaced (chunk_size_px=1, shard_size_chunks=None)."
            )

    def _is_plain_frame(self, data: object) -> TypeGuard[Frame]:
        """Tell whether `data` is a frame that can be taken as it is: the usual case."""
        return (
            type(data) is np.ndarray
            and data.shape == self._reader.shape
            and data.dtype == self._reader.dtype
            and data.flags.c_contiguous
            and not self._reader.pending_nbytes
            and data.size > 1
        )

    def _check_room(self, count: int) -> None:
        """Raise if `count` more frames reach past the declared size."""
        limit = self._router.limit
        if limit is not None and self.frames + count > limit:
            first = self.plan.axes[0].name if self.plan.lead_shape else None
            size = self.plan.lead_shape[0] if self.plan.lead_shape else None
            declared = f"(dimension {first!r} has size {size})" if first else "(it is one image)"
            raise OutOfBoundsError(
                f"array {self.plan.key!r} was declared for {limit} frames {declared} and has "
                f"{self.frames}; {count} more do not fit. None of them was stored."
            )

    def _take(self, frame: Frame, *, logged: bool = False) -> None:
        """Store the frame that follows the last one."""
        writer = self._levels.base
        if self._plain_append and self._router.in_order:
            writer.append(frame, self._next_lead)
        else:
            lead = self._next_lead()
            writer.write(self._prepared(frame, lead), lead)
        if self._written is not None:
            self._written.add(self.frames)
            if not logged:
                self._log.add(self._next_lead(), None)
        self.frames += 1
        self._taken += 1
        self.bytes_in += self.plan.base.frame_nbytes

    def _prepared(self, frame: Frame, lead: tuple[int, ...]) -> Frame:
        """Return a frame as it is stored: processed and, if need be, transposed."""
        if self._process is not None:
            frame = self._process(frame, lead)
        return np.ascontiguousarray(frame.T) if self.plan.transposed else frame

    def _next_lead(self) -> tuple[int, ...]:
        """Return the leading storage index of the next frame."""
        return self._router.lead(self.frames)

    # ---- numbers ----------------------------------------------------------------------------

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

    # ---- metadata ---------------------------------------------------------------------------

    def publish(self) -> None:
        """Let readers see everything that is stored by now."""
        self._store_waiting()
        self._engine.run(self._show)

    def _show(self) -> None:
        """Store the frames' metadata, and publish; runs where a stalled store holds nobody."""
        self._log.write()
        self._publish(sync=False)

    def _show_for_good(self) -> None:
        """Publish so that it would survive a loss of power."""
        self._publish(sync=True)
        self._log.commit()
        self._engine.sink.commit()

    def _publish(self, *, sync: bool) -> None:
        """Make stored chunks visible, then the length that they reach."""
        reached = self._levels.publish(sync=sync)
        flushed = [level.append_size(self._flushed) for level in self.plan.geometry]
        lengths = [max(pair) for pair in zip(reached, flushed, strict=True)]
        certain = self._certain_frames(reached)
        self.metadata.gaps = self._levels.base.head.skips_gaps
        if self._sync and self.metadata.would_grow(lengths, certain):
            self._engine.sink.commit()  # names of shards before the length that counts them
        self.metadata.grow(lengths, certain, sync=sync)

    def _certain_frames(self, reached: list[int]) -> int | None:
        """Return how many frames, in the order of arrival, readers can see at every level.

        None where frames come by index: their number says nothing about which.
        """
        if self._written is not None:
            return None
        known = max(self.metadata.certain or 0, self._flushed_frames)
        if not self.plan.lead_order or self.plan.lead_order[0] != 0:
            return known
        length = min(
            size * level.scale_factors[0]
            for size, level in zip(reached, self.plan.geometry, strict=True)
        )
        return max(known, min(self.frames, length * self._router.frames_per_index))

    def flush(self, *, sync: bool) -> None:
        """Make every frame taken so far readable and, if asked, safe from a loss of power."""
        with self._appending:
            self._store_layers()
            self._engine.run(self._show_for_good if sync else self._show)

    def _store_layers(self) -> None:
        """Store incomplete layers as they are, level by level, and take them as published."""
        self._levels.store_incomplete()
        if self.metadata.lengths is not None and self._shows_at_flush:
            self._flushed = self._final_length()
            self._flushed_frames = self.frames

    @property
    def _shows_at_flush(self) -> bool:
        """Whether a flush can show incomplete shards: not those that are hidden in a file."""
        return self._live or self.plan.base.shard_chunks is None or not self._random_access

    def _store_waiting(self) -> None:
        """When frames come slowly, store whole chunks that wait for others to share a write.

        The caller of `append` never waits for this: chunks are handed over here, and taken as
        published at a later call, when they are stored.
        """
        if self.metadata.lengths is None or not self._live:
            return
        if self._waiting and not self._levels.busy:
            self._flushed, self._flushed_frames = self._waiting
            self._waiting = None
        idle = self._taken == self._published_at
        self._published_at = self._taken
        if not idle or self._flushed_frames == self.frames:
            return
        if self._appending.acquire(blocking=False):
            try:
                if self._levels.hand_over_whole_chunks():
                    self._waiting = (self._final_length(), self.frames)
            finally:
                self._appending.release()

    # ---- the end ----------------------------------------------------------------------------

    def finish_level(self, level: int) -> None:
        """Hand over what is incomplete at one level; the level before must be done."""
        self._levels.finish(level, self._final_length())

    def wait(self, level: int) -> None:
        """Wait until everything handed over at one level is stored, or something failed."""
        self._levels.wait(level)

    def abandon(self) -> None:
        """After an error: let jobs end, and readers see what was stored."""
        self._levels.abandon()
        for last_words in (self._log.write, partial(self._publish, sync=False)):
            with contextlib.suppress(AqzError, OSError):
                self._engine.run(last_words)
        self._engine.run(self.metadata.interrupt)

    @property
    def unreadable_frames(self) -> int:
        """Frames that were taken and lie beyond what readers see, where the order tells that."""
        if self.metadata.lengths is None or self.plan.lead_order[0] != 0:
            return 0
        rows = self.metadata.readable
        return max(0, self.frames - rows * math.prod(self.plan.base.lead_shape[1:]))

    def unfinished_shards(self) -> list[Callable[[], None]]:
        """Return calls that finish the shards that are still open."""
        return self._levels.unfinished_shards()

    def commit(self) -> None:
        """Return when every shard, finished by now, would survive a loss of power."""
        self._levels.commit()

    def finish_documents(self) -> None:
        """Store the metadata of the finished array."""
        self._log.write()
        length = self._final_length()
        lengths = [level.append_size(length) for level in self.plan.geometry]
        certain = None if self._written is not None else self.frames
        self.metadata.gaps = self._levels.base.head.skips_gaps
        self.metadata.complete(lengths, certain, sync=self._sync)
