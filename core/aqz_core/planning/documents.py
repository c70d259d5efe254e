"""The metadata files of one recorded array, and of the groups above it, as they stand.

Brings the plan of an array, how far it is recorded and the user's own attributes together into
documents by name. Which format spells them how is decided here and in `metadata`, nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aqz_core.metadata import Document, ngff, omero
from aqz_core.metadata.zarr_format import ArrayDescription
from aqz_core.planning.array import ArrayPlan
from aqz_core.settings.keys import join
from aqz_core.storage.names import NODES
from aqz_core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.metadata import Axis, Document
    from aqz_core.planning.array import ArrayPlan

__all__ = [
    "RecordingState",
    "array_documents",
    "chunk_namer",
    "node_names",
    "state_attribute",
]

RecordingState: TypeAlias = Literal["recording", "complete", "interrupted"]

IndexLocation = Literal["start", "end"]


def chunk_namer(plan: ArrayPlan, level: int) -> Any:
    """Return the function that names a level's chunk, or shard, from its coordinate."""
    prefix = plan.format.chunks_of(plan.level_name(level))
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
        own = {**attributes, **_image_attributes(plan)}
        documents |= plan.format.group_documents(plan.key, own)
    for level, layout in enumerate(plan.layouts):
        shape = layout.shape if lengths is None else (lengths[level], *layout.shape[1:])
        own = {} if plan.is_image else dict(attributes)
        documents |= _array(plan, level, shape, own, index_location)
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
    shard_shape = None
    if layout.shard_chunks is not None:
        sizes = zip(layout.chunk_shape, layout.shard_chunks, strict=True)
        shard_shape = [chunk * count for chunk, count in sizes]
    array = ArrayDescription(
        shape,
        layout.chunk_shape,
        shard_shape,
        layout.dtype,
        layout.fill_value,
        plan.codecs,
        [axis.name for axis in plan.axes],
        index_location,
    )
    return plan.format.array_documents(plan.level_name(level), array, attributes)


def _image_attributes(plan: ArrayPlan) -> Document:
    """Return the NGFF attributes of an image."""
    version = plan.format.ngff_version
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


def state_attribute(
    plan: ArrayPlan, state: RecordingState, frames: int | None, *, live: bool, gaps: bool
) -> Document:
    """Return the ``aqz`` attribute of an array or image.

    Parameters
    ----------
    plan
        How it is recorded.
    state
        Where the recording stands.
    frames
        How many frames, in the order of arrival, are stored for certain; None for a recording
        by index, whose frames may have gaps.
    live
        Whether shards have an index at their start, too.
    gaps
        Whether frames may be missing on purpose.

    Returns
    -------
    dict
        ``state``; ``version`` of aqz; ``frames``; ``live``; ``gaps``; ``axes`` in the order of
        arrival with their declared sizes (0 is unlimited); ``downsampling``, the method's name or
        None; ``pyramid_z`` where z is not halved as acquire-zarr does it. For Zarr V2, also
        ``storage_order``, the names of the axes as they are stored, where that is another order.
    """
    stored = [axis.name for axis in plan.axes]
    arrival = [axis.name for axis, _ in _axes_of_arrival(plan)]
    # Without names of axes a plain array has no other place that tells their order.
    named = plan.format.names_axes or stored == arrival
    order = {} if named else {"storage_order": stored}
    return {
        **order,
        "state": state,
        "version": __version__,
        "frames": frames,
        "live": live,
        "gaps": gaps,
        "axes": [
            {
                "name": axis.name,
                "type": axis.kind.name.lower(),
                "unit": axis.unit,
                "scale": axis.scale,
                "origin": axis.origin,
                "size": size,
            }
            for axis, size in _axes_of_arrival(plan)
        ],
        "downsampling": plan.downsampler.name if plan.downsampler is not None else None,
        **({"pyramid_z": plan.pyramid_z} if plan.pyramid_z != "chunks" else {}),
    }


def _axes_of_arrival(plan: ArrayPlan) -> list[tuple[Axis, int]]:
    """Return the axes in the order in which frames arrive, with their declared sizes."""
    stored: list[Any] = list(plan.axes)
    lead = [None] * len(plan.lead_order)
    for axis, position in zip(stored[:-2], plan.lead_order, strict=True):
        lead[position] = axis
    plane = stored[:-3:-1] if plan.transposed else stored[-2:]
    return list(zip([*lead, *plane], [*plan.lead_shape, *plan.frame_shape], strict=True))
