"""Where a useq sequence takes its images, and how large each site's image is.

Stage positions and tiles of a grid are sites. OME-NGFF has no axis for them: each site becomes
an image of its own, with the axes t, c and z. useq itself is not imported.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Site", "sites_of"]

_SITE_AXES = ("p", "g")
_IMAGE_AXES = ("t", "c", "z")


@dataclass(frozen=True, slots=True)
class Site:
    """One place of a sequence.

    Attributes
    ----------
    name : str
        For people; empty if it is the only one.
    place : dict of str to int
        Index of its frames on the axes ``p`` and ``g``, where the sequence has them.
    sizes : dict of str to int
        Frames along t, c and z, of those that it has.
    stage : dict of str to float
        Where the stage is for its first frame, micrometres along x, y and z, as far as it is said.
    """

    name: str
    place: dict[str, int]
    sizes: dict[str, int]
    stage: dict[str, float] = field(default_factory=dict)

    def index(self, event_index: dict[str, int]) -> dict[str, int] | None:
        """Return where a frame goes in the image of this site; None if it is of another one."""
        if any(event_index.get(axis, 0) != number for axis, number in self.place.items()):
            return None
        return {axis: event_index.get(axis, 0) for axis in self.sizes}


def sites_of(sequence: Any) -> list[Site]:
    """Return the sites of a sequence, in the order of their positions; at least one.

    Parameters
    ----------
    sequence : useq.MDASequence
        One whose positions have sequences of their own is gone through event by event.
    """
    positions = list(getattr(sequence, "stage_positions", None) or ())
    if any(getattr(position, "sequence", None) is not None for position in positions):
        found = _counted(sequence)
    else:
        sizes = {str(axis): int(n) for axis, n in sequence.sizes.items() if n}
        found = _regular(sizes)
    if len(found) == 1:
        ((place, sizes),) = found
        sites = [Site("", {}, sizes)]
        return [replace(sites[0], stage=_stages(sequence, [place]).get(_key(place), {}))]
    stages = _stages(sequence, [place for place, _ in found])
    return [
        Site(_name(place, positions), place, sizes, stages.get(_key(place), {}))
        for place, sizes in found
    ]


def _key(place: dict[str, int]) -> tuple[int, ...]:
    """Return a place as something that can be looked up; a position without a grid has tile 0."""
    return tuple(place.get(axis, 0) for axis in _SITE_AXES)


def _stages(sequence: Any, places: list[dict[str, int]]) -> dict[tuple[int, ...], dict[str, float]]:
    """Return where the stage is for the first frame of each place, by the events' own words."""
    found: dict[tuple[int, ...], dict[str, float]] = {}
    wanted = {_key(place) for place in places}
    for event in _one_round(sequence):
        key = _key({str(axis): int(number) for axis, number in event.index.items()})
        if key not in found:
            stage = {axis: getattr(event, f"{axis}_pos", None) for axis in "xyz"}
            found[key] = {a: float(v) for a, v in stage.items() if v is not None}
            if len(found) >= len(wanted):
                break
    return found


def _one_round(sequence: Any) -> Any:
    """Return the events of one time point, where that can be cut out: there may be millions."""
    try:
        return iter(sequence.replace(time_plan=None))
    except Exception:  # a sequence that time is needed for, or none of useq's
        return iter(sequence)


def _regular(sizes: dict[str, int]) -> list[tuple[dict[str, int], dict[str, int]]]:
    """Return place and sizes of each site where all are alike."""
    axes = [axis for axis in _SITE_AXES if axis in sizes]
    image = {axis: sizes[axis] for axis in _IMAGE_AXES if axis in sizes}
    numbers = itertools.product(*(range(sizes[axis]) for axis in axes))
    return [(dict(zip(axes, place, strict=True)), image) for place in numbers]


def _counted(sequence: Any) -> list[tuple[dict[str, int], dict[str, int]]]:
    """Return place and sizes of each site by looking at every event."""
    found: dict[tuple[tuple[str, int], ...], dict[str, int]] = {}
    for event in sequence:
        index = {str(axis): int(number) for axis, number in event.index.items()}
        key = tuple((axis, index[axis]) for axis in _SITE_AXES if axis in index)
        sizes = found.setdefault(key, {})
        for axis in _IMAGE_AXES:
            if axis in index:
                sizes[axis] = max(sizes.get(axis, 0), index[axis] + 1)
    # Sites with a grid are told apart from those without one by a tile number of 0.
    axes = {axis for key in found for axis, _ in key}
    return [
        (
            {axis: dict(key).get(axis, 0) for axis in _SITE_AXES if axis in axes},
            {axis: sizes[axis] for axis in _IMAGE_AXES if axis in sizes},
        )
        for key, sizes in sorted(found.items(), key=lambda entry: [n for _, n in entry[0]])
    ] or [({}, {})]


def _name(place: dict[str, int], positions: list[Any]) -> str:
    """Return what to call a site: the position's own name, or its number."""
    number, tile = place.get("p"), place.get("g")
    name = ""
    if number is not None:
        given = getattr(positions[number], "name", None) if number < len(positions) else None
        name = str(given or f"position {number}")
    if tile is not None:
        name = f"{name} tile {tile}".strip()
    return name
