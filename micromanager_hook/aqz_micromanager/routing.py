"""Where a frame belongs: its image, and its index on each axis of the array.

Frames are routed by their coordinates only, never by the order in which they come. The router also
remembers which places are taken: that is how duplicates are found and missing frames are listed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aqz_micromanager.errors import UnknownCoordinateError
from aqz_micromanager.run_plan import split_axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_micromanager.run_plan import RunPlan, SiteKey, Value

__all__ = ["Coverage", "Place", "Router"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame goes.

    Attributes
    ----------
    site
        Which image.
    index
        Position on each of the router's axes.
    """

    site: SiteKey
    index: tuple[int, ...]


class Router:
    """Finds places by coordinates.

    Parameters
    ----------
    plan
        Axes and sites of the acquisition.
    cameras_as_channels
        Whether an axis ``camera`` becomes part of the channel axis: all cameras of the first
        channel, then all of the second.
    """

    def __init__(self, plan: RunPlan, *, cameras_as_channels: bool = True) -> None:
        self._sites = {site.key for site in plan.sites}
        self._values = dict(plan.axes)
        self._folds = cameras_as_channels and self._values.get("camera") is not None
        self._lookup: dict[str, dict[Value, int] | None] = {
            name: None if values is None else {value: n for n, value in enumerate(values)}
            for name, values in self._values.items()
        }
        names = [name for name in self._values if not (self._folds and name == "camera")]
        if self._folds and "channel" not in names:
            names.insert(len(names) - ("z" in names), "channel")
        self.axes = tuple(names)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Size of each axis; None for one without an end."""
        return tuple(
            None if self._values.get(name, ()) is None else self._size(name) for name in self.axes
        )

    def _size(self, name: str) -> int:
        """Return how many coordinates a stored axis has."""
        if name == "channel":
            return len(self.channels())
        values = self._values[name]
        assert values is not None
        return len(values)

    def channels(self) -> list[str]:
        """Return the names of the channel axis; empty if there is none."""
        channels = [str(value) for value in self._values.get("channel") or ()]
        if not self._folds:
            return channels
        cameras = [str(value) for value in self._values["camera"] or ()]
        if not channels:
            return cameras
        return [f"{channel} {camera}" for channel in channels for camera in cameras]

    def knows_site(self, key: SiteKey) -> bool:
        """Tell whether frames of a site have a place."""
        return key in self._sites

    def add_site(self, key: SiteKey) -> None:
        """Give frames of one more site a place."""
        self._sites.add(key)

    def place(self, axes: Mapping[str, Any]) -> Place:
        """Return where a frame with these coordinates goes; an axis it does not have counts as 0.

        Raises
        ------
        UnknownCoordinateError
            There is no such site, axis or coordinate.
        """
        site, values = split_axes(axes)
        if site not in self._sites:
            known = ", ".join(sorted({str(key) for key in self._sites}))
            raise UnknownCoordinateError(
                f"a frame came from position {site}, which was not known when the store was made "
                f"(known: {known}); give events= or axes={{'position': [...]}} with all of them, "
                "or choose on_unplanned='add'"
            )
        for name in values:
            if name not in self._lookup:
                raise UnknownCoordinateError(
                    f"a frame has axis {name!r} ({values[name]!r}), but the store has "
                    f"{list(self.axes)}; give it with axes={{{name!r}: [...]}}, or choose "
                    "on_unplanned='add'"
                )
        index = {name: self._index(name, value) for name, value in values.items()}
        if self._folds:
            cameras = len(self._values["camera"] or ())
            index["channel"] = index.get("channel", 0) * cameras + index.get("camera", 0)
        return Place(site, tuple(index.get(name, 0) for name in self.axes))

    def _index(self, name: str, value: Value) -> int:
        """Return the position of a coordinate on its axis."""
        known = self._lookup[name]
        if known is None:
            if isinstance(value, int) and value >= 0:
                return value
            raise UnknownCoordinateError(
                f"{value!r} on axis {name!r} is no number from 0 up, which an axis without an end "
                f"needs; give axes={{{name!r}: [...]}} with all coordinates"
            )
        if value not in known:
            shown = ", ".join(map(repr, list(known)[:20]))
            raise UnknownCoordinateError(
                f"{value!r} on axis {name!r} was not known when the store was made (known: "
                f"{shown}); give events= or axes= with all coordinates, or on_unplanned='add'"
            )
        return known[value]


class Coverage:
    """Which places of one image have their frame.

    Parameters
    ----------
    shape
        Size of each axis; None for one without an end, which must be the first.
    from_first
        Whether nothing was expected before the step of the first axis that comes first.
    """

    def __init__(self, shape: tuple[int | None, ...], *, from_first: bool = False) -> None:
        self._rank = len(shape)
        self._inner = tuple(size or 1 for size in shape[1:])
        self._size = None if shape and shape[0] is None else math.prod(s or 1 for s in shape)
        self._taken = bytearray(self._size or 0)
        self._expected_from = 0
        self._from_first = from_first
        self.count = 0

    def has(self, index: tuple[int, ...]) -> bool:
        """Tell whether a place is taken."""
        flat = self._flat(index)
        return flat < len(self._taken) and bool(self._taken[flat])

    def take(self, index: tuple[int, ...]) -> None:
        """Note that a place has its frame."""
        flat = self._flat(index)
        if self._from_first and not self.count:
            self._expected_from = flat - flat % math.prod(self._inner)
        if flat >= len(self._taken):  # a whole step of the first axis: what is in it is expected
            step = math.prod(self._inner)
            self._taken.extend(bytes((flat // step + 1) * step - len(self._taken)))
        self.count += not self._taken[flat]
        self._taken[flat] = 1

    @property
    def missing_count(self) -> int:
        """Number of frames that were expected and did not come."""
        return self._taken.count(0, self._expected_from)

    def missing(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every frame that was expected and did not come."""
        at = self._taken.find(0, self._expected_from)
        while at >= 0:
            yield self._index(at)
            at = self._taken.find(0, at + 1)

    def _flat(self, index: tuple[int, ...]) -> int:
        """Return the number of a place, counted in storage order."""
        flat = index[0] if index else 0
        for position, size in zip(index[1:], self._inner, strict=True):
            flat = flat * size + position
        return flat

    def _index(self, flat: int) -> tuple[int, ...]:
        """Return the index of a place: the inverse of `_flat`."""
        if not self._rank:
            return ()
        index = []
        for size in reversed(self._inner):
            flat, rest = divmod(flat, size)
            index.append(rest)
        return (flat, *reversed(index))
