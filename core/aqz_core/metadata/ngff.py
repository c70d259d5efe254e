"""OME-NGFF image metadata: ``multiscales`` and ``omero``, versions 0.4 and 0.5.

0.5 keeps everything under the attribute ``ome`` with one version number; 0.4
puts the same objects at the top of the attributes, each with its own version.
`multiscales` builds the object, `attributes` puts it where its version wants it.

What NGFF cannot express (six axes, two time axes ...) can still be recorded as
a plain array: `ngff_problems` says why axes are not an NGFF image, and the caller
decides whether that is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from aqz_core.enums import DimensionType
from aqz_core.metadata.units import normalise_unit, unit_advice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.metadata.json_text import Document

__all__ = [
    "LAYOUT",
    "SERIES_GROUP",
    "Axis",
    "DownsamplingRecord",
    "NgffVersion",
    "attributes",
    "multiscales",
    "ngff_advice",
    "ngff_problems",
]

LAYOUT = 3
"""The only value of ``bioformats2raw.layout`` that NGFF knows."""

SERIES_GROUP = "OME"

NgffVersion: TypeAlias = Literal["0.4", "0.5"]


_AXIS_TYPES = {
    DimensionType.SPACE: "space",
    DimensionType.CHANNEL: "channel",
    DimensionType.TIME: "time",
    DimensionType.OTHER: "other",
}


# Custom axes stand where a channel axis would.
_RANKS = {
    DimensionType.TIME: 0,
    DimensionType.CHANNEL: 1,
    DimensionType.OTHER: 1,
    DimensionType.SPACE: 2,
}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an array as its metadata describe it.

    Attributes
    ----------
    name
        Unique among the axes of the array.
    kind
        What the axis measures.
    unit
        Unit of `scale`, in any usual spelling; None if there is none.
    scale
        Distance between neighbouring pixels at full resolution, in `unit`;
        0.0 means that it was not given and stands for 1.0, as in acquire-zarr.
    origin
        Position of the first pixel, in `unit`.
    """

    name: str
    kind: DimensionType
    unit: str | None = None
    scale: float = 1.0
    origin: float = 0.0


class DownsamplingRecord(Protocol):
    """How the levels of a pyramid were made, in NGFF's words."""

    @property
    def ngff_type(self) -> str:
        """Name of the method, NGFF's ``type``."""

    @property
    def ngff_metadata(self) -> Mapping[str, Any]:
        """What a reader needs to repeat it, NGFF's ``metadata``."""


def multiscales(
    axes: Sequence[Axis],
    level_factors: Sequence[Sequence[float]],
    *,
    name: str,
    version: NgffVersion = "0.5",
    downsampling: DownsamplingRecord | None = None,
    omero: Mapping[str, Any] | None = None,
    level_translations: Sequence[Sequence[float]] | None = None,
) -> Document:
    """Return the NGFF object of an image (specification section "multiscales").

    Parameters
    ----------
    axes
        In storage order.
    level_factors
        For each level, pixel size along each axis divided by that of level 0:
        ``[[1, 1, 1], [1, 2, 2]]``. Level *n* is the array ``str(n)``.
    name
        Name of the image, for people.
    version
        NGFF version.
    downsampling
        The method behind levels 1 and up; written only if there are any.
    omero
        Display settings from `aqz_core.metadata.omero.omero_attributes`.
    level_translations
        For each level, position of its first pixel along each axis, in the
        axes' units; None leaves translations out.

    Returns
    -------
    dict
        The value of attribute ``ome`` (0.5), or the attributes themselves (0.4).

    Raises
    ------
    ValueError
        If a level does not have one factor and one translation for each axis.
    """
    origins: Sequence[Sequence[float] | None] = level_translations or [None] * len(level_factors)
    _check_levels(len(axes), level_factors, origins)
    image: Document = {
        "axes": [_axis_document(axis) for axis in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transformations(axes, *geometry)}
            for level, geometry in enumerate(zip(level_factors, origins, strict=True))
        ],
        "name": name,
    }
    if downsampling is not None and len(level_factors) > 1:
        image["type"] = downsampling.ngff_type
        image["metadata"] = dict(downsampling.ngff_metadata)
    document: Document = {"multiscales": [image]}
    if version == "0.4":
        image["version"] = version
    else:
        document["version"] = version
    if omero is not None:
        document["omero"] = dict(omero)
    return document


def attributes(document: Mapping[str, Any], version: NgffVersion) -> Document:
    """Return the group attributes that hold an NGFF object.

    Parameters
    ----------
    document
        From `multiscales`, or from `aqz_core.metadata.plate`.
    version
        The NGFF version that the object was made for.
    """
    return dict(document) if version == "0.4" else {"ome": dict(document)}


def ngff_problems(axes: Sequence[Axis]) -> list[str]:
    """Say why axes cannot be those of an NGFF image.

    Parameters
    ----------
    axes
        In storage order.

    Returns
    -------
    list of str
        One sentence for each rule of NGFF 0.4 and 0.5 (section "multiscales")
        that is broken; empty if an image can have these axes.
    """
    names = [axis.name for axis in axes]
    shown = ", ".join(f"{axis.name!r} ({_AXIS_TYPES[axis.kind]})" for axis in axes)
    space = _count(axes, DimensionType.SPACE)
    time = _count(axes, DimensionType.TIME)
    channel = _count(axes, DimensionType.CHANNEL)
    other = _count(axes, DimensionType.OTHER)
    problems = []
    if not 2 <= len(axes) <= 5:
        problems.append(f"an NGFF image has 2 to 5 axes, not {len(axes)}: {shown}")
    if not 2 <= space <= 3:
        problems.append(f"an NGFF image has 2 or 3 space axes, not {space}: {shown}")
    if time > 1:
        problems.append(f"an NGFF image has at most one time axis, not {time}: {shown}")
    if channel > 1:
        problems.append(f"an NGFF image has at most one channel axis, not {channel}: {shown}")
    if other > 1:
        problems.append(f"an NGFF image has at most one other axis, not {other}: {shown}")
    if [_RANKS[axis.kind] for axis in axes] != sorted(_RANKS[axis.kind] for axis in axes):
        problems.append(
            "NGFF axes are stored time first, then channel or other, then space; "
            f"these are stored as {shown}. Set storage_dimension_order={_ordered(axes)}"
            " (storage_order of open_stream) to store them so, or record a plain array "
            "(is_ngff=False)"
        )
    if len(set(names)) != len(names):
        problems.append(f"NGFF axes have different names; these are {', '.join(map(repr, names))}")
    return problems


def ngff_advice(axes: Sequence[Axis]) -> list[str]:
    """Say where valid NGFF axes differ from what the specification recommends.

    Parameters
    ----------
    axes
        In storage order.

    Returns
    -------
    list of str
        One sentence for each recommendation that is not followed: unlisted
        units, space axes that are not z, y, x, an other axis beside a channel.
    """
    advice = [
        f"axis {axis.name!r}: {advice}"
        for axis in axes
        if (advice := unit_advice(axis.unit, axis.kind)) is not None
    ]
    space = [axis.name for axis in axes if axis.kind is DimensionType.SPACE]
    if space != list("zyx")[-len(space) :]:
        advice.append(
            f"space axes {', '.join(space)}: NGFF readers expect them to be named and stored "
            f"as {', '.join('zyx'[-len(space) :])}; some refuse others"
        )
    custom = [axis.name for axis in axes if _RANKS[axis.kind] == 1]
    if len(custom) > 1:
        # The text of the specification allows one of both; its schemas take one of each.
        advice.append(
            f"axes {', '.join(custom)}: NGFF foresees one channel or other axis; "
            "some readers may refuse more"
        )
    return advice


def _check_levels(
    ndim: int,
    factors: Sequence[Sequence[float]],
    origins: Sequence[Sequence[float] | None],
) -> None:
    """Raise `ValueError` unless every level has one factor and one translation per axis."""
    wrong = [one for one in (*factors, *origins) if one is not None and len(one) != ndim]
    if wrong or len(origins) != len(factors) or not factors:
        raise ValueError(
            f"levels need one factor and one translation for each of {ndim} axes; "
            f"factors {list(factors)}, translations {list(origins)}"
        )


def _axis_document(axis: Axis) -> Document:
    """Return one entry of ``axes``."""
    document: Document = {"name": axis.name, "type": _AXIS_TYPES[axis.kind]}
    unit = normalise_unit(axis.unit, axis.kind)
    if unit is not None:
        document["unit"] = unit
    return document


def _transformations(
    axes: Sequence[Axis], factors: Sequence[float], origin: Sequence[float] | None
) -> list[Document]:
    """Return the transformations of one level: scale, then translation if there is one."""
    scale = [
        (axis.scale or 1.0) * float(factor) for axis, factor in zip(axes, factors, strict=True)
    ]
    steps: list[Document] = [{"type": "scale", "scale": scale}]
    if origin is not None:
        offsets = [float(offset) for _, offset in zip(axes, origin, strict=True)]
        steps.append({"type": "translation", "translation": offsets})
    return steps


def _ordered(axes: Sequence[Axis]) -> list[str]:
    """Return the names of axes in the order that NGFF wants."""
    return [axis.name for axis in sorted(axes, key=lambda axis: _RANKS[axis.kind])]


def _count(axes: Sequence[Axis], kind: DimensionType) -> int:
    """Return how many axes are of a kind."""
    return sum(axis.kind is kind for axis in axes)
