"""Finishing a store whose recording ended before it was closed.

A repair only adds: a missing index behind the chunks of a shard, the length that stored chunks
reach to the metadata. It removes nothing but files without a pixel in them. Every step leaves the
store at least as readable as before, so a repair that is interrupted can simply be run again:
indexes first, metadata that point to them last.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import AqzError
from aqz_core.hooks import create_plugin_manager
from aqz_core.metadata import to_json
from aqz_core.recovery.chunks import ChunkDecoder, chunks_per_shard
from aqz_core.recovery.extent import level_factors, levels_of, recorded_length
from aqz_core.recovery.report import Action, Finding, RepairReport, Severity
from aqz_core.recovery.safe_files import add_to_end, replace_content, write_start
from aqz_core.recovery.shard_indexes import (
    Entries,
    ShardIndexes,
    entries_within,
    named,
    read_indexes,
)
from aqz_core.recovery.survey import FRAME_RECORDS, PARTIAL, Node, survey
from aqz_core.shards import MISSING, encode_index
from aqz_core.store_lock import StoreLock, is_locked

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from aqz_core.hooks import CodecProvider
    from aqz_core.stored_array import StoredArray

__all__ = ["Repairs", "repair_store"]


def repair_store(
    store: str | os.PathLike[str],
    *,
    apply: bool = False,
    plugins: Iterable[object] = (),
) -> RepairReport:
    """Bring a store into the form that a finished recording has.

    Parameters
    ----------
    store : str or os.PathLike
        Its directory.
    apply : bool, default False
        Make the changes; without it they are only listed.
    plugins : iterable of object
        Plug-ins that offer further codecs.

    Returns
    -------
    RepairReport
        The changes, and what cannot be mended.

    Raises
    ------
    StoreBusyError
        A stream writes the store at this moment.
    StorageError
        There is no such directory, or a change could not be made.
    """
    root = Path(store)
    providers = create_plugin_manager(plugins).codecs()
    if not apply:
        repairs = Repairs(root, survey(root), providers)
        repairs.plan()
        if is_locked(root):
            repairs.find(Severity.WARNING, root, "is being recorded now; wait until it is closed")
        return repairs.report(applied=False)
    survey(root)  # no lock file beside something that is no directory
    lock = StoreLock(root)
    try:
        repairs = Repairs(root, survey(root), providers)
        repairs.plan()
        repairs.apply()
        return repairs.report(applied=True)
    finally:
        lock.release()


class Repairs:
    """The changes that a store needs, planned first and made afterwards.

    Parameters
    ----------
    root
        The store.
    nodes
        What lies in it.
    providers
        Codecs by name.
    """

    def __init__(
        self, root: Path, nodes: list[Node], providers: Mapping[str, CodecProvider]
    ) -> None:
        self.findings: list[Finding] = []
        self._root = root
        self._nodes = nodes
        self._providers = providers
        self._changes: list[tuple[Action, Callable[[], None]]] = []

    @property
    def damaged(self) -> list[Finding]:
        """What no repair can mend."""
        return [found for found in self.findings if found.severity is Severity.ERROR]

    def plan(self) -> None:
        """Find out what is to be done: to shards, to leftovers, and then to metadata."""
        self.plan_files()
        for node in self._nodes:
            if node.problem and (node.document or node.files or node.foreign):
                self.find(Severity.ERROR, node.folder, node.problem.replace(f"{node.folder}/", ""))
            elif node.problem is None and (node.aqz or node.array is not None):
                self._plan_documents(node)

    def plan_files(self) -> None:
        """Plan only what is to be done to shards and leftovers."""
        for node in self._nodes:
            if node.array is not None and node.array.shard_shape is not None:
                for file in node.files:
                    self._plan_shard(node, node.array, file.path)
            for path in node.partial:
                self._plan_partial(path)
            self._plan_frame_records(node)

    def apply(self) -> None:
        """Make the changes, in the order in which they were planned."""
        for _, change in self._changes:
            change()

    def report(self, *, applied: bool) -> RepairReport:
        """Return what is, or was, done."""
        actions = tuple(action for action, _ in self._changes)
        return RepairReport(str(self._root), applied, actions, tuple(self.findings))

    def find(self, severity: Severity, path: Path, what: str) -> None:
        """Keep a finding."""
        self.findings.append(Finding(severity, self._where(path), what))

    def _do(self, path: Path, what: str, change: Callable[[], None]) -> None:
        """Plan a change."""
        self._changes.append((Action(self._where(path), what), change))

    def _where(self, path: Path) -> str:
        """Return a path relative to the store."""
        return path.relative_to(self._root).as_posix()

    # ---- shards -----------------------------------------------------------------------------

    def _plan_shard(self, node: Node, array: StoredArray, file: Path) -> None:
        """Plan the indexes of one shard."""
        chunks = math.prod(chunks_per_shard(array))
        try:
            indexes = read_indexes(file, chunks)
        except OSError as error:
            self.find(Severity.ERROR, file, f"cannot be read: {error.strerror or error}")
            return
        if indexes.nbytes == 0:
            self._do(file, "remove the file: it is empty", file.unlink)
            return
        entries = indexes.best(prefer_end=array.index_at_end)
        if entries is None:
            self.find(
                Severity.ERROR,
                file,
                f"no intact index: where its chunks lie in {indexes.nbytes} bytes is not known; "
                "the file is left as it is",
            )
            return
        kept = self._kept(file, entries, indexes)
        if indexes.end is None or not np.array_equal(indexes.end, kept):
            block = encode_index(kept)
            self._do(file, "add an index at the end", lambda: add_to_end(file, block))
        if indexes.start is None and _has_room_at_start(array, kept, chunks):
            block = encode_index(kept)
            self._do(file, "restore the index at the start", lambda: write_start(file, block))

    def _kept(self, file: Path, entries: Entries, indexes: ShardIndexes) -> Entries:
        """Return the entries whose bytes are there; tell of the others."""
        inside = entries_within(entries, indexes.nbytes)
        lost = int((named(entries) & ~inside).sum())
        if not lost:
            return entries
        self.find(
            Severity.ERROR,
            file,
            f"{lost} chunks lie outside of the file's {indexes.nbytes} bytes and are lost; "
            "they read as the fill value",
        )
        kept = entries.copy()
        kept[~inside] = MISSING
        return kept

    # ---- leftovers --------------------------------------------------------------------------

    def _plan_partial(self, path: Path) -> None:
        """Plan what becomes of a file that was being written."""
        final = path.name.removesuffix(PARTIAL)
        size = path.stat().st_size if path.exists() else 0
        metadata = final in ("zarr.json", ".zarray", ".zattrs", ".zgroup")
        if metadata or final.startswith(".direct-") or not size:
            self._do(path, "remove what is left of an unfinished write", path.unlink)
        else:
            self.find(
                Severity.WARNING,
                path,
                f"an unfinished write of {size} bytes that may hold pixels is left as it is; no "
                "reader looks at it",
            )

    def _plan_frame_records(self, node: Node) -> None:
        """Plan to end a line of frame metadata that was cut off, so that others can follow."""
        file = node.folder / FRAME_RECORDS
        try:
            with file.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - 1))
                cut = size > 0 and stream.read(1) != b"\n"
        except OSError:
            return
        if cut:
            self._do(file, "end the line that was cut off", lambda: add_to_end(file, b"\n"))

    # ---- metadata ---------------------------------------------------------------------------

    def _plan_documents(self, owner: Node) -> None:
        """Plan the metadata of an image and its levels, or of an array."""
        if owner.array is None:
            levels = levels_of(owner, self._nodes)
        elif any(owner in levels_of(node, self._nodes) for node in self._nodes if node.aqz):
            return  # with its image
        else:
            levels = [owner]
        lengths = self._lengths(owner, levels)
        for node, length in zip(levels, lengths, strict=True):
            document = copy.deepcopy(dict(node.document))
            if length is not None:
                document["shape"][0] = length
            _point_to_the_end(document)
            self._plan_document(node, document, owner)
        if owner.array is None:
            self._plan_document(owner, copy.deepcopy(dict(owner.document)), owner)

    def _plan_document(self, node: Node, document: dict[str, Any], owner: Node) -> None:
        """Plan to replace a document, if it says something new."""
        state = node.aqz.get("state")
        if node is owner and state == "recording":
            document["attributes"]["aqz"]["state"] = "interrupted"
        if document == node.document:
            return
        changes = []
        if node.array is not None and list(node.array.shape) != document["shape"]:
            changes.append(f"shape {list(node.array.shape)} becomes {document['shape']}")
        if node.array is not None and not node.array.index_at_end:
            changes.append("the index is looked for at the end of shards")
        if node is owner and state == "recording":
            changes.append("the state becomes 'interrupted'")
        file = node.folder / "zarr.json"
        content = to_json(document)
        self._do(file, "; ".join(changes), lambda: replace_content(file, content))

    def _lengths(self, owner: Node, levels: list[Node]) -> list[int | None]:
        """Return how long each level is on the append axis; None where that stays."""
        if not levels or levels[0].array is None or len(levels[0].array.shape) < 3:
            return [None] * len(levels)
        base = levels[0]
        assert base.array is not None
        try:
            decoder = ChunkDecoder(base.array, self._providers)
        except AqzError as error:
            self.find(Severity.ERROR, base.folder, str(error))
            return [None] * len(levels)
        length = recorded_length(owner, base, decoder)
        factors = level_factors(owner, len(levels))
        return [
            max(node.array.shape[0], -(-length // factor)) if node.array is not None else None
            for node, factor in zip(levels, factors, strict=True)
        ]


def _has_room_at_start(array: StoredArray, entries: Entries, chunks: int) -> bool:
    """Tell whether shards have an index at the start, or room for one in front of every chunk."""
    offsets = entries[named(entries)][:, 0]
    free = offsets.size == 0 or int(offsets.min()) >= 16 * chunks + 4
    return free and (not array.index_at_end or offsets.size > 0)


def _point_to_the_end(document: dict[str, Any]) -> None:
    """Let readers look for the index at the end of a shard, as in every finished store."""
    for codec in document["codecs"]:
        if codec["name"] == "sharding_indexed":
            codec["configuration"]["index_location"] = "end"
