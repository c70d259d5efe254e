"""One store of an acquisition: where frames of one shape and data type go.

Translates places into indices of the stream, keeps account of what came, and writes what is known
of the acquisition into the attribute ``micromanager`` of every image.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Literal

import aqz_core as aqz
from aqz_micromanager.errors import DuplicateFrameError
from aqz_micromanager.routing import Coverage
from aqz_micromanager.tags import FrameMetadata, TagTable, plain, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aqz_micromanager.layout import StoreLayout
    from aqz_micromanager.pixels import Pixels
    from aqz_micromanager.positions import WellField
    from aqz_micromanager.routing import Place, Router
    from aqz_micromanager.run_plan import RunPlan, Site, SiteKey

__all__ = ["ATTRIBUTE", "OnDuplicate", "RunState", "StoreRecording"]

ATTRIBUTE = "micromanager"
"""Attribute of every image that holds what is known of the acquisition."""

OnDuplicate = Literal["error", "keep", "replace"]
RunState = Literal["waiting", "recording", "complete", "incomplete", "interrupted", "failed"]

_MAX_MISSING_LISTED = 1000

_log = logging.getLogger("aqz.micromanager")


class StoreRecording:
    """An open store.

    Parameters
    ----------
    arrange
        Lays out what is in it, for a plan.
    plan, router
        Of the acquisition.
    components
        Planes of each frame.
    on_duplicate
        What becomes of a second frame for the same place.
    frame_metadata
        Form of the tables of frames.
    notes
        What else is known of the acquisition, by name.
    planned
        Whether frames are expected from the first index on, or from the first that comes.
    """

    def __init__(
        self,
        arrange: Callable[[RunPlan], StoreLayout],
        plan: RunPlan,
        router: Router,
        *,
        components: int,
        on_duplicate: OnDuplicate,
        frame_metadata: FrameMetadata,
        notes: Mapping[str, Any],
        planned: bool = True,
    ) -> None:
        self._arrange = arrange
        self._layout = arrange(plan)
        self._plan = plan
        self._router = router
        self._components = components
        self._on_duplicate = on_duplicate
        self._notes = dict(notes)
        self._frame_metadata = frame_metadata
        self._coverage: dict[SiteKey, Coverage] = {}
        self._tables: dict[SiteKey, TagTable] = {}
        self._names = tuple({"time": "t", "channel": "c"}.get(name, name) for name in router.axes)
        self.duplicates = 0
        self.stream = aqz.ZarrStream(self._layout.settings)
        try:
            for site in plan.sites:
                self._begin(site, planned=planned)
        except BaseException:
            self.stream.close()
            raise

    def _begin(self, site: Site, *, planned: bool) -> None:
        """Begin the account of one image."""
        self._coverage[site.key] = Coverage(self._router.shape, from_first=not planned)
        self._tables[site.key] = TagTable(self._frame_metadata)
        self._describe(site, "recording")

    def layout_with(self, plan: RunPlan) -> StoreLayout | None:
        """Return the store with the sites of a longer plan; None if others would have to move."""
        layout = self._arrange(plan)
        stays = layout.keys.items() >= self._layout.keys.items()
        return layout if stays and bool(layout.wells) == bool(self._layout.wells) else None

    def extend(self, plan: RunPlan, layout: StoreLayout) -> None:
        """Begin the images of the sites that a longer plan has, laid out by `layout_with`.

        Raises
        ------
        AqzError
            The stream refused them.
        """
        self.stream.extend(layout.settings)
        self._layout, self._plan = layout, plan
        for site in plan.sites:
            if site.key not in self._coverage:
                self._begin(site, planned=False)

    @property
    def frames(self) -> int:
        """Frames that were stored, colour frames once."""
        return sum(coverage.count for coverage in self._coverages())

    @property
    def missing(self) -> int:
        """Frames that are known to lack, or that lack between others."""
        return sum(coverage.missing_count for coverage in self._coverages())

    def _coverages(self) -> list[Coverage]:
        """Return the accounts of all images; others ask while frames add positions."""
        return list(self._coverage.values())

    def write(self, place: Place, planes: Iterable[Pixels], tags: Mapping[str, Any]) -> None:
        """Store one frame.

        Raises
        ------
        DuplicateFrameError
            The place has a frame, and the policy is not to bear that.
        AqzError
            The stream refused it.
        """
        coverage = self._coverage[place.site]
        again = coverage.has(place.index)
        if again and not self._takes_again(place, tags):
            return
        row = self._tables[place.site].row(tags)
        index = dict(zip(self._names, place.index, strict=True))
        channel = index.get("c", 0)
        for component, plane in enumerate(planes):
            if self._components > 1:
                index["c"] = channel * self._components + component
            self.stream.write(
                plane,
                index,
                self._layout.keys[place.site],
                row if component == 0 else None,
                replace=again,
            )
        coverage.take(place.index)

    def _takes_again(self, place: Place, tags: Mapping[str, Any]) -> bool:
        """Tell whether a second frame replaces the first one, and count it."""
        self.duplicates += 1
        where = dict(zip(self._router.axes, place.index, strict=True))
        camera = text(tags, "Camera", "camera_device")
        said = f"a second frame came for {where or 'the only place'} of position {place.site}"
        if self._on_duplicate == "error":
            raise DuplicateFrameError(
                f"{said}, from camera {camera!r}. If several cameras record at once, name them "
                "with cameras=[...]; otherwise choose on_duplicate='keep' or 'replace'"
            )
        _log.warning("%s; on_duplicate is %r", said, self._on_duplicate)
        return self._on_duplicate == "replace"

    def finish(self, state: RunState, notes: Mapping[str, Any]) -> None:
        """Say in the store how the acquisition ended, and close it.

        Raises
        ------
        AqzError
            Something could not be stored.
        """
        self._notes.update(notes)
        try:
            if self.stream.is_active():
                for site in self._plan.sites:
                    self._describe(site, state)
        finally:
            self.stream.close()

    def _describe(self, site: Site, state: RunState) -> None:
        """Write the attribute of one image."""
        coverage = self._coverage[site.key]
        described: dict[str, Any] = {
            "state": state,
            "frames": coverage.count,
            "axes": [
                {"name": name, "values": values if values is None else list(values)}
                for name, values in self._plan.axes.items()
            ],
            "position": _known(site, self._layout.wells.get(site.key)),
            **plain(self._notes),
        }
        if self._layout.channel_names:
            described["channels"] = list(self._layout.channel_names)
        if state != "recording":
            described["missing_frames"] = coverage.missing_count
            missing = itertools.islice(coverage.missing(), _MAX_MISSING_LISTED)
            described["missing"] = [dict(zip(self._names, index, strict=True)) for index in missing]
        self.stream.write_custom_metadata(described, self._layout.keys[site.key], ATTRIBUTE)


def _known(site: Site, well: WellField | None) -> dict[str, Any]:
    """Return what is known of a site."""
    found: dict[str, Any] = {"label": site.name, "x_um": site.x_um, "y_um": site.y_um}
    found["z_um"] = site.z_um
    if site.key:
        found["key"] = list(site.key)
    if site.grid is not None:
        found["grid_row"], found["grid_column"] = site.grid
    if well is not None:
        found["well"] = f"{well.row}{well.column}"
    return {name: value for name, value in found.items() if value is not None}
