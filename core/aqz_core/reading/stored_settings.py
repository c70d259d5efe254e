"""The settings that a stored array was recorded with, read back from its metadata.

Zarr and NGFF say most of it; what they have no field for (the order of arrival, declared sizes,
kinds and units of the axes of plain arrays) is in the attribute ``aqz``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_core.codecs import PluginCompression, chain_for
from aqz_core.enums import DataType, DimensionType, DownsamplingMethod
from aqz_core.errors import AqzError, ResumeError
from aqz_core.metadata.units import normalise_unit
from aqz_core.reading.extent import axis_names
from aqz_core.reading.json_documents import MALFORMED
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.compression import named_compression

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.node import Node
    from aqz_core.reading.stored_array import StoredArray

__all__ = ["differences", "stored_settings"]


def stored_settings(key: str, owner: Node, levels: Sequence[Node]) -> ArraySettings:
    """Return the settings of one array or image.

    Parameters
    ----------
    key
        Where it is in the store.
    owner
        The node with the attribute ``aqz``.
    levels
        The arrays of its levels, or itself.

    Raises
    ------
    ResumeError
        The metadata are incomplete or contradict themselves.
    """
    base = levels[0].array
    assert base is not None
    try:
        return _settings(key, owner, base, len(levels))
    except ResumeError:
        raise
    except (*MALFORMED, AqzError) as error:
        raise ResumeError(
            f"{owner.where}: the attribute aqz does not tell how the array was recorded "
            f"({error!r}); record into another store"
        ) from error


def differences(
    stored: ArraySettings,
    given: ArraySettings,
    providers: Mapping[str, CodecProvider],
    *,
    sharded: bool = True,
    root_is_image: bool = False,
) -> list[str]:
    """Say in what the settings given for an array differ from how it was recorded.

    Parameters
    ----------
    stored, given
        The settings.
    providers
        Codecs by name.
    sharded
        Whether the format has shards; Zarr V2 has none, and their sizes mean nothing there.
    root_is_image
        Whether an array at the root becomes an image unasked.
    """
    found = _differing_axes(stored, given, sharded=sharded)
    names = ["data_type", "fill_value", "downsampling_method", "checksum"]
    if stored.output_key or not root_is_image:
        names.append("is_ngff")
    in_space = [d for d in given.dimensions if d.kind is DimensionType.SPACE]
    if stored.downsampling_method is not None and len(in_space) > 2:  # else it says nothing
        names.append("pyramid_z")
    for name in names:
        before, now = getattr(stored, name), getattr(given, name)
        same = before == now or (before != before and now != now)  # NaN
        if not same:
            found.append(f"{name} is {before} in the store, {now} in the settings")
    labels = [[channel.name for channel in one.channels] for one in (stored, given)]
    if labels[0] != labels[1]:
        found.append(f"channels are {labels[0]} in the store, {labels[1]} in the settings")
    codecs = [
        chain_for(
            named_compression(one.compression), stored.data_type.dtype, providers
        ).v3_metadata()[1:]
        for one in (stored, given)
    ]
    if codecs[0] != codecs[1]:
        found.append(f"compression is {codecs[0]} in the store, {codecs[1]} in the settings")
    return found


def _settings(key: str, owner: Node, base: StoredArray, levels: int) -> ArraySettings:
    """Return the settings; any of the plain errors when the metadata are malformed."""
    axes = owner.aqz["axes"]
    names = axis_names(owner, base)
    if sorted(str(axis["name"]) for axis in axes) != sorted(map(str, names)):
        raise ResumeError(
            f"{owner.where}: the axes are {names} in its metadata, but "
            f"{[axis['name'] for axis in axes]} in the attribute aqz"
        )
    dimensions = [_dimension(axis, base, names.index(axis["name"])) for axis in axes]
    arrival = [dimension.name for dimension in dimensions]
    method = owner.aqz.get("downsampling")
    return ArraySettings(
        output_key=key,
        compression=_compression(base),
        dimensions=dimensions,
        data_type=DataType.of(base.dtype),
        downsampling_method=DownsamplingMethod[method.upper()] if method is not None else None,
        max_levels=levels - 1 if method is not None else 0,  # it counts those below the first
        pyramid_z=owner.aqz.get("pyramid_z", "chunks"),
        storage_dimension_order=list(names) if names != arrival else [],  # type: ignore[arg-type]
        is_ngff=owner.array is None,
        fill_value=base.fill_value.item(),
        channels=_channels(owner.ome),
        name=_name(key, owner.ome),
        checksum=_has_checksum(base),
    )


def _dimension(axis: Mapping[str, Any], base: StoredArray, place: int) -> Dimension:
    """Return one axis in the order of arrival, which stands at `place` in the store."""
    size = axis["size"]
    if place > 0 and size != base.shape[place]:
        raise ResumeError(
            f"the axis {axis['name']!r} has size {base.shape[place]} in the array, but {size} in "
            "the attribute aqz"
        )
    chunk = base.chunk_shape[place]
    shards = None if base.shard_shape is None else base.shard_shape[place] // chunk
    return Dimension(
        name=axis["name"],
        kind=DimensionType[axis["type"].upper()],
        unit=axis["unit"],
        scale=float(axis["scale"]),
        origin=float(axis.get("origin", 0.0)),
        array_size_px=size,
        chunk_size_px=chunk,
        shard_size_chunks=shards,
    )


def _compression(base: StoredArray) -> PluginCompression | None:
    """Return what the codecs of a chunk are asked for by."""
    codecs = base.codecs[:-1] if _has_checksum(base) else base.codecs
    if not codecs:
        return None
    if len(codecs) > 1:
        names = [codec["name"] for codec in codecs]
        raise ResumeError(f"chunks pass through {names}; only one codec can be resumed")
    (codec,) = codecs
    return PluginCompression(codec["name"], dict(codec.get("configuration", {})))


def _name(key: str, ome: Mapping[str, Any]) -> str:
    """Return the name of an image, empty where it is only its key."""
    try:
        name = ome["multiscales"][0]["name"]
    except MALFORMED:
        return ""
    return name if isinstance(name, str) and name != (key.rsplit("/", 1)[-1] or "/") else ""


def _has_checksum(base: StoredArray) -> bool:
    """Return whether every chunk ends in a checksum."""
    return bool(base.codecs) and base.codecs[-1]["name"] == "crc32c"


def _channels(ome: Mapping[str, Any]) -> list[Channel]:
    """Return the channels of the display settings, none where they are not as aqz writes them."""
    try:
        return [
            Channel(
                name=channel.get("label", ""),
                color=channel["color"],
                window=tuple(float(channel["window"][k]) for k in ("min", "max", "start", "end")),
            )
            for channel in ome["omero"]["channels"]
        ]
    except MALFORMED:
        return []


def _differing_axes(stored: ArraySettings, given: ArraySettings, *, sharded: bool) -> list[str]:
    """Say in what the axes differ."""
    names = [dimension.name for dimension in stored.dimensions]
    others = [dimension.name for dimension in given.dimensions]
    if names != others:
        return [f"the axes are {names} in the store, {others} in the settings"]
    found = []
    for one, other in zip(stored.dimensions, given.dimensions, strict=True):
        before, now = _told_of(one, sharded=sharded), _told_of(other, sharded=sharded)
        found += [
            f"{field} of axis {one.name!r} is {before[field]} in the store, {now[field]} in the "
            "settings"
            for field in before
            if before[field] != now[field]
        ]
    orders = [
        [names[k] if isinstance(k, int) else k for k in one.storage_dimension_order] or names
        for one in (stored, given)
    ]
    if orders[0] != orders[1]:
        found.append(
            f"storage_dimension_order is {orders[0]} in the store, {orders[1]} in the settings"
        )
    return found


def _told_of(axis: Dimension, *, sharded: bool) -> dict[str, object]:
    """Return what is stored of an axis, by the name of the setting."""
    return {
        "kind": axis.kind,
        "array_size_px": axis.array_size_px,
        "chunk_size_px": axis.chunk_size_px,
        **({"shard_size_chunks": axis.shard_size_chunks} if sharded else {}),
        "scale": axis.scale or 1.0,
        "unit": normalise_unit(axis.unit, axis.kind),
        "origin": axis.origin,
    }
