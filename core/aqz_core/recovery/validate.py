"""Checking a store: metadata, the index and checksum of every shard, every chunk's codecs.

Reads only. Shares the parsing of metadata with the reader and the codecs with the writer, but
nothing with the code that laid the bytes out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.chunks import (
    ChunkDecoder,
    has_checksum,
)
from aqz_core.reading.files import UnreadableFileError, open_files
from aqz_core.reading.frame_log import log_lines
from aqz_core.reading.frame_record import (
    FrameRecord,
    impossible_length,
    impossible_record,
    read_record,
)
from aqz_core.reading.json_documents import parse_json
from aqz_core.reading.survey import MAX_TEXT_NBYTES, survey
from aqz_core.recovery.file_checks import FileChecker
from aqz_core.recovery.missing_chunks import lost_chunks, missing_levels, recorded_levels
from aqz_core.recovery.report import (
    ArraySummary,
    Finding,
    Severity,
    ValidationReport,
    malformed_ome,
)
from aqz_core.settings.keys import join

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.settings.s3 import S3Settings

__all__ = ["validate_store"]


def validate_store(
    store: str | os.PathLike[str],
    *,
    s3: S3Settings | None = None,
    decode: bool = True,
    plugins: Iterable[object] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> ValidationReport:
    """Check a store on a filesystem or in an object store.

    Parameters
    ----------
    store : str or os.PathLike
        Its directory or URL; with `s3`, it may be a path in the bucket.
    s3 : S3Settings, optional
        How to reach a bucket, as for `StreamSettings`.
    decode : bool, default True
        Undo the codecs of every chunk, too, not only check indexes.
    plugins : iterable of object
        Plug-ins that offer further codecs.
    on_progress : callable, optional
        Called with the bytes checked and the bytes there are.

    Returns
    -------
    ValidationReport
        Damage found is in it, and never raised.

    Raises
    ------
    SettingsError
        The place cannot be reached: wrong credentials, no such bucket, no such scheme.
    StorageError
        There is no such store, it cannot be listed, or a service stopped answering.
    """
    files = open_files(store, s3)
    try:
        checker = _Checker(files, create_plugin_manager(plugins).codecs(), decode, on_progress)
        return checker.check_store()
    finally:
        files.close()


def _overall_state(states: list[str], *, recorded_now: bool) -> str | None:
    """Return the state of a store from those of its nodes, the least finished first."""
    if not states:
        return None
    if "recording" in states:
        return "recording" if recorded_now else "interrupted"
    return "interrupted" if "interrupted" in states else states[0]


class _Checker:
    """Collects findings while it goes through a store."""

    def __init__(
        self,
        files: StoredFiles,
        providers: Mapping[str, CodecProvider],
        decode: bool,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.findings: list[Finding] = []
        self.arrays: list[ArraySummary] = []
        self._files = files
        self._nodes: dict[str, Node] = {}
        self._above: set[str] = set()
        self._recorded: dict[str, tuple[Node, Node]] = {}
        self._records: dict[str, FrameRecord] = {}
        self._providers = providers
        self._decode = decode
        self._on_progress = on_progress
        self._done = self._total = 0
        self._idle = False

    def check_store(self) -> ValidationReport:
        """Check everything."""
        self._idle = self._files.is_local and not self._files.is_written()
        nodes = survey(self._files)
        self._nodes = {node.name: node for node in nodes}
        self._recorded = recorded_levels(self._nodes)
        self._idle = self._idle and not self._files.is_written()
        # All of them before it is asked once more whether anybody writes: that looks through the
        # whole store.
        self._records = dict(self._read_records())
        self._idle = self._idle and not self._files.is_written()
        self._above = {node.name.rpartition("/")[0] for node in nodes}
        self._total = sum(file.nbytes for node in nodes for file in node.files)
        root = nodes[0]
        if not root.documents and root.problem:
            self.find(Severity.ERROR, "", root.problem)
        for node in nodes:
            self._check_node(node, is_root=node is root)
        state = self._state(nodes)
        return ValidationReport(
            self._files.url,
            state,
            tuple(self.arrays),
            tuple(self.findings),
            tuple(self._unchecked(nodes)),
        )

    def _unchecked(self, nodes: list[Node]) -> Iterator[str]:
        """Yield what damage could not have been noticed."""
        arrays = [node.array for node in nodes if node.array is not None and node.files]
        bare = sum(not has_checksum(array) for array in arrays)
        if bare:
            yield (
                f"pixels that changed after they were stored: the chunks of {bare} of "
                f"{len(arrays)} arrays carry no checksum (checksum=True of ArraySettings adds one)"
            )
        if arrays and not self._decode:
            yield "whether chunks can be decoded: nobody asked for it"
        if any(node.log is not None for node in nodes):
            yield "values in the metadata of single frames: they carry no checksum"

    def _state(self, nodes: list[Node]) -> str | None:
        """Return the state of the store, and say what it means where it is not complete."""
        written = self._files.is_written()
        # Another machine may record to an object store, so its own word is taken.
        recorded_now = written or not self._files.is_local
        states = [str(node.aqz["state"]) for node in nodes if "state" in node.aqz]
        state = _overall_state(states, recorded_now=recorded_now)
        if state == "interrupted":
            self.find(
                Severity.WARNING,
                "",
                "the recording ended before it was closed; `aqz repair` finishes the store, and "
                "ZarrStream.resume resumes it",
            )
        elif state == "recording" and not written:
            self.find(
                Severity.NOTE,
                "",
                "no program of this machine records to it: either another machine does, or the "
                "recording was killed. If nobody records, `aqz repair` finishes it",
            )
        return state

    def find(self, severity: Severity, name: str, what: str) -> None:
        """Keep a finding about a file or folder."""
        told = what.replace(f"{join(self._files.url, name)}: ", "")
        self.findings.append(Finding(severity, name or ".", told))

    def _check_node(self, node: Node, *, is_root: bool) -> None:
        """Check one node and what lies in its folder."""
        found = node.has_metadata or node.files or node.foreign or node.name in self._above
        is_something = node.documents or (not is_root and found)
        if node.problem and is_something:
            self.find(Severity.ERROR, node.name, node.problem)
        elif node.problem is None and node.array is None:
            self._check_image(node)
        impossible = impossible_record(node)
        if impossible:
            self.find(Severity.ERROR, node.name, impossible)
        for name in node.partial:
            self.find(Severity.WARNING, name, "left over from a write that was not finished")
        for name in node.spills:
            told = self._files.read_range(name, 0, MAX_TEXT_NBYTES).decode(errors="replace").strip()
            what = f"{told} `aqz upload` sends that folder, if the store did fail"
            self.find(Severity.WARNING, name, what)
        for name in node.foreign:
            self.find(Severity.WARNING, name, "belongs to no array of this store")
        if node.array is not None:
            self._check_array(node, node.array)
        self._check_frame_records(node)

    # ---- images -----------------------------------------------------------------------------

    def _check_image(self, node: Node) -> None:
        """Check that the levels that NGFF metadata name are there."""
        try:
            images = (node.format.ome_in(node.attributes) or {}).get("multiscales", [])
            [str(level["path"]) for image in images for level in image["datasets"]]
        except (AttributeError, KeyError, TypeError) as error:
            self.find(Severity.ERROR, node.name, malformed_ome(error))
            return
        for path in missing_levels(node, self._nodes):
            self.find(
                Severity.ERROR,
                node.name,
                f"the image's level {path!r} is missing; `aqz repair` makes its metadata "
                "again where another level tells them",
            )

    # ---- arrays -----------------------------------------------------------------------------

    def _check_array(self, node: Node, array: StoredArray) -> None:
        """Check every file of an array."""
        checker = FileChecker(self._files, array, self._decoder(node, array), self.find)
        for file in node.files:
            try:
                checker.check(file)
            except UnreadableFileError as error:
                self.find(Severity.ERROR, file.name, error.why)
            self._advance(file.nbytes)
        chunks = sum(map(len, checker.stored))
        if not self._check_record(node, checker.stored) and (node.files or all(array.shape)):
            self._check_extent(node, array, chunks)
        nbytes = sum(file.nbytes for file in node.files)
        self.arrays.append(
            ArraySummary(node.name, array.shape, len(node.files), chunks, checker.decoded, nbytes)
        )

    def _decoder(self, node: Node, array: StoredArray) -> ChunkDecoder | None:
        """Return what decodes the array's chunks, unless nobody asked or nothing can."""
        if not self._decode:
            return None
        try:
            return ChunkDecoder(array, self._providers)
        except StorageError as error:
            self.find(Severity.ERROR, node.name, str(error))
            return None

    def _check_extent(self, node: Node, array: StoredArray, chunks: int) -> None:
        """Note how many of the chunks that the shape asks for were never written."""
        wanted = math.prod(-(-n // c) for n, c in zip(array.shape, array.chunk_shape, strict=True))
        if chunks < wanted:
            self.find(
                Severity.NOTE,
                node.name,
                f"{wanted - chunks} of {wanted} chunks were not stored and read as the fill value",
            )

    # ---- what is on record ------------------------------------------------------------------

    def _check_record(self, node: Node, stored: list[npt.NDArray[np.int64]]) -> bool:
        """Report chunks that are gone though their frames are on record; return whether any are."""
        owner, base = self._recorded.get(node.name, (None, None))
        if owner is None or base is None:
            return False
        record = self._records.get(owner.name)
        # Only when a stream is closed are all levels as long as the first.
        if record is None or not (record.closed or node is base):
            return False
        if node is base and record.lost.any():
            self.find(
                Severity.WARNING,
                node.name,
                f"{int(record.lost.sum())} frames that were recorded were gone when the recording "
                "was resumed, and were not written again; `missing_frames` lists them",
            )
        if not record.proves(idle=self._idle):
            return False
        lost = lost_chunks(record, node, stored)
        if lost is not None:
            self.find(Severity.ERROR, node.name, lost)
        return lost is not None

    def _read_records(self) -> Iterator[tuple[str, FrameRecord]]:
        """Yield what is on record of the frames of each array, by the name of its owner."""
        for owner, base in {pair[0].name: pair for pair in self._recorded.values()}.values():
            if impossible_record(owner):
                continue
            if impossible := impossible_length(owner, base, idle=self._idle):
                self.find(Severity.ERROR, base.name, impossible)
                continue
            try:
                yield owner.name, read_record(self._files, owner, base)
            except StorageError as error:
                self.find(Severity.ERROR, owner.name, str(error))

    # ---- metadata of single frames ----------------------------------------------------------

    def _check_frame_records(self, node: Node) -> None:
        """Check that every line of the frames' metadata is a JSON object."""
        if node.log is None:
            return
        try:
            for number, line in enumerate(log_lines(self._files, node.log), 1):
                if problem := _line_problem(line):
                    self.find(Severity.WARNING, node.log, f"line {number} {problem}")
                    return
        except UnreadableFileError as error:
            self.find(Severity.ERROR, node.log, error.why)

    def _advance(self, nbytes: int) -> None:
        """Report how far the check is."""
        self._done += nbytes
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)


def _line_problem(line: bytes) -> str | None:
    """Say what is wrong with a line of frame metadata, if anything."""
    try:
        record: Any = parse_json(line)
    except ValueError:
        return "is not valid JSON" if line.endswith(b"\n") else "is not complete"
    if not isinstance(record, dict):
        return "is not a JSON object"
    known = {"index", "metadata", "appended", "skipped", "lost", "flushed", "resumed"}
    return None if record.keys() & known - {"metadata"} else "says nothing of a frame"
