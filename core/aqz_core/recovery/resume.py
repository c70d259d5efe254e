"""Going on with a recording: everything a stream must know of the one before.

The store is locked, its shards are finished as by a repair, its settings are read back, and what
is asked for is compared with them. How far each array came is looked for when its plan is made.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aqz_core.errors import ResumeError
from aqz_core.frame_log import LOG_NAME, logged_indices
from aqz_core.keys import normalise_key
from aqz_core.recovery.extent import levels_of
from aqz_core.recovery.progress import ArrayProgress, find_progress
from aqz_core.recovery.repair import Repairs
from aqz_core.recovery.stored_settings import differences, stored_settings
from aqz_core.recovery.survey import Node, survey
from aqz_core.settings import StreamSettings
from aqz_core.store_lock import StoreLock
from aqz_core.store_path import local_path, url_scheme
from aqz_core.validation import validate

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from aqz_core.hooks import CodecProvider, Hooks
    from aqz_core.metadata import Document
    from aqz_core.plans import ArrayPlan
    from aqz_core.settings import ArraySettings

__all__ = ["Resumption", "open_resumption"]


@dataclass(frozen=True)
class _Recorded:
    """One array or image of the store."""

    owner: Node
    levels: list[Node]
    settings: ArraySettings


@dataclass(frozen=True)
class Resumption:
    """An earlier recording to go on with.

    Attributes
    ----------
    settings
        Of the whole stream, valid.
    lock
        Held on the store.
    attributes
        What every node carries besides what the stream writes, by key.
    """

    settings: StreamSettings
    lock: StoreLock
    attributes: Mapping[str, Document]
    _recorded: Mapping[str, _Recorded]
    _providers: Mapping[str, CodecProvider]

    def progress_of(self, plan: ArrayPlan) -> ArrayProgress:
        """Return how far an array came.

        Raises
        ------
        ResumeError
            The store does not hold what its metadata say.
        """
        found = self._recorded[plan.key]
        _check_levels(plan, found)
        progress = find_progress(
            plan,
            found.owner,
            found.levels,
            self._providers,
            logged_indices(found.levels[0].folder / LOG_NAME),
            live=self.settings.live,
        )
        ome = found.owner.attributes.get("ome") if found.owner.array is None else None
        return replace(progress, ome=ome)


def open_resumption(
    store: str | os.PathLike[str], settings: StreamSettings | None, hooks: Hooks
) -> Resumption:
    """Lock a store and read what a stream needs to go on with it.

    Raises
    ------
    ResumeError, StoreBusyError, StorageError
        As `ZarrStream.resume` says.
    """
    path = str(store)
    if url_scheme(path) not in (None, "file") or (settings is not None and settings.s3):
        raise ResumeError(
            f"{path}: only recordings on this machine's file systems can be gone on with; "
            "record into another store"
        )
    root = local_path(path)
    survey(root)  # no lock file beside something that is no directory
    lock = StoreLock(root)
    try:
        return _read(root, settings, hooks, lock)
    except BaseException:
        lock.release()
        raise


def _read(root: Path, given: StreamSettings | None, hooks: Hooks, lock: StoreLock) -> Resumption:
    """Read a store that is locked."""
    providers = hooks.codecs()
    repairs = Repairs(root, survey(root), providers)
    repairs.plan_files()
    if repairs.damaged:
        first = repairs.damaged[0]
        raise ResumeError(
            f"{root}: {first.where}: {first.what} ({len(repairs.damaged)} such findings; "
            "`aqz validate` lists them). Record into another store."
        )
    repairs.apply()
    nodes = survey(root)
    recorded = {one.settings.output_key: one for one in _recordings(root, nodes)}
    if not recorded:
        raise ResumeError(
            f"{root} holds no recording that tells how it was made; only stores recorded by aqz, "
            "as Zarr V3, can be gone on with"
        )
    if given is not None:
        recorded = _chosen(root, recorded, given, providers)
    stream = _stream_settings(root, recorded, given)
    validate(stream)
    attributes = {
        key: {k: v for k, v in one.owner.attributes.items() if k not in ("aqz", "ome")}
        for key, one in recorded.items()
    }
    return Resumption(stream, lock, attributes, recorded, providers)


def _recordings(root: Path, nodes: list[Node]) -> list[_Recorded]:
    """Return every array and image of a store that carries the state of a recording."""
    found = []
    for node in nodes:
        if "axes" not in node.aqz:
            continue
        levels = [node] if node.array is not None else levels_of(node, nodes)
        key = node.folder.relative_to(root).as_posix()
        if not levels:
            raise ResumeError(f"{node.folder}: the arrays of the image cannot be read")
        found.append(
            _Recorded(node, levels, stored_settings("" if key == "." else key, node, levels))
        )
    return found


def _chosen(
    root: Path,
    recorded: dict[str, _Recorded],
    given: StreamSettings,
    providers: Mapping[str, CodecProvider],
) -> dict[str, _Recorded]:
    """Return the recordings that settings ask for, if they agree with them."""
    if given.store_path and local_path(given.store_path).resolve() != root.resolve():
        raise ResumeError(
            f"the settings are for the store {given.store_path!r}, not for {str(root)!r}"
        )
    if given.hcs_plates:
        raise ResumeError(
            "plates are gone on with by leaving the settings out: their fields are arrays of the "
            "store like others"
        )
    chosen = {}
    for array in given.arrays:
        key = normalise_key(array.output_key)
        if key not in recorded:
            known = ", ".join(map(repr, recorded))
            raise ResumeError(f"{root} has no recording at {key!r}; it has {known}")
        found = differences(recorded[key].settings, array, providers)
        if found:
            raise ResumeError(f"{root}: array {key!r} was recorded differently: {'; '.join(found)}")
        chosen[key] = recorded[key]
    return chosen


def _stream_settings(
    root: Path, recorded: Mapping[str, _Recorded], given: StreamSettings | None
) -> StreamSettings:
    """Return the settings of the stream that goes on."""
    stream = StreamSettings() if given is None else copy.deepcopy(given)
    stream.store_path = str(root)
    stream.overwrite = False
    stream.arrays = [one.settings for one in recorded.values()]
    live = {bool(one.owner.aqz.get("live", False)) for one in recorded.values()}
    if len(live) > 1:
        raise ResumeError(
            f"{root}: some arrays were recorded live and some not; give settings that name those "
            "of one kind"
        )
    (stream.live,) = live
    if given is not None and given.live != stream.live:
        raise ResumeError(
            f"{root}: live is {stream.live} in the store, {given.live} in the settings"
        )
    return stream


def _check_levels(plan: ArrayPlan, found: _Recorded) -> None:
    """Raise if the arrays of an image are not those that its settings come to."""
    wanted = []
    for layout in plan.layouts:
        shards = None
        if layout.shard_chunks is not None:
            pairs = zip(layout.chunk_shape, layout.shard_chunks, strict=True)
            shards = tuple(chunk * count for chunk, count in pairs)
        wanted.append((layout.shape[1:], layout.chunk_shape, shards))
    stored = [
        (node.array.shape[1:], node.array.chunk_shape, node.array.shard_shape)
        for node in found.levels
        if node.array is not None
    ]
    if stored != wanted:
        raise ResumeError(
            f"{found.owner.folder}: the levels have shapes, chunks and shards {stored}, but would "
            f"be recorded with {wanted}; record into another store"
        )
