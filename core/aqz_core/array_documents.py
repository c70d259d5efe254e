"""The metadata files of one recorded array, and of the groups above it, as they stand.

Brings the plan of an array, how far it is recorded and the user's own attributes together into
documents by name. Which format spells them how is decided here and in `metadata`, nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from aqz_core.enums import ZarrVersion
from aqz_core.metadata import Document, ngff, omero, zarr_v2, zarr_v3
from aqz_core.plans import ArrayPlan, join, ngff_version
from aqz_core.sinks.base import NODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["array_documents", "chunk_namer", "group_documents", "node_names"]

IndexLocation = Literal["start", "end"]


def chunk_namer(plan: ArrayPlan, level: int) -> Any:
    """Return the function that names a level's chunk, or shard, from its coordinate."""
    prefix = join(plan.level_name(level), "c" if plan.version is not ZarrVersion.V2 else "")
    return lambda coordinate: join(prefix, *map(str, coordinate))


def array_documents(
    plan: ArrayPlan,
    lengths: Sequence[int] | None,
    attributes: Mapping[str, Any],
    index_location: IndexLocation,
) -> dict[str, Document]:
    """Return the documents of an array, or of an image and all its levels, by name.

    Parameters
    ----------
    plan
        The array.
    lengths
        How far each level is recorded on the append axis, in pixels; None without such an axis.
    attributes
        What the image's group, or the array, carries besides its own attributes.
    index_location
        Where readers shall look for the index of a shard.
    """
    documents: dict[str, Document] = {}
    if plan.is_image:
        documents |= group_documents(
            plan.version, plan.key, {**attributes, **_image_attributes(plan)}
        )
    for level, layout in enumerate(plan.layouts):
        shape = layout.shape if lengths is None else (lengths[level], *layout.shape[1:])
        own = {} if plan.is_image else dict(attributes)
        documents |= _array(plan, level, shape, own, index_location)
    return documents


def group_documents(
    version: ZarrVersion, name: str, attributes: Mapping[str, Any]
) -> dict[str, Document]:
    """Return the documents of a group by name."""
    if version is not ZarrVersion.V2:
        return {join(name, "zarr.json"): zarr_v3.group_document(attributes)}
    documents = {join(name, ".zgroup"): zarr_v2.group_document()}
    if attributes:
        documents[join(name, ".zattrs")] = zarr_v2.attributes_document(attributes)
    return documents


def node_names(name: str) -> tuple[str, ...]:
    """Return the names that would show that a node of either format is stored at `name`."""
    return tuple(join(name, file) for file in NODES)


def _array(
    plan: ArrayPlan,
    level: int,
    shape: tuple[int, ...],
    attributes: Document,
    index_location: IndexLocation,
) -> dict[str, Document]:
    """Return the documents of one level's array by name."""
    layout = plan.layouts[level]
    name = plan.level_name(level)
    if plan.version is ZarrVersion.V2:
        document = zarr_v2.array_document(
            shape,
            layout.chunk_shape,
            layout.dtype,
            plan.codecs.v2_metadata(),
            layout.fill_value,
        )
        documents = {join(name, ".zarray"): document}
        if attributes:
            documents[join(name, ".zattrs")] = zarr_v2.attributes_document(attributes)
        return documents
    shard_shape = None
    if layout.shard_chunks is not None:
        sizes = zip(layout.chunk_shape, layout.shard_chunks, strict=True)
        shard_shape = [chunk * count for chunk, count in sizes]
    document = zarr_v3.array_document(
        shape,
        layout.chunk_shape,
        shard_shape,
        layout.dtype,
        plan.codecs.v3_metadata(),
        layout.fill_value,
        [axis.name for axis in plan.axes],
        index_location,
        attributes,
    )
    return {join(name, "zarr.json"): document}


def _image_attributes(plan: ArrayPlan) -> Document:
    """Return the NGFF attributes of an image."""
    version = ngff_version(plan.version)
    channels = omero.omero_attributes(plan.channels, plan.base.dtype) if plan.channels else None
    origin = [axis.origin for axis in plan.axes]
    image = ngff.multiscales(
        plan.axes,
        [level.scale_factors for level in plan.geometry],
        name=plan.name or plan.key.rsplit("/", 1)[-1] or "/",
        version=version,
        downsampling=plan.downsampler,
        omero=channels,
        level_translations=[origin] * len(plan.geometry) if any(origin) else None,
    )
    return ngff.attributes(image, version)
