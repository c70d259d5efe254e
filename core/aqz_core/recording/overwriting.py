"""What ``overwrite=True`` may remove: what was recorded at a place, and nothing else.

A store is looked through before anything of it is removed. Whatever is not metadata, a chunk or a
log where those belong makes the overwriting refused: a note, a table, another store.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StoreExistsError
from aqz_core.metadata.ngff import SERIES_GROUP
from aqz_core.settings.keys import ancestors, join
from aqz_core.storage.names import (
    ACQUIRE_JSON,
    LOCK_SUFFIX,
    LOG_NAME,
    METADATA,
    PARTIAL,
    SPILL_MARKER,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aqz_core.storage.sink import Sink

__all__ = ["remove_recording"]

_CHUNK = re.compile(r"c|(c[./])?\d+([./]\d+)*")
"""A chunk's file, or the first directory on the way to it, in either format."""

_OF_THE_DESKTOP = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that a file manager makes by itself wherever somebody looks."""

_STORE = re.compile(r".*\.(zarr|n5)", re.IGNORECASE)
"""Names that people give to stores, not to the groups inside of one."""


def remove_recording(sink: Sink, keys: Iterable[str] = ()) -> None:
    """Remove everything in a store.

    Parameters
    ----------
    sink
        The store.
    keys
        Arrays that are going to be recorded: nodes of these names belong to the store whatever
        they are called.

    Raises
    ------
    StoreExistsError
        Something is in it that was not recorded there; nothing is removed.
    """
    foreign = next(_Search(sink, keys).foreign(), None)
    if foreign is not None:
        raise StoreExistsError(
            f"{sink.url} has {foreign!r} in it, which is no part of a recording: overwrite=True "
            "removes recordings only. Move it away, remove the store yourself, or choose another "
            "store_path."
        )
    sink.remove("")


class _Search:
    """Looks through a store for what is not its own."""

    def __init__(self, sink: Sink, keys: Iterable[str]) -> None:
        self._sink = sink
        self._expected = {name for key in keys for name in (key, *ancestors(key))}

    def foreign(self) -> Iterator[str]:
        """Yield the names of foreign things, the first of each directory at least."""
        names = self._names("")
        # What an upload that was cut off left in a bucket has no metadata either.
        has_metadata = not names.isdisjoint(METADATA)
        if names and not has_metadata and self._sink.random_access and not self._is_begun(names):
            yield min(names)
        yield from self._in_node("", names)

    def _names(self, node: str) -> set[str]:
        """Return what is in a directory, but for what is never anybody's own."""
        return {
            name
            for name in self._sink.names(node)
            if not name.endswith((PARTIAL, LOCK_SUFFIX))
            and name not in _OF_THE_DESKTOP
            and not name.startswith(("._", SPILL_MARKER))
        }

    def _in_node(self, node: str, names: set[str]) -> Iterator[str]:
        """Yield what is foreign in a node, or in what is left of one without metadata."""
        document = self._document(node)
        is_array = document.get("node_type") == "array"
        may_have_chunks = is_array or names.isdisjoint(METADATA)
        listed = _listed(document)
        for name in sorted(names - set(METADATA)):
            path = join(node, name)
            inside = self._names(path)
            if not inside:
                own = may_have_chunks and (name == LOG_NAME or _CHUNK.fullmatch(name))
                own = own or (name == ACQUIRE_JSON and not node)
                if not own and not self._is_empty_directory(path):
                    yield path
            elif is_array and _CHUNK.fullmatch(name):
                yield from self._in_chunks(path, inside)
            elif is_array or not self._belongs(path, name, listed):
                yield path
            else:
                yield from self._in_node(path, inside)

    def _in_chunks(self, directory: str, names: set[str]) -> Iterator[str]:
        """Yield what is foreign among chunks; not in a bucket, where each look is a request."""
        for name in sorted(names):
            path = join(directory, name)
            if not _CHUNK.fullmatch(name):
                yield path
            elif self._sink.random_access:
                yield from self._in_chunks(path, self._names(path))

    def _is_empty_directory(self, path: str) -> bool:
        """Return whether there is a directory with nothing of anybody's in it."""
        try:
            return self._sink.read(path) is None
        except OSError:  # a directory cannot be read
            return True

    def _belongs(self, path: str, name: str, listed: set[str] | None) -> bool:
        """Return whether a group or array inside of a group is a part of the store."""
        if path in self._expected or (listed is not None and name in listed):
            return True
        return listed is None and not _STORE.fullmatch(name) and self._may_be_recorded(path)

    def _may_be_recorded(self, path: str) -> bool:
        """Return whether a node is a group of others, or tells that it was recorded by aqz."""
        document = self._document(path)
        attributes = document.get("attributes")
        if document.get("node_type") == "array" and attributes is None:
            attributes = _object(self._sink.read(join(path, ".zattrs")) or b"{}")
        attributes = attributes if isinstance(attributes, dict) else {}
        ome = attributes.get("ome", attributes)
        holds_pixels = document.get("node_type") == "array" or "multiscales" in ome
        return "aqz" in attributes or not holds_pixels

    def _is_begun(self, names: set[str]) -> bool:
        """Return whether a store without metadata is what an opening that was cut off leaves."""
        return names <= self._expected and all(map(self._has_no_chunks, names))

    def _has_no_chunks(self, node: str) -> bool:
        """Return whether there are metadata alone."""
        names = self._names(node)
        if names.isdisjoint(METADATA) and any(_CHUNK.fullmatch(name) for name in names):
            return False
        return "c" not in names and all(
            self._has_no_chunks(join(node, name)) for name in names - set(METADATA)
        )

    def _document(self, node: str) -> dict[str, Any]:
        """Return the metadata of a node in the form of Zarr V3; empty if there are none."""
        if (text := self._sink.read(join(node, "zarr.json"))) is not None:
            return _object(text)
        if (text := self._sink.read(join(node, ".zarray"))) is not None:
            return {**_object(text), "node_type": "array"}
        attributes = _object(self._sink.read(join(node, ".zattrs")) or b"{}")
        return {"attributes": attributes}


def _object(text: bytes) -> dict[str, Any]:
    """Return a JSON object; what cannot be read counts as one without members."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _listed(document: dict[str, Any]) -> set[str] | None:
    """Return the first part of every path that the OME metadata of a group name.

    None where the metadata do not say what is in the group.
    """
    attributes = document.get("attributes")
    ome = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
    if not isinstance(ome, dict):
        return None
    lists: list[tuple[Any, str]] = [(ome.get("labels"), "")]
    images = [image for image in _items(ome.get("multiscales")) if isinstance(image, dict)]
    lists += [(image.get("datasets"), "path") for image in images]
    for group, member in (("plate", "wells"), ("well", "images")):
        if isinstance(inside := ome.get(group), dict):
            lists.append((inside.get(member), "path"))
    if all(found is None for found, _ in lists):
        return None
    paths = {
        str(one.get(name) if isinstance(one, dict) else one)
        for found, name in lists
        for one in _items(found)
    }
    return {path.split("/")[0] for path in paths} | {"labels", SERIES_GROUP}


def _items(value: Any) -> list[Any]:
    """Return a list, or an empty one for anything else."""
    return value if isinstance(value, list) else []
