"""Where a frame belongs: its image, and its index on each axis of the array.

Frames are routed by their coordinates only, never by the order in which they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aqz_micromanager.errors import UnknownCoordinateError
from aqz_micromanager.run_plan import image_key, split_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_micromanager.run_plan import Family, ImageKey, ImagePlan, Value

__all__ = ["ImageAxes", "Place", "Router"]

_DENSE = 1_000_000
"""An axis without an end whose first coordinate is beyond counts something else than frames, such
as seconds since 1970: its coordinates are numbered as they come."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame goes.

    Attributes
    ----------
    image
        Which image.
    index
        Position on each of its stored axes.
    """

    image: ImageKey
    index: tuple[int, ...]


class ImageAxes:
    """Coordinates of one image, and their positions on the stored axes.

    Parameters
    ----------
    plan
        Of the image.
    cameras_as_channels
        Whether an axis ``camera`` becomes part of the channel axis: all cameras of the first
        channel, then all of the second.

    Attributes
    ----------
    names
        Of the stored axes.
    values
        Coordinates of every axis, in their order; None if they are the indices themselves.
    """

    def __init__(self, plan: ImagePlan, *, cameras_as_channels: bool = True) -> None:
        self.values: dict[str, list[Value] | None] = {
            name: None if values is None else list(values) for name, values in plan.axes.items()
        }
        self._open = {name for name, values in plan.axes.items() if values is None}
        self._folds = cameras_as_channels and self.values.get("camera") is not None
        self._lookup = {
            name: None if values is None else {value: n for n, value in enumerate(values)}
            for name, values in self.values.items()
        }
        names = [name for name in self.values if not (self._folds and name == "camera")]
        if self._folds and "channel" not in names:
            names.insert(len(names) - ("z" in names), "channel")
        self.names = tuple(names)

    @property
    def folds_cameras(self) -> bool:
        """Whether cameras are part of the channel axis."""
        return self._folds

    def folded(self, plan: ImagePlan) -> frozenset[tuple[int, ...]]:
        """Return the indices of planned frames, whose plan has cameras apart from channels."""
        names = list(plan.axes)
        values = {name: plan.axes[name] or () for name in names}
        return frozenset(
            self.index({name: values[name][at] for name, at in zip(names, index, strict=True)})
            for index in plan.frames or ()
        )

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Size of each stored axis; None for one without an end."""
        return tuple(None if name in self._open else self._size(name) for name in self.names)

    def _size(self, name: str) -> int:
        """Return how many coordinates a stored axis has."""
        if name == "channel" and self._folds:
            return len(self.channels())
        return len(self.values[name] or ())

    def channels(self) -> list[str]:
        """Return the names of the channel axis; empty if there is none."""
        channels = [str(value) for value in self.values.get("channel") or ()]
        if not self._folds:
            return channels
        cameras = [str(value) for value in self.values["camera"] or ()]
        if not channels:
            return cameras
        return [f"{channel} {camera}" for channel in channels for camera in cameras]

    def unknown(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the coordinates that have no place yet."""
        return {name: value for name, value in values.items() if not self._has(name, value)}

    def _has(self, name: str, value: Value) -> bool:
        """Return whether a coordinate has a place, or gets one by itself."""
        known = self._lookup[name]
        if name not in self._open:
            return known is not None and value in known
        if known is None and not self.is_dense(value):
            known = self._lookup[name] = {}
            self.values[name] = []
        if known is not None and value not in known:
            self.add(name, value)
        return True

    def is_dense(self, value: Value) -> bool:
        """Return whether a coordinate of an axis without an end is an index."""
        return isinstance(value, int) and value < _DENSE

    def can_grow(self, name: str) -> bool:
        """Return whether an axis takes another coordinate without those before being moved."""
        return not (self._folds and name in ("camera", "channel")) or (
            name == "channel" and "channel" in self.values
        )

    def add(self, name: str, value: Value) -> None:
        """Give a coordinate the next place on its axis."""
        values, known = self.values[name], self._lookup[name]
        assert values is not None
        assert known is not None
        known[value] = len(values)
        values.append(value)

    def index(self, values: Mapping[str, Value]) -> tuple[int, ...]:
        """Return the position of a frame; an axis that it may leave out counts as 0."""
        at = {name: self._at(name, value) for name, value in values.items()}
        if self._folds:
            cameras = len(self.values["camera"] or ())
            at["channel"] = at.get("channel", 0) * cameras + at.get("camera", 0)
        return tuple(at.get(name, 0) for name in self.names)

    def find(self, values: Mapping[str, Value]) -> tuple[int, ...] | None:
        """Return the position of a frame, or None if it has none so far."""
        for name, value in values.items():
            known = self._lookup[name]
            if known is not None and value not in known:
                return None
            if known is None and not (self.is_dense(value) and value >= 0):  # type: ignore[operator]
                return None
        return self.index(values)

    def _at(self, name: str, value: Value) -> int:
        """Return the position of a coordinate that has one."""
        known = self._lookup[name]
        if known is not None:
            return known[value]
        if isinstance(value, int) and value >= 0:
            return value
        raise UnknownCoordinateError(
            f"{value!r} on axis {name!r} is not a number from 0 up, which an axis without an end "
            f"needs; give axes={{{name!r}: [...]}} with all coordinates"
        )


class Router:
    """Finds places by coordinates.

    Parameters
    ----------
    images
        Of the acquisition.
    implied
        Axes that frames may leave out.
    cameras_as_channels
        See `ImageAxes`.
    """

    def __init__(
        self,
        images: Iterable[ImagePlan],
        *,
        implied: Family = frozenset(),
        cameras_as_channels: bool = True,
    ) -> None:
        self._implied = implied
        self._cameras_as_channels = cameras_as_channels
        self.images: dict[ImageKey, ImageAxes] = {}
        for image in images:
            self.add_image(image)

    def add_image(self, image: ImagePlan) -> ImageAxes:
        """Give frames of one more image a place."""
        axes = ImageAxes(image, cameras_as_channels=self._cameras_as_channels)
        self.images[image.key] = axes
        return axes

    def key(self, axes: Mapping[str, Any]) -> ImageKey:
        """Return the image of a frame, known or not."""
        return image_key(axes, self._implied)

    def unknown(self, axes: Mapping[str, Any]) -> dict[str, Value]:
        """Return the coordinates of a frame, of an image that is known, that have no place."""
        return self.images[self.key(axes)].unknown(split_axes(axes)[1])

    def find(self, axes: Mapping[str, Any]) -> Place | None:
        """Return where a frame is, or None if it has no place so far."""
        key = self.key(axes)
        index = self.images[key].find(split_axes(axes)[1]) if key in self.images else None
        return None if index is None else Place(key, index)

    def place(self, axes: Mapping[str, Any]) -> Place:
        """Return where a frame goes whose image and coordinates are known."""
        key = self.key(axes)
        return Place(key, self.images[key].index(split_axes(axes)[1]))
