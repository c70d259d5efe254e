"""Metadata files that are gone and follow from others: of levels of an image, and of plain groups.

Only what is gone is rewritten, never what is there and cannot be read: that may be one comma, or
the disk. The level of a pyramid follows from the levels that are there and the recording's state,
which its image carries; it is made by the same plan as when it was recorded, and only if that plan
gives the levels that are there as they are. A group without attributes, as above several arrays or
in the rows of a plate, says nothing that could be lost; a well follows from its plate. What
does not follow is reported, with what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aqz_core.errors import AqzError
from aqz_core.metadata.plate import well_attributes
from aqz_core.metadata.zarr_format import zarr_format
from aqz_core.planning.array import plan_array
from aqz_core.planning.documents import array_documents
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.reading.chunks import ChunkDecoder, stored_chunks
from aqz_core.reading.extent import axis_names, level_names, levels_of
from aqz_core.reading.files import UnreadableFileError
from aqz_core.reading.json_documents import MALFORMED
from aqz_core.reading.node import ChunkFile
from aqz_core.reading.stored_array import StoredArray
from aqz_core.reading.stored_settings import stored_settings
from aqz_core.reading.survey import coordinate_of
from aqz_core.settings.stream import StreamSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.enums import ZarrVersion
    from aqz_core.metadata import Document
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.documents import IndexLocation
    from aqz_core.plugins import Hooks
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node

__all__ = ["Rebuilt", "rebuild", "stored_grids"]

_ADVICE = (
    "Put back the metadata of a recording with the same settings, then repair again; until then "
    "the arrays below can be read one by one"
)


@dataclass
class Rebuilt:
    """What became of missing metadata.

    Attributes
    ----------
    documents
        Those that could be made again, by name.
    impossible
        Why others could not, by the name of their folder.
    """

    documents: dict[str, Document] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Field:
    """One image of a well."""

    path: str
    acquisition_id: int | None


def rebuild(files: StoredFiles, nodes: list[Node], hooks: Hooks) -> Rebuilt:
    """Make the metadata again that are missing from a store.

    Parameters
    ----------
    files
        The store.
    nodes
        What lies in it.
    hooks
        Where codecs and downsamplers come from.
    """
    rebuilt = Rebuilt()
    by_name = {node.name: node for node in nodes}
    for owner in nodes:
        if "axes" in owner.aqz and owner.array is None and owner.problem is None:
            _rebuild_levels(files, owner, by_name, hooks, rebuilt)
    for node in nodes:
        if not node.has_metadata:
            below = [other for other in nodes if _is_inside(other, node) and other.version]
            if below:
                _rebuild_group(node, below, by_name, rebuilt)
    # Of the two files of a Zarr V2 node one may be left.
    for name in [name for name in rebuilt.documents if files.size(name) is not None]:
        del rebuilt.documents[name]
    return rebuilt


# ---- levels of an image ---------------------------------------------------------------------


def _rebuild_levels(
    files: StoredFiles,
    owner: Node,
    by_name: dict[str, Node],
    hooks: Hooks,
    rebuilt: Rebuilt,
) -> None:
    """Make the metadata of an image's levels again that are missing."""
    names = level_names(owner)
    known = {name: by_name[name] for name in names if name in by_name}
    missing = [
        name for name in names if name and (name not in known or not known[name].has_metadata)
    ]
    if not missing:
        return
    try:
        try:
            documents = _level_documents(owner, names, levels_of(owner, by_name), hooks)
        except AqzError as error:
            raise _UnknownError(str(error)) from error
        for name in missing:
            found = {file: doc for file, doc in documents.items() if _folder(file) == name}
            _check_level(files, found, known.get(name), hooks)
            rebuilt.documents |= found
    except _UnknownError as error:
        for name in missing:
            rebuilt.impossible[name] = (
                f"the metadata of this level are missing and cannot be made again: {error}. "
                "Put back those of a recording with the same settings, then repair again"
            )


class _UnknownError(Exception):
    """Nothing tells what a document said; the message says why."""


def _check_level(
    files: StoredFiles, found: Mapping[str, Document], node: Node | None, hooks: Hooks
) -> None:
    """Raise if what was found out about a level does not fit the files that are there of it."""
    if not found:
        raise _UnknownError("its image has no such level")
    if node is None or not node.foreign:
        return
    ((file, document),) = found.items()
    array = StoredArray.parse(document, file)
    chunk_files = [
        ChunkFile(name, place, files.size(name) or 0)
        for name in node.foreign
        if (place := coordinate_of(array, node.name, name)) is not None
    ]
    sizes = array.shard_shape or array.chunk_shape
    grid = tuple(-(-n // size) for n, size in zip(array.shape, sizes, strict=True))[-2:]
    last = tuple(max((f.coordinate[k] + 1 for f in chunk_files), default=0) for k in (-2, -1))
    if last != grid:
        raise _UnknownError(f"it has {last} rows and columns of files, and should have {grid}")
    data = _first_chunk(files, array, chunk_files[0])
    if data is None:
        raise _UnknownError("its files have no index of the size that the other levels tell")
    try:
        ChunkDecoder(array, hooks.codecs()).decode(data)
    except AqzError as error:
        raise _UnknownError(f"its chunks are not as the other levels tell: {error}") from error


def _first_chunk(files: StoredFiles, array: StoredArray, file: ChunkFile) -> bytes | None:
    """Return the bytes of a chunk of a file, or None if it has none."""
    try:
        return next((data for _, data in stored_chunks(files, array, file)), None)
    except UnreadableFileError as error:
        raise _UnknownError(f"its chunks {error.why}") from error


def _level_documents(
    owner: Node, names: list[str | None], known: list[Node], hooks: Hooks
) -> dict[str, Document]:
    """Return the documents of all levels, by name."""
    if not known or owner.version is None:
        raise _UnknownError("none of the image's levels has metadata")
    like = known[0]
    assert like.array is not None
    place = names.index(like.name)
    base = like.array if place == 0 else _as_base(owner, like.array)
    fake = replace(like, array=base)
    settings = stored_settings(owner.name, owner, [fake] * len(names))
    plan = plan_array(
        settings,
        key=owner.name,
        in_plate=True,
        rules=StreamSettings(version=owner.version).rules,
        version=owner.version,
        codec_providers=hooks.codecs(),
        downsamplers=hooks.downsamplers(),
        random_access=True,
    )
    wanted = stored_grids(plan)
    for node in known:
        assert node.array is not None
        level = names.index(node.name)
        found = (node.array.shape[1:], node.array.chunk_shape, node.array.shard_shape)
        if level >= len(wanted) or found != wanted[level]:
            raise _UnknownError(
                f"{node.name!r} has shape, chunks and shards {found}, which are not those of an "
                "image that aqz records"
            )
    length = _base_length(owner, plan, place, like.array)
    lengths = [level.append_size(length) for level in plan.geometry]
    location: IndexLocation = "end" if like.array.index_at_end else "start"
    has_length = bool(plan.base.lead_shape)
    return array_documents(plan, lengths if has_length else None, {}, location)


def stored_grids(plan: ArrayPlan) -> list[tuple[Any, ...]]:
    """Return shape without its first axis, chunks and shards of each level of a plan, pixels."""
    wanted = []
    for layout in plan.layouts:
        shards = None
        if layout.shard_chunks is not None:
            pairs = zip(layout.chunk_shape, layout.shard_chunks, strict=True)
            shards = tuple(chunk * count for chunk, count in pairs)
        wanted.append((layout.shape[1:], layout.chunk_shape, shards))
    return wanted


def _as_base(owner: Node, level: StoredArray) -> StoredArray:
    """Return the full resolution of which a level was made, as far as it is known."""
    names = axis_names(owner, level)
    try:
        sizes = {axis["name"]: axis["size"] for axis in owner.aqz["axes"]}
        shape = tuple(int(sizes[name]) for name in names)
    except MALFORMED:
        raise _UnknownError("the image's attribute aqz does not tell its size") from None
    if level.shard_shape is not None:
        counts = zip(shape, level.shape, level.chunk_shape, level.shard_shape, strict=True)
        for full, size, chunk, shard in list(counts)[1:]:
            # Where a level is smaller, its shards may be: they have no more chunks than it has.
            if full != size and shard // chunk >= -(-size // chunk):
                raise _UnknownError("the smaller levels do not tell how large its shards are")
    return replace(level, shape=shape)


def _base_length(owner: Node, plan: ArrayPlan, place: int, level: StoredArray) -> int:
    """Return the length of the full resolution, at least, from that of a level."""
    if place == 0 or not plan.lead_order:
        return level.shape[0]
    frames = owner.aqz.get("frames")
    if type(frames) is int and frames >= 0 and plan.lead_order[0] == 0:
        return FrameRouter(plan.lead_shape, plan.lead_order).length(frames)
    factor = plan.geometry[place].scale_factors[0]
    return max(0, (level.shape[0] - 1) * factor + 1) if level.shape[0] else 0


# ---- groups ---------------------------------------------------------------------------------


def _rebuild_group(
    node: Node, below: list[Node], by_name: dict[str, Node], rebuilt: Rebuilt
) -> None:
    """Make the metadata of a group again, if that had none of its own or a plate tells them."""
    version = below[0].version
    assert version is not None
    inside = [other for other in below if _folder(other.name) == node.name]
    plate, path = _plate_of(node, by_name)
    try:
        if plate is not None and path in _well_paths(plate):
            attributes = _well(plate, inside, version)
        else:
            _check_plain(inside, below, in_plate=plate is not None)
            attributes = {}
    except _UnknownError as error:
        rebuilt.impossible[node.name] = (
            f"the metadata of this group are missing: {error}. {_ADVICE}"
        )
    else:
        rebuilt.documents |= zarr_format(version).group_documents(node.name, attributes)


def _check_plain(inside: list[Node], below: list[Node], *, in_plate: bool) -> None:
    """Raise if a group, by what lies in it and below it, had attributes of its own."""
    if any(other.array is not None and "axes" not in other.aqz for other in inside):
        raise _UnknownError("axes, units and scales of an image stood only there")
    if any("series" in other.ome for other in inside):
        raise _UnknownError("that it holds a series of images stood only there")
    has_plate = in_plate or any("plate" in other.ome for other in below)
    if any("well" in other.ome for other in below) and not has_plate:
        raise _UnknownError("the list of a plate's wells stood only there")


def _plate_of(node: Node, by_name: dict[str, Node]) -> tuple[Node | None, str]:
    """Return the plate that a group is in, and the group's path in it."""
    above = node.name
    while above:
        above = _folder(above)
        found = by_name.get(above)
        if found is not None and isinstance(found.ome.get("plate"), dict):
            return found, node.name[len(above) + 1 :] if above else node.name
    return None, ""


def _well_paths(plate: Node) -> list[str]:
    """Return the paths of a plate's wells; none where its metadata are malformed."""
    wells = plate.ome["plate"].get("wells")
    return [str(w.get("path")) for w in wells if isinstance(w, dict)] if wells else []


def _well(plate: Node, inside: list[Node], version: ZarrVersion) -> Document:
    """Return the attributes of a well from its images and the plate's acquisitions."""
    acquisitions = plate.ome["plate"].get("acquisitions") or []
    if len(acquisitions) > 1:
        raise _UnknownError("which acquisition each field of the well belongs to stood only there")
    number = acquisitions[0]["id"] if acquisitions else None
    paths = [other.name.rpartition("/")[2] for other in inside if "multiscales" in other.ome]
    return well_attributes(
        [_Field(path, number) for path in paths], version=zarr_format(version).ngff_version
    )


def _is_inside(node: Node, folder: Node) -> bool:
    """Return whether a node lies below a folder."""
    return node is not folder and (not folder.name or node.name.startswith(f"{folder.name}/"))


def _folder(name: str) -> str:
    """Return the folder that something is in."""
    return name.rpartition("/")[0]
