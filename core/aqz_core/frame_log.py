"""Per-frame metadata: one line of JSON for each frame, added while the recording runs.

The log lies in the directory of the full-resolution array, where Zarr readers do not look, so that
it costs the same for every frame and no metadata file ever grows with the recording. A line is an
object with ``index``, the frame's leading storage index, and ``metadata``, what the user gave.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
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

__all__ = ["LOG_NAME", "FrameLog", "logged_indices", "read_frame_metadata"]

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

    def write(self) -> None:
        """Store the lines taken since the last time."""
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                self._sink.append(self._name, ("\n".join(lines) + "\n").encode())
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


def logged_indices(files: StoredFiles, log: str) -> list[tuple[int, ...]]:
    """Return the leading storage indices in a log, in the order in which they were written."""
    return [index for index, _ in _lines(files, log)]


def _lines(files: StoredFiles, log: str) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Yield the complete lines of a log; the last one may be cut off by a crash."""
    for line in BytesIO(files.read(log) or b""):
        if not line.endswith(b"\n"):
            return
        try:
            entry = json.loads(line.decode(errors="replace"))
            yield tuple(entry["index"]), entry.get("metadata", {})
        except (ValueError, KeyError, TypeError):
            continue


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
