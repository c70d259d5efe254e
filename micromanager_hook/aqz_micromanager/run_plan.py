"""What is known of an acquisition before, or while, its frames come: images, axes, places.

*Axes* have Micro-Manager's names (``time``, ``channel``, ``z`` and any others). A *site* is a place
on the stage. An *image* holds the frames of one site that have the same axes: a frame without an
axis that others have is not their index 0, so a projection is no plane of its stack. Each image has
coordinates of its own: channels, planes and time points may differ from site to site.

`PlanBuilder` gathers the plan; pixels and stores are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from aqz_micromanager.errors import LayoutUnknownError
from aqz_micromanager.spacing import Spacing, spacing_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SITE_AXES",
    "Family",
    "ImageKey",
    "ImagePlan",
    "PlateSize",
    "RunPlan",
    "Site",
    "SiteKey",
    "Value",
    "as_value",
    "image_key",
    "split_axes",
]

Value: TypeAlias = int | str
"""A coordinate on an axis."""

SiteKey: TypeAlias = tuple[Value, ...]
"""Values on the site axes, in the order of `SITE_AXES`; empty if frames have none."""

Family: TypeAlias = frozenset[str]
"""Names of the axes that frames of an image have, sites apart."""

ImageKey: TypeAlias = tuple[SiteKey, Family]
"""What tells images apart."""

SITE_AXES = ("position", "row", "column", "grid")
"""Axes that tell sites apart; row and column only if a frame has both."""

_OF_NGFF = ("time", "channel", "z")
_SPELLINGS = {"col": "column"}
_MAX_LEAD = 3  # axes in front of y and x that an NGFF image can have


@dataclass(frozen=True, slots=True)
class Site:
    """A place on the stage.

    Attributes
    ----------
    key
        Its values on the site axes.
    name
        What the user calls it.
    x_um, y_um
        Stage position, micrometres.
    z_um
        Focus of frames that have no axis z, micrometres.
    well
        Row and column of its well, as ``("A", "1")``.
    grid
        Row and column in a grid of tiles.
    tile_at
        Which value of `key` is the number of the tile; None if row and column are in it themselves.
    """

    key: SiteKey
    name: str | None = None
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    well: tuple[str, str] | None = None
    grid: tuple[int, int] | None = None
    tile_at: int | None = None


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image, as far as it is known.

    Attributes
    ----------
    site
        Where it is taken.
    family
        Names of the axes that its frames have.
    axes
        Coordinates of each stored axis in storage order; None for an axis that counts from 0
        without an end. An axis that is not in `family` has one coordinate.
    frames
        Indices of the frames that are planned; None if nobody said.
    planes_um
        Position of each plane, micrometres, as far as known.
    starts_s
        Planned start of each time point, seconds, as far as known.
    channel_name
        Of the only channel, if there is no channel axis.
    """

    site: Site
    family: Family = frozenset()
    axes: Mapping[str, tuple[Value, ...] | None] = field(default_factory=dict)
    frames: frozenset[tuple[int, ...]] | None = None
    planes_um: tuple[float | None, ...] = ()
    starts_s: Mapping[int, float] = field(default_factory=dict)
    channel_name: str | None = None

    @property
    def key(self) -> ImageKey:
        """What tells it from other images."""
        return self.site.key, self.family

    @property
    def z_spacing(self) -> Spacing:
        """Where its planes lie."""
        known = {n: um for n, um in enumerate(self.planes_um) if um is not None}
        return spacing_of(known)

    @property
    def t_spacing(self) -> Spacing:
        """When its time points begin."""
        return spacing_of(self.starts_s)


@dataclass(frozen=True, slots=True)
class PlateSize:
    """A well plate as it was declared: names of all its rows and columns."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """An acquisition, as far as it is known.

    Attributes
    ----------
    images
        In the order in which they are visited.
    plate
        The plate that positions are on, if it was declared.
    complete
        Whether nothing else will come.
    """

    images: tuple[ImagePlan, ...] = ()
    plate: PlateSize | None = None
    complete: bool = False


def as_value(value: object) -> Value:
    """Return a coordinate as a plain int or str; whole floats count as ints.

    Raises
    ------
    LayoutUnknownError
        It is neither a whole number nor text.
    """
    if isinstance(value, str):
        return str(value)
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != value:
        raise LayoutUnknownError(
            f"{value!r} is not a coordinate on an axis; use whole numbers or text"
        )
    return int(number)


def split_axes(axes: Mapping[str, object]) -> tuple[SiteKey, dict[str, Value]]:
    """Divide the axes of a frame into its site and its coordinates in the image of that site.

    An NGFF image has one axis of the user's own at most, and five in all. What does not fit is
    told apart by image: ``angle=90`` becomes part of the site.

    Parameters
    ----------
    axes
        ``{"time": 0, "position": "A1", "channel": "DAPI"}``.
    """
    values = {_SPELLINGS.get(name, str(name)): as_value(value) for name, value in axes.items()}
    on_grid = "row" in values and "column" in values
    names = [
        name for name in SITE_AXES if name in values and (on_grid or name not in ("row", "column"))
    ]
    site = [values.pop(name) for name in names]
    folded = [f"{name}={values.pop(name)}" for name in _folded(list(values))]
    return (*site, *folded), values


def _folded(names: list[str]) -> list[str]:
    """Return the axes that an image has no room for."""
    own = sorted(name for name in names if name not in _OF_NGFF)  # engines mix their order
    cameras = ["camera"] if "camera" in own else []  # they may become channels: they stay
    others = [name for name in own if name != "camera"]
    folded = others[:-1]
    kept = len(names) - len(folded) - len(cameras)
    return others if others and kept > _MAX_LEAD else folded


def image_key(axes: Mapping[str, object], implied: Family = frozenset()) -> ImageKey:
    """Return the image that a frame belongs to; `implied` axes count whether it has them or not."""
    site, values = split_axes(axes)
    return site, frozenset(values) | implied
