"""A whole recording: a store, its arrays, and the order in which things begin and end.

The public `ZarrStream` holds one of these. It has no reference back, so that a stream which nobody
holds any more can be finished.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import (
    AqzError,
    StalledError,
    StorageError,
    StreamClosedError,
    UnknownArrayError,
)
from aqz_core.events import (
    ArrayReport,
    Progress,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamReport,
    StreamSpilled,
    StreamStatistics,
)
from aqz_core.pipeline.delegation import Call
from aqz_core.pipeline.threads import JobGroup
from aqz_core.plugins import Hooks
from aqz_core.recording.acquire_json import AcquireJson
from aqz_core.recording.periodic_flush import PeriodicFlush, flush_period
from aqz_core.recording.publishing import Publisher
from aqz_core.settings.keys import normalise_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aqz_core.pipeline.runtime import Runtime
    from aqz_core.planning.stream import StreamPlan
    from aqz_core.plugins import Hooks
    from aqz_core.recording.array import ArrayRecorder
    from aqz_core.recording.observers import EventDispatcher
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.lock import StoreLock
    from aqz_core.storage.sink import Sink

__all__ = ["OpenStore", "RecordingSession"]


@dataclass(frozen=True)
class OpenStore:
    """What all arrays of a session share.

    Attributes
    ----------
    hooks
        The plug-ins.
    lock
        Held on the store; None where there is none to hold.
    sink
        Where everything goes.
    runtime
        Threads, memory and the first error.
    events
        Notifies observers.
    """

    hooks: Hooks
    lock: StoreLock | None
    sink: Sink
    runtime: Runtime
    events: EventDispatcher


class RecordingSession:
    """One open store and its arrays; made by `opening`, whose parts are all ready.

    It has many short methods because it is where a stream's calls and the end of a recording meet:
    each asks whether the session is open, and hands the work to a part.

    Parameters
    ----------
    store
        What the arrays share.
    settings
        Valid, and nobody else's.
    plan
        What they come to.
    arrays
        By key, in the order of the settings.

    Attributes
    ----------
    ready
        What `array` found, by the keys it was asked for; nothing when frames cannot be taken.
    """

    def __init__(
        self,
        store: OpenStore,
        settings: StreamSettings,
        plan: StreamPlan,
        arrays: dict[str, ArrayRecorder],
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.sink = store.sink
        self.lock = store.lock
        self._store = store
        self._runtime = store.runtime
        self._events = store.events
        self._arrays = arrays
        self.ready: dict[str | None, ArrayRecorder] = {}
        self._runtime.failure.on_set(self.ready.clear)
        self._acquire_json = AcquireJson(self.sink, several=len(arrays) > 1)
        self._flushing = self._periodic_flush(settings)
        interval = None if self._flushing is None else self._flushing.interval
        self._publisher = Publisher(self._publish, self._runtime.failure, interval)
        self._begun: float | None = None
        self._lacks_room = False
        self._closing = threading.Lock()
        self._closed = False
        self._told = False
        self._ending: dict[int, Call[StreamReport]] = {}
        self.sink.on_failover = self._announce_failover

    def _periodic_flush(self, settings: StreamSettings) -> PeriodicFlush | None:
        """Return what flushes frames before they get too old, if anything has to."""
        period = flush_period(settings.flush_seconds, random_access=self.sink.random_access)
        if period is None:
            return None
        sync = settings.durability != "none"
        return PeriodicFlush(period, sync=sync, strict=settings.flush_seconds is not None)

    def begin(self) -> None:
        """Let readers and observers see the recording from now on."""
        self._publisher.start()
        self._events.publish(StreamOpened(self.sink.url, tuple(self._arrays)))

    def delegate(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call on a thread of the recording, which an exception of the caller does not reach."""
        self._check_open()
        self._runtime.delegates.run(function, *arguments)

    @contextlib.contextmanager
    def extending(self) -> Iterator[OpenStore]:
        """Keep the session from being closed while arrays are added to it."""
        with self._closing:
            self._check_open()
            self._runtime.failure.check()
            yield self._store

    def add(
        self, settings: StreamSettings, plan: StreamPlan, arrays: Mapping[str, ArrayRecorder]
    ) -> None:
        """Take in new arrays; `settings` and `plan` are those of all."""
        self.settings, self.plan = settings, plan
        known = {**self._arrays, **arrays}
        self._arrays = {one.key: known[one.key] for one in plan.arrays}
        self.ready.clear()

    # ---- while it runs ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether frames are taken."""
        return not self._closed and not self._runtime.failure and not self._lacks_room

    def array(self, key: str | None) -> ArrayRecorder:
        """Return the array that frames are for, if the recording can go on."""
        array = self._array_for(key)
        self._runtime.failure.check()
        if self._lacks_room:
            raise StorageError(
                errno.ENOSPC,
                f"{self.sink.url} has reached keep_free = {self.settings.keep_free:,} bytes: no "
                "more frames are taken. Close the stream, which stores all that were, or free some "
                "space and continue.",
            )
        if self._begun is None:
            self._begun = time.monotonic()
        self.ready[key] = array
        if not self.is_open:  # it ended meanwhile
            self.ready.clear()
        return array

    def flush(self, key: str | None) -> None:
        """Make everything taken so far readable and safe, in one array or in all."""
        arrays = [self._array_for(key)] if key is not None else list(self._arrays.values())
        self.delegate(self._flush, arrays)

    def _flush(self, arrays: list[ArrayRecorder]) -> None:
        """Do so, on a thread of the recording."""
        for array in arrays:
            self._runtime.failure.check()
            with self._runtime.failure.guard():
                array.publication.flush(sync=self.settings.durability != "none")

    def add_metadata(self, metadata: object, key: str | None, metadata_key: str | None) -> None:
        """Merge a user's metadata into the attributes of one array."""
        array = self._array_for(key)
        self._runtime.failure.check()
        self.delegate(self._add_metadata, array, metadata, metadata_key)

    def _add_metadata(
        self, array: ArrayRecorder, metadata: object, metadata_key: str | None
    ) -> None:
        """Do so, on a thread of the recording."""
        with self._runtime.failure.guard():
            array.metadata.add(metadata, metadata_key)
            if self.settings.version is ZarrVersion.V2:
                self._acquire_json.merge(array.plan.key, metadata, metadata_key)

    def write_acquire_json(self, metadata: object, *, overwrite: bool) -> None:
        """Store metadata of the whole store where acquire-zarr 0.5.1 had them."""
        self._check_open()
        self._runtime.failure.check()
        self.delegate(self._write_acquire_json, metadata, overwrite)

    def _write_acquire_json(self, metadata: object, overwrite: bool) -> None:
        """Do so, on a thread of the recording."""
        with self._runtime.failure.guard():
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

    def _announce_failover(self, reason: BaseException, place: str) -> None:
        """Notify observers that the store failed and a folder has taken over."""
        self._events.publish(StreamSpilled(reason, place, self.sink.url))

    def statistics(self) -> StreamStatistics:
        """Return how the recording is doing."""
        seconds = time.monotonic() - self._begun if self._begun is not None else 0.0
        bytes_in = sum(array.bytes_in for array in self._arrays.values())
        pixels = self._runtime.pixels
        return StreamStatistics(
            frames=sum(array.frames for array in self._arrays.values()),
            bytes_in=bytes_in,
            bytes_written=sum(array.bytes_stored for array in self._arrays.values()),
            queue_fill=min(1.0, pixels.in_use / pixels.capacity) if pixels.capacity else 0.0,
            megabytes_per_second=bytes_in / seconds / 1e6 if seconds else 0.0,
            seconds=seconds,
            spilled=self.sink.failover is not None,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of pixel memory allocated now."""
        return self._runtime.nbytes

    def _publish(self) -> None:
        """Let readers and observers see how far it is; called a few times a second."""
        self._look_for_room()
        for array in self._arrays.values():
            array.publication.publish()
        if self._flushing is not None:
            pixels = self._runtime.pixels
            self._flushing.look(self._arrays.values(), pixels.in_use / max(1, pixels.capacity))
        if self._events.observes(Progress):
            self._events.publish(Progress(self.statistics(), self.sink.url))

    def _look_for_room(self) -> None:
        """Note whether the disk has room for more frames than are waiting to be stored."""
        if self.settings.keep_free:
            free = self.sink.free_nbytes()
            waiting = self._runtime.pixels.in_use
            self._lacks_room = free is not None and free - waiting < self.settings.keep_free
            if self._lacks_room:
                self.ready.clear()

    # ---- the end ----------------------------------------------------------------------------

    def close(self) -> StreamReport | None:
        """Store everything that was taken and finish the store; None if that was done before.

        Raises
        ------
        AqzError
            Something could not be stored. What was published before stays readable.
        """
        self._closed = True
        self.ready.clear()
        delegates = self._runtime.delegates
        ending = self._ending.setdefault(0, Call(self._end, threading.get_ident()))
        if not ending.finished:
            delegates.put(ending)
            try:
                delegates.wait(ending)
            except BaseException:  # an interrupt: the second one is not held up
                delegates.wait(ending)
                raise
        if self._told:
            return None
        self._told = True
        return ending.outcome()

    @property
    def is_finished(self) -> bool:
        """Whether `close` has nothing left to do."""
        return any(ending.finished for ending in self._ending.values())

    def _end(self, closing: int) -> StreamReport:
        """Do so, on a thread of the recording; `closing` is the thread that waits for it."""
        with self._closing:
            self._publisher.stop()
            try:
                with self._runtime.failure.guard():
                    for array in self._arrays.values():
                        array.stop_taking(closing)
                    self._finish()
            except BaseException as error:
                self._runtime.failure.set(error)
                self._abandon()
                lost = sum(array.publication.unreadable_frames for array in self._arrays.values())
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
            ending.callback(self._runtime.stop)

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
        runtime, arrays = self._runtime, self._arrays.values()
        for level in range(self.plan.levels):
            for array in arrays:
                array.finish_level(level)
            for array in arrays:
                array.wait(level)
            runtime.failure.check()
        finishing = JobGroup()
        for array in arrays:
            for finish in array.unfinished_shards():
                runtime.io.submit(finishing, finish)
        finishing.wait(runtime.stall_timeout)
        runtime.failure.check()
        for array in arrays:
            if self.settings.durability != "none":
                runtime.run(array.commit)
            runtime.run(array.publication.finish_documents)
        # Object stores take logs as a whole at a commit: it must fail before the end is told.
        if self.settings.durability != "none" or not self.sink.random_access:
            runtime.run(self.sink.commit)
        runtime.run(self.sink.finished)
        self._events.publish(StreamClosed(self._report(), self.sink.url))

    def _abandon(self) -> None:
        """After an error: let readers see what was stored, as far as the store still works."""
        if isinstance(self._runtime.failure.error, StalledError):
            return  # it does not answer, and nobody shall wait for it once more
        for array in self._arrays.values():
            with contextlib.suppress(AqzError, OSError):
                array.publication.abandon()

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
