"""From what a person says, ``channel="DAPI", z=3``, to an index of the stored array."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from aqz_core.errors import FrameIndexError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.dataset.description import AxisDescription, ImageDescription

__all__ = ["frame_index", "in_bounds", "named_axes"]


def named_axes(axes: Sequence[AxisDescription], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given for axes, by the names that the axes have.

    An axis is named by its name, as it is stored or in lower case, or by ``time`` or ``channel``
    if it is the only one of that kind.

    Raises
    ------
    FrameIndexError
        A name is none of an axis in front of Y and X, or an axis is named twice.
    """
    lead = axes[:-2]
    aliases = {}
    for kind in ("time", "channel"):
        of_kind = [axis.name for axis in lead if axis.kind == kind]
        if len(of_kind) == 1:
            aliases[kind] = of_kind[0]
    aliases |= {axis.stored_name: axis.name for axis in lead}
    aliases |= {axis.name: axis.name for axis in lead}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in aliases:
            known = ", ".join(axis.name for axis in lead) or "none"
            raise FrameIndexError(f"there is no axis {name!r} to choose from; there are: {known}")
        if aliases[name] in found:
            raise FrameIndexError(f"the axis {aliases[name]!r} is given twice")
        found[aliases[name]] = value
    return found


def frame_index(image: ImageDescription, given: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the storage index of a frame, negative numbers resolved; it may be out of bounds.

    Raises
    ------
    FrameIndexError
        An axis is unknown or left out, or a value is neither a number nor the name of a channel.
    """
    chosen = named_axes(image.axes, given)
    shape = image.levels[0].shape
    index = []
    for axis, size in zip(image.axes[:-2], shape, strict=False):
        if axis.name not in chosen and size != 1:
            raise FrameIndexError(
                f"the axis {axis.name!r} has {size} positions; say which, for example {axis.name}=0"
            )
        value = chosen.get(axis.name, 0)
        if isinstance(value, str):
            index.append(_named(axis, value, image))
            continue
        try:
            number = operator.index(value)
        except TypeError:
            raise FrameIndexError(
                f"{axis.name}={value!r} is not a whole number{_or_channel(axis)}"
            ) from None
        index.append(number + size if number < 0 else number)
    return tuple(index)


def in_bounds(index: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether an index lies inside of an array."""
    return all(0 <= k < n for k, n in zip(index, shape, strict=False))


def _named(axis: AxisDescription, value: str, image: ImageDescription) -> int:
    """Return the number of a channel; -1, which is nowhere, for one that the image has not."""
    if axis.kind != "channel":
        raise FrameIndexError(f"{axis.name}={value!r} is not a whole number")
    return image.channels.index(value) if value in image.channels else -1


def _or_channel(axis: AxisDescription) -> str:
    """Return what else may be said of a channel axis."""
    return ", nor the name of a channel" if axis.kind == "channel" else ""
