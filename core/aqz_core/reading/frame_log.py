"""Reading the log of frames: which frames it tells of, and their metadata.

Lines that a crash cut off or something damaged are passed over. Numbers are those of the order of
arrival, counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import AqzError, StorageError, UnknownArrayError
from aqz_core.reading.json_documents import parse_json
from aqz_core.settings.checks import check_key_text
from aqz_core.settings.keys import join, normalise_key
from aqz_core.storage.names import LOG_NAME, MAX_DOCUMENT_NBYTES, NODES

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
    """

    recorded: Flags
    skipped: Flags
    flushed: Flags
    lost: Flags


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
    found = LoggedFrames(*(np.zeros(size, bool) for _ in range(4)))
    for kind, first, stop in told:
        frames = slice(first, stop)
        if kind == "index":
            found.recorded[frames] = True
            found.skipped[frames] = found.lost[frames] = False
        elif kind == "appended":
            found.recorded[frames] |= ~found.skipped[frames]
        elif kind == "flushed":
            found.flushed[:] |= found.recorded
        else:
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
    from aqz_core.reading.files import open_files
    from aqz_core.reading.survey import survey

    check_key_text(key)
    files = open_files(store, s3)
    try:
        name = normalise_key(key)
        for folder in (name, _first_level(files, name)):
            if folder is None or (names := _axis_names(files, name, folder)) is None:
                continue
            rows = {}
            for index, metadata in frame_rows(files, join(folder, LOG_NAME)):
                rows[index] = _row(names, index, metadata)
            return list(rows.values())
        if all(files.size(node) is None for node in NODES):
            raise StorageError(f"{files.url}: there is no Zarr store; is it the path of one?")
        known = ", ".join(repr(node.name) for node in survey(files) if "axes" in node.aqz)
        raise UnknownArrayError(
            f"{files.url} has no array at {key!r}; it has {known or 'none that aqz recorded'}"
        )
    except AqzError:
        raise
    except OSError as error:
        raise StorageError(
            error.errno, f"{files.url}: cannot be read: {error.strerror or error}"
        ) from error
    finally:
        files.close()


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
    """Yield what a log tells of single frames, by storage index."""
    for entry in _entries(files, log):
        try:
            index, metadata = tuple(entry["index"]), entry.get("metadata", {})
        except (KeyError, TypeError):
            continue
        if isinstance(metadata, dict):
            yield index, metadata


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


def _document(files: StoredFiles, name: str) -> Any:
    """Return a JSON document of the store; `ValueError` if there is none that can be read."""
    size = files.size(name)
    if size is None or size > MAX_DOCUMENT_NBYTES:
        raise ValueError(f"{name} is missing or too large")
    return parse_json(files.read(name) or b"")


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


def _first_level(files: StoredFiles, image: str) -> str | None:
    """Return the folder of an image's full-resolution array; None if it is not an image."""
    for document in ("zarr.json", ".zattrs"):
        try:
            found = _document(files, join(image, document))
            attributes = found if document == ".zattrs" else found["attributes"]["ome"]
            path = PurePosixPath(attributes["multiscales"][0]["datasets"][0]["path"])
        except (ValueError, LookupError, TypeError):
            continue
        if not path.is_absolute() and ".." not in path.parts:
            return join(image, path.as_posix())
    return None


def _axis_names(files: StoredFiles, image: str, folder: str) -> list[str] | None:
    """Return the names of the axes of an image's, or its own, array; None if there is none."""
    try:
        document = _document(files, join(folder, "zarr.json"))
        if document.get("node_type") != "array":
            return None
        names = document.get("dimension_names") or []
        return [name or f"axis{number}" for number, name in enumerate(names)]
    except (ValueError, AttributeError):
        pass
    try:
        rank = len(_document(files, join(folder, ".zarray"))["shape"])
    except (ValueError, KeyError, TypeError):
        return None
    return _names_of_v2(files, image, rank) or [f"axis{number}" for number in range(rank)]


def _names_of_v2(files: StoredFiles, image: str, rank: int) -> list[str] | None:
    """Return the names of the axes of a Zarr V2 array: those of the image, or of the recording."""
    try:
        attributes = _document(files, join(image, ".zattrs"))
        if "multiscales" in attributes:
            axes = attributes["multiscales"][0]["axes"]
        else:
            axes = attributes["aqz"]["axes"]
        names = [str(axis["name"]) for axis in axes]
        if "multiscales" not in attributes:
            names = [str(name) for name in attributes["aqz"].get("storage_order") or names]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return names if len(names) == rank else None
