"""Resuming a recording: everything a stream must know of the one before.

The store is locked, its shards are finished as by a repair, its settings are read back, and what
is asked for is compared with them. How far each array came is looked for when its plan is made.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aqz_core.errors import ResumeError
from aqz_core.metadata.custom import RESERVED
from aqz_core.metadata.zarr_format import zarr_format
from aqz_core.planning.resume_point import ResumedStore
from aqz_core.reading.extent import level_paths, levels_of
from aqz_core.reading.files import open_files
from aqz_core.reading.stored_settings import differences, stored_settings
from aqz_core.reading.survey import MAX_TEXT_NBYTES, survey
from aqz_core.recovery.changes import changing, lock_files
from aqz_core.recovery.dropped_chunks import drop_chunks
from aqz_core.recovery.planned_repairs import Repairs
from aqz_core.recovery.rebuilding import stored_grids
from aqz_core.recovery.resume_search import find_resume_point
from aqz_core.settings.keys import normalise_key
from aqz_core.settings.paths import without_password
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.stream import validate

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any

    from aqz_core.metadata import Document
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.resume_point import ResumePoint
    from aqz_core.plugins import CodecProvider, Hooks
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node
    from aqz_core.settings.array import ArraySettings
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.lock import StoreLock

__all__ = ["open_resumed_store"]


@dataclass(frozen=True)
class _Recorded:
    """One array or image of the store."""

    owner: Node
    levels: list[Node]
    settings: ArraySettings


@dataclass(frozen=True)
class _Found:
    """The arrays of an earlier recording, as they lie in the store."""

    files: StoredFiles
    recorded: Mapping[str, _Recorded]
    hooks: Hooks
    lock: StoreLock | None
    live: bool

    def resume_point_of(self, plan: ArrayPlan) -> ResumePoint:
        """Find out how far an array came, and drop the rest; see `ResumedStore`."""
        found = self.recorded[plan.key]
        _check_levels(plan, found)
        live = self.live and self.files.is_local
        progress = find_resume_point(
            self.files,
            plan,
            found.owner,
            found.levels,
            self.hooks.codecs(),
            live=live,
        )
        drop_chunks(
            self.files, self.hooks, self.lock, plan, found.levels, progress.keeps, live=live
        )
        return replace(progress, image_attributes=_image_attributes(found.owner))


def open_resumed_store(
    store: str | os.PathLike[str],
    settings: StreamSettings | None,
    hooks: Hooks,
    s3: S3Settings | None = None,
) -> ResumedStore:
    """Lock a store and read what a stream needs to resume it.

    Raises
    ------
    ResumeError, StoreBusyError, SettingsError, StorageError
        As `ZarrStream.resume` says.
    """
    if s3 is None and settings is not None:
        s3 = settings.s3
    files = open_files(store, s3)
    lock = None
    try:
        lock = lock_files(files, hooks)
        return _read(files, settings, hooks, lock)
    except BaseException:
        if lock is not None:
            lock.release()
        files.close()
        raise


def _read(
    files: StoredFiles,
    given: StreamSettings | None,
    hooks: Hooks,
    lock: StoreLock | None,
) -> ResumedStore:
    """Read a store that is locked."""
    providers = hooks.codecs()
    nodes = survey(files)
    files.check_inside()
    repairs = Repairs(files, nodes, providers)
    repairs.plan_files()
    if repairs.damaged:
        first = repairs.damaged[0]
        raise ResumeError(
            f"{files.url}: {first.where}: {first.what} ({len(repairs.damaged)} such findings; "
            "`aqz validate` lists them). Record into another store."
        )
    for name in nodes[0].spills:
        told = files.read_range(name, 0, MAX_TEXT_NBYTES).decode(errors="replace").strip()
        raise ResumeError(
            f"{files.url}: the rest of the recording may be elsewhere: {told} Send that folder "
            f"first, with `aqz upload`; if it is lost, delete the object {name!r} to go on without "
            "it."
        )
    if files.is_local and repairs.is_needed:
        with changing(files, hooks, lock) as changes:
            repairs.apply(changes)
    nodes = survey(files)
    recorded = {one.settings.output_key: one for one in _recordings(nodes)}
    if not recorded:
        raise ResumeError(
            f"{files.url} holds no recording that tells how it was made; only stores recorded by "
            "aqz can be resumed"
        )
    if given is not None:
        recorded = _chosen(files, recorded, given, providers)
    stream = _stream_settings(files, recorded, given)
    validate(stream)
    attributes = {key: _foreign_attributes(one.owner) for key, one in recorded.items()}
    found = _Found(files, recorded, hooks, lock, stream.live)
    return ResumedStore(stream, lock, attributes, found.resume_point_of, files.close)


def _recordings(nodes: list[Node]) -> list[_Recorded]:
    """Return every array and image of a store that carries the state of a recording."""
    found = []
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if "axes" not in node.aqz:
            continue
        levels = levels_of(node, by_name)
        if not levels or (node.array is None and len(levels) != len(level_paths(node))):
            raise ResumeError(
                f"{node.where}: not every array of the image can be read; `aqz validate` says why, "
                "and `aqz repair` makes metadata again where others tell them"
            )
        found.append(_Recorded(node, levels, stored_settings(node.name, node, levels)))
    return found


def _image_attributes(owner: Node) -> Mapping[str, Any] | None:
    """Return the NGFF attributes of an image as they are stored; None for a plain array."""
    if owner.array is not None:
        return None
    return owner.format.image_attributes(owner.attributes)


def _foreign_attributes(owner: Node) -> Document:
    """Return the attributes of a node that are not the stream's."""
    own = owner.format.reserved if owner.array is None else RESERVED
    return {k: v for k, v in owner.attributes.items() if k not in own}


def _chosen(
    files: StoredFiles,
    recorded: dict[str, _Recorded],
    given: StreamSettings,
    providers: Mapping[str, CodecProvider],
) -> dict[str, _Recorded]:
    """Return the recordings that settings ask for, if they agree with them."""
    if given.store_path and not files.is_at(given):
        raise ResumeError(
            f"the settings are for the store {without_password(given.store_path)!r}, not "
            f"for {files.url!r}"
        )
    if given.hcs_plates:
        raise ResumeError(
            "plates are resumed by leaving the settings out: their fields are arrays of the "
            f"store like others; call ZarrStream.resume({files.url!r})"
        )
    chosen = {}
    for array in given.arrays:
        key = normalise_key(array.output_key)
        if key not in recorded:
            known = ", ".join(map(repr, recorded))
            raise ResumeError(f"{files.url} has no recording at {key!r}; it has {known}")
        version = recorded[key].owner.version
        if version is not None and version is not given.version:
            raise ResumeError(
                f"{files.url}: version is {version.name} in the store, {given.version.name} in "
                "the settings"
            )
        found = differences(
            recorded[key].settings,
            array,
            providers,
            sharded=zarr_format(given.version).has_shards,
            root_is_image=given.rules.root_is_image,
        )
        if found:
            raise ResumeError(
                f"{files.url}: array {key!r} was recorded differently: {'; '.join(found)}"
            )
        chosen[key] = recorded[key]
    return chosen


def _stream_settings(
    files: StoredFiles,
    recorded: Mapping[str, _Recorded],
    given: StreamSettings | None,
) -> StreamSettings:
    """Return the settings of the resumed stream."""
    stream = StreamSettings() if given is None else copy.deepcopy(given)
    stream.store_path, stream.s3 = files.settings.store_path, files.settings.s3
    stream.overwrite = False
    # What was given agrees with what is stored, and `extend` compares with it.
    asked = {normalise_key(one.output_key): one for one in stream.arrays}
    stream.arrays = [asked.get(key, one.settings) for key, one in recorded.items()]
    versions = {one.owner.version for one in recorded.values()}
    (version, *others) = (one for one in versions if one is not None)
    if others:
        raise ResumeError(
            f"{files.url}: some arrays are Zarr V2 and some V3; give settings that name those of "
            "one format"
        )
    stream.version = version
    if not files.is_local:
        return stream  # whether shards are live makes no difference there
    live = {bool(one.owner.aqz.get("live", False)) for one in recorded.values()}
    if len(live) > 1:
        raise ResumeError(
            f"{files.url}: some arrays were recorded live and some not; give settings that name "
            "those of one kind"
        )
    (stream.live,) = live
    if given is not None and given.live != stream.live:
        raise ResumeError(
            f"{files.url}: live is {stream.live} in the store, {given.live} in the settings"
        )
    return stream


def _check_levels(plan: ArrayPlan, found: _Recorded) -> None:
    """Raise if the arrays of an image are not those that its settings come to."""
    wanted = stored_grids(plan)
    stored = [
        (node.array.shape[1:], node.array.chunk_shape, node.array.shard_shape)
        for node in found.levels
        if node.array is not None
    ]
    if stored != wanted:
        raise ResumeError(
            f"{found.owner.where}: the levels have shapes, chunks and shards {stored}, but would "
            f"be recorded with {wanted}; record into another store"
        )
