"""The groups and arrays of a store on disk, as a tree of frozen records.

Read from ``zarr.json`` files and directory listings only: no pixel is decoded. A node
that cannot be read is part of the tree, with the reason.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
from aqz_core.stored_array import StoredArray, read_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["StoreNode", "read_tree"]


@dataclass(frozen=True, slots=True)
class StoreNode:
    """A group or an array of a store.

    Attributes
    ----------
    path
        Folder of the node.
    attributes
        What the ``attributes`` of its ``zarr.json`` hold.
    array
        The array's metadata; None for a group, and for a node that cannot be read.
    files, nbytes
        Chunk or shard files of an array, and their bytes; sums of its members for a group.
    members
        Groups and arrays inside, in the order of their names.
    problem
        Why the node cannot be read; None when it can.
    """

    path: Path
    attributes: Mapping[str, Any]
    array: StoredArray | None
    files: int
    nbytes: int
    members: tuple[StoreNode, ...] = ()
    problem: str | None = None

    def walk(self) -> Iterator[StoreNode]:
        """Yield this node and all below it, parents first."""
        yield self
        for member in self.members:
            yield from member.walk()


def read_tree(path: str | os.PathLike[str]) -> StoreNode:
    """Return the node in the folder `path` and everything below it.

    Raises
    ------
    StorageError
        There is no readable node in that folder itself.
    """
    folder = Path(path)
    document = read_node(folder)
    attributes = document.get("attributes") or {}
    if document.get("node_type") == "array":
        files, nbytes = _stored_files(folder)
        array = StoredArray.parse(document, folder / "zarr.json")
        return StoreNode(folder, attributes, array, files, nbytes)
    members = tuple(_member(name) for name in _folders_with_nodes(folder))
    return StoreNode(
        folder,
        attributes,
        None,
        sum(member.files for member in members),
        sum(member.nbytes for member in members),
        members,
    )


def _member(folder: Path) -> StoreNode:
    """Return the node in a folder, or one that says why it cannot be read."""
    try:
        return read_tree(folder)
    except StorageError as error:
        files, nbytes = _stored_files(folder)
        return StoreNode(folder, {}, None, files, nbytes, problem=str(error))


def _folders_with_nodes(folder: Path) -> list[Path]:
    """Return the folders in a folder that are nodes; 2 comes before 10."""
    try:
        entries = [Path(entry) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError as error:
        raise StorageError(f"{folder}: cannot be listed: {error.strerror}") from error
    nodes = [entry for entry in entries if (entry / "zarr.json").is_file()]
    return sorted(nodes, key=lambda node: (not node.name.isdecimal(), len(node.name), node.name))


def _stored_files(folder: Path) -> tuple[int, int]:
    """Count the files below a folder and their bytes, without any ``zarr.json``."""
    sizes = [
        _size(Path(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
        if name != "zarr.json"
    ]
    return len(sizes), sum(sizes)


def _size(file: Path) -> int:
    """Return a file's bytes; 0 when a running recording took it away after listing."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
