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
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aqz_core.errors import MetadataError
from aqz_core.metadata import parse_custom_metadata

if TYPE_CHECKING:
    from aqz_core.storage.sink import Sink

__all__ = ["FrameLog"]


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

    def add_appended(self, frames: int) -> None:
        """Take note that so many frames had come in order when one came by index."""
        self.add(f'{{"appended":{frames}}}')

    def add_skipped(self, first: int, stop: int) -> None:
        """Take note that frames were left out, by their numbers in the order of arrival."""
        self.add(f'{{"skipped":[{first},{stop}]}}')

    def add_lost(self, frames: Iterable[int]) -> None:
        """Take note that frames of an earlier recording are not there, by ascending numbers."""
        runs: list[list[int]] = []
        for number in frames:
            if runs and runs[-1][1] == number:
                runs[-1][1] = number + 1
            else:
                runs.append([number, number + 1])
        self._lines += [f'{{"lost":[{first},{stop}]}}' for first, stop in runs]

    def add_flushed(self) -> None:
        """Take note that every frame of which a line told is stored."""
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
