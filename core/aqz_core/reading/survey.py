"""Everything that is stored below a store's place: nodes, shards, leftovers, foreign files.

Goes by the files that are there, never by what metadata claims, so that no number in a damaged
document can make it long or large. Knows Zarr V3 and V2; where a folder has metadata of both, V3
counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import StorageError
from aqz_core.reading.json_documents import parse_json
from aqz_core.reading.stored_array import GROUP_MEMBERS, StoredArray, check_members
from aqz_core.settings.keys import join
from aqz_core.storage.names import (
    ACQUIRE_JSON,
    LOG_NAME,
    MAX_DOCUMENT_NBYTES,
    METADATA,
    NODES,
    PARTIAL,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.reading.files import StoredFiles

__all__ = ["ChunkFile", "Node", "coordinate_of", "survey"]

NO_METADATA = "there is no zarr.json (Zarr V3), .zgroup or .zarray (V2)"

SPILL_MARKER = ".aqz-spill-"
"""Begins the name of an object that says where the rest of a recording is; see `storage.spill`."""

MAX_TEXT_NBYTES = 4096
"""Bytes that are shown of the text that an object holds for people."""

_MAX_DIGITS = 15  # of a chunk coordinate

_Folder = dict[str, int]
"""Files directly in a folder: sizes by name."""


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A shard, or a chunk that is a file of its own.

    Attributes
    ----------
    name
        The file.
    coordinate
        Its place in the array's chunk grid of files.
    nbytes
        Its size when the store was listed.
    """

    name: str
    coordinate: tuple[int, ...]
    nbytes: int


@dataclass(slots=True)
class Node:
    """A folder of the store and the files that belong to it.

    Attributes
    ----------
    store
        Where the store is, for messages.
    name
        The folder; empty for the store's root.
    has_metadata
        Whether there is a ``zarr.json``, ``.zarray`` or ``.zgroup``, readable or not.
    version
        Of its metadata; None where there are none that can be read.
    document
        Its ``zarr.json``, ``.zarray`` or ``.zgroup``; empty where there is none that can be read.
    attributes
        The node's attributes; empty where they are none.
    problem
        Why it cannot be read, or is no Zarr node; None when it is one.
    array
        What the document says, if it is an array's.
    files
        Chunks or shards of the array, in the order of their coordinates.
    partial
        Files that were being written when something broke.
    foreign
        Files that belong to nothing that aqz knows.
    log
        The file with the metadata of its frames, if there is one.
    spills
        In the root: objects that say that the rest of a recording may be in a folder elsewhere.
    """

    store: str
    name: str
    has_metadata: bool = False
    version: ZarrVersion | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    array: StoredArray | None = None
    files: list[ChunkFile] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    log: str | None = None
    spills: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The folder with the store that it is in, for messages."""
        return join(self.store, self.name)

    @property
    def aqz(self) -> Mapping[str, Any]:
        """What the recording left in the attribute ``aqz``."""
        found = self.attributes.get("aqz")
        return found if isinstance(found, dict) else {}

    @property
    def ome(self) -> Mapping[str, Any]:
        """What there is of OME metadata; empty where they are none, or malformed."""
        if self.version is ZarrVersion.V2:
            return self.attributes
        found = self.attributes.get("ome")
        return found if isinstance(found, dict) else {}

    def documents(self) -> dict[str, Any]:
        """Return the metadata files that it is described by, parsed, by name."""
        if self.version is not ZarrVersion.V2:
            return {join(self.name, "zarr.json"): dict(self.document)}
        file = ".zgroup" if self.array is None else ".zarray"
        documents = {join(self.name, file): dict(self.document)}
        if self.attributes:
            documents[join(self.name, ".zattrs")] = dict(self.attributes)
        return documents


def survey(files: StoredFiles, missing: Mapping[str, Any] | None = None) -> list[Node]:
    """Return every node of a store, parents first.

    Parameters
    ----------
    files
        The store.
    missing
        Documents that are not stored and shall be taken as if they were, by name.

    Raises
    ------
    StorageError
        There is no such store, it cannot be listed, or a service stopped answering. A file on a
        disk that cannot be read is a problem of its node only.
    """
    return list(_Survey(files, missing or {}).nodes())


class _RequestError(Exception):
    """A service failed, which says nothing about the store; `error` is what it raised."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Survey:
    """The names of a store, folder by folder."""

    def __init__(self, files: StoredFiles, missing: Mapping[str, Any]) -> None:
        self._files = files
        self._missing = missing
        self._folders: dict[str, _Folder] = {"": {}}
        self._inside: dict[str, list[str]] = {}
        for name, nbytes in files.find():
            self._enter(name, nbytes)
        for name in missing:
            self._enter(name, 0)
        self._above = self._folders_above_nodes()

    def _enter(self, name: str, nbytes: int) -> None:
        """Take a file, and the folders that it is in."""
        folder, _, base = name.rpartition("/")
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = {}
            self._enter_folder(folder)
        found[base] = nbytes

    def _enter_folder(self, folder: str) -> None:
        """Note a folder in the one above it, and of that one."""
        while folder:
            above = folder.rpartition("/")[0]
            self._inside.setdefault(above, []).append(folder)
            if above in self._folders:
                return
            self._folders[above] = {}
            folder = above

    def nodes(self) -> Iterator[Node]:
        """Yield every node, parents first."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            node = self._read_node(folder)
            self._sort_files(node, folder)
            if node.array is not None or folder not in self._above:
                self._sort_inside(node)
            else:
                waiting += sorted(self._inside.get(folder, ()), key=_in_order, reverse=True)
            node.files.sort(key=lambda file: file.coordinate)
            yield node

    def _folders_above_nodes(self) -> set[str]:
        """Return the folders that lie above one with metadata: others hold no node."""
        above = {""}
        for folder, names in self._folders.items():
            if any(base in names for base in NODES):
                while folder and (folder := folder.rpartition("/")[0]) not in above:
                    above.add(folder)
        return above

    def _sort_inside(self, node: Node) -> None:
        """Sort every file below the folder of an array, or of nothing that is known."""
        waiting = [*self._inside.get(node.name, ())]
        while waiting:
            folder = waiting.pop()
            self._sort_files(node, folder)
            waiting += self._inside.get(folder, ())
        node.partial.sort()
        node.foreign.sort()

    def _sort_files(self, node: Node, folder: str) -> None:
        """Put the files of a folder where they belong."""
        for base, nbytes in sorted(self._folders[folder].items()):
            name = join(folder, base)
            if base.endswith(PARTIAL):
                node.partial.append(name)
            elif folder == node.name and base in METADATA:
                continue
            elif folder == node.name and base == LOG_NAME:
                node.log = name
            elif not folder and base == ACQUIRE_JSON:
                continue
            elif not folder and base.startswith(SPILL_MARKER):
                node.spills.append(name)
            else:
                self._sort_chunk(node, name, nbytes)

    def _sort_chunk(self, node: Node, name: str, nbytes: int) -> None:
        """Take a file as a chunk or shard of an array, or as a foreign one."""
        coordinate = None
        if node.array is not None:
            coordinate = coordinate_of(node.array, node.name, name)
        if coordinate is None:
            node.foreign.append(name)
        else:
            node.files.append(ChunkFile(name, coordinate, nbytes))

    # ---- metadata ---------------------------------------------------------------------------

    def _read_node(self, folder: str) -> Node:
        """Read what a folder says that it is."""
        node = Node(self._files.url, folder)
        names = self._folders[folder]
        node.has_metadata = any(base in names for base in NODES)
        try:
            if "zarr.json" in names:
                self._read_v3(node)
            elif ".zarray" in names or ".zgroup" in names:
                self._read_v2(node, ".zarray" if ".zarray" in names else ".zgroup")
            else:
                node.problem = NO_METADATA
        except _RequestError as failed:
            raise failed.error from failed.error.__cause__
        except StorageError as error:
            node.problem = str(error)
        return node

    def _read_v3(self, node: Node) -> None:
        """Read a ``zarr.json``."""
        name = join(node.name, "zarr.json")
        file = join(node.store, name)
        document = self._document(name)
        node.version, node.document = ZarrVersion.V3, document
        attributes = document.get("attributes")
        node.attributes = attributes if isinstance(attributes, dict) else {}
        _check_kind(document, file)
        if document["node_type"] == "array":
            _check_sizes(document, file)
            node.array = StoredArray.parse(document, file)
        else:
            try:
                check_members(document, GROUP_MEMBERS)
            except (TypeError, ValueError) as error:
                raise StorageError(f"{file}: {error}") from error

    def _read_v2(self, node: Node, base: str) -> None:
        """Read a ``.zarray`` or ``.zgroup``, and the ``.zattrs`` beside it."""
        name = join(node.name, base)
        file = join(node.store, name)
        document = self._document(name)
        node.version, node.document = ZarrVersion.V2, document
        if ".zattrs" in self._folders[node.name]:
            node.attributes = self._document(join(node.name, ".zattrs"))
        if document.get("zarr_format") != 2:
            raise StorageError(f"{file}: zarr_format is {document.get('zarr_format')!r}, not 2")
        if base == ".zarray":
            _check_sizes(document, file)
            node.array = StoredArray.parse_v2(document, node.attributes, file)

    def _document(self, name: str) -> dict[str, Any]:
        """Read a JSON object; a `StorageError` that names the file if it is something else."""
        if name in self._missing:
            return dict(self._missing[name])
        file = join(self._files.url, name)
        folder, _, base = name.rpartition("/")
        nbytes = self._folders[folder][base]
        if nbytes > MAX_DOCUMENT_NBYTES:
            raise StorageError(f"{file}: {nbytes:,} bytes are too many for metadata")
        try:
            document = parse_json(self._files.read(name) or b"")
        except OSError as error:
            if self._files.folder is None:
                raise _RequestError(error) from error
            raise StorageError(f"{file}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise StorageError(f"{file}: not valid JSON: {error}") from error
        if not isinstance(document, dict):
            raise StorageError(f"{file}: not a JSON object")
        return document


def _check_kind(document: Mapping[str, Any], file: str) -> None:
    """Raise if a document is of no Zarr V3 node."""
    version, kind = document.get("zarr_format"), document.get("node_type")
    if version != 3:
        raise StorageError(f"{file}: zarr_format is {version!r}, not 3")
    if kind not in ("array", "group"):
        raise StorageError(f"{file}: node_type is {kind!r}, neither array nor group")


def _check_sizes(document: Mapping[str, Any], file: str) -> None:
    """Raise if a shape is not a list of whole numbers, which a lenient reader might let pass."""
    shape = document.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise StorageError(f"{file}: shape {shape!r} is not a list of whole numbers")
    if any(n >= 2**63 for n in shape):
        raise StorageError(f"{file}: shape {shape} is larger than any array can be")


def _in_order(folder: str) -> tuple[bool, int, str]:
    """Return what sorts folders: numbers first, 2 before 10."""
    base = folder.rpartition("/")[2]
    return not base.isdecimal(), len(base), base


def coordinate_of(array: StoredArray, folder: str, name: str) -> tuple[int, ...] | None:
    """Return the place of a chunk file in the array in a folder, or None if its name gives none."""
    key = name[len(folder) + 1 :] if folder else name
    prefix, separator = array.key_prefix, array.key_separator
    if not key.startswith(prefix):
        return None
    parts = key[len(prefix) :].split(separator)
    if len(parts) != len(array.shape):
        return None
    if not all(part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts):
        return None
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return None
    return tuple(map(int, parts))
