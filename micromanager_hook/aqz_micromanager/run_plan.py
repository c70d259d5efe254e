"""What is known of an acquisition before, or while, its frames come: axes, sites, scales.

A plan is gathered by `PlanBuilder` from event dictionaries, from declarations of the user, and from
frames that are held back for this purpose. Pixels and stores are not known here.

*Axes* have Micro-Manager's names (``time``, ``channel``, ``z`` and any others). A *site* is a place
on the stage, with an image of its own: it is never an axis of an array.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

from aqz_micromanager.errors import LayoutUnknownError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SITE_AXES", "PlanBuilder", "RunPlan", "Site", "SiteKey", "Value", "as_value"]

Value: TypeAlias = int | str
"""A coordinate on an axis."""

SiteKey: TypeAlias = tuple[Value, ...]
"""Values on the site axes, in the order of `SITE_AXES`; empty if frames have none."""

SITE_AXES = ("position", "row", "column", "grid")
"""Axes that tell sites apart; row and column only if a frame has both."""


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
        Position of its first plane, micrometres.
    well
        Row and column of its well, as ``("A", "1")``.
    grid
        Row and column in a grid of tiles.
    """

    key: SiteKey
    name: str | None = None
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    well: tuple[str, str] | None = None
    grid: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """An acquisition, as far as it is known.

    Attributes
    ----------
    axes
        Coordinates of each axis in the order in which they are stored; None for an axis that
        counts from 0 without an end.
    sites
        In the order in which they are visited.
    z_step_um
        Distance between planes, micrometres.
    interval_s
        Time between time points, seconds.
    channel_name
        Of the only channel, if there is no channel axis.
    complete
        Whether nothing else will come.
    """

    axes: Mapping[str, tuple[Value, ...] | None] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    z_step_um: float | None = None
    interval_s: float | None = None
    channel_name: str | None = None
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
    except (TypeError, ValueError):
        number = None
    if number is None or number != value:
        raise LayoutUnknownError(
            f"{value!r} is not a coordinate on an axis; use whole numbers or text"
        )
    return int(number)


def split_axes(axes: Mapping[str, object]) -> tuple[SiteKey, dict[str, Value]]:
    """Divide the axes of a frame into its site and its coordinates in the image of that site.

    Parameters
    ----------
    axes
        ``{"time": 0, "position": "A1", "channel": "DAPI"}``.
    """
    values = {str(name): as_value(value) for name, value in axes.items()}
    on_grid = "row" in values and "column" in values
    names = [
        name for name in SITE_AXES if name in values and (on_grid or name not in ("row", "column"))
    ]
    return tuple(values.pop(name) for name in names), values


class PlanBuilder:
    """Gathers a plan.

    Parameters
    ----------
    declared
        What the user says of axes: their number of coordinates, the coordinates themselves, or None
        for an axis without an end. ``position`` may be given like an axis.
    """

    def __init__(self, declared: Mapping[str, int | Iterable[Value] | None] | None = None) -> None:
        self._declared: dict[str, tuple[Value, ...] | None] = {}
        self._seen: dict[str, dict[Value, None]] = {}
        self._sites: dict[SiteKey, Site] = {}
        self._z: dict[tuple[SiteKey, Value], float] = {}
        self._starts: dict[Value, float] = {}
        self._channel_names: dict[str, None] = {}
        self._sites_declared = False
        self._axes_fixed = False
        self.complete = False
        for name, values in (declared or {}).items():
            self._declare(name, values)

    def _declare(self, name: str, values: int | Iterable[Value] | None) -> None:
        """Take the user's word for one axis."""
        coordinates = None
        if isinstance(values, str):
            raise LayoutUnknownError(
                f"axes: {name!r} is {values!r}; give a number, a list of coordinates, or None"
            )
        if isinstance(values, int):
            coordinates = tuple[Value, ...](range(values))
        elif values is not None:
            coordinates = tuple(as_value(value) for value in values)
        if coordinates is not None and not coordinates:
            raise LayoutUnknownError(f"axes: {name!r} has no coordinates; leave it out")
        if coordinates is not None and len(set(coordinates)) < len(coordinates):
            raise LayoutUnknownError(f"axes: {name!r} names a coordinate twice: {coordinates}")
        if name == "position":
            if coordinates is None:
                raise LayoutUnknownError(
                    "axes: positions are images of their own and must be known; give a number or "
                    "a list of names"
                )
            self._sites_declared = True
            for value in coordinates:
                self.add_site(Site((value,), str(value) if isinstance(value, str) else None))
            return
        self._declared[name] = coordinates

    def add_frame(self, axes: Mapping[str, object]) -> None:
        """Take note of a frame, or of an event that asks for one."""
        key, values = split_axes(axes)
        if not self._axes_fixed:
            for name, value in values.items():
                self._seen.setdefault(name, {})[value] = None
        if key not in self._sites:
            self.add_site(Site(key, key[0] if key and isinstance(key[0], str) else None))

    def add_site(self, site: Site) -> None:
        """Take note of a site; what was known of it and is not said again stays."""
        known = self._sites.get(site.key)
        if known is not None:
            said = {
                name: getattr(site, name)
                for name in ("name", "x_um", "y_um", "z_um", "well", "grid")
                if getattr(site, name) is not None and getattr(known, name) is None
            }
            site = replace(known, **said)
        self._sites[site.key] = site

    def add_plane(self, key: SiteKey, z: Value, z_um: float) -> None:
        """Take note of where a plane lies."""
        self._z.setdefault((key, z), z_um)

    def add_start(self, time: Value, seconds: float) -> None:
        """Take note of when a time point shall begin."""
        if not self._axes_fixed:
            self._starts.setdefault(time, seconds)

    def add_channel_name(self, name: str) -> None:
        """Take note of the name of a channel that may have no axis."""
        self._channel_names[name] = None

    def fix_axes(self) -> bool:
        """Take note of new sites only, from now on; return whether all sites were told before."""
        self._axes_fixed = True
        return self.complete or self._sites_declared

    def site(self, key: SiteKey) -> Site:
        """Return what is known of a site."""
        return self._site(self._sites[key])

    @property
    def has_whole_site(self) -> bool:
        """Whether a second site has begun, so that the first one is probably whole."""
        return len(self._sites) > 1

    def plan(self) -> RunPlan:
        """Return what is known so far."""
        names = dict.fromkeys([*self._declared, *self._seen])
        axes = {name: self._coordinates(name) for name in names}
        single = next(iter(self._channel_names)) if len(self._channel_names) == 1 else None
        return RunPlan(
            axes=_in_storage_order(axes),
            sites=tuple(self._site(site) for site in self._sites.values()) or (Site(()),),
            z_step_um=self._z_step(),
            interval_s=_step({k: v for k, v in self._starts.items() if isinstance(k, int)}),
            channel_name=single if "channel" not in axes else None,
            complete=self.complete,
        )

    def is_ready(self) -> bool:
        """Tell whether the plan is good enough to make a store.

        The sizes of all axes but the open-ended one must be known. If nobody says them, they are
        those of the first time point, which is over when a frame of the second one comes.
        """
        if self.complete:
            return True
        end_less = self._open_axis()
        learned = [name for name in self._seen if name not in self._declared and name != end_less]
        if not learned and (self._sites_declared or all(not key for key in self._sites)):
            return True
        return end_less is not None and len(self._seen[end_less]) > 1

    def _open_axis(self) -> str | None:
        """Return the axis that has no end because nobody said one: time, or else the only one."""
        if self.complete or None in self._declared.values():
            return None
        learned = [name for name in self._seen if name not in self._declared]
        if "time" in learned:
            return "time"
        return learned[0] if len(learned) == 1 and not self._is_text(learned[0]) else None

    def _is_text(self, name: str) -> bool:
        """Tell whether an axis has coordinates that are no numbers."""
        return any(isinstance(value, str) for value in self._seen[name])

    def _coordinates(self, name: str) -> tuple[Value, ...] | None:
        """Return coordinates in the order in which they are stored: numbers are sorted.

        While others may still come, all numbers up to the highest one count: the first time point
        may have lost a frame.
        """
        if name in self._declared:
            return self._declared[name]
        if name == self._open_axis():
            return None
        values = list(self._seen[name])
        if self._is_text(name):
            return tuple(values)
        numbers = [value for value in values if isinstance(value, int)]
        if self.complete:
            return tuple(sorted(numbers))
        return tuple(range(min(0, *numbers), max(numbers) + 1))

    def _site(self, site: Site) -> Site:
        """Return a site with the position of its first plane."""
        planes = {z: um for (key, z), um in self._z.items() if key == site.key}
        if site.z_um is None and planes:
            first = min(planes, key=lambda z: (isinstance(z, str), z))
            return replace(site, z_um=planes[first])
        return site

    def _z_step(self) -> float | None:
        """Return the distance between planes at the first site that has several."""
        for site in self._sites:
            planes = {z: um for (key, z), um in self._z.items() if key == site and _is_int(z)}
            step = _step(planes)
            if step is not None:
                return step
        return None


def _is_int(value: object) -> bool:
    """Tell whether a coordinate is a number."""
    return isinstance(value, int)


def _step(places: Mapping[Any, float]) -> float | None:
    """Return the usual distance between neighbours, or None if there is none."""
    order: Sequence[int] = sorted(places)
    steps = [
        (places[after] - places[before]) / (after - before)
        for before, after in itertools.pairwise(order)
    ]
    step = abs(median(steps)) if steps else 0.0
    return float(step) if step > 0 and math.isfinite(step) else None


def _in_storage_order(
    axes: Mapping[str, tuple[Value, ...] | None],
) -> dict[str, tuple[Value, ...] | None]:
    """Put axes in NGFF's order: time, axes of the user's own, channel, z."""
    ranks = {"time": 0, "channel": 2, "z": 3}
    return {name: axes[name] for name in sorted(axes, key=lambda name: ranks.get(name, 1))}
