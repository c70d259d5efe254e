"""Per-frame metadata: one line of JSON for each frame, added while the recording runs.

The log lies in the directory of the full-resolution array, where Zarr readers do not look, so that
it costs the same for every frame and no metadata file ever grows with the recording. A line is an
object with ``index``, the frame's leading storage index, and ``metadata``, what the user gave.
Where frames are left out or come by index, lines with ``appended`` or ``skipped`` tell of others by
their numbers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from aqz_core.errors import MetadataError, StorageError
from aqz_core.metadata import parse_custom_metadata
from aqz_core.plans import join

if TYPE_CHECKING:
    import os

    from aqz_core.recovery.stored_files import StoredFiles
    from aqz_core.settings import S3Settings
    from aqz_core.sinks import Sink

__all__ = ["LOG_NAME", "FrameLog", "logged_indices", "read_entries", "read_frame_metadata"]

LOG_NAME = "aqz.frames.jsonl"


class FrameLog:
    """Collects lines and adds them to the log a few times a second.

    Parameters
    ----------
    sink
        The store.
    name
        The log's name in it.
    """

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        self._written = False

    @staticmethod
    def check(metadata: object) -> dict[str, Any] | None:
        """Return a frame's metadata as plain JSON values.

        Raises
        ------
        MetadataError
            They are no mapping, or hold what JSON cannot.
        """
        if metadata is None:
            return None
        if not isinstance(metadata, Mapping):
            raise MetadataError(
                f"the metadata of a frame must be a mapping, not {type(metadata).__name__}"
            )
        return parse_custom_metadata(metadata, reserved=())

    def add(self, index: tuple[int, ...], metadata: dict[str, Any] | None) -> None:
        """Take the line of one frame."""
        line: dict[str, Any] = {"index": index}
        if metadata:
            line["metadata"] = metadata
        text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)
        with self._lock:
            self._lines.append(text)

    def add_appended(self, frames: int) -> None:
        """Take note that so many frames had come in order when one came by index."""
        with self._lock:
            self._lines.append(f'{{"appended":{frames}}}')

    def add_skipped(self, first: int, stop: int) -> None:
        """Take note that frames were left out, by their numbers in the order of arrival."""
        with self._lock:
            self._lines.append(f'{{"skipped":[{first},{stop}]}}')

    def write(self) -> None:
        """Store the lines taken since the last time; who adds one meanwhile does not wait."""
        with self._storing:
            with self._lock:
                lines, self._lines = self._lines, []
            if not lines:
                return
            try:
                self._sink.append(self._name, ("\n".join(lines) + "\n").encode())
            except BaseException:
                with self._lock:
                    self._lines[:0] = lines
                raise
            self._written = True

    def commit(self) -> None:
        """Store the lines, and return when they would survive a loss of power."""
        self.write()
        if self._written:
            self._sink.commit([self._name])


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
        of it. A frame that was replaced is listed once, as it is now.

    Raises
    ------
    StorageError
        There is no array of that key, or the store cannot be read.
    SettingsError
        The store cannot be reached like that.
    """
    from aqz_core.recovery.stored_files import open_files

    files = open_files(store, s3)
    try:
        for candidate in (join(key.strip("/"), "0"), key.strip("/")):
            names = _axis_names(files, candidate)
            if names is not None:
                rows = {}
                for index, metadata in _lines(files, join(candidate, LOG_NAME)):
                    rows[index] = {**dict(zip(names, index, strict=False)), **metadata}
                return list(rows.values())
    finally:
        files.close()
    raise StorageError(f"{store} has no array at {key!r}; its keys are names of arrays or images")


def logged_indices(
    files: StoredFiles, log: str, lead_of: Callable[[int], tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return the leading storage indices of the frames that a log tells of.

    Parameters
    ----------
    files, log
        The store, and the log's name in it.
    lead_of
        The leading storage index of a frame given by its number in the order of arrival.
    """
    indices: dict[tuple[int, ...], None] = {}
    for entry in read_entries(files, log):
        try:
            if "index" in entry:
                indices[tuple(entry["index"])] = None
            elif "appended" in entry:
                indices |= dict.fromkeys(map(lead_of, range(entry["appended"])))
        except TypeError:
            continue
    return list(indices)


def _lines(files: StoredFiles, log: str) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield what a log tells of single frames."""
    for entry in read_entries(files, log):
        try:
            yield tuple(entry["index"]), entry.get("metadata", {})
        except (KeyError, TypeError):
            continue


def read_entries(files: StoredFiles, log: str) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a log; the last one may be cut off by a crash."""
    for line in BytesIO(files.read(log) or b""):
        if not line.endswith(b"\n"):
            return
        try:
            entry = json.loads(line.decode(errors="replace"))
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def _axis_names(files: StoredFiles, folder: str) -> list[str] | None:
    """Return the names of an array's axes, or None if there is no array."""
    try:
        document = json.loads(files.read(join(folder, "zarr.json")) or b"")
        if document.get("node_type") != "array":
            return None
        names = document.get("dimension_names") or []
        return [name or f"axis{number}" for number, name in enumerate(names)]
    except (ValueError, AttributeError):
        pass
    try:
        rank = len(json.loads(files.read(join(folder, ".zarray")) or b"")["shape"])
    except (ValueError, KeyError, TypeError):
        return None
    return [f"axis{number}" for number in range(rank)]
