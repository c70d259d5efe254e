"""The levels of one array: a writer for each, and what makes each from the one before.

`ArrayRecorder` knows which frames came and what readers are told; this module knows where the
pixels of all levels are. An array without a pyramid has one level.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from aqz_core.chunks.chunk_files import ChunkFiles
from aqz_core.chunks.sharded_chunks import ShardedChunks
from aqz_core.errors import AqzError
from aqz_core.pipeline.level_downsampler import LevelDownsampler
from aqz_core.pipeline.level_writer import LevelWriter
from aqz_core.planning.documents import chunk_namer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.chunks.store import ChunkStore
    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumePoint

__all__ = ["PyramidWriter"]


class PyramidWriter:
    """Everything that one array stores, level by level.

    Parameters
    ----------
    plan
        What is recorded, and where.
    engine
        Threads, memory and store of the whole recording.
    policy
        What readers may see meanwhile, and what survives a loss of power.
    progress
        How far an earlier recording came that this one resumes.
    on_shard
        Told the level, name, size and chunks of every complete shard.

    Attributes
    ----------
    base
        The writer that frames go to.
    """

    def __init__(
        self,
        plan: ArrayPlan,
        engine: Runtime,
        *,
        policy: WritePolicy,
        progress: ResumePoint | None,
        on_shard: Callable[[int, str, int, int], None],
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._policy = policy
        self._on_shard = on_shard
        self._writers = [self._writer(level, progress) for level in range(len(plan.layouts))]
        self._reducers = [self._reducer(level) for level in range(1, len(plan.layouts))]
        self.base = self._writers[0]

    def __len__(self) -> int:
        """Return how many levels there are."""
        return len(self._writers)

    # ---- set up -----------------------------------------------------------------------------

    def _writer(self, level: int, progress: ResumePoint | None) -> LevelWriter:
        """Make the writer of one level."""
        plan = self._plan
        start = plan.geometry[level].append_size(0 if progress is None else progress.start)
        store = self._store(level, progress)
        return LevelWriter(self._engine, plan.layouts[level], plan.codecs, store, level, start)

    def _store(self, level: int, progress: ResumePoint | None) -> ChunkStore:
        """Make the place where the chunks of one level go."""
        plan, sink = self._plan, self._engine.sink
        layout, namer = plan.layouts[level], chunk_namer(plan, level)
        on_shard = partial(self._on_shard, level)
        if layout.shard_chunks is None:
            return ChunkFiles(sink, namer, self._policy, on_shard=on_shard)
        return ShardedChunks(
            sink,
            namer,
            layout,
            self._policy,
            max_chunk_nbytes=plan.codecs.max_encoded_size(layout.chunk_nbytes),
            resumed=partial(progress.is_final, level) if progress and self._policy.live else None,
            on_shard=on_shard,
        )

    def _reducer(self, level: int) -> LevelDownsampler:
        """Connect the level before to this one."""
        plan = self._plan
        assert plan.downsampler is not None
        before = plan.layouts[level - 1]
        reducer = LevelDownsampler(
            plan.downsampler,
            plan.geometry[level],
            self._writers[level],
            before.shape[-3] if before.lead_shape else 1,
        )
        self._writers[level - 1].feed(reducer)
        return reducer

    def expect_gaps(self) -> None:
        """Let later planes count as stored although earlier ones are not, from now on."""
        for writer in self._writers:
            writer.head.by_index = True

    # ---- what is stored ---------------------------------------------------------------------

    @property
    def bytes_stored(self) -> int:
        """Bytes that went to the store, all levels together."""
        return sum(writer.bytes_stored for writer in self._writers)

    @property
    def busy(self) -> bool:
        """Whether anything that was handed over is not stored yet."""
        return any(writer.busy for writer in self._writers)

    def advance(self, *, sync: bool) -> list[int]:
        """Make stored chunks visible; return the length that each level reaches."""
        return [writer.advance(sync=sync) for writer in self._writers]

    def store_incomplete(self) -> None:
        """Store incomplete layers as they are, level by level, for the next `advance` to show."""
        for writer in self._writers:
            writer.flush()
            writer.wait()
            self._engine.failure.check()
            writer.store.reveal()

    def hand_over_whole_chunks(self) -> bool:
        """Store chunks that wait for others to share a write; return whether nothing waits."""
        nothing_left = [writer.hand_over_whole_chunks() for writer in self._writers]
        return all(nothing_left)

    # ---- the end ----------------------------------------------------------------------------

    def finish(self, level: int, length: int) -> None:
        """Hand over what is incomplete at one level; the level before must be done.

        Parameters
        ----------
        level
            Which one.
        length
            How far the append axis reaches at full resolution.
        """
        if level >= len(self):
            return
        if level:
            before = self._plan.geometry[level - 1]
            z_size = 1
            if len(before.shape) == 3:  # z is the append axis: it ends where the recording ends
                z_size = before.append_size(length)
            elif len(before.shape) > 3:
                z_size = before.shape[-3]
            self._reducers[level - 1].finish(z_size)
        self._writers[level].finish_layers()

    def wait(self, level: int) -> None:
        """Wait until everything handed over at one level is stored, or something failed."""
        if level < len(self):
            self._writers[level].wait()

    def abandon(self) -> None:
        """After an error: wait until the jobs have ended."""
        with contextlib.suppress(AqzError):
            for writer in self._writers:
                writer.wait()

    def unfinished_shards(self) -> list[Callable[[], None]]:
        """Return calls that finish the shards that are still open."""
        return [call for writer in self._writers for call in writer.store.unfinished()]

    def commit(self) -> None:
        """Return when every shard, finished by now, would survive a loss of power."""
        for writer in self._writers:
            writer.store.expose(sync=True)
