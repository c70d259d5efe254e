"""The groups and arrays of a store, as a tree of frozen records.

Read from metadata and listings only: no pixel is decoded. A node that cannot be read is part of
the tree, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import StorageError
from aqz_core.metadata.zarr_format import zarr_format
from aqz_core.reading.files import open_files
from aqz_core.reading.frame_record import impossible_record, read_record
from aqz_core.reading.survey import survey
from aqz_core.recovery.missing_chunks import lost_files, missing_levels, recorded_levels

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from aqz_core.metadata.zarr_format import ZarrFormat
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.settings.s3 import S3Settings

__all__ = ["StoreNode", "is_deserted", "read_tree"]


@dataclass(frozen=True, slots=True)
class StoreNode:
    """A group or an array of a store.

    Attributes
    ----------
    path
        Folder of the node, relative to the store.
    version
        Of its metadata; None if they cannot be read.
    attributes
        The node's attributes.
    array
        The array's metadata; None for a group, and for a node that cannot be read.
    files, nbytes
        Chunk or shard files of an array, and their bytes; sums of its members for a group.
    members
        Groups and arrays inside, in the order of their names.
    problem
        Why the node cannot be read; None when it can.
    lacks
        What of it should be there and is not: levels, files.
    """

    path: PurePosixPath
    version: ZarrVersion | None
    attributes: Mapping[str, Any]
    array: StoredArray | None
    files: int
    nbytes: int
    members: tuple[StoreNode, ...] = ()
    problem: str | None = None
    lacks: tuple[str, ...] = ()

    @property
    def format(self) -> ZarrFormat:
        """The format of its metadata; V3 where they cannot be read."""
        return zarr_format(self.version or ZarrVersion.V3)

    def walk(self) -> Iterator[StoreNode]:
        """Yield this node and all below it, parents first."""
        yield self
        for member in self.members:
            yield from member.walk()


def read_tree(store: str | os.PathLike[str], s3: S3Settings | None = None) -> StoreNode:
    """Return the node at a path or URL and everything below it.

    Raises
    ------
    SettingsError, StorageError
        There is no readable node there, or the place cannot be reached.
    """
    files = open_files(store, s3)
    try:
        root, *others = survey(files)
        if root.problem is not None:
            told = root.problem
            where = "" if told.startswith(files.url) else f"{files.url}: "
            raise StorageError(f"{where}{told}; is it the path of a store?")
        inside: dict[str, list[Node]] = {}
        for node in others:
            inside.setdefault(node.name.rpartition("/")[0], []).append(node)
        return _tree(files, root, inside, _missing(files, [root, *others]))
    finally:
        files.close()


def is_deserted(store: str | os.PathLike[str], s3: S3Settings | None = None) -> bool:
    """Return whether it is certain that nobody writes a store; in a bucket it never is."""
    files = open_files(store, s3)
    try:
        return files.is_local and not files.is_written()
    finally:
        files.close()


def _missing(files: StoredFiles, nodes: list[Node]) -> dict[str, list[str]]:
    """Return what should be in nodes and is not, by their names."""
    by_name = {node.name: node for node in nodes}
    found: dict[str, list[str]] = {
        node.name: [f"its level {path!r} is missing" for path in missing_levels(node, by_name)]
        for node in nodes
    }
    for name, (owner, base) in recorded_levels(by_name).items():
        try:
            record = None if impossible_record(owner) else read_record(files, owner, base)
        except StorageError as error:
            found[owner.name].append(str(error))
            continue
        if record is not None and record.closed and record.proves(idle=False):
            lost = lost_files(record, by_name[name]) if name in by_name else None
            found[name] += [lost] if lost else []
    return found


def _tree(
    files: StoredFiles,
    node: Node,
    inside: Mapping[str, list[Node]],
    missing: Mapping[str, list[str]],
) -> StoreNode:
    """Return a node with its members; folders that hold nothing at all are none."""
    loose = [*node.partial, *node.foreign, *([node.log] if node.log else [])]
    is_group = node.problem is None and node.array is None
    members = tuple(
        _tree(files, member, inside, missing)
        for member in inside.get(node.name, ())
        if member.version is not None or member.has_metadata or member.foreign
    )
    count, nbytes = 0, 0
    if not is_group:
        sizes = [file.nbytes for file in node.files] + [files.size(name) or 0 for name in loose]
        count, nbytes = len(sizes), sum(sizes)
    return StoreNode(
        PurePosixPath(node.name),
        node.version,
        node.attributes,
        node.array,
        count + sum(member.files for member in members),
        nbytes + sum(member.nbytes for member in members),
        members,
        node.problem,
        tuple(missing[node.name]),
    )
