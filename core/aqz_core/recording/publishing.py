"""What readers may see of a growing store, and the thread that shows it a few times a second."""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from aqz_core.errors import AqzError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.pipeline.failure import Failure
    from aqz_core.pipeline.intake import Intake
    from aqz_core.pipeline.pyramid_writer import PyramidWriter
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumePoint
    from aqz_core.recording.array_metadata import ArrayMetadata
    from aqz_core.recording.frame_log import FrameLog

__all__ = ["ArrayPublication", "Publisher", "TakenFrames"]

INTERVAL = 0.5
"""Seconds between two looks. A reader that meets an index just as it is rewritten must try again,
so rewriting is gathered; a viewer does not need more than a few updates a second."""


class TakenFrames(NamedTuple):
    """What an array has taken at one moment.

    Attributes
    ----------
    frames
        Number of the next frame in the order of arrival.
    length
        How far the stored append axis reaches with them.
    recorded
        How many of them this stream recorded.
    """

    frames: int
    length: int
    recorded: int


class ArrayPublication:
    """Shows readers of one array what is stored of it: chunks first, then the length.

    Everything here is done on threads of the recording.

    Parameters
    ----------
    plan
        What is recorded.
    engine
        Threads, memory and store of the whole recording.
    policy
        What readers may see, and when.
    intake, levels
        Where frames are taken, and where the pixels of every level are.
    metadata, log
        The documents of the array, and those of its frames.
    taken
        Returns what was taken by now.

    Attributes
    ----------
    gaps
        Whether frames may be missing among those that are counted.
    by_index
        Whether frames come by index: their number says nothing about which are stored.
    """

    def __init__(
        self,
        plan: ArrayPlan,
        engine: Runtime,
        policy: WritePolicy,
        intake: Intake,
        levels: PyramidWriter,
        metadata: ArrayMetadata,
        log: FrameLog,
        taken: Callable[[], TakenFrames],
    ) -> None:
        self.gaps = False
        self.by_index = False
        self._plan = plan
        self._engine = engine
        self._policy = policy
        self._intake = intake
        self._levels = levels
        self._metadata = metadata
        self._log = log
        self._taken = taken
        self._flushed = self._seen = TakenFrames(0, 0, 0)
        self._waiting: TakenFrames | None = None
        self._publishing = threading.Lock()
        self._per_index = math.prod(plan.lead_shape[1:])

    def resume_from(self, progress: ResumePoint) -> None:
        """Begin with what readers see of an earlier recording."""
        self._metadata.resume_from(progress)
        self._metadata.gaps = self.gaps = progress.gaps
        if self._metadata.lengths is not None:
            self._flushed = TakenFrames(0, progress.lengths[0], 0)

    @property
    def _in_storage_order(self) -> bool:
        """Whether the append axis of the store is that of the frames."""
        return bool(self._plan.lead_order) and self._plan.lead_order[0] == 0

    # ---- while it runs ----------------------------------------------------------------------

    def publish(self) -> None:
        """Let readers see everything that is stored by now."""
        stored = None
        if self._waiting and not self._levels.busy:
            stored, self._waiting = self._waiting, None
        self._store_waiting()
        self._engine.run(self._show, stored)

    def flush(self, *, sync: bool) -> None:
        """Make every frame taken so far readable and, if asked, safe from a loss of power."""
        with (turn := self._intake.turn):  # noqa: F841  # see `Turn`
            self._intake.pause()
            self._levels.store_incomplete()
            shows = self._metadata.lengths is not None and self.shows_at_flush
            flushed = self._taken() if shows else None
            if self.by_index:  # what the log lists by now is what was flushed
                self._show_flush(flushed, sync=sync)
                if self.shows_at_flush:  # or the log would tell so of hidden shards
                    self._engine.run(self._log_flush)
                return
        # Frames are taken meanwhile: a bucket may need seconds to show what it has.
        self._show_flush(flushed, sync=sync)

    def _show_flush(self, flushed: TakenFrames | None, *, sync: bool) -> None:
        """Show what was flushed; logs that are stored as a whole would else stay in memory."""
        for_good = sync or not self._engine.sink.random_access
        self._engine.run(self._show_for_good if for_good else self._show, flushed)

    def _log_flush(self) -> None:
        """Note in the log what is stored now, where nothing else says so."""
        self._log.add_flushed()
        self._log.write()
        if not self._engine.sink.random_access:
            self._log.commit()

    def _show(self, stored: TakenFrames | None) -> None:
        """Store the frames' metadata, and publish; runs where a stalled store holds nobody."""
        self._log.write()
        self._publish(stored, sync=False)

    def _show_for_good(self, stored: TakenFrames | None) -> None:
        """Publish so that it would survive a loss of power."""
        self._log.commit()  # a count of frames does not tell which of them were left out
        self._publish(stored, sync=True)
        self._engine.sink.commit()

    def _publish(self, stored: TakenFrames | None, *, sync: bool) -> None:
        """Make stored chunks visible, then the length that they reach.

        `stored` are frames of which every chunk is stored, whole or not. They count from when this
        has ended well, and not before: a length must not reach over chunks that no index names.
        """
        with self._publishing:  # or an older length might be written after a newer one
            reached = self._levels.advance(sync=sync)
            flushed = max(stored, self._flushed) if stored else self._flushed
            sizes = [level.append_size(flushed.length) for level in self._plan.geometry]
            lengths = [max(pair) for pair in zip(reached, sizes, strict=True)]
            certain = self._certain_frames(reached, flushed)
            self._metadata.gaps = self.gaps
            stored_late = self._policy.sync_shards or not self._engine.sink.random_access
            if stored_late and self._metadata.would_grow(lengths, certain):
                # names of shards, and logs that are stored whole, before the length
                self._engine.sink.commit()
            self._metadata.grow(lengths, certain, sync=sync)
            self._flushed = flushed

    def _certain_frames(self, reached: list[int], flushed: TakenFrames) -> int | None:
        """Return how many frames, in the order of arrival, readers can see at every level.

        None where frames come by index.
        """
        if self.by_index:
            return None
        known = max(self._metadata.certain or 0, flushed.frames)
        if not self._in_storage_order:
            return known
        length = min(
            size * level.scale_factors[0]
            for size, level in zip(reached, self._plan.geometry, strict=True)
        )
        return max(known, min(self._taken().frames, length * self._per_index))

    @property
    def shows_at_flush(self) -> bool:
        """Whether a flush can show incomplete shards: not those that are hidden in a file."""
        return (
            self._policy.live
            or self._plan.base.shard_chunks is None
            or not self._engine.sink.random_access
        )

    def _store_waiting(self) -> None:
        """When frames come slowly, store whole chunks that wait for others to share a write.

        The caller of `append` never waits for this: chunks are handed over here, and taken as
        published at a later call, when they are stored.
        """
        taken = self._taken()
        idle, self._seen = taken == self._seen, taken
        turn = self._intake.turn
        if not idle or not turn.try_take():
            return
        try:
            self._intake.settle()  # an interrupted call may have left a whole layer
            follows = self._metadata.lengths is not None and self._policy.live
            if not follows or self._flushed.frames == self._taken().frames:
                return
            self._intake.pause()
            if self._levels.hand_over_whole_chunks():
                self._waiting = self._taken()
        finally:
            turn.pop(0, None)

    @property
    def unreadable_frames(self) -> int:
        """Frames that were taken and lie beyond what readers see, where the order tells that."""
        if self._metadata.lengths is None or not self._in_storage_order:
            return 0
        rows = self._metadata.readable
        return max(0, self._taken().frames - rows * math.prod(self._plan.base.lead_shape[1:]))

    # ---- the end ----------------------------------------------------------------------------

    def abandon(self) -> None:
        """After an error: let jobs end, and readers see what was stored."""
        self._levels.abandon()
        for last_words in (self._log.write, partial(self._publish, None, sync=False)):
            with contextlib.suppress(AqzError, OSError):
                self._engine.run(last_words)
        self._engine.run(self._metadata.interrupt)

    def finish_documents(self) -> None:
        """Store the metadata of the finished array."""
        self._log.write()
        taken = self._taken()
        lengths = [level.append_size(taken.length) for level in self._plan.geometry]
        self._metadata.gaps = self.gaps
        certain = None if self.by_index else taken.frames
        self._metadata.complete(lengths, certain, sync=self._policy.sync_shards)


class Publisher:
    """Calls `publish` at intervals until it is stopped or the recording fails.

    Parameters
    ----------
    publish
        What to call; its first error becomes the recording's.
    failure
        The recording's first error.
    interval
        Seconds between two calls, if that is less than `INTERVAL`.
    """

    def __init__(
        self, publish: Callable[[], None], failure: Failure, interval: float | None = None
    ) -> None:
        self._interval = INTERVAL if interval is None else min(INTERVAL, interval)
        self._publish = publish
        self._failure = failure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aqz-publisher", daemon=True)

    def start(self) -> None:
        """Begin; the first call comes after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait until its last call is over."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval) and not self._failure:
            try:
                self._publish()
            except Exception as error:
                self._failure.set(error)
