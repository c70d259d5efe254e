"""What a store needs to be finished: the changes, planned first and made afterwards.

Shards come first, then leftovers, then the metadata that point to them.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.chunks.shard_format import MISSING, encode_index
from aqz_core.errors import AqzError, StorageError
from aqz_core.metadata import to_json
from aqz_core.reading.chunks import chunks_per_shard, indexes_of
from aqz_core.reading.extent import (
    first_level,
    level_factors,
    level_name,
    levels_of,
    recorded_length,
)
from aqz_core.reading.files import UnreadableFileError
from aqz_core.reading.frame_record import (
    FrameRecord,
    impossible_length,
    impossible_record,
    read_record,
)
from aqz_core.reading.planes import StoredPlanes
from aqz_core.reading.shard_indexes import Entries, ShardIndexes, entries_within, named
from aqz_core.recovery.missing_chunks import lost_files, missing_levels, recorded_levels
from aqz_core.recovery.report import Action, Finding, RepairReport, Severity
from aqz_core.storage.names import METADATA, PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile, Node
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.recovery.changes import StoreChanges

__all__ = ["Repairs"]

_NO_END = (
    "no intact index at the end of the shard, and an object cannot be repaired in place; copy the "
    "store to a disk, repair it there, and `aqz upload` it"
)


_FILL_GAPS = (
    "No repair can bring them back; ZarrStream.resume and `write` can record their frames again, "
    "which `missing_frames` lists"
)


class Repairs:
    """The changes that a store needs, planned first and made afterwards.

    Parameters
    ----------
    files
        The store.
    nodes
        What lies in it.
    providers
        Codecs by name.
    rebuilt
        Metadata documents that are missing from the store and are made again, by name.
    """

    def __init__(
        self,
        files: StoredFiles,
        nodes: list[Node],
        providers: Mapping[str, CodecProvider],
        rebuilt: Mapping[str, Any] | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self.ended: list[tuple[str, str]] = []
        """Nodes, and attributes of theirs, in which a program said that it was recording."""
        self._files = files
        self._nodes = nodes
        self._by_name = {node.name: node for node in nodes}
        self._providers = providers
        self._rebuilt = rebuilt or {}
        self._unfinished: set[str] = set()
        self._changes: list[tuple[Action, Callable[[StoreChanges], None]]] = []

    @property
    def damaged(self) -> list[Finding]:
        """What no repair can fix."""
        return [found for found in self.findings if found.severity is Severity.ERROR]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to change."""
        return bool(self._changes)

    def plan(self, told: Collection[str] = ()) -> None:
        """Find out what is to be done: to shards, to leftovers, and then to metadata.

        Nodes in `told` are reported already.
        """
        self.plan_files()
        levels = {
            level.name
            for node in self._nodes
            if node.aqz and node.array is None
            for level in levels_of(node, self._by_name)
        }
        for node in self._nodes:
            if node.problem and (node.has_metadata or node.files or node.foreign):
                if node.name not in told:
                    self.find(Severity.ERROR, node.name, _advice(node))
            elif node.problem is None and (node.aqz or node.array is not None):
                if node.array is None or node.name not in levels:
                    self._plan_documents(node)
            elif node.problem is None:
                self._plan_rebuilt(node)
        root = self._nodes[0]
        if root.problem and len(self._nodes) == 1 and not (root.has_metadata or root.foreign):
            self.find(Severity.ERROR, "", f"{root.problem}: this is not a Zarr store")
        self._tell_missing(told)

    def _tell_missing(self, told: Collection[str]) -> None:
        """Say which levels and files are gone that nothing can bring back."""
        for node in self._nodes:
            for path in missing_levels(node, self._by_name):
                if (level_name(node, path) or "") not in told:
                    self.find(Severity.ERROR, node.name, f"the image's level {path!r} is missing")
        idle = self._files.is_local and not self._files.is_written()
        records: dict[str, FrameRecord | None] = {}
        for name, (owner, base) in recorded_levels(self._by_name).items():
            if owner.name not in records:
                records[owner.name] = self._record(owner, base, idle=idle)
            record, level = records[owner.name], self._by_name.get(name)
            if record is not None and level is not None and (record.closed or level is base):
                lost = lost_files(record, level)
                if lost:
                    self.find(Severity.ERROR, name, f"{lost}. {_FILL_GAPS}")

    def _record(self, owner: Node, base: Node, *, idle: bool) -> FrameRecord | None:
        """Return what is on record of an array's frames, or None if that proves nothing."""
        if impossible_record(owner) or impossible_length(owner, base, idle=idle):
            return None
        try:
            record = read_record(self._files, owner, base)
        except StorageError as error:
            self.find(Severity.ERROR, owner.name, str(error))
            return None
        return record if record.proves(idle=idle) else None

    def plan_files(self) -> None:
        """Plan only what is to be done to shards and leftovers."""
        for node in self._nodes:
            for file in node.files:
                self._plan_file(node, file)
            for name in node.partial:
                self._plan_partial(name)
            self._plan_frame_records(node)

    def plan_uploads(self, *, abort: bool) -> None:
        """Report uploads that never ended, or plan to abort them."""
        for name, abort_it in self._files.unfinished():
            if abort:
                self._do(name, "abort its unfinished upload", partial(_without_changes, abort_it))
                continue
            self.find(
                Severity.WARNING,
                name,
                "an upload of it was begun and never completed; no reader sees what it holds, but "
                "it takes room. If nobody records, `aqz repair --abort-uploads` throws it away",
            )

    def apply(self, changes: StoreChanges) -> None:
        """Make the changes, in the order in which they were planned."""
        for _, change in self._changes:
            change(changes)

    def report(self, *, applied: bool) -> RepairReport:
        """Return what is, or was, done."""
        actions = tuple(action for action, _ in self._changes)
        return RepairReport(self._files.url, applied, actions, tuple(self.findings))

    def find(self, severity: Severity, name: str, what: str) -> None:
        """Keep a finding about a file or folder."""
        self.findings.append(Finding(severity, name or ".", what))

    def _do(self, name: str, what: str, change: Callable[[StoreChanges], None]) -> None:
        """Plan a change."""
        self._changes.append((Action(name, what), change))

    # ---- shards -----------------------------------------------------------------------------

    def _plan_file(self, node: Node, file: ChunkFile) -> None:
        """Plan what is to be done to a shard, or to a chunk that is a file of its own."""
        assert node.array is not None
        if node.array.shard_shape is not None:
            self._plan_shard(node, node.array, file)
        elif not file.nbytes:
            self._plan_removal(file.name)

    def _plan_removal(self, name: str) -> None:
        """Plan to remove a file that holds nothing."""
        self._do(name, "remove the file: it is empty", lambda changes: changes.remove(name))

    def _plan_shard(self, node: Node, array: StoredArray, file: ChunkFile) -> None:
        """Plan the indexes of one shard."""
        name, chunks = file.name, math.prod(chunks_per_shard(array))
        try:
            indexes = indexes_of(self._files, array, file)
        except UnreadableFileError as error:
            self.find(Severity.ERROR, name, error.why)
            return
        if indexes.nbytes == 0:
            self._plan_removal(name)
            return
        if not self._files.is_local and indexes.end is None:
            self._unfinished.add(node.name)
            self.find(Severity.ERROR, name, _NO_END)
            return
        entries = indexes.best(prefer_end=array.index_at_end)
        if entries is None:
            self.find(
                Severity.ERROR,
                name,
                f"no intact index: where its chunks lie in {indexes.nbytes} bytes is not known; "
                "the file is left as it is",
            )
            return
        kept = self._kept(name, entries, indexes)
        if not self._files.is_local:
            return
        block = encode_index(kept)
        if indexes.end is None or not np.array_equal(indexes.end, kept):
            self._do(name, "add an index at the end", lambda to: to.add_to_end(name, block))
        if indexes.start is None and _has_room_at_start(array, kept, chunks):
            self._do(name, "restore the index at the start", lambda to: to.write_at(name, 0, block))

    def _kept(self, name: str, entries: Entries, indexes: ShardIndexes) -> Entries:
        """Return the entries whose bytes are there; report the others."""
        inside = entries_within(entries, indexes.nbytes)
        lost = int((named(entries) & ~inside).sum())
        if not lost:
            return entries
        self.find(
            Severity.ERROR,
            name,
            f"{lost} chunks lie outside of the file's {indexes.nbytes} bytes and are lost; "
            "they read as the fill value",
        )
        kept = entries.copy()
        kept[~inside] = MISSING
        return kept

    # ---- leftovers --------------------------------------------------------------------------

    def _plan_partial(self, name: str) -> None:
        """Plan what becomes of a file that was being written."""
        final = name.rpartition("/")[2].removesuffix(PARTIAL)
        size = self._files.size(name) or 0
        if final in METADATA or final.startswith(".direct-") or not size:
            what = "remove what is left of an unfinished write"
            self._do(name, what, lambda changes: changes.remove(name))
        else:
            self.find(
                Severity.WARNING,
                name,
                f"an unfinished write of {size} bytes that may hold pixels is left as it is; no "
                "reader looks at it",
            )

    def _plan_frame_records(self, node: Node) -> None:
        """Plan to end a line of frame metadata that was cut off, so that others can follow."""
        name = node.log
        if name is None:
            return
        try:
            size = self._files.size(name) or 0
            cut = size > 0 and self._files.read_range(name, size - 1, 1) != b"\n"
        except UnreadableFileError:
            return
        if cut:
            self._do(name, "end the line that was cut off", lambda to: to.add_to_end(name, b"\n"))

    # ---- metadata ---------------------------------------------------------------------------

    def _plan_documents(self, owner: Node) -> None:
        """Plan the metadata of an image and its levels, or of an array."""
        levels = levels_of(owner, self._by_name)
        lengths = self._lengths(owner, levels)
        for node, length in zip(levels, lengths, strict=True):
            self._plan_node(node, owner, length)
        if owner.array is None:
            self._plan_node(owner, owner, None)

    def _plan_node(self, node: Node, owner: Node, length: int | None) -> None:
        """Plan to replace the metadata files of a node that say something new."""
        documents = copy.deepcopy(node.documents)
        # The same file in Zarr V3, and in V2 without attributes.
        file, attributes_file = next(iter(documents)), next(reversed(documents))
        document = documents[file]
        what = []
        if node.array is not None and length not in (None, node.array.shape[0]):
            before = list(node.array.shape)
            document["shape"][0] = length
            what.append(f"shape {before} becomes {document['shape']}")
        is_finished = node.name not in self._unfinished
        if node.array is not None and not node.array.index_at_end and is_finished:
            _point_to_the_end(document)
            what.append("the index is looked for at the end of shards")
        attributes = node.format.attributes_in(documents, node.name)
        about_state = []
        if node is owner and node.aqz.get("state") == "recording":
            attributes["aqz"]["state"] = "interrupted"
            about_state.append("the state becomes 'interrupted'")
        if node is owner:
            about_state += self._end_attributes(node, attributes)
        if attributes_file != file:
            self._plan_document(file, document, what)
            what = []
        self._plan_document(attributes_file, documents[attributes_file], what + about_state)

    def _end_attributes(self, node: Node, attributes: dict[str, Any]) -> list[str]:
        """Say that what programs said of the recording in attributes of their own has ended."""
        what = []
        for name, said in attributes.items():
            if name == "aqz" or not isinstance(said, dict) or "frames" not in said:
                continue
            if said.get("state") == "recording":
                said["state"] = "interrupted"
                what.append(f"the state in {name!r} becomes 'interrupted'")
            if said.get("state") in ("interrupted", "failed"):
                self.ended.append((node.name, name))
        return what

    def _plan_document(self, name: str, document: dict[str, Any], what: list[str]) -> None:
        """Plan to store a document, if there is something to say about it."""
        if name in self._rebuilt:
            what = ["is missing, and made again from the metadata of the others", *what]
        if what:
            content = to_json(document)
            self._do(name, "; ".join(what), lambda changes: changes.replace(name, content))

    def _plan_rebuilt(self, node: Node) -> None:
        """Plan to store the metadata of a group that are missing."""
        for name, document in node.documents.items():
            self._plan_document(name, document, [])

    def _lengths(self, owner: Node, levels: list[Node]) -> list[int | None]:
        """Return how long each level is on the append axis; None where that stays."""
        if not levels or levels[0].array is None or len(levels[0].array.shape) < 3:
            return [None] * len(levels)
        base = levels[0]
        assert base.array is not None
        idle = self._files.is_local
        is_first = first_level(owner, self._by_name) is base
        impossible = impossible_record(owner) or impossible_length(owner, base, idle=idle)
        if impossible and is_first:  # it may be a smaller level, where that cannot be read
            self.find(Severity.ERROR, base.name, f"{impossible}; its length is left as it is")
            return [None] * len(levels)
        if owner.aqz.get("state") == "complete" and type(owner.aqz.get("frames")) is int:
            return [None] * len(levels)  # files behind the end are what an earlier crash left
        try:
            planes = StoredPlanes(self._files, base, self._providers)
        except AqzError as error:
            self.find(Severity.ERROR, base.name, str(error))
            return [None] * len(levels)
        length = recorded_length(self._files, owner, base, planes)
        factors = level_factors(owner, levels)
        return [
            max(node.array.shape[0], -(-length // factor)) if node.array is not None else None
            for node, factor in zip(levels, factors, strict=True)
        ]


def _advice(node: Node) -> str:
    """Say why a node cannot be read, and what to do."""
    assert node.problem is not None
    what = node.problem.replace(f"{node.where}/", "")
    if node.documents or not node.foreign:
        return what
    return (
        f"{what}, and nothing else in the store tells what its {len(node.foreign)} files are; they "
        "are left as they are. If it was an array, put back the metadata of a recording with the "
        "same settings and repair again"
    )


def _without_changes(call: Callable[[], None], changes: StoreChanges) -> None:
    """Make a change that does not concern a file."""
    call()


def _has_room_at_start(array: StoredArray, entries: Entries, chunks: int) -> bool:
    """Return whether shards have an index at the start, or room for one in front of every chunk."""
    offsets = entries[named(entries)][:, 0]
    free = offsets.size == 0 or int(offsets.min()) >= 16 * chunks + 4
    return free and (not array.index_at_end or offsets.size > 0)


def _point_to_the_end(document: dict[str, Any]) -> None:
    """Let readers look for the index at the end of a shard, as in every finished store."""
    for codec in document["codecs"]:
        if codec["name"] == "sharding_indexed":
            codec["configuration"]["index_location"] = "end"
