"""Everything that lies in a store's directory: nodes, shards, leftovers, foreign files.

Goes by the files that are there, never by what metadata claims, so that no number in a damaged
document can make it long or large. Symbolic links to directories are not followed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
from aqz_core.stored_array import StoredArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PARTIAL", "ChunkFile", "Node", "read_document", "survey"]

PARTIAL = ".aqz-partial"
"""Ends the name of a file that was being written; see `aqz_core.sinks.filesystem`."""

FRAME_RECORDS = "aqz.frames.jsonl"
"""Metadata of single frames, beside an array's chunks."""

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_MAX_DOCUMENT_NBYTES = 256 << 20
_MAX_DIGITS = 15  # of a chunk coordinate


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A shard, or a chunk that is a file of its own.

    Attributes
    ----------
    path
        The file.
    coordinate
        Its place in the array's lattice of files.
    """

    path: Path
    coordinate: tuple[int, ...]


@dataclass(slots=True)
class Node:
    """A directory of the store and the files that belong to it.

    Attributes
    ----------
    folder
        The directory.
    document
        Its ``zarr.json``; empty where there is none that can be read.
    problem
        Why it cannot be read, or is no Zarr V3 node; None when it is one.
    array
        What the document says, if it is an array's.
    files
        Chunks or shards of the array, in the order of their coordinates.
    partial
        Files that were being written when something broke.
    foreign
        Files that belong to nothing that aqz knows.
    """

    folder: Path
    document: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    array: StoredArray | None = None
    files: list[ChunkFile] = field(default_factory=list)
    partial: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The node's attributes; empty where they are none."""
        found = self.document.get("attributes")
        return found if isinstance(found, dict) else {}

    @property
    def aqz(self) -> Mapping[str, Any]:
        """What the recording left in the attribute ``aqz``."""
        found = self.attributes.get("aqz")
        return found if isinstance(found, dict) else {}


def survey(store: Path) -> list[Node]:
    """Return every node of a store, parents first.

    Raises
    ------
    StorageError
        There is no such directory, or it cannot be listed.
    """
    if not store.is_dir():
        raise StorageError(f"{store}: there is no such directory; is it the path of a store?")
    return list(_below(store))


def read_document(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    StorageError
        It cannot be read, or is something else; the message names the file.
    """
    try:
        if file.stat().st_size > _MAX_DOCUMENT_NBYTES:
            raise StorageError(f"{file}: {file.stat().st_size:,} bytes are too many for metadata")
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise StorageError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise StorageError(f"{file}: not a JSON object")
    return document


def _below(folder: Path) -> Iterator[Node]:
    """Yield the node in a folder, and those below it."""
    node = _read_node(folder)
    folders = _sort_files(node)
    yield node
    for name in folders:
        yield from _below(name)


def _read_node(folder: Path) -> Node:
    """Read what a folder says that it is."""
    node = Node(folder)
    file = folder / "zarr.json"
    if not file.exists():
        old = [name for name in (".zarray", ".zgroup") if (folder / name).exists()]
        node.problem = f"{old[0]}: Zarr V2 is not checked" if old else "there is no zarr.json"
        return node
    try:
        document = read_document(file)
        node.document = document
        _check_kind(document, file)
        if document["node_type"] == "array":
            _check_sizes(document, file)
            node.array = StoredArray.parse(document, file)
    except (StorageError, RecursionError) as error:
        node.problem = str(error)
    return node


def _check_kind(document: Mapping[str, Any], file: Path) -> None:
    """Raise if a document is of no Zarr V3 node."""
    version, kind = document.get("zarr_format"), document.get("node_type")
    if version != 3:
        raise StorageError(f"{file}: zarr_format is {version!r}, not 3")
    if kind not in ("array", "group"):
        raise StorageError(f"{file}: node_type is {kind!r}, neither array nor group")


def _check_sizes(document: Mapping[str, Any], file: Path) -> None:
    """Raise if a shape is no list of whole numbers, which a lenient reader might let pass."""
    shape = document.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise StorageError(f"{file}: shape {shape!r} is no list of whole numbers")
    if any(n >= 2**63 for n in shape):
        raise StorageError(f"{file}: shape {shape} is larger than any array can be")


def _sort_files(node: Node) -> list[Path]:
    """Put the files of a folder where they belong; return the folders of other nodes."""
    folders = []
    for entry in _listed(node.folder):
        path = Path(entry)
        if entry.is_dir(follow_symlinks=False):
            if node.array is not None:
                _walk_chunks(node, path)
            else:
                folders.append(path)
        else:
            _sort_file(node, path)
    node.files.sort(key=lambda file: file.coordinate)
    return sorted(folders, key=lambda path: (not path.name.isdecimal(), len(path.name), path.name))


def _walk_chunks(node: Node, folder: Path) -> None:
    """Sort every file below a folder of an array."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            _sort_file(node, Path(parent, name))


def _sort_file(node: Node, path: Path) -> None:
    """Put one file where it belongs."""
    if path.name.endswith(PARTIAL):
        node.partial.append(path)
    elif path.parent == node.folder and path.name in (*_METADATA, FRAME_RECORDS):
        return
    else:
        coordinate = _coordinate(node, path)
        if coordinate is None:
            node.foreign.append(path)
        else:
            node.files.append(ChunkFile(path, coordinate))


def _coordinate(node: Node, path: Path) -> tuple[int, ...] | None:
    """Return the place of a chunk file in its array, or None if its name gives none."""
    if node.array is None:
        return None
    key = path.relative_to(node.folder).as_posix()
    prefix, separator = node.array.key_prefix, node.array.key_separator
    if not key.startswith(prefix):
        return None
    parts = key[len(prefix) :].split(separator)
    if len(parts) != len(node.array.shape):
        return None
    if not all(part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts):
        return None
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return None
    return tuple(map(int, parts))


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, by name."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be listed: {error.strerror}") from error
