"""Metadata of the store that is made: those of the source, in the words of the wanted version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.metadata import to_json
from aqz_core.metadata.zarr_format import ArrayDescription, zarr_format
from aqz_core.settings.keys import join
from aqz_core.storage.names import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.codecs import CodecChain
    from aqz_core.downsampling.methods import Downsampler
    from aqz_core.metadata.json_text import Document
    from aqz_core.transcoding.layout import ImageLayout, LevelLayout
    from aqz_core.transcoding.source import SourceGroup, SourceImage

__all__ = ["array_document", "group_documents", "image_documents", "level_name", "log_file"]


def level_name(image: SourceImage, level: int) -> str:
    """Return the folder of a level."""
    return image.key if image.is_plain else join(image.key, str(level))


def log_file(image: SourceImage) -> dict[str, bytes]:
    """Return the log of an image's frames by its name; empty without one."""
    return {join(level_name(image, 0), LOG_NAME): image.log} if image.log else {}


def group_documents(group: SourceGroup, version: ZarrVersion) -> dict[str, bytes]:
    """Return the documents of a group, by name."""
    attributes = {**_ome(group.ome, version), **group.attributes}
    return _text(zarr_format(version).group_documents(group.key, attributes))


def image_documents(
    image: SourceImage,
    layout: ImageLayout,
    version: ZarrVersion,
    codecs: CodecChain,
    downsampler: Downsampler | None,
) -> dict[str, bytes]:
    """Return the documents of an image and of its levels, by name.

    Parameters
    ----------
    image, layout
        What it is, and how it is stored.
    version, codecs
        Zarr format, and what chunks pass through.
    downsampler
        The method of a new pyramid; None where there is none, or that of the source.
    """
    attributes = _recording(image, version, downsampler)
    documents: dict[str, bytes] = {}
    for number in range(len(layout.levels)):
        documents |= _array_documents(image, layout, number, version, codecs)
    if not image.is_plain:
        ome = {"multiscales": [_multiscale(image, layout, version, downsampler)], **image.ome}
        attributes = {**_ome(ome, version), **attributes}
        documents |= _text(zarr_format(version).group_documents(image.key, attributes))
    return documents


def array_document(
    image: SourceImage, layout: ImageLayout, number: int, version: ZarrVersion, codecs: CodecChain
) -> bytes:
    """Return the document that says what the array of a level is; attributes may be beside it."""
    file = ".zarray" if version is ZarrVersion.V2 else "zarr.json"
    return _array_documents(image, layout, number, version, codecs)[
        join(level_name(image, number), file)
    ]


def _array_documents(
    image: SourceImage, layout: ImageLayout, number: int, version: ZarrVersion, codecs: CodecChain
) -> dict[str, bytes]:
    """Return the documents of one level, by name."""
    level, base = layout.levels[number], image.levels[0]
    source = image.levels[level.source] if level.source is not None else None
    attributes = dict(source.attributes) if source is not None else {}
    if image.is_plain:
        attributes |= _recording(image, version, None)
    array = ArrayDescription(
        level.shape,
        level.chunk_shape,
        level.block_shape if version is ZarrVersion.V3 else None,
        base.dtype,
        base.fill_value,
        codecs,
        [str(axis["name"]) for axis in image.axes],
        "end",
    )
    name = level_name(image, number)
    return _text(zarr_format(version).array_documents(name, array, attributes))


def _recording(
    image: SourceImage, version: ZarrVersion, downsampler: Downsampler | None
) -> dict[str, Any]:
    """Return attributes of which the one of aqz says how the new store is made."""
    attributes = dict(image.attributes)
    said = attributes.get("aqz")
    if not isinstance(said, dict) or "axes" not in said:
        return attributes
    said = {**said, "live": False}
    if said.get("state") == "recording":
        said["state"] = "interrupted"
    if downsampler is not None:
        said |= {"downsampling": downsampler.name, "pyramid_z": "finer"}
    stored = [axis["name"] for axis in image.axes]
    arrival = [axis.get("name") for axis in said["axes"] if isinstance(axis, dict)]
    said.pop("storage_order", None)
    if version is ZarrVersion.V2 and stored != arrival:
        said["storage_order"] = stored
    return {**attributes, "aqz": said}


def _multiscale(
    image: SourceImage,
    layout: ImageLayout,
    version: ZarrVersion,
    downsampler: Downsampler | None,
) -> Document:
    """Return the entry of ``multiscales``."""
    document: Document = {
        "name": image.key.rsplit("/", 1)[-1] or "image",
        **image.multiscale,
        "axes": [dict(axis) for axis in image.axes],
        "datasets": [
            {"path": str(number), "coordinateTransformations": _placed(image, level)}
            for number, level in enumerate(layout.levels)
        ],
    }
    if downsampler is not None or len(layout.levels) == 1:
        document.pop("type", None)
        document.pop("metadata", None)
    if downsampler is not None and len(layout.levels) > 1:
        document |= {"type": downsampler.ngff_type, "metadata": dict(downsampler.ngff_metadata)}
    if version is ZarrVersion.V2:
        document["version"] = "0.4"
    return document


def _placed(image: SourceImage, level: LevelLayout) -> list[Document]:
    """Return the transformations of a level."""
    one = image.levels[level.source or 0]
    factors = (1.0,) * len(one.scale) if level.source is not None else level.factors
    scale = [a * b for a, b in zip(one.scale, factors, strict=True)]
    steps: list[Document] = [{"type": "scale", "scale": scale}]
    if any(one.translation):
        steps.append({"type": "translation", "translation": list(one.translation)})
    return steps


def _ome(ome: Mapping[str, Any], version: ZarrVersion) -> dict[str, Any]:
    """Return what NGFF says, where and with the version numbers that it wants."""
    if not ome:
        return {}
    versioned = {
        key: {**value, "version": zarr_format(version).ngff_version}
        if key in ("plate", "well", "image-label") and isinstance(value, dict)
        else value
        for key, value in ome.items()
    }
    if version is ZarrVersion.V2:
        return versioned
    return {"ome": {**versioned, "version": "0.5"}}


def _text(documents: Mapping[str, Document]) -> dict[str, bytes]:
    """Return documents as the bytes of their files."""
    return {name: to_json(document) for name, document in documents.items()}
