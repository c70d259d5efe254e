"""Everything that is stored below a store's place: nodes, shards, leftovers, foreign files.

Goes by the files that are there, never by what metadata claims, so that no number in a damaged
document can make it long or large. What a folder is, `aqz_core.reading.node` knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.reading.node import ChunkFile, Node, read_node
from aqz_core.settings.keys import join
from aqz_core.storage.names import (
    ACQUIRE_JSON,
    LOG_NAME,
    METADATA,
    NODES,
    PARTIAL,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.metadata import Document
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.stored_array import StoredArray

__all__ = ["coordinate_of", "survey"]

SPILL_MARKER = ".aqz-spill-"
"""Begins the name of an object that says where the rest of a recording is; see `storage.spill`."""

MAX_TEXT_NBYTES = 4096
"""Bytes that are shown of the text that an object holds for people."""

_MAX_DIGITS = 15  # of a chunk coordinate

_Folder = dict[str, int]
"""Files directly in a folder: sizes by name."""


def survey(files: StoredFiles, missing: Mapping[str, Document] | None = None) -> list[Node]:
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


class _Survey:
    """The names of a store, folder by folder."""

    def __init__(self, files: StoredFiles, missing: Mapping[str, Document]) -> None:
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
            node = read_node(self._files, folder, self._folders[folder], self._missing)
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
