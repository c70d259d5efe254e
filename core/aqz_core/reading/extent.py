"""How far the chunks that are stored reach along the append axis."""

from __future__ import annotations

from itertools import product
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from aqz_core.errors import ResumeError
from aqz_core.reading.chunks import chunks_per_shard, coordinates_in, indexes_of
from aqz_core.reading.files import UnreadableFileError
from aqz_core.reading.json_documents import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import ChunkFile, Node
    from aqz_core.reading.planes import StoredPlanes
    from aqz_core.reading.stored_array import StoredArray

__all__ = [
    "axis_names",
    "declared_length",
    "first_level",
    "level_factors",
    "level_name",
    "level_names",
    "level_paths",
    "levels_of",
    "recorded_length",
]


def levels_of(owner: Node, nodes: Mapping[str, Node]) -> list[Node]:
    """Return the arrays that an image's metadata name as its levels, full resolution first.

    Parameters
    ----------
    owner
        The image; an array is its own only level.
    nodes
        Those of the store, by name.
    """
    found = (nodes.get(name) for name in level_names(owner) if name is not None)
    return [node for node in found if node is not None and node.array is not None]


def first_level(owner: Node, nodes: Mapping[str, Node]) -> Node | None:
    """Return what is stored where an image has its full resolution; parameters as `levels_of`."""
    name = next(iter(level_names(owner)), None)
    return None if name is None else nodes.get(name)


def level_names(owner: Node) -> list[str | None]:
    """Return the names in the store of an image's levels; None for a path that leads out of it."""
    if owner.array is not None:
        return [owner.name]
    return [level_name(owner, path) for path in level_paths(owner)]


def level_paths(owner: Node) -> list[str]:
    """Return the paths of an image's levels as its metadata name them."""
    return [str(dataset.get("path", "")) for dataset in _datasets(owner)]


def level_name(owner: Node, path: str) -> str | None:
    """Return the name in the store of a level, or None for a path that leads out of its image."""
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts:
        return None
    return PurePosixPath(owner.name, inside).as_posix() if owner.name else inside.as_posix()


def axis_names(owner: Node, base: StoredArray) -> list[str | None]:
    """Return the names of the axes in storage order.

    Zarr V2 has no field for them: they are those of the image, or of the recording.
    """
    if any(base.dimension_names):
        return list(base.dimension_names)
    try:
        (image,) = owner.ome["multiscales"]
        names = [str(axis["name"]) for axis in image["axes"]]
    except MALFORMED:
        axes, order = owner.aqz.get("axes"), owner.aqz.get("storage_order")
        axes = axes if isinstance(axes, list) else []
        arrival = [a.get("name") for a in axes if isinstance(a, dict)]
        names = [str(name) for name in (order if isinstance(order, list) and order else arrival)]
    return [*names] if len(names) == len(base.shape) else list(base.dimension_names)


def level_factors(owner: Node, levels: Sequence[Node]) -> list[int]:
    """Return how many planes of the first of some levels one plane of each of them stands for.

    Taken from the scales of the NGFF metadata; ones where those say nothing. Levels of the image
    that cannot be read may be left out.
    """
    by_name = {}
    for dataset in _datasets(owner):
        try:
            (scale,) = (
                step["scale"][0]
                for step in dataset["coordinateTransformations"]
                if step["type"] == "scale"
            )
            by_name[level_name(owner, str(dataset["path"]))] = float(scale)
        except MALFORMED:
            return [1] * len(levels)
    scales = [by_name.get(level.name, 0.0) for level in levels]
    if any(not 0 < scale < float("inf") for scale in scales):
        return [1] * len(levels)
    ratios = [scale / scales[0] for scale in scales]
    return [max(1, round(ratio)) if ratio < 2**31 else 1 for ratio in ratios]


def declared_length(owner: Node, base: Node) -> int:
    """Return the size that the append axis was declared with; 0 when unlimited or unknown."""
    names = axis_names(owner, base.array) if base.array is not None else ()
    axes = owner.aqz.get("axes")
    for axis in axes if isinstance(axes, list) else ():
        if isinstance(axis, dict) and names and axis.get("name") == names[0]:
            size = axis.get("size")
            return size if type(size) is int and size > 0 else 0
    return 0


def recorded_length(files: StoredFiles, owner: Node, base: Node, planes: StoredPlanes) -> int:
    """Return the length of an array that shows every frame which is stored as a whole.

    Never less than its metadata say. A chunk may have been stored before all its planes came, and
    some chunks of a frame without the others.
    """
    assert base.array is not None
    length = base.array.shape[0]
    size = base.array.chunk_shape[0]
    layers: dict[int, set[tuple[int, ...]]] = {}
    for file in base.files:
        for layer in _layers(files, base, file):
            if (layer[0] + 1) * size > length:
                layers.setdefault(layer[0], set()).add(layer)
    for row in sorted(layers, reverse=True):
        reached = max(_reached(planes, base.array, layer) for layer in layers[row])
        if reached:
            length = max(length, reached)
            break
    limit = declared_length(owner, base)
    return min(length, max(limit, base.array.shape[0])) if limit else length


def _layers(files: StoredFiles, base: Node, file: ChunkFile) -> set[tuple[int, ...]]:
    """Return the chunk coordinates on the index axes that a file holds chunks of."""
    array = base.array
    assert array is not None
    extent = chunks_per_shard(array)
    last = (file.coordinate[0] + 1) * extent[0] * array.chunk_shape[0]
    if last <= array.shape[0]:
        return set()
    try:
        indexes = indexes_of(files, array, file) if array.shard_shape is not None else None
    except UnreadableFileError:
        return set()
    return set(map(tuple, coordinates_in(array, file, indexes)[:, :-2].tolist()))


def _reached(planes: StoredPlanes, array: StoredArray, layer: tuple[int, ...]) -> int:
    """Return the length up to the last whole plane in a layer of chunks; 0 where there is none.

    A chunk that cannot be decoded counts as full: something is stored there.
    """
    sizes = array.chunk_shape[:-2]
    first = [k * size for k, size in zip(layer, sizes, strict=True)]
    inner = [
        range(start, min(start + size, n))
        for start, size, n in zip(first[1:], sizes[1:], array.shape[1:-2], strict=True)
    ]
    for place in reversed(range(first[0], first[0] + sizes[0])):
        try:
            if any(planes.is_stored((place, *others)) for others in product(*inner)):
                return place + 1
        except ResumeError:
            return place + 1
    return 0


def _datasets(owner: Node) -> list[Mapping[str, Any]]:
    """Return the levels that NGFF metadata list; none where the metadata are malformed."""
    try:
        (image,) = owner.ome["multiscales"]
        return [dataset for dataset in image["datasets"] if isinstance(dataset, dict)]
    except MALFORMED:
        return []
