"""What the metadata in one folder of a store say that it is.

Knows Zarr V3 and V2; where a folder has metadata of both, V3 counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.errors import StorageError
from aqz_core.metadata.zarr_format import format_of, zarr_format
from aqz_core.reading.files import UnreadableFileError
from aqz_core.reading.json_documents import parse_json
from aqz_core.reading.stored_array import StoredArray, check_group
from aqz_core.settings.keys import join
from aqz_core.storage.names import MAX_DOCUMENT_NBYTES, METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.metadata import Document
    from aqz_core.metadata.zarr_format import ZarrFormat
    from aqz_core.reading.files import StoredFiles

__all__ = ["ChunkFile", "Node", "find_node", "read_node"]

NO_METADATA = "there is no zarr.json (Zarr V3), .zgroup or .zarray (V2)"

NONE: Mapping[str, Document] = {}


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
    documents
        Its metadata files, parsed, by name, as far as they can be read: the one that says what it
        is comes first, the one with its attributes last.
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
    documents: dict[str, Document] = field(default_factory=dict)
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
    def format(self) -> ZarrFormat:
        """The format of its metadata; V3 where there are none that can be read."""
        return zarr_format(self.version or ZarrVersion.V3)

    @property
    def aqz(self) -> Mapping[str, Any]:
        """What the recording left in the attribute ``aqz``."""
        found = self.attributes.get("aqz")
        return found if isinstance(found, dict) else {}

    @property
    def ome(self) -> Mapping[str, Any]:
        """What there is of OME metadata; empty where they are none, or malformed."""
        found = self.format.ome_in(self.attributes)
        return found if isinstance(found, dict) else {}


def find_node(files: StoredFiles, name: str) -> Node:
    """Return what is stored at `name`, without a listing: its chunks are not looked for."""
    sizes = {base: files.size(join(name, base)) for base in METADATA}
    found = {base: nbytes for base, nbytes in sizes.items() if nbytes is not None}
    return read_node(files, name, found)


def read_node(
    files: StoredFiles,
    name: str,
    sizes: Mapping[str, int],
    missing: Mapping[str, Document] = NONE,
) -> Node:
    """Return what the metadata in a folder say.

    Parameters
    ----------
    files, name
        The store, and the folder.
    sizes
        Bytes of each file in the folder.
    missing
        Documents that are not stored and shall be taken as if they were, by name.

    Raises
    ------
    StorageError
        A service failed. A file that cannot be read is a problem of the node only.
    """
    node = Node(files.url, name)
    form = format_of(sizes)
    if form is None:
        node.problem = NO_METADATA
        return node
    node.has_metadata = True
    try:
        for base in form.node_files(sizes):
            file = join(name, base)
            document = missing[file] if file in missing else _document(files, file, sizes[base])
            node.version, node.documents[file] = form.version, dict(document)
    except UnreadableFileError as error:
        node.problem = str(error)
        return node
    try:
        _interpret(node)
    except StorageError as error:
        node.problem = str(error)
    return node


def _document(files: StoredFiles, name: str, nbytes: int) -> Document:
    """Return the JSON object that a file holds; an `UnreadableFileError` if it holds none."""
    file = join(files.url, name)
    if nbytes > MAX_DOCUMENT_NBYTES:
        raise UnreadableFileError(None, f"{nbytes:,} bytes are too many for metadata", file)
    try:
        document = parse_json(files.read(name) or b"")
    except ValueError as error:
        raise UnreadableFileError(None, f"not valid JSON: {error}", file) from error
    if not isinstance(document, dict):
        raise UnreadableFileError(None, "not a JSON object", file)
    return document


def _interpret(node: Node) -> None:
    """Fill in what the documents of a node say; a `StorageError` if they make no sense."""
    (name, document), *_ = node.documents.items()
    file = join(node.store, name)
    attributes: object = node.format.attributes_in(node.documents, node.name)
    node.attributes = attributes if isinstance(attributes, dict) else {}
    if document.get("zarr_format") != node.version:
        found, wanted = document.get("zarr_format"), int(node.version or 3)
        raise StorageError(f"{file}: zarr_format is {found!r}, not {wanted}")
    if node.version is ZarrVersion.V2:
        if name.endswith(".zarray"):
            node.array = StoredArray.parse(document, file)
        return
    kind = document.get("node_type")
    if kind == "array":
        node.array = StoredArray.parse(document, file)
    elif kind == "group":
        check_group(document, file)
    else:
        raise StorageError(f"{file}: node_type is {kind!r}, neither array nor group")
