"""Reading the log of frames: which frames it lists, and their metadata.

Lines that a crash cut off or something damaged are passed over. Numbers are those of the order of
arrival, counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import AqzError, StorageError, UnknownArrayError
from aqz_core.reading.extent import axis_names, level_names
from aqz_core.reading.files import open_files
from aqz_core.reading.json_documents import parse_json
from aqz_core.reading.node import find_node
from aqz_core.reading.survey import survey
from aqz_core.settings.checks import check_key_text
from aqz_core.settings.keys import join, normalise_key
from aqz_core.storage.names import LOG_NAME

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from aqz_core.planning.frame_order import FrameRouter
    from aqz_core.reading.files import StoredFiles
    from aqz_core.settings.s3 import S3Settings

__all__ = ["LoggedFrames", "frame_rows", "log_lines", "logged_frames", "read_frame_metadata"]

Flags = npt.NDArray[np.bool_]

_BLOCK_NBYTES = 4 << 20
_MAX_LINE_NBYTES = 16 << 20
"""No line of a log is longer; what is longer is damage, or a trap for memory."""


@dataclass(frozen=True)
class LoggedFrames:
    """What a log says of the frames of one array, by number, each of shape (frames,).

    Attributes
    ----------
    recorded
        Frames that came, and of which nothing says that they were lost since.
    skipped
        Frames that were left out.
    flushed
        Frames that were stored when a flush of recordings by index ended.
    lost
        Frames that came and that a later recording did not find.
    damaged
        Those of them that had been flushed: all their chunks were there once.
    reached
        Number behind the last frame that was left out, even if it came later.
    """

    recorded: Flags
    skipped: Flags
    flushed: Flags
    lost: Flags
    damaged: Flags
    reached: int


def logged_frames(
    files: StoredFiles, log: str | None, router: FrameRouter, most: int
) -> LoggedFrames:
    """Return what a log says of frames, by their numbers.

    Parameters
    ----------
    files, log
        The store, and the log's name in it; None if there is no log.
    router
        Of the array; what is outside of its index axes is passed over.
    most
        As many frames as the store can have; memory is used for no more.

    Raises
    ------
    StorageError
        The log says something of more frames.
    """
    told = [] if log is None else list(_told_frames(files, log, router))
    size = max((stop for _, _, stop in told), default=0)
    if size > most:
        raise StorageError(
            f"{join(files.url, log or '')}: a line is about frame {size - 1:,}, but what is stored "
            f"has room for {most:,} frames at most; `aqz validate` shows what is damaged"
        )
    reached = 0
    for kind, first, stop in told:
        if kind == "skipped":
            reached = max(reached, stop)
        elif kind == "resumed":
            reached = min(reached, first)
    recorded, skipped, flushed, lost, damaged = np.zeros((5, size), bool)
    found = LoggedFrames(recorded, skipped, flushed, lost, damaged, reached)
    for kind, first, stop in told:
        frames = slice(first, stop)
        if kind == "index":
            found.recorded[frames] = True
            found.skipped[frames] = found.lost[frames] = found.damaged[frames] = False
        elif kind == "appended":
            found.recorded[frames] |= ~found.skipped[frames]
        elif kind == "resumed":  # earlier lines ran ahead of what was stored
            for flags in (found.recorded, found.skipped, found.flushed, found.lost, found.damaged):
                flags[first:] = False
        elif kind == "flushed":
            found.flushed[:] |= found.recorded
        else:
            found.damaged[frames] = found.flushed[frames] if kind == "lost" else False
            found.recorded[frames] = found.flushed[frames] = False
            (found.skipped if kind == "skipped" else found.lost)[frames] = True
    return found


def _told_frames(
    files: StoredFiles, log: str, router: FrameRouter
) -> Iterator[tuple[str, int, int]]:
    """Yield what each line of a log says, and the first and the last frame, excluded, it is of."""
    for entry in _entries(files, log):
        if "index" in entry:
            if (index := router.arrived(entry["index"])) is not None:
                number = router.number(index)
                yield "index", number, number + 1
        elif "flushed" in entry:
            yield "flushed", 0, 0
        elif type(first := entry.get("resumed")) is int and first >= 0:
            yield "resumed", first, 0
        else:
            for kind in entry.keys() & {"appended", "skipped", "lost"}:
                pair = [0, entry[kind]] if kind == "appended" else entry[kind]
                yield kind, *_frames_of(pair, router.limit)


def _frames_of(pair: Any, limit: int | None) -> tuple[int, int]:
    """Return the frame numbers between the two of a line; none if those are not numbers."""
    if not isinstance(pair, list) or [type(number) for number in pair] != [int, int]:
        return 0, 0
    first, stop = pair
    stop = stop if limit is None else min(stop, limit)
    return (first, stop) if 0 <= first < stop else (0, 0)


def read_frame_metadata(
    store: str | os.PathLike[str], key: str = "", *, s3: S3Settings | None = None
) -> list[dict[str, Any]]:
    """Read the metadata of the frames of an array, finished or still recording.

    Parameters
    ----------
    store : str or os.PathLike
        The store: a path or a URL.
    key : str
        The array's key.
    s3 : S3Settings, optional
        How to reach a bucket. With it, `store` may be a path in the bucket.

    Returns
    -------
    list of dict
        One for each frame that was given metadata or written by index, in the order of arrival:
        the frame's index by axis name, and its metadata. ``pandas.DataFrame(...)`` makes a table
        of it. A frame that was replaced is listed once, as it is now. Metadata that are named like
        an axis of the index, ``t``, are found under ``metadata.t``: under ``t`` is the index.

    Raises
    ------
    UnknownArrayError
        The store has no array of that key.
    StorageError
        There is no store, or it cannot be read.
    SettingsError
        The store cannot be reached like that.
    """
    check_key_text(key)
    files = open_files(store, s3)
    try:
        owner = find_node(files, normalise_key(key))
        base = owner
        if owner.array is None and (name := next(iter(level_names(owner)), None)) is not None:
            base = find_node(files, name)
        if base.array is None:
            raise _no_array(files, key)
        names = [name or f"axis{n}" for n, name in enumerate(axis_names(owner, base.array))]
        rows = {}
        for index, metadata in frame_rows(files, join(base.name, LOG_NAME)):
            rows[index] = _row(names, index, metadata)
        return list(rows.values())
    finally:
        files.close()


def _no_array(files: StoredFiles, key: str) -> AqzError:
    """Return the error of a key at which there is no array."""
    nodes = survey(files)
    if not nodes[0].has_metadata:
        return StorageError(f"{files.url}: there is no Zarr store; is it the path of one?")
    known = ", ".join(repr(node.name) for node in nodes if "axes" in node.aqz)
    return UnknownArrayError(
        f"{files.url} has no array at {key!r}; it has {known or 'none that aqz recorded'}"
    )


def _row(names: list[str], index: tuple[int, ...], metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the index by axis name and the metadata, none of which takes another's place."""
    row: dict[str, Any] = dict(zip(names, index, strict=False))
    moved = {}
    for key, value in metadata.items():
        if key in row:
            moved[key] = value
        else:
            row[key] = value
    for key, value in moved.items():
        name = f"metadata.{key}"
        while name in row:
            name = f"metadata.{name}"
        row[name] = value
    return row


def frame_rows(files: StoredFiles, log: str) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield what a log says of single frames, by storage index."""
    for entry in _entries(files, log):
        index, metadata = entry.get("index"), entry.get("metadata", {})
        if not isinstance(index, list) or not isinstance(metadata, dict):
            continue
        if all(type(k) is int for k in index):
            yield tuple(index), metadata


def _entries(files: StoredFiles, log: str) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a log; the last one may be cut off by a crash."""
    for line in log_lines(files, log):
        if not line.endswith(b"\n"):
            continue
        try:
            entry = parse_json(line.decode(errors="replace"))
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def log_lines(files: StoredFiles, log: str) -> Iterator[bytes]:
    """Yield the lines of a log, little by little; of one that is too long, its beginning.

    A line without its end was cut off, or is longer than any that is written.
    """
    size = files.size(log) or 0
    rest = b""
    for start in range(0, size, _BLOCK_NBYTES):
        *lines, rest = (rest + files.read_range(log, start, _BLOCK_NBYTES)).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(rest) > _MAX_LINE_NBYTES:
            yield rest
            return
    if rest:
        yield rest
