"""Finishing a store whose recording ended before it was closed.

A repair only adds: a missing index behind the chunks of a shard, the length that stored chunks
reach to the metadata, metadata files that are gone and follow from others. It removes nothing but
files without a pixel in them. Every step leaves the store at least as readable as before, so a
repair that is interrupted can simply be run again: indexes first, metadata that point to them last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.files import open_files
from aqz_core.reading.survey import survey
from aqz_core.recovery.changes import changing, locked
from aqz_core.recovery.frame_counts import count_frames
from aqz_core.recovery.planned_repairs import Repairs
from aqz_core.recovery.rebuilding import rebuild
from aqz_core.recovery.report import RepairReport, Severity

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from aqz_core.plugins import Hooks
    from aqz_core.reading.files import StoredFiles
    from aqz_core.settings.s3 import S3Settings

__all__ = ["repair_store"]


def repair_store(
    store: str | os.PathLike[str],
    *,
    s3: S3Settings | None = None,
    apply: bool = False,
    abort_uploads: bool = False,
    plugins: Iterable[object] = (),
) -> RepairReport:
    """Bring a store into the form that a finished recording has.

    Parameters
    ----------
    store : str or os.PathLike
        Its directory or URL; with `s3`, it may be a path in the bucket. Nothing tells whether
        another machine, or another user, records to an object store: make sure of it.
    s3 : S3Settings, optional
        How to reach a bucket, as for `StreamSettings`.
    apply : bool, default False
        Make the changes; without it they are only listed.
    abort_uploads : bool, default False
        Also throw away what was uploaded of objects that were never completed. No reader sees
        it, but it takes room in the bucket.
    plugins : iterable of object
        Plug-ins that offer further codecs.

    Returns
    -------
    RepairReport
        The changes, and what cannot be repaired.

    Raises
    ------
    StoreBusyError
        A stream writes the store at this moment; to an object store, one of this machine.
    SettingsError
        The place cannot be reached: wrong credentials, no such bucket, no permission to write.
    StorageError
        There is no such store, or a change could not be made.
    """
    hooks = create_plugin_manager(plugins)
    files = open_files(store, s3)
    try:
        if not apply:
            repairs = _planned(files, hooks, abort_uploads)
            try:
                files.check_inside()
            except StorageError as error:
                repairs.find(Severity.ERROR, "", str(error))
            if files.is_written():
                what = "is being recorded now; wait until it is closed"
                repairs.find(Severity.WARNING, "", what)
            return repairs.report(applied=False)
        with locked(files, hooks) as lock:
            repairs = _planned(files, hooks, abort_uploads)
            files.check_inside()
            if repairs.is_needed:
                with changing(files, hooks, lock) as changes:
                    repairs.apply(changes)
                    count_frames(files, repairs.ended, hooks.codecs(), changes)
            return repairs.report(applied=True)
    finally:
        files.close()


def _planned(files: StoredFiles, hooks: Hooks, abort_uploads: bool) -> Repairs:
    """Find out everything that is to be done."""
    nodes = survey(files)
    rebuilt = rebuild(files, nodes, hooks)
    if rebuilt.documents:
        nodes = survey(files, rebuilt.documents)
    repairs = Repairs(files, nodes, hooks.codecs(), rebuilt.documents)
    for name, what in rebuilt.impossible.items():
        repairs.find(Severity.ERROR, name, what)
    repairs.plan(told=rebuilt.impossible)
    repairs.plan_uploads(abort=abort_uploads)
    return repairs
