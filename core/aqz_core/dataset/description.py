"""What the metadata of an image say, whoever wrote them: axes, levels, channels, names.

Reads NGFF 0.4 and 0.5, and plain arrays: those of aqz by its own attribute, others by the names of
their dimensions. What is missing or malformed gets the value that NGFF foresees: a scale of 1.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aqz_core.enums import DimensionType
from aqz_core.errors import StorageError
from aqz_core.metadata.units import normalise_unit, size_in
from aqz_core.reading.extent import axis_names, levels_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.reading.node import Node

__all__ = ["AxisDescription", "ImageDescription", "LevelDescription", "describe", "is_image"]

AxisKind = Literal["time", "channel", "space", "other"]

_KINDS: Mapping[str, AxisKind] = {
    "t": "time",
    "time": "time",
    "c": "channel",
    "channel": "channel",
    **dict.fromkeys("zyx", "space"),
}
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_SECONDS |= {"millisecond": 1e-3, "microsecond": 1e-6, "nanosecond": 1e-9}
_MICROMETERS = 1e6
_MOST_PIXELS = 2**26
"""Of an axis: its coordinates then take half a gigabyte."""
_MOST_PLANES = 2**28
"""A flag for each takes a quarter of a gigabyte."""
_MOST_CHANNELS = 2**14
_MOST_LETTERS = 256
"""Of the name of a channel: NumPy gives each name of an array the room of the longest."""
_COLORS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")


@dataclass(frozen=True, slots=True)
class AxisDescription:
    """One axis of an image.

    Attributes
    ----------
    name
        In lower case if it is a letter, so that the stores of all writers are spelt alike.
    stored_name
        As the store has it.
    kind
        What it measures.
    unit
        Unit of the coordinates: micrometers for lengths, seconds for times, wherever the unit in
        the store is known; None without one.
    factor
        What turns a length or time of the store into that unit.
    """

    name: str
    stored_name: str
    kind: AxisKind
    unit: str | None
    factor: float


@dataclass(frozen=True, slots=True)
class LevelDescription:
    """One resolution of an image.

    Attributes
    ----------
    node
        Its array.
    scale, translation
        Of each axis, in the units of the axes.
    """

    node: Node
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels on each axis."""
        assert self.node.array is not None
        return self.node.array.shape


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """An image, as its metadata describe it.

    Attributes
    ----------
    owner
        The node that holds its metadata.
    name
        For people; empty if it has none.
    axes
        In the order of the store.
    levels
        Full resolution first.
    channels, colors
        Name and colour (RRGGBB) of each channel; the number where it has no name.
    """

    owner: Node
    name: str
    axes: tuple[AxisDescription, ...]
    levels: tuple[LevelDescription, ...]
    channels: tuple[str, ...]
    colors: tuple[str, ...]


def is_image(node: Node) -> bool:
    """Return whether a node's metadata make it an image of NGFF."""
    return bool(_multiscales(node))


def describe(owner: Node, nodes: Mapping[str, Node]) -> ImageDescription:
    """Return what is known of an image, or of a plain array.

    Raises
    ------
    StorageError
        The array at full resolution is missing, cannot be read, or claims more than can be listed.
    """
    # A level counts once, however often the metadata list it.
    arrays = list({node.name: node for node in levels_of(owner, nodes)}.values())
    if not arrays or arrays[0].array is None:
        raise StorageError(
            f"{owner.where}: the array at full resolution is missing or cannot be read; `aqz "
            "validate` says why"
        )
    rank = len(arrays[0].array.shape)
    image = _multiscales(owner)
    axes = _axes(owner, arrays[0], image)
    datasets = _by_level(owner, image.get("datasets"))
    levels = tuple(
        _level(node, axes, datasets, owner)
        for node in arrays
        if node.array is not None and len(node.array.shape) == rank
    )
    for level in levels:
        _check_extent(level.node.where, level.shape)
    number = _number_of_channels(axes, levels[0].shape)
    if number > _MOST_CHANNELS:
        raise StorageError(
            f"{owner.where}: it claims {number:,} channels; no more than {_MOST_CHANNELS:,} can be "
            "listed"
        )
    return ImageDescription(
        owner, _text(image.get("name")), axes, levels, *_channels(owner, number)
    )


def _multiscales(node: Node) -> Mapping[str, Any]:
    """Return the first image of the NGFF metadata; empty if there is none."""
    found = node.ome.get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, dict) and isinstance(first.get("datasets"), list) else {}


def _axes(owner: Node, base: Node, image: Mapping[str, Any]) -> tuple[AxisDescription, ...]:
    """Return the axes of an image or array."""
    assert base.array is not None
    names = [name or f"axis{n}" for n, name in enumerate(axis_names(owner, base.array))]
    said = image.get("axes") or owner.aqz.get("axes")
    said = said if isinstance(said, list) else []
    by_name = {str(one.get("name")): one for one in said if isinstance(one, dict)}
    axes = tuple(_axis(name, by_name.get(name, {})) for name in names)
    if len({axis.name for axis in axes}) == len(axes):
        return axes
    return tuple(_axis(name, by_name.get(name, {}), keep=True) for name in names)


def _axis(stored: str, said: Mapping[str, Any], *, keep: bool = False) -> AxisDescription:
    """Return one axis, from its name and its entry in the metadata."""
    name = stored.lower() if len(stored) == 1 and not keep else stored
    kind: Any = said.get("type")
    if kind not in ("time", "channel", "space", "other"):
        kind = _KINDS.get(name.lower(), "other")
    unit = said.get("unit") if isinstance(said.get("unit"), str) else None
    if kind == "space":
        base, factor = size_in(unit, 1.0)
        if base == "meter":
            return AxisDescription(name, stored, kind, "micrometer", factor * _MICROMETERS)
        return AxisDescription(name, stored, kind, base, factor)
    if kind == "time":
        known = normalise_unit(unit, DimensionType.TIME)
        factor = _SECONDS.get(known or "", 1.0)
        return AxisDescription(name, stored, kind, "second" if known in _SECONDS else known, factor)
    return AxisDescription(name, stored, kind, unit, 1.0)


def _check_extent(where: str, shape: Sequence[int]) -> None:
    """Raise `StorageError` where a shape claims more than can be listed."""
    if max(shape, default=0) > _MOST_PIXELS or math.prod(shape[:-2]) > _MOST_PLANES:
        raise StorageError(
            f"{where}: it claims the shape {tuple(shape)}; axes of more than {_MOST_PIXELS:,} "
            f"pixels, or more than {_MOST_PLANES:,} planes, cannot be listed. Is the shape right?"
        )


def _by_level(owner: Node, datasets: Any) -> dict[str, Mapping[str, Any]]:
    """Return what NGFF says of each level, the first entry of each, by the name of its array."""
    below = f"{owner.name}/" if owner.name else ""
    found: dict[str, Mapping[str, Any]] = {}
    for one in datasets if isinstance(datasets, list) else ():
        path = one.get("path") if isinstance(one, dict) else None
        if isinstance(path, str):
            found.setdefault(below + path.strip("/"), one)
    return found


def _level(
    node: Node,
    axes: Sequence[AxisDescription],
    datasets: Mapping[str, Mapping[str, Any]],
    owner: Node,
) -> LevelDescription:
    """Return a level with its scale and translation."""
    scale, translation = [1.0] * len(axes), [0.0] * len(axes)
    if node.name in datasets:
        for step in [*_steps(datasets[node.name]), *_steps(_multiscales(owner))]:
            scale, translation = _applied(step, scale, translation)
    if not datasets and isinstance(owner.aqz.get("axes"), list):
        by_name = {one.get("name"): one for one in owner.aqz["axes"] if isinstance(one, dict)}
        entries = [by_name.get(axis.stored_name, {}) for axis in axes]
        scale = [_number(one.get("scale"), 1.0) or 1.0 for one in entries]
        translation = [_number(one.get("origin"), 0.0) for one in entries]
    factors = [axis.factor for axis in axes]
    return LevelDescription(
        node,
        tuple(a * b for a, b in zip(scale, factors, strict=True)),
        tuple(a * b for a, b in zip(translation, factors, strict=True)),
    )


def _steps(document: Mapping[str, Any]) -> list[Any]:
    """Return the coordinate transformations of a dataset or an image."""
    steps = document.get("coordinateTransformations")
    return steps if isinstance(steps, list) else []


def _applied(
    step: Any, scale: list[float], translation: list[float]
) -> tuple[list[float], list[float]]:
    """Return scale and translation after one more transformation; unknown ones change nothing."""
    if not isinstance(step, dict):
        return scale, translation
    values = step.get(str(step.get("type")))
    if not isinstance(values, list) or len(values) != len(scale):
        return scale, translation
    if step["type"] == "scale":
        factors = [_number(value, 1.0) for value in values]
        return (
            [a * b for a, b in zip(scale, factors, strict=True)],
            [a * b for a, b in zip(translation, factors, strict=True)],
        )
    if step["type"] == "translation":
        moved = [a + _number(b, 0.0) for a, b in zip(translation, values, strict=True)]
        return scale, moved
    return scale, translation


def _number(value: Any, default: float) -> float:
    """Return a finite number, or the default for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return default
    try:
        number = float(value)
    except OverflowError:  # JSON knows no largest number
        return default
    return number if math.isfinite(number) else default


def _number_of_channels(axes: Sequence[AxisDescription], shape: Sequence[int]) -> int:
    """Return the size of the channel axis; 1 without one."""
    sizes = [n for axis, n in zip(axes, shape, strict=True) if axis.kind == "channel"]
    return sizes[0] if sizes else 1


def _channels(owner: Node, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and the colours of the channels."""
    omero = owner.ome.get("omero")
    said = omero.get("channels") if isinstance(omero, dict) else None
    said = said[:number] if isinstance(said, list) else []
    entries = [one if isinstance(one, dict) else {} for one in said]
    entries += [{}] * (number - len(entries))
    names = [_text(one.get("label"))[:_MOST_LETTERS] or str(n) for n, one in enumerate(entries)]
    times = Counter(names)  # coordinates are of use only if they tell channels apart
    names = [f"{name} ({n})" if times[name] > 1 else name for n, name in enumerate(names)]
    default = ["FFFFFF"] if number == 1 else [_COLORS[n % len(_COLORS)] for n in range(number)]
    colors = [_hexadecimal(one.get("color")) or default[n] for n, one in enumerate(entries)]
    return tuple(names), tuple(colors)


def _hexadecimal(color: Any) -> str | None:
    """Return a colour of six hexadecimal digits, or None if it is not one."""
    digits = color.lstrip("#").upper() if isinstance(color, str) else ""
    return digits if len(digits) == 6 and set(digits) <= set("0123456789ABCDEF") else None


def _text(value: Any) -> str:
    """Return a text; empty for anything else."""
    return value if isinstance(value, str) else ""
