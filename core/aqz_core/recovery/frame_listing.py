"""Which frames of a recording are stored and which are missing, read from the store alone.

There are three sources: the attribute ``aqz`` says how many frames came in order; the log of frames
says which came by index and which were skipped; and where a recording ended early, frames of the
log count only if their chunks are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from aqz_core.errors import ResumeError, StorageError, UnknownArrayError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.extent import first_level
from aqz_core.reading.files import open_files
from aqz_core.reading.frame_record import impossible_length, impossible_record, read_record
from aqz_core.reading.planes import StoredPlanes
from aqz_core.reading.survey import survey
from aqz_core.recovery.missing_chunks import lost_frames
from aqz_core.settings.checks import check_key_text
from aqz_core.settings.keys import normalise_key

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.frame_record import Flags, FrameRecord
    from aqz_core.reading.node import Node
    from aqz_core.settings.s3 import S3Settings

__all__ = ["FrameList", "list_frames", "listed", "missing_frames", "stored_frames"]

Index = tuple[int, ...]

_MOST_LISTED = 2**22
"""Missing frames that are listed: each takes some hundred bytes of memory."""


@dataclass(frozen=True, slots=True)
class FrameList:
    """The frames of one array.

    Attributes
    ----------
    axes : tuple of str
        Names of the axes in front of the frame's own, in the order in which frames arrive.
    written : tuple of tuple of int
        Indices of the frames that are stored, in the order of arrival.
    missing : tuple of tuple of int
        Indices inside of the recorded extent that have no frame; they read as the fill value.
    """

    axes: tuple[str, ...]
    written: tuple[Index, ...]
    missing: tuple[Index, ...]


def missing_frames(
    store: str | os.PathLike[str],
    key: str = "",
    *,
    s3: S3Settings | None = None,
    plugins: Iterable[object] = (),
) -> list[dict[str, int]]:
    """List the frames that a recording lacks: skipped, never written, or lost since.

    Parameters
    ----------
    store : str or os.PathLike
        The store: a path or a URL. Its recording may go on or be finished.
    key : str
        The array's key.
    s3 : S3Settings, optional
        How to reach a bucket. With it, `store` may be a path in the bucket.
    plugins : iterable of object
        Plug-ins that offer further codecs.

    Returns
    -------
    list of dict
        The index of each by axis name, in the order of arrival, as `ZarrStream.write` takes it.

    Raises
    ------
    UnknownArrayError
        The store has no array of that key that aqz recorded.
    StorageError
        There is no such store, or it cannot be read.
    SettingsError
        The store cannot be reached like that.

    Examples
    --------
    >>> with ZarrStream.resume("out.zarr") as stream:  # doctest: +SKIP
    ...     for index in missing_frames("out.zarr"):
    ...         stream.write(acquire(**index), index)
    """
    found = list_frames(store, key, s3=s3, plugins=plugins)
    return [dict(zip(found.axes, index, strict=True)) for index in found.missing]


def list_frames(
    store: str | os.PathLike[str],
    key: str = "",
    *,
    s3: S3Settings | None = None,
    plugins: Iterable[object] = (),
) -> FrameList:
    """List the frames that a recording has, and those that it lacks.

    Parameters, errors: as `missing_frames`.

    Returns
    -------
    FrameList
        Both, as far as the array reaches by now. While a recording goes on, and after one that
        ended early, only frames count that are certainly stored. Frames whose chunks are gone are
        missing.
    """
    providers = create_plugin_manager(plugins).codecs()
    check_key_text(key)
    files = open_files(store, s3)
    try:
        idle = not files.is_written()
        nodes = {node.name: node for node in survey(files)}
        owner = nodes.get(normalise_key(key))
        if owner is None or "axes" not in owner.aqz:
            known = ", ".join(repr(one.name) for one in nodes.values() if "axes" in one.aqz)
            raise UnknownArrayError(
                f"{files.url} has no array at {key!r} that aqz recorded; it has {known or 'none'}"
            )
        base = first_level(owner, nodes)
        if base is None or base.array is None:
            raise StorageError(
                f"{owner.where}: the metadata of its full-resolution array cannot be read; `aqz "
                "validate` says why"
            )
        return listed(files, owner, base, providers, idle=idle)
    except ResumeError as error:  # of the planes that are looked at
        raise StorageError(str(error)) from error
    finally:
        files.close()


def listed(
    files: StoredFiles,
    owner: Node,
    base: Node,
    providers: Mapping[str, CodecProvider],
    *,
    idle: bool,
) -> FrameList:
    """List the frames of an array; `idle` where nobody wrote it when it was listed."""
    assert base.array is not None
    record, written = stored_frames(files, owner, base, providers, idle=idle)
    absent = written.size - int(written.sum())
    if absent > _MOST_LISTED:
        raise StorageError(
            f"{owner.where}: {absent:,} of {written.size:,} frames are missing, and no more than "
            f"{_MOST_LISTED:,} are listed; can the shape {base.array.shape} be right? `aqz "
            "validate` shows what is damaged"
        )
    every = list(product(*map(range, record.shape)))
    return FrameList(
        record.axes,
        tuple(index for index, there in zip(every, written, strict=True) if there),
        tuple(index for index, there in zip(every, written, strict=True) if not there),
    )


def stored_frames(
    files: StoredFiles,
    owner: Node,
    base: Node,
    providers: Mapping[str, CodecProvider],
    *,
    idle: bool,
) -> tuple[FrameRecord, Flags]:
    """Return what is on record about an array, and which frames are stored, by number.

    Parameters, errors: as `listed`.
    """
    assert base.array is not None
    idle = idle and files.is_local and not files.is_written()
    problem = impossible_record(owner) or impossible_length(owner, base, idle=idle)
    if problem:
        raise StorageError(f"{owner.where}: {problem}; `aqz validate` shows what else is damaged")
    record = read_record(files, owner, base)
    written = record.numbered(record.planes())  # no reader sees what lies behind the end
    if record.proves(idle=idle) and (record.axes or record.closed):
        return record, written & ~lost_frames(record, files, base)
    if not record.closed and not (record.in_order and record.axes):
        planes = StoredPlanes(files, base, providers)
        # Nothing counts the frame of a single image before it is closed.
        asked = written if record.axes else np.ones(1, bool)
        written = np.zeros_like(asked)
        for number in map(int, np.flatnonzero(asked)):
            lead = record.router.lead(number)
            written[number] = planes.is_stored(lead, certain=bool(record.flushed[number]))
    return record, written
