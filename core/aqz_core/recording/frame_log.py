"""Per-frame metadata: one line of JSON for each frame, added while the recording runs.

The log lies in the directory of the full-resolution array, where Zarr readers do not look, so that
it costs the same for every frame and no metadata file ever grows with the recording. A line is an
object with ``index``, the frame's storage index, and ``metadata``, what the user gave.
Where frames are left out or come by index, lines with ``appended``, ``skipped`` or ``lost`` tell of
others by their numbers, and ``flushed`` says that all of them are stored. `reading.frame_log` reads
them.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import MetadataError
from aqz_core.metadata import parse_custom_metadata
from aqz_core.metadata.custom import MAX_DEPTH

if TYPE_CHECKING:
    from aqz_core.storage.sink import Sink

__all__ = ["FrameLog"]

_log = logging.getLogger("aqz")


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
        self._lines: deque[str] = deque()
        self._storing = threading.Lock()
        self._written = False
        self._told: set[str] = set()

    def check(self, metadata: object) -> dict[str, Any] | None:
        """Return a frame's metadata as plain JSON values.

        NaN and infinities, which sensors send where they have no value, become null: a frame is
        not given up for them. The log says which, once for each.

        Raises
        ------
        MetadataError
            They are not a mapping, or hold something else that JSON cannot.
        """
        if metadata is None:
            return None
        if not isinstance(metadata, Mapping):
            raise MetadataError(
                f"the metadata of a frame must be a mapping, not {type(metadata).__name__}; the "
                "frame was not recorded"
            )
        try:
            return parse_custom_metadata(metadata, reserved=())
        except MetadataError as error:
            missing: dict[str, float] = {}
            finite = _without_nan(metadata, "", missing)
            if not missing:
                message = str(error).replace("custom metadata", "metadata of a frame", 1)
                raise MetadataError(f"{message}. The frame was not recorded.") from None
        self._tell(missing)
        return self.check(finite)

    def _tell(self, missing: Mapping[str, float]) -> None:
        """Say once of each name that it came with a value which is stored as null."""
        for path, value in missing.items():
            if path not in self._told:
                self._told.add(path)
                _log.warning(
                    "metadata of a frame: %r is %s, which JSON cannot hold; it is stored as null "
                    "(said once)",
                    path,
                    value,
                )

    @staticmethod
    def line(index: tuple[int, ...], metadata: dict[str, Any] | None) -> str:
        """Return the line of one frame."""
        line: dict[str, Any] = {"index": index}
        if metadata:
            line["metadata"] = metadata
        return json.dumps(line, separators=(",", ":"), ensure_ascii=False)

    def add(self, line: str) -> None:
        """Take a line; one call into C, which happens or does not."""
        self._lines.append(line)

    def add_appended(self, frames: int, certain: int = 0) -> None:
        """Note how many frames had come in order when one came by index, and were stored."""
        if certain:
            self.add(f'{{"appended":{certain}}}')
            self.add_flushed()
        self.add(f'{{"appended":{frames}}}')

    def add_skipped(self, first: int, stop: int) -> None:
        """Note that frames were left out, by their numbers in the order of arrival."""
        self.add(f'{{"skipped":[{first},{stop}]}}')

    def add_lost(self, frames: Iterable[int]) -> None:
        """Note that frames of an earlier recording are not there, by ascending numbers."""
        runs: list[list[int]] = []
        for number in frames:
            if runs and runs[-1][1] == number:
                runs[-1][1] = number + 1
            else:
                runs.append([number, number + 1])
        self._lines += [f'{{"lost":[{first},{stop}]}}' for first, stop in runs]

    def add_resumed(self, first: int) -> None:
        """Note that frames from a number on are taken anew, whatever earlier lines tell of them."""
        self.add(f'{{"resumed":{first}}}')

    def add_flushed(self) -> None:
        """Note that every frame of which a line told is stored."""
        self._lines.append('{"flushed":true}')

    def write(self) -> None:
        """Store the lines taken since the last time; who adds one meanwhile does not wait."""
        with self._storing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if not lines:
                return
            try:
                self._sink.append(self._name, ("\n".join(lines) + "\n").encode())
            except BaseException:
                self._lines.extendleft(reversed(lines))
                raise
            self._written = True

    def commit(self) -> None:
        """Store the lines, and return when they would survive a loss of power."""
        self.write()
        if self._written:
            self._sink.commit([self._name])


def _without_nan(value: Any, path: str, missing: dict[str, float], depth: int = 0) -> Any:
    """Return metadata with None for numbers that JSON lacks; note these by their place."""
    if isinstance(value, np.ndarray | np.floating):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        missing[path] = value
        return None
    if depth == MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {
            key: _without_nan(item, _member(path, key), missing, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _without_nan(item, f"{path}[{place}]", missing, depth + 1)
            for place, item in enumerate(value)
        ]
    return value


def _member(path: str, key: object) -> str:
    """Return the place of an object's member, for messages."""
    name = key if isinstance(key, str) else type(key).__name__
    return f"{path}.{name}" if path else name
