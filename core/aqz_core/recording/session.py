"""A whole recording: a store, its arrays, and the order in which things begin and end.

The public `ZarrStream` holds one of these. It has no reference back, so that a stream which nobody
holds any more can be finished.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import (
    AqzError,
    FrameShapeError,
    SettingsError,
    StalledError,
    StorageError,
    StreamClosedError,
    UnknownArrayError,
)
from aqz_core.events import (
    ArrayReport,
    Progress,
    ShardWritten,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamReport,
    StreamSpilled,
    StreamStatistics,
)
from aqz_core.metadata import ngff_problems
from aqz_core.pipeline.runtime import Runtime
from aqz_core.pipeline.threads import JobGroup
from aqz_core.planning.stream import plan_stream
from aqz_core.plugins import FrameSpec, Hooks, frame_function
from aqz_core.recording.acquire_json import AcquireJson
from aqz_core.recording.array import ArrayRecorder
from aqz_core.recording.image_series import write_series
from aqz_core.recording.observers import EventDispatcher
from aqz_core.recording.opening import (
    check_free_space,
    claim_nodes,
    stored_attributes,
    write_groups,
)
from aqz_core.recording.periodic_flush import PeriodicFlush, flush_period
from aqz_core.recording.publishing import INTERVAL, Publisher
from aqz_core.settings.keys import normalise_key
from aqz_core.settings.paths import without_password
from aqz_core.settings.validation.stream import check_extension
from aqz_core.storage.opening import lock_store, open_sink
from aqz_core.storage.spill import SpillingSink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumedStore
    from aqz_core.planning.stream import StreamPlan
    from aqz_core.settings.stream import StreamSettings

__all__ = ["RecordingSession"]


FEW_ARRAYS = 8

_log = logging.getLogger("aqz")


class RecordingSession:
    """Everything behind one stream.

    Parameters
    ----------
    settings
        Valid, and nobody else's.
    hooks
        The plug-ins.
    resumption
        The earlier recording to go on with, if any.
    """

    def __init__(
        self, settings: StreamSettings, hooks: Hooks, resumption: ResumedStore | None = None
    ) -> None:
        self.settings = settings
        self._hooks = hooks
        self.lock = None if resumption is None else resumption.lock
        try:
            plan = plan_stream(settings, hooks)
            self._plans = plan.arrays
            self.memory = plan.memory
            if resumption is None:
                self.lock = lock_store(settings, hooks.sinks())
            self._open(plan, hooks, resumption)
        except BaseException as error:
            with contextlib.ExitStack() as ending:
                if self.lock is not None:
                    ending.callback(self.lock.release)
                if (sink := getattr(self, "sink", None)) is not None:
                    ending.callback(sink.close)
            if isinstance(error, OSError) and not isinstance(error, AqzError):
                shown = without_password(settings.store_path)
                message = f"{shown} cannot be recorded into: {error}"
                raise StorageError(error.errno, message) from error
            raise

    def _open(self, plan: StreamPlan, hooks: Hooks, resumption: ResumedStore | None) -> None:
        """Open the store and begin, with the lock held."""
        settings = self.settings
        self.sink = open_sink(settings, hooks.sinks(), self.memory.parts)
        if resumption is None:
            existing = claim_nodes(
                self.sink, self._plans, plan.groups, overwrite=settings.overwrite
            )
        else:
            existing = {key: dict(found) for key, found in resumption.attributes.items()}
            self._clear_uploads()
        check_free_space(self.sink, self._plans)
        _warn_of_axes(self._plans)
        self._engine = Runtime(
            self.sink, self.memory, plan.workers, plan.levels, settings.stall_timeout
        )
        self._events = EventDispatcher(hooks)
        if isinstance(self.sink, SpillingSink):
            self.sink.on_spill = self._tell_spill
        self._acquire_json = AcquireJson(self.sink, several=len(self._plans) > 1)
        self._begun: float | None = None
        self._closing = threading.Lock()
        self._closed = False
        try:
            extra = dict(hooks.metadata(settings))
            self._arrays = {
                plan.key: self._array(
                    plan, {**existing.get(plan.key, {}), **extra}, hooks, resumption
                )
                for plan in self._plans
            }
            if resumption is None:
                self._write_groups(plan, existing)
            self._begin_metadata(tuple(self._arrays.values()))
            for array in self._arrays.values():
                array.restore()
            next(iter(self._arrays.values())).prepare()
        except BaseException:
            self._engine.stop()
            self._events.close(0)
            raise
        period = flush_period(settings.flush_seconds, random_access=self.sink.random_access)
        sync = settings.durability != "none"
        self._flushing = (
            None
            if period is None
            else PeriodicFlush(period, sync=sync, strict=settings.flush_seconds is not None)
        )
        interval = min(INTERVAL, self._flushing.interval if self._flushing else INTERVAL)
        self._publisher = Publisher(self._publish, self._engine.failure, interval)
        self._events.publish(StreamOpened(self.sink.url, tuple(self._arrays)))

    def _begin_metadata(self, arrays: tuple[ArrayRecorder, ...]) -> None:
        """Store the metadata of new arrays before their first frame."""
        # Hundreds of arrays are flushed to the device together, not each on its own.
        many = len(arrays) > FEW_ARRAYS
        for array in arrays:
            array.metadata.begin(protect=not many)
        if many and self.settings.durability != "none":
            self.sink.commit()

    def _clear_uploads(self) -> None:
        """Throw away what an earlier recording of the same arrays left half uploaded."""
        clear_uploads = getattr(self.sink, "clear_uploads", None)
        if clear_uploads is not None:
            starts = tuple(f"{plan.key}/" if plan.key else "" for plan in self._plans)
            clear_uploads(lambda name: name.startswith(starts))

    def _write_groups(self, plan: StreamPlan, existing: Mapping[str, Mapping[str, Any]]) -> None:
        """Store the metadata of everything that arrays stand in."""
        groups = {key: {**existing.get(key, {}), **own} for key, own in plan.groups.items()}
        write_groups(self.sink, plan.arrays, groups)
        if self.settings.bioformats2raw:
            write_series(self.sink, self.settings.version, plan.flat_keys)

    def _array(
        self,
        plan: ArrayPlan,
        attributes: Mapping[str, Any],
        hooks: Hooks,
        resumption: ResumedStore | None,
    ) -> ArrayRecorder:
        """Begin one array."""
        spec = FrameSpec(plan.key, plan.frame_shape, plan.base.dtype)

        def on_shard(level: int, name: str, nbytes: int, chunks: int) -> None:
            if self._events.observes(ShardWritten):
                event = ShardWritten(plan.key, level, name, nbytes, chunks, self.sink.url)
                self._events.publish(event)

        return ArrayRecorder(
            plan,
            self._engine,
            attributes=dict(attributes),
            process=frame_function(hooks.frame_processors(self.settings), spec),
            live=self.settings.live,
            sync=self.settings.durability == "shard",
            protect=self.settings.durability != "none",
            progress=resumption.resume_point_of(plan) if resumption is not None else None,
            on_shard=on_shard,
        )

    def extend(self, settings: StreamSettings) -> None:
        """Begin the arrays that `settings` have more than the stream."""
        with self._closing:
            self._check_open()
            self._engine.failure.check()
            check_extension(self.settings, settings)
            plan = plan_stream(settings, self._hooks)
            added = tuple(one for one in plan.arrays if one.key not in self._arrays)
            levels = max(len(one.layouts) for one in self._plans)
            if plan.levels > levels:
                raise SettingsError(
                    f"a new array has {plan.levels} pyramid levels, but those of the stream have "
                    f"{levels} at most; open a stream of its own for it"
                )
            existing = claim_nodes(self.sink, added, overwrite=False)
            check_free_space(self.sink, added)
            with self._engine.failure.guard():
                self._begin_arrays(plan, added, existing)
            self.settings = settings

    def _begin_arrays(
        self,
        plan: StreamPlan,
        added: tuple[ArrayPlan, ...],
        existing: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Give an extended stream its memory, its groups and its new arrays."""
        self.memory = plan.memory
        self._engine.pixels.capacity = plan.memory.pixels
        self._engine.staging.capacity = plan.memory.staging
        if allow := getattr(self.sink, "allow_memory", None):
            allow(plan.memory.parts)
        extra = dict(self._hooks.metadata(self.settings))
        new = {
            one.key: self._array(one, {**existing.get(one.key, {}), **extra}, self._hooks, None)
            for one in added
        }
        self._begin_metadata(tuple(new.values()))
        groups = {key: stored_attributes(self.sink, key) for key in plan.groups}
        self._write_groups(plan, groups)
        self._plans = plan.arrays
        self._arrays = {one.key: self._arrays.get(one.key) or new[one.key] for one in plan.arrays}

    # ---- while it runs ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether frames are taken."""
        return not self._closed and not self._engine.failure

    def append(self, data: object, key: str | None, metadata: object = None) -> int:
        """Take frames for one array; return how many were completed."""
        return self._begin(key).append(data, metadata)

    def skip_bytes(self, nbytes: int, key: str | None) -> None:
        """Pass over pixels, given in bytes."""
        array = self._begin(key)
        itemsize = array.plan.base.dtype.itemsize
        if nbytes % itemsize:
            raise FrameShapeError(
                f"array {array.plan.key!r} has pixels of {itemsize} bytes; {nbytes} bytes are no "
                "whole number of them"
            )
        array.skip(nbytes // itemsize)

    def skip_frames(self, frames: int, key: str | None) -> None:
        """Pass over whole frames."""
        array = self._begin(key)
        array.skip(frames * math.prod(array.plan.frame_shape))

    def write(
        self,
        data: object,
        index: Mapping[str, int | str],
        key: str | None,
        metadata: object,
        *,
        replace: bool,
    ) -> None:
        """Take one frame at an index given by axis names."""
        array = self._begin(key)
        array.write(data, array.plan.index_of(index), metadata, replace=replace)

    def _begin(self, key: str | None) -> ArrayRecorder:
        """Return the array that frames are for, if the recording can go on."""
        array = self._array_for(key)
        self._engine.failure.check()
        if self._begun is None:
            self._begun = time.monotonic()
        return array

    def flush(self, key: str | None) -> None:
        """Make everything taken so far readable and safe, in one array or in all."""
        arrays = [self._array_for(key)] if key is not None else list(self._arrays.values())
        self._check_open()
        for array in arrays:
            self._engine.failure.check()
            with self._engine.failure.guard():
                array.flush(sync=self.settings.durability != "none")

    def add_metadata(self, metadata: object, key: str | None, metadata_key: str | None) -> None:
        """Merge a user's metadata into the attributes of one array."""
        array = self._array_for(key)
        self._engine.failure.check()
        with self._engine.failure.guard():
            array.metadata.add(metadata, metadata_key)
        if self.settings.version is ZarrVersion.V2:
            self._acquire_json.merge(array.plan.key, metadata, metadata_key)

    def write_acquire_json(self, metadata: object, *, overwrite: bool) -> None:
        """Store metadata of the whole store where acquire-zarr 0.5.1 had them."""
        self._check_open()
        self._engine.failure.check()
        self._acquire_json.write(metadata, overwrite=overwrite)

    def _array_for(self, key: str | None) -> ArrayRecorder:
        """Return the array that a call means."""
        self._check_open()
        if key is None and len(self._arrays) == 1:
            return next(iter(self._arrays.values()))
        array = self._arrays.get(normalise_key(key)) if isinstance(key, str) else None
        if array is None:
            known = ", ".join(map(repr, self._arrays))
            what = "no key was given" if key is None else f"there is no array {key!r}"
            raise UnknownArrayError(f"{what} in the stream to {self.sink.url}; it has {known}.")
        return array

    def _check_open(self) -> None:
        """Raise if the recording was closed."""
        if self._closed:
            raise StreamClosedError(
                f"The stream to {self.sink.url} is closed and takes nothing more; open a new one."
            )

    def _tell_spill(self, reason: BaseException) -> None:
        """Tell observers that the store failed and a folder has taken over."""
        assert isinstance(self.sink, SpillingSink)
        self._events.publish(StreamSpilled(reason, str(self.sink.folder.path), self.sink.url))

    def statistics(self) -> StreamStatistics:
        """Return how the recording is doing."""
        seconds = time.monotonic() - self._begun if self._begun is not None else 0.0
        bytes_in = sum(array.bytes_in for array in self._arrays.values())
        pixels = self._engine.pixels
        return StreamStatistics(
            frames=sum(array.frames for array in self._arrays.values()),
            bytes_in=bytes_in,
            bytes_written=sum(array.bytes_stored for array in self._arrays.values()),
            queue_fill=min(1.0, pixels.in_use / pixels.capacity) if pixels.capacity else 0.0,
            megabytes_per_second=bytes_in / seconds / 1e6 if seconds else 0.0,
            seconds=seconds,
            spilled=isinstance(self.sink, SpillingSink) and self.sink.reason is not None,
        )

    def current_nbytes(self) -> int:
        """Return the bytes of pixel memory allocated now."""
        return self._engine.nbytes

    def _publish(self) -> None:
        """Let readers and observers see how far it is; called a few times a second."""
        for array in self._arrays.values():
            array.publish()
        if self._flushing is not None:
            pixels = self._engine.pixels
            self._flushing.look(self._arrays.values(), pixels.in_use / max(1, pixels.capacity))
        if self._events.observes(Progress):
            self._events.publish(Progress(self.statistics(), self.sink.url))

    # ---- the end ----------------------------------------------------------------------------

    def close(self) -> StreamReport | None:
        """Store everything that was taken and finish the store; None if that was done before.

        Raises
        ------
        AqzError
            Something could not be stored. What was published before stays readable.
        """
        with self._closing:
            if self._closed:
                return None
            self._closed = True
            self._publisher.stop()
            try:
                with self._engine.failure.guard():
                    self._finish()
            except BaseException as error:
                self._engine.failure.set(error)
                self._abandon()
                lost = sum(array.unreadable_frames for array in self._arrays.values())
                told = self._with_losses(error, lost)
                self._events.publish(StreamFailed(told, self.sink.url, lost))
                if told is error:
                    raise
                raise told from error
            finally:
                self._let_go()
            return self._report()

    def _let_go(self) -> None:
        """End threads, close the store and unlock it, even if one of these fails."""
        with contextlib.ExitStack() as ending:
            if self.lock is not None:
                ending.callback(self.lock.release)
            ending.callback(self.sink.close)
            ending.callback(self._events.close)
            ending.callback(self._engine.stop)

    def _with_losses(self, error: BaseException, lost: int) -> BaseException:
        """Add to an error how many of the frames that were taken cannot be read."""
        taken = sum(array.frames for array in self._arrays.values())
        if not lost or not isinstance(error, AqzError) or not error.args:
            return error
        *others, message = error.args
        return type(error)(
            *others,
            f"{str(message).rstrip('.')}. Of the {taken} frames that were accepted, {lost} cannot "
            "be read from the store.",
        )

    def _finish(self) -> None:
        """Hand over, level by level, what is incomplete; then finish shards and metadata."""
        engine, arrays = self._engine, self._arrays.values()
        for level in range(max(len(plan.layouts) for plan in self._plans)):
            for array in arrays:
                array.finish_level(level)
            for array in arrays:
                array.wait(level)
            engine.failure.check()
        finishing = JobGroup()
        for array in arrays:
            for finish in array.unfinished_shards():
                engine.io.submit(finishing, finish)
        finishing.wait(engine.stall_timeout)
        engine.failure.check()
        for array in arrays:
            if self.settings.durability != "none":
                engine.run(array.commit)
            engine.run(array.finish_documents)
        # Object stores take logs as a whole at a commit: it must fail before the end is told.
        if self.settings.durability != "none" or not self.sink.random_access:
            engine.run(self.sink.commit)
        if isinstance(self.sink, SpillingSink):
            engine.run(self.sink.finished)
        self._events.publish(StreamClosed(self._report(), self.sink.url))

    def _abandon(self) -> None:
        """After an error: let readers see what was stored, as far as the store still works."""
        if isinstance(self._engine.failure.error, StalledError):
            return  # it does not answer, and nobody shall wait for it once more
        for array in self._arrays.values():
            with contextlib.suppress(AqzError, OSError):
                array.abandon()

    def _report(self) -> StreamReport:
        """Return what was recorded."""
        return StreamReport(
            path=self.sink.url,
            arrays=tuple(
                ArrayReport(
                    key=key,
                    shape=array.shape,
                    frames=array.frames,
                    bytes_in=array.bytes_in,
                    bytes_stored=array.bytes_stored,
                    path="/".join(
                        part for part in (self.sink.url, array.plan.level_name(0)) if part
                    ),
                    trailing_bytes=array.pending_nbytes,
                )
                for key, array in self._arrays.items()
            ),
            statistics=self.statistics(),
        )


def _warn_of_axes(plans: Iterable[ArrayPlan]) -> None:
    """Say which images readers of NGFF will refuse because of their axes; they are recorded."""
    for plan in plans:
        for problem in ngff_problems(plan.axes) if plan.is_image else ():
            _log.warning("array %r is no valid NGFF image: %s", plan.key, problem)
