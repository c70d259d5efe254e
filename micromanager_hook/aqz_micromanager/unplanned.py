"""Whether places that nobody planned may be added to a recording, or are an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_micromanager.errors import UnknownCoordinateError

if TYPE_CHECKING:
    from collections.abc import Collection

    from aqz_micromanager.frame_hold import ArrivedFrame
    from aqz_micromanager.routing import ImageAxes
    from aqz_micromanager.run_plan import Family, ImageKey, Value

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True)
class Admission:
    """What may be added. What nobody told of always is.

    Attributes
    ----------
    adds_all
        Whether the user wants everything added.
    told
        Whether events told all coordinates.
    sites_told
        Whether somebody told all positions.
    declared
        Axes that the user told of.
    """

    adds_all: bool = False
    told: bool = False
    sites_told: bool = False
    declared: Family = frozenset()

    def check_coordinate(self, name: str, value: Value, axes: ImageAxes) -> None:
        """Raise unless an axis may get another coordinate."""
        learned = not self.told and name not in self.declared
        if (learned or self.adds_all) and axes.can_grow(name):
            return
        shown = ", ".join(map(repr, list(axes.values[name] or ())[:20]))
        raise UnknownCoordinateError(
            f"{value!r} on axis {name!r} was not planned (known: {shown}); give events= or "
            "axes= with all coordinates, or choose on_unplanned='add'"
        )

    def check_image(self, frame: ArrivedFrame, key: ImageKey, images: Collection[ImageKey]) -> None:
        """Raise unless an image may be added to those that there are."""
        site, family = key
        learned = not self.told and not self.declared
        if self.adds_all or (learned and not self.sites_told):
            return
        here = [axes for place, axes in images if place == site]
        if not here and not self.sites_told:
            return
        if not here:
            known = ", ".join(sorted({str(place) for place, _ in images}))
            raise UnknownCoordinateError(
                f"a frame came from position {site}, which was not planned (known: {known}); give "
                "events= or axes={'position': [...]} with all of them, or choose "
                "on_unplanned='add'"
            )
        if not any(family < axes for axes in here):  # a projection has fewer axes
            more = sorted(family - frozenset().union(*here)) or sorted(family)
            raise UnknownCoordinateError(
                f"a frame has axis {more[0]!r} ({frame.axes.get(more[0])!r}), but those planned "
                f"have {sorted(here[0])}; give it with axes={{{more[0]!r}: [...]}}, or choose "
                "on_unplanned='add'"
            )
