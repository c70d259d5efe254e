"""Gathers the plan of an acquisition from events, from the user's word, and from frames."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from aqz_micromanager.errors import LayoutUnknownError
from aqz_micromanager.run_plan import (
    ImagePlan,
    RunPlan,
    Site,
    as_value,
    image_key,
    split_axes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aqz_micromanager.run_plan import Family, ImageKey, PlateSize, SiteKey, Value

__all__ = ["PlanBuilder"]

Coordinates: TypeAlias = "tuple[Value, ...] | None"


@dataclass(slots=True)
class _Seen:
    """What is known of one image."""

    values: dict[str, dict[Value, None]] = field(default_factory=dict)
    frames: dict[tuple[Value, ...], None] = field(default_factory=dict)
    planes_um: dict[Value, float] = field(default_factory=dict)
    starts_s: dict[Value, float] = field(default_factory=dict)
    channels: dict[str, None] = field(default_factory=dict)
    z_um: float | None = None


class PlanBuilder:
    """Gathers a plan.

    Parameters
    ----------
    declared
        What the user says of axes: their number of coordinates, the coordinates themselves, or None
        for an axis without an end. ``position`` may be given like an axis.

    Attributes
    ----------
    complete
        Whether nothing else will come.
    plate
        The plate that positions are on, if it was declared.
    repeated
        Axes that were asked for a second time, the first such ones; None if there are none.
    """

    def __init__(self, declared: Mapping[str, int | Iterable[Value] | None] | None = None) -> None:
        self.complete = False
        self.plate: PlateSize | None = None
        self.repeated: Mapping[str, object] | None = None
        self._declared: dict[str, Coordinates] = {}
        self._images: dict[ImageKey, _Seen] = {}
        self._sites: dict[SiteKey, Site] = {}
        self._sites_declared = False
        self._of_event = False
        for name, values in (declared or {}).items():
            self._declare(name, values)

    def _declare(self, name: str, values: int | Iterable[Value] | None) -> None:
        """Take the user's word for one axis."""
        coordinates = _coordinates_of(name, values)
        if name != "position":
            self._declared[name] = coordinates
            return
        if coordinates is None:
            raise LayoutUnknownError(
                "axes: positions are images of their own and must be known; give a number or "
                "a list of names"
            )
        self._sites_declared = True
        for value in coordinates:
            self.add_site(Site((value,), value if isinstance(value, str) else None))

    # ---- what is told -----------------------------------------------------------------------

    def add_frame(self, axes: Mapping[str, object]) -> None:
        """Note a frame, or of an event that asks for one (see `of_event`)."""
        site, values = split_axes(axes)
        seen = self._seen(axes)
        for name, value in values.items():
            seen.values.setdefault(name, {})[value] = None
        index = tuple(values[name] for name in seen.values if name in values)
        if self._of_event and index in seen.frames and self.repeated is None:
            self.repeated = dict(axes)
        seen.frames[index] = None
        if site not in self._sites:
            label = site[0] if site and isinstance(site[0], str) else None
            self.add_site(Site(site, label))

    def add_site(self, site: Site) -> None:
        """Note a site; what was known of it and is not said again stays."""
        known = self._sites.get(site.key)
        if known is not None:
            said = {
                name: getattr(site, name)
                for name in ("name", "x_um", "y_um", "z_um", "well", "grid", "tile_at")
                if getattr(site, name) is not None and getattr(known, name) is None
            }
            site = replace(known, **said)
        self._sites[site.key] = site

    def add_plane(self, axes: Mapping[str, object], z_um: float) -> None:
        """Note where the stage focuses for a frame."""
        seen, values = self._seen(axes), split_axes(axes)[1]
        if "z" in values:
            seen.planes_um.setdefault(values["z"], z_um)
        elif seen.z_um is None:
            seen.z_um = z_um

    def add_start(self, axes: Mapping[str, object], seconds: float) -> None:
        """Note when a frame shall be taken."""
        values = split_axes(axes)[1]
        if "time" in values:
            starts = self._seen(axes).starts_s
            starts[values["time"]] = min(seconds, starts.get(values["time"], seconds))

    def add_channel_name(self, axes: Mapping[str, object], name: str) -> None:
        """Note the channel of a frame that has no axis for it."""
        self._seen(axes).channels[name] = None

    def _seen(self, axes: Mapping[str, object]) -> _Seen:
        """Return what is known of the image of a frame."""
        declared = self.declared if self._of_event else self.implied
        return self._images.setdefault(image_key(axes, declared), _Seen())

    @contextlib.contextmanager
    def of_event(self) -> Iterator[None]:
        """Take what is told inside of the context as that of events.

        The frames of an event have the axes that the user declared as well: a processor of theirs,
        or cameras, add them.
        """
        self._of_event = True
        try:
            yield
        finally:
            self._of_event = False

    # ---- what is known ----------------------------------------------------------------------

    @property
    def implied(self) -> Family:
        """Axes that frames may leave out: the user declared them with one coordinate."""
        return frozenset(
            name
            for name, values in self._declared.items()
            if values is not None and len(values) == 1
        )

    @property
    def declared(self) -> Family:
        """Axes that the user told of."""
        return frozenset(self._declared)

    @property
    def sites_are_told(self) -> bool:
        """Whether somebody said which sites there are."""
        return self.complete or self._sites_declared

    def knows(self, key: ImageKey) -> bool:
        """Return whether an image was told of."""
        return key in self._images

    def is_ready(self) -> bool:
        """Return whether the plan is good enough to make a store.

        The sizes of all axes but the open-ended one should be known. If nobody says them, they are
        those of the first time point, which is over when a frame of the second one comes.
        """
        return self.complete or all(self._is_ready(family) for family in self._families())

    def _is_ready(self, family: Family) -> bool:
        """Return whether the sizes of the axes of one family of images are known."""
        seen = self._merged(family)
        open_axis = self._open_axis(family)
        learned = [name for name in seen if name not in self._declared and name != open_axis]
        if open_axis == "z" and len(seen["z"]) < 2:
            return False  # two planes tell how far they lie apart
        if "z" in learned and 0 not in seen["z"] and len(seen["z"]) < 2:
            return False  # a plane from the middle of a stack does not tell where that begins
        if not learned and (self._sites_declared or all(not key for key in self._sites)):
            return True
        return open_axis is not None and len(seen.get(open_axis, ())) > 1

    def _families(self) -> list[Family]:
        """Return the sets of axes that frames have, in the order in which they came."""
        found = dict.fromkeys(family for _, family in self._images)
        return list(found) or [frozenset(self._declared)]

    def plan(self) -> RunPlan:
        """Return what is known so far."""
        images = tuple(self._image(key) for key in self._image_keys())
        return RunPlan(images, self.plate, self.complete)

    def image(self, key: ImageKey) -> ImagePlan:
        """Return what is known of one image."""
        return self._image(key)

    def _image_keys(self) -> list[ImageKey]:
        """Return all images, those of sites of which no frame was told yet included."""
        first = self._families()[0]
        missing = [(site, first) for site in self._sites if not self._has_image(site)]
        keys = [*self._images, *missing] or [((), first)]
        order = {site: number for number, site in enumerate(self._sites)}
        return sorted(keys, key=lambda key: order.get(key[0], -1))

    def _has_image(self, site: SiteKey) -> bool:
        """Return whether a frame of a site was told of."""
        return any(key == site for key, _ in self._images)

    def _image(self, key: ImageKey) -> ImagePlan:
        """Return one image."""
        site, family = key
        seen = self._images.get(key, _Seen())
        values = seen.values if self.complete else self._merged(family)
        names = dict.fromkeys([*self._declared, *values, *sorted(family)])
        axes = {name: self._coordinates(name, values, family) for name in names}
        planes = seen.planes_um if self.complete or seen.planes_um else self._any_planes(family)
        if axes.get("z") is not None:
            axes["z"] = _by_place(axes["z"] or (), planes)
        elif "z" not in axes and seen.z_um is not None and self._has_heights:
            axes["z"], planes = (0,), {0: seen.z_um}
        axes = _in_storage_order(axes)
        single = next(iter(seen.channels)) if len(seen.channels) == 1 else None
        return ImagePlan(
            replace(self._sites.get(site, Site(site)), z_um=seen.z_um),
            family,
            axes,
            frames=self._planned(seen, axes) if self.complete else None,
            planes_um=_places(planes, axes["z"]) if "z" in axes else (),
            starts_s=_by_index(seen.starts_s, axes.get("time")),
            channel_name=single if "channel" not in axes else None,
        )

    def _merged(self, family: Family) -> dict[str, dict[Value, None]]:
        """Return the coordinates that all images of a family have together."""
        merged: dict[str, dict[Value, None]] = {}
        for (_, names), seen in self._images.items():
            if names == family:
                for name, values in seen.values.items():
                    merged.setdefault(name, {}).update(values)
        return merged

    def _any_planes(self, family: Family) -> Mapping[Value, float]:
        """Return where the planes of the first image of a family lie."""
        found = (
            seen.planes_um
            for (_, names), seen in self._images.items()
            if names == family and seen.planes_um
        )
        return next(found, {})

    def _open_axis(self, family: Family) -> str | None:
        """Return the axis that has no end because nobody said one: time, or else the only one."""
        if self.complete or None in self._declared.values():
            return None
        learned = [name for name in self._merged(family) if name not in self._declared]
        if "time" in learned:
            return "time"
        if learned == ["z"] and _falls(self._any_planes(family)):
            return None  # planes stand from the lowest up: all must be known
        return learned[0] if len(learned) == 1 and not self._is_text(learned[0], family) else None

    def _is_text(self, name: str, family: Family) -> bool:
        """Return whether an axis has coordinates that are not numbers."""
        return any(isinstance(value, str) for value in self._merged(family)[name])

    def _coordinates(
        self, name: str, values: Mapping[str, Mapping[Value, None]], family: Family
    ) -> Coordinates:
        """Return coordinates in the order in which they are stored: numbers are sorted.

        While others may still come, all numbers up to the highest one count: the first time point
        may have lost a frame.
        """
        if name in self._declared:
            return self._declared[name]
        if name == self._open_axis(family):
            return None
        found = list(values.get(name, ()))
        numbers = [value for value in found if isinstance(value, int)]
        if len(numbers) < len(found) or not found:
            return tuple(found)
        if self.complete or max(numbers) - min(numbers) > 2 * len(numbers) + 8:
            return tuple(sorted(numbers))
        return tuple(range(min(0, *numbers), max(numbers) + 1))

    @property
    def _has_heights(self) -> bool:
        """Whether frames without an axis z lie elsewhere than at 0: then one plane says where."""
        return any(seen.z_um for seen in self._images.values())

    @staticmethod
    def _planned(seen: _Seen, axes: Mapping[str, Coordinates]) -> frozenset[tuple[int, ...]] | None:
        """Return the indices of the frames that events ask for.

        Axes that the user declared and events do not have, cameras for instance, count in full.
        """
        if not seen.frames or None in axes.values():
            return None
        lookups = {
            name: {v: n for n, v in enumerate(values or ())} for name, values in axes.items()
        }
        order = [name for name in seen.values if name in axes]
        indices: list[tuple[int, ...]] = []
        for frame in seen.frames:
            told = dict(zip(order, frame, strict=True))
            places = [
                [known[told[name]]] if name in told else list(range(len(known)))
                for name, known in lookups.items()
                if name not in told or told[name] in known
            ]
            if len(places) == len(lookups):
                indices.extend(itertools.product(*places))
        return frozenset(indices)


def _coordinates_of(name: str, values: int | Iterable[Value] | None) -> Coordinates:
    """Return the coordinates that the user gives an axis."""
    coordinates: Coordinates = None
    if isinstance(values, str):
        raise LayoutUnknownError(
            f"axes: {name!r} is {values!r}; give a number, a list of coordinates, or None"
        )
    if isinstance(values, int):
        coordinates = tuple(range(values))
    elif values is not None:
        coordinates = tuple(as_value(value) for value in values)
    if coordinates is not None and not coordinates:
        raise LayoutUnknownError(f"axes: {name!r} has no coordinates; leave it out")
    if coordinates is not None and len(set(coordinates)) < len(coordinates):
        raise LayoutUnknownError(f"axes: {name!r} names a coordinate twice: {coordinates}")
    return coordinates


def _by_place(values: tuple[Value, ...], planes: Mapping[Value, float]) -> tuple[Value, ...]:
    """Return planes in rising order of their places, if all of those are known."""
    if all(value in planes for value in values):
        return tuple(sorted(values, key=lambda value: planes[value]))
    return values


def _falls(planes: Mapping[Value, float]) -> bool:
    """Return whether a stack goes down."""
    places = [
        planes[value] for value in sorted(value for value in planes if isinstance(value, int))
    ]
    return any(after < before for before, after in itertools.pairwise(places))


def _places(planes: Mapping[Value, float], values: Coordinates) -> tuple[float | None, ...]:
    """Return where planes lie, by their index; those of an axis without an end as far as known."""
    if values is not None:
        return tuple(planes.get(value) for value in values)
    known = [value for value in planes if isinstance(value, int)]
    return tuple(planes.get(value) for value in range(max(known, default=-1) + 1))


def _by_index(starts: Mapping[Value, float], values: Coordinates | None) -> dict[int, float]:
    """Return the starts of time points by their index."""
    if values is None:
        return {time: start for time, start in starts.items() if isinstance(time, int)}
    return {n: starts[value] for n, value in enumerate(values) if value in starts}


def _in_storage_order(axes: Mapping[str, Coordinates]) -> dict[str, Coordinates]:
    """Put axes in NGFF's order: time, axes of the user's own, channel, z."""
    ranks = {"time": 0, "channel": 2, "z": 3}
    return {name: axes[name] for name in sorted(axes, key=lambda name: ranks.get(name, 1))}
