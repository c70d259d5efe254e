"""Before the first frame: a store is locked, opened and claimed, and its arrays begin.

`open_new` and `open_resumed` return a session that takes frames, or raise and leave nothing
locked or running. `extend` begins more arrays in a session that is open.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from aqz_core.chunks.policy import WritePolicy
from aqz_core.errors import AqzError, SettingsError, StorageError
from aqz_core.events import ShardWritten
from aqz_core.metadata import ngff_problems
from aqz_core.metadata.units import unit_advice
from aqz_core.pipeline.runtime import Runtime
from aqz_core.planning.stream import plan_stream
from aqz_core.plugins import FrameSpec, Hooks, frame_function
from aqz_core.recording.array import ArrayRecorder
from aqz_core.recording.image_series import write_series
from aqz_core.recording.nodes import (
    check_free_space,
    claim_nodes,
    stored_attributes,
    write_groups,
)
from aqz_core.recording.observers import EventDispatcher
from aqz_core.recording.periodic_flush import flush_period
from aqz_core.recording.session import OpenStore, RecordingSession
from aqz_core.settings.paths import without_password
from aqz_core.settings.validation.stream import check_extension
from aqz_core.storage.opening import check_place, lock_store, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumedStore, ResumePoint
    from aqz_core.planning.stream import StreamPlan
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.lock import StoreLock
    from aqz_core.storage.sink import Sink

__all__ = ["extend", "open_new", "open_resumed"]

FEW_ARRAYS = 8
"""Arrays whose metadata are flushed to the device one by one."""

_log = logging.getLogger("aqz")


def open_new(settings: StreamSettings, hooks: Hooks) -> RecordingSession:
    """Begin a recording in a place that nobody else records to.

    Parameters
    ----------
    settings
        Valid, and nobody else's.
    hooks
        The plug-ins.

    Raises
    ------
    AqzError
        As `ZarrStream` says.
    """
    with _undone_on_error(settings) as undo:
        plan = plan_stream(settings, hooks)
        lock = lock_store(settings, hooks.sinks())
        if lock is not None:
            undo.callback(lock.release)
        sink = _opened_sink(settings, hooks, plan, lock, undo)
        existing = claim_nodes(sink, plan.arrays, plan.groups, overwrite=settings.overwrite)
        _check(sink, plan.arrays, settings.keep_free)
        store = _started(settings, hooks, plan, lock, sink, undo)
        arrays = _begin_arrays(store, settings, plan.arrays, existing)
        _write_groups(store, settings, plan, existing)
        return _begun(store, settings, plan, arrays)


def open_resumed(resumed: ResumedStore, hooks: Hooks) -> RecordingSession:
    """Resume an earlier recording at its next frame.

    Parameters
    ----------
    resumed
        What was found in the store; its lock becomes the session's.
    hooks
        The plug-ins.

    Raises
    ------
    AqzError
        As `ZarrStream.resume` says.
    """
    settings, lock = resumed.settings, resumed.lock
    with _undone_on_error(settings) as undo:
        if lock is not None:
            undo.callback(lock.release)
        plan = plan_stream(settings, hooks)
        sink = _opened_sink(settings, hooks, plan, lock, undo)
        keys = tuple(f"{one.key}/" if one.key else "" for one in plan.arrays)
        sink.abort_unfinished(lambda name: name.startswith(keys))
        _check(sink, plan.arrays, settings.keep_free)
        store = _started(settings, hooks, plan, lock, sink, undo)
        arrays = _begin_arrays(
            store, settings, plan.arrays, resumed.attributes, resumed.resume_point_of
        )
        return _begun(store, settings, plan, arrays)


def extend(session: RecordingSession, settings: StreamSettings) -> None:
    """Begin the arrays that `settings` have more than an open session.

    Raises
    ------
    AqzError
        As `ZarrStream.extend` says.
    """
    session.delegate(_extend, session, settings)


def _extend(session: RecordingSession, settings: StreamSettings) -> None:
    """Do so, on a thread of the recording."""
    with session.extending() as store:
        check_extension(session.settings, settings)
        plan = plan_stream(settings, store.hooks)
        recorded = session.plan.arrays
        keys = {one.key for one in recorded}
        added = tuple(one for one in plan.arrays if one.key not in keys)
        levels = max(len(one.layouts) for one in recorded)
        if plan.levels > levels:
            raise SettingsError(
                f"a new array has {plan.levels} pyramid levels, but those of the stream have "
                f"{levels} at most; open a stream of its own for it"
            )
        existing = claim_nodes(store.sink, added, overwrite=False)
        check_free_space(store.sink, added, settings.keep_free)
        with store.runtime.failure.guard():
            store.runtime.resize(plan.memory)
            store.sink.set_part_memory(plan.memory.parts)
            arrays = _begin_arrays(store, settings, added, existing)
            _write_metadata(store, settings, arrays)
            groups = {key: stored_attributes(store.sink, key) for key in plan.groups}
            _write_groups(store, settings, plan, groups)
        session.add(settings, plan, arrays)


@contextlib.contextmanager
def _undone_on_error(settings: StreamSettings) -> Iterator[contextlib.ExitStack]:
    """Undo, the last step first, what was done when opening fails."""
    with contextlib.ExitStack() as undo:
        try:
            yield undo
        except AqzError:
            raise
        except OSError as error:
            shown = without_password(settings.store_path)
            message = f"{shown} cannot be recorded into: {error}"
            raise StorageError(error.errno, message) from error
        undo.pop_all()


def _opened_sink(
    settings: StreamSettings,
    hooks: Hooks,
    plan: StreamPlan,
    lock: StoreLock | None,
    undo: contextlib.ExitStack,
) -> Sink:
    """Open the place where everything goes."""
    sink = open_sink(settings, hooks.sinks(), plan.memory.parts)
    undo.callback(sink.close)
    check_place(sink, lock)
    if not sink.random_access and settings.spill is None:
        seconds = flush_period(settings.flush_seconds, random_access=False)
        _log.info(
            "no spill is set: if the store fails for long, frames that it does not have are lost, "
            "%s and up to %d MiB in memory",
            f"those of the last {seconds:g} s" if seconds else "those of shards that are not full",
            plan.memory.total >> 20,
        )
    return sink


def _check(sink: Sink, plans: Sequence[ArrayPlan], keep_free: int) -> None:
    """Refuse what does not fit; log which axes readers of NGFF will not understand."""
    check_free_space(sink, plans, keep_free)
    for plan in plans:
        for problem in ngff_problems(plan.axes) if plan.is_image else ():
            _log.warning("array %r is not a valid NGFF image: %s", plan.key, problem)
        for axis in plan.axes:
            if advice := unit_advice(axis.unit, axis.kind):
                _log.warning("array %r: axis %r: %s", plan.key, axis.name, advice)


def _started(
    settings: StreamSettings,
    hooks: Hooks,
    plan: StreamPlan,
    lock: StoreLock | None,
    sink: Sink,
    undo: contextlib.ExitStack,
) -> OpenStore:
    """Start the threads of a recording."""
    runtime = Runtime(sink, plan.memory, plan.workers, plan.levels, settings.stall_timeout)
    undo.callback(runtime.stop)
    events = EventDispatcher(hooks)
    undo.callback(events.close, 0)
    return OpenStore(hooks, lock, sink, runtime, events)


def _begun(
    store: OpenStore,
    settings: StreamSettings,
    plan: StreamPlan,
    arrays: dict[str, ArrayRecorder],
) -> RecordingSession:
    """Return a session that is ready for its next frame."""
    _write_metadata(store, settings, arrays)
    for array in arrays.values():
        array.restore(within_budget=settings.max_memory is not None)
    next(iter(arrays.values())).prepare()
    session = RecordingSession(store, settings, plan, arrays)
    session.begin()
    return session


def _begin_arrays(
    store: OpenStore,
    settings: StreamSettings,
    plans: Iterable[ArrayPlan],
    existing: Mapping[str, Mapping[str, Any]],
    resume_point_of: Callable[[ArrayPlan], ResumePoint] | None = None,
) -> dict[str, ArrayRecorder]:
    """Begin arrays; `existing` are attributes that their nodes have already, by key."""
    extra = dict(store.hooks.metadata(settings))
    return {
        plan.key: ArrayRecorder(
            plan,
            store.runtime,
            attributes={**existing.get(plan.key, {}), **extra},
            process=frame_function(
                store.hooks.frame_processors(settings),
                FrameSpec(plan.key, plan.frame_shape, plan.base.dtype),
            ),
            policy=WritePolicy(
                live=settings.live and store.sink.random_access,
                sync_shards=settings.durability == "shard",
                keep_durable=settings.durability != "none",
            ),
            progress=None if resume_point_of is None else resume_point_of(plan),
            on_shard=_shard_listener(store, plan.key),
        )
        for plan in plans
    }


def _shard_listener(store: OpenStore, key: str) -> Callable[[int, str, int, int], None]:
    """Return what notifies observers of each complete shard of an array."""

    def on_shard(level: int, name: str, nbytes: int, chunks: int) -> None:
        if store.events.observes(ShardWritten):
            event = ShardWritten(key, level, name, nbytes, chunks, store.sink.url)
            store.events.publish(event)

    return on_shard


def _write_metadata(
    store: OpenStore, settings: StreamSettings, arrays: Mapping[str, ArrayRecorder]
) -> None:
    """Store the metadata of new arrays before their first frame."""
    # Hundreds of arrays are flushed to the device together, not each on its own.
    many = len(arrays) > FEW_ARRAYS
    for array in arrays.values():
        array.metadata.begin(protect=not many)
    if many and settings.durability != "none":
        store.sink.commit()


def _write_groups(
    store: OpenStore,
    settings: StreamSettings,
    plan: StreamPlan,
    existing: Mapping[str, Mapping[str, Any]],
) -> None:
    """Store the metadata of everything that arrays stand in."""
    groups = {key: {**existing.get(key, {}), **own} for key, own in plan.groups.items()}
    write_groups(store.sink, plan.arrays, groups)
    if settings.bioformats2raw:
        write_series(store.sink, settings.version, plan.flat_keys)
