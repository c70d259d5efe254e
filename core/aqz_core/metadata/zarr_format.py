"""Zarr V2 and V3 behind one protocol: which files a node has, and what stands in which.

Everything that depends on the format and is not arithmetic is asked here: `zarr_format` returns
the one of a recording, `format_of` that of files which are there, and `read_node` finds out what is
stored. What a document holds is written in `zarr_v2` and `zarr_v3`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from aqz_core.enums import ZarrVersion
from aqz_core.metadata import zarr_v2, zarr_v3
from aqz_core.metadata.custom import RESERVED, RESERVED_V2

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    import numpy as np

    from aqz_core.metadata.json_text import Document
    from aqz_core.metadata.ngff import NgffVersion
    from aqz_core.metadata.zarr_v3 import FillValue, IndexLocation

__all__ = ["ArrayDescription", "StoredNode", "ZarrFormat", "format_of", "read_node", "zarr_format"]


class CodecMetadata(Protocol):
    """What chunks pass through, as both formats write it."""

    def v3_metadata(self) -> list[dict[str, Any]]:
        """Return the V3 ``codecs`` list."""

    def v2_metadata(self) -> dict[str, Any] | None:
        """Return the V2 ``compressor``."""


@dataclass(frozen=True, slots=True)
class ArrayDescription:
    """What the metadata of an array say, in either format; V2 leaves out what it has no field for.

    Attributes
    ----------
    shape, chunk_shape
        Pixels per axis of the array, as far as it is recorded, and of a chunk.
    shard_shape
        Pixels per axis of a shard; None for a file per chunk.
    dtype, fill_value
        Of the pixels.
    codecs
        What chunks pass through.
    dimension_names
        Of the axes.
    index_location
        Where readers find the index of a shard.
    """

    shape: Sequence[int]
    chunk_shape: Sequence[int]
    shard_shape: Sequence[int] | None
    dtype: np.dtype[Any]
    fill_value: FillValue
    codecs: CodecMetadata
    dimension_names: Sequence[str]
    index_location: IndexLocation


class ZarrFormat(Protocol):
    """How one version of Zarr lays out nodes.

    Attributes
    ----------
    version
        The version of Zarr.
    ngff_version
        The version of NGFF that goes with it.
    reserved
        Attributes of an image that are not the user's.
    has_shards
        Whether chunks can share an object.
    names_axes
        Whether the metadata of an array name its axes.
    """

    version: ZarrVersion
    ngff_version: NgffVersion
    reserved: frozenset[str]
    has_shards: bool
    names_axes: bool

    def chunks_of(self, name: str) -> str:
        """Return what the names of an array's chunks begin with."""

    def group_documents(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Document]:
        """Return the documents of a group, by name."""

    def array_documents(
        self, name: str, array: ArrayDescription, attributes: Mapping[str, Any]
    ) -> dict[str, Document]:
        """Return the documents of an array, by name."""

    def attributes_in(self, documents: Mapping[str, Document], name: str) -> Document:
        """Return the object that holds the attributes of the node `name` in its documents."""

    def node_files(self, names: Container[str]) -> tuple[str, ...]:
        """Return which of the files in a folder are a node's metadata: what it is, attributes last.

        Nothing if they make no node.
        """

    def ome_in(self, attributes: Mapping[str, Any]) -> Any:
        """Return what stands where an image's attributes have NGFF metadata; None if nothing."""

    def image_attributes(self, attributes: Mapping[str, Any]) -> Document:
        """Return those of an image's attributes that are NGFF metadata."""


class _ZarrV2:
    """Zarr V2 with NGFF 0.4: attributes in a file of their own."""

    version = ZarrVersion.V2
    ngff_version: NgffVersion = "0.4"
    reserved = RESERVED_V2
    has_shards = False
    names_axes = False

    def chunks_of(self, name: str) -> str:
        return name

    def group_documents(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Document]:
        return {
            _inside(name, ".zgroup"): zarr_v2.group_document(),
            **self._attributes(name, attributes),
        }

    def array_documents(
        self, name: str, array: ArrayDescription, attributes: Mapping[str, Any]
    ) -> dict[str, Document]:
        compressor = array.codecs.v2_metadata()
        document = zarr_v2.array_document(
            array.shape, array.chunk_shape, array.dtype, compressor, array.fill_value
        )
        return {_inside(name, ".zarray"): document, **self._attributes(name, attributes)}

    def attributes_in(self, documents: Mapping[str, Document], name: str) -> Document:
        return documents.get(_inside(name, ".zattrs"), {})

    def node_files(self, names: Container[str]) -> tuple[str, ...]:
        kind = next((file for file in (".zarray", ".zgroup") if file in names), None)
        if kind is None:
            return ()
        return (kind, ".zattrs") if ".zattrs" in names else (kind,)

    def ome_in(self, attributes: Mapping[str, Any]) -> Any:
        return attributes

    def image_attributes(self, attributes: Mapping[str, Any]) -> Document:
        return {k: v for k, v in attributes.items() if k in RESERVED_V2 and k != "aqz"}

    def _attributes(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Document]:
        """Return the document of attributes, by name, if there are any."""
        if not attributes:
            return {}
        return {_inside(name, ".zattrs"): zarr_v2.attributes_document(attributes)}


class _ZarrV3:
    """Zarr V3 with NGFF 0.5: one document for each node."""

    version = ZarrVersion.V3
    ngff_version: NgffVersion = "0.5"
    reserved = RESERVED
    has_shards = True
    names_axes = True

    def chunks_of(self, name: str) -> str:
        return _inside(name, "c")

    def group_documents(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Document]:
        return {_inside(name, "zarr.json"): zarr_v3.group_document(attributes)}

    def array_documents(
        self, name: str, array: ArrayDescription, attributes: Mapping[str, Any]
    ) -> dict[str, Document]:
        document = zarr_v3.array_document(
            array.shape,
            array.chunk_shape,
            array.shard_shape,
            array.dtype,
            array.codecs.v3_metadata(),
            array.fill_value,
            array.dimension_names,
            array.index_location,
            attributes,
        )
        return {_inside(name, "zarr.json"): document}

    def attributes_in(self, documents: Mapping[str, Document], name: str) -> Document:
        attributes: Document = documents[_inside(name, "zarr.json")].get("attributes", {})
        return attributes

    def node_files(self, names: Container[str]) -> tuple[str, ...]:
        return ("zarr.json",) if "zarr.json" in names else ()

    def ome_in(self, attributes: Mapping[str, Any]) -> Any:
        return attributes.get("ome")

    def image_attributes(self, attributes: Mapping[str, Any]) -> Document:
        return {"ome": attributes["ome"]}


_FORMATS: dict[ZarrVersion, ZarrFormat] = {ZarrVersion.V3: _ZarrV3(), ZarrVersion.V2: _ZarrV2()}


def zarr_format(version: ZarrVersion) -> ZarrFormat:
    """Return the format of that version."""
    return _FORMATS[version]


def format_of(names: Container[str]) -> ZarrFormat | None:
    """Return the format of the node whose files these are; None if they make none."""
    return next((form for form in _FORMATS.values() if form.node_files(names)), None)


class StoredNode(NamedTuple):
    """What is stored of a group or an array.

    Attributes
    ----------
    version
        Zarr format.
    kind
        "array" or "group".
    attributes
        Empty where they cannot be read.
    """

    version: ZarrVersion
    kind: Literal["array", "group"]
    attributes: Document


def read_node(read: Callable[[str], bytes | None], name: str) -> StoredNode | None:
    """Return what is stored at `name`, or None if nothing is.

    A node of both formats counts as V3. Documents that cannot be read count as empty objects.

    Parameters
    ----------
    read
        Returns the content of a file of the store, or None if there is none.
    name
        Of the node.
    """
    if (content := read(_inside(name, "zarr.json"))) is not None:
        document = _parsed(content)
        kind: Literal["array", "group"] = (
            "array" if document.get("node_type") == "array" else "group"
        )
        attributes = document.get("attributes")
        found = attributes if isinstance(attributes, dict) else {}
        return StoredNode(ZarrVersion.V3, kind, found)
    is_array = read(_inside(name, ".zarray")) is not None
    if not is_array and read(_inside(name, ".zgroup")) is None:
        return None
    found = _parsed(read(_inside(name, ".zattrs")) or b"{}")
    return StoredNode(ZarrVersion.V2, "array" if is_array else "group", found)


def _parsed(content: bytes) -> Document:
    """Return a JSON object; what is not one counts as empty."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _inside(name: str, file: str) -> str:
    """Return the name of a file of the node `name`; the root has the empty name."""
    return f"{name}/{file}" if name else file
