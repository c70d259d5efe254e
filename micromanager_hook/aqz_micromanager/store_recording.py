"""One store of an acquisition: where frames of one shape and data type go.

Translates places into indices of the stream, keeps account of what came, lets images and axes be
added, and writes what is known of the acquisition into the attribute ``micromanager`` of every
image.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aqz_core as aqz
from aqz_micromanager.channels import display_channels
from aqz_micromanager.coverage import Coverage
from aqz_micromanager.description import describe_axes, describe_position
from aqz_micromanager.destination import is_in_bucket
from aqz_micromanager.errors import DuplicateFrameError, UnknownCoordinateError
from aqz_micromanager.layout import STORED_NAMES
from aqz_micromanager.recent_frames import joined
from aqz_micromanager.tags import FrameMetadata, TagTable, number, plain, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aqz_micromanager.layout import StoreArranger
    from aqz_micromanager.pixels import Pixels
    from aqz_micromanager.recent_frames import RecentFrames
    from aqz_micromanager.routing import Place
    from aqz_micromanager.run_plan import ImageKey, ImagePlan, RunPlan

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
    arranger
        Lays out what is in it.
    plan
        Of the acquisition.
    on_duplicate
        What becomes of a second frame for the same place.
    frame_metadata
        Form of the tables of frames.
    notes
        What else is known of the acquisition, by name; kept with every image.
    protocol
        What was to be done, and with what; kept with the first image.
    recent
        Takes frames for whoever looks on.
    """

    def __init__(
        self,
        arranger: StoreArranger,
        plan: RunPlan,
        *,
        on_duplicate: OnDuplicate,
        frame_metadata: FrameMetadata,
        notes: Mapping[str, Any],
        protocol: Mapping[str, Any],
        recent: RecentFrames,
    ) -> None:
        self._arranger = arranger
        self._router = arranger.router
        self._layout = arranger.layout(plan)
        self._components = arranger.spec.components
        self._on_duplicate = on_duplicate
        self._frame_metadata = frame_metadata
        self._notes = plain(notes)
        self._protocol = plain(protocol)
        self._images: dict[ImageKey, ImagePlan] = {}
        self._coverage: dict[ImageKey, Coverage] = {}
        self._tables: dict[ImageKey, TagTable] = {}
        self._heights: dict[ImageKey, dict[int, float]] = {}
        self._declared: dict[ImageKey, dict[str, int]] = {}
        self._recent = recent
        self._resumed = False
        self._safe: int | None = None
        self.duplicates = 0
        self.stream = aqz.ZarrStream(self._layout.settings)
        try:
            for image in plan.images:
                self._begin(image)
        except BaseException:
            self.stream.close()
            raise

    def _begin(self, image: ImagePlan, *, from_first: bool = False) -> None:
        """Begin the account of one image."""
        shape = self._router.images[image.key].shape
        self._images[image.key] = image
        planned = image.frames
        if planned is not None and self._router.images[image.key].folds_cameras:
            planned = self._router.images[image.key].folded(image)
        self._coverage[image.key] = Coverage(shape, planned, from_first=from_first)
        self._tables[image.key] = TagTable(
            self._frame_metadata, standalone=self._on_duplicate == "replace"
        )
        self._describe(image.key, "recording")

    # ---- more than was known ----------------------------------------------------------------

    def extend(self, plan: RunPlan, image: ImagePlan) -> None:
        """Begin one more image, which the plan has by now.

        Raises
        ------
        AqzError
            The stream refused it.
        """
        if self._resumed and self._layout.wells:
            raise UnknownCoordinateError(
                f"{self.stream.store_path}: {image.site.name or image.key} came after an axis of "
                "the plate had grown; give events= or axes= with all positions"
            )
        self._layout = self._arranger.layout(plan)
        self.stream.extend(self._resumable() if self._resumed else self._layout.settings)
        self._begin(image, from_first=True)

    def grow(self, key: ImageKey) -> None:
        """Note that the axes of an image have more coordinates; make room for them.

        Raises
        ------
        UnknownCoordinateError
            The image has a pyramid, whose levels would not fit any more.
        """
        axes, array = self._router.images[key], self._arranger.array(key)
        self._coverage[key].grow(axes.shape)
        wanted = {}
        for name, size, dimension in zip(
            axes.names, axes.shape, _lead(array, axes.names), strict=True
        ):
            stored = STORED_NAMES.get(name, name)
            planes = (size or 0) * (self._components if stored == "c" else 1)
            if dimension.array_size_px and planes > dimension.array_size_px:
                # Twice as long, so that an axis that goes on growing is seldom in the way; what is
                # too long is cut at the end. Channels have names, and as many as there are.
                wanted[stored] = planes if stored == "c" else 2 * planes
        if not wanted:
            return
        if array.downsampling_method is not None:
            raise UnknownCoordinateError(
                f"axis {next(iter(wanted))!r} of an image with a pyramid would have to grow while "
                "it is recorded; give its size with events= or axes=, or record without a pyramid"
            )
        self._resize(key, array, wanted)

    def _resize(self, key: ImageKey, array: aqz.ArraySettings, sizes: Mapping[str, int]) -> None:
        """Close the stream, declare other sizes, and resume."""
        options = self._arranger.options
        for dimension in array.dimensions:
            dimension.array_size_px = sizes.get(dimension.name, dimension.array_size_px)
        if "c" in sizes and array.is_ngff:
            array.channels = display_channels(
                self._arranger.channel_names(self._images[key]),
                self._arranger.spec,
                options.colors,
                self._arranger.facts.bit_depth,
            )
        settings = self._layout.settings
        path, s3 = self.stream.store_path, settings.s3
        self.stream.close()
        aqz.resize_axes(path, self._layout.keys[key], sizes, channels=array.channels, s3=s3)
        self.stream = aqz.ZarrStream.resume(path, self._resumable())
        self._resumed = True
        self._declared.setdefault(key, {}).update(sizes)

    def _resumable(self) -> aqz.StreamSettings:
        """Return the settings of the stream when it is resumed: plates are arrays like others."""
        settings = copy.copy(self._layout.settings)
        settings.store_path, settings.overwrite = self.stream.store_path, False
        settings.hcs_plates, settings.arrays = [], self._arranger.flat_arrays()
        return settings

    # ---- frames -----------------------------------------------------------------------------

    @property
    def frames(self) -> int:
        """Frames that were stored, colour frames once; after a failure those that are safe."""
        if self._safe is not None:
            return self._safe
        return sum(coverage.count for coverage in self._coverages())

    @property
    def missing(self) -> int:
        """Frames that were planned and did not come, or that lack between others."""
        lost = 0 if self._safe is None else sum(c.count for c in self._coverages()) - self._safe
        return lost + sum(coverage.missing_count for coverage in self._coverages())

    def _coverages(self) -> list[Coverage]:
        """Return the accounts of all images; others ask while frames add positions."""
        return list(self._coverage.values())

    def has(self, place: Place) -> bool:
        """Return whether a place has its frame."""
        coverage = self._coverage.get(place.image)
        return coverage is not None and coverage.has(place.index)

    def read(self, place: Place) -> Pixels | None:
        """Return a frame that came, as far as it can be read: buckets, and Zarr V2, are not."""
        if (found := self._recent.get(place)) is not None:
            return found
        path, key = self.stream.store_path, self._layout.keys[place.image]
        array = self._arranger.array(place.image)
        settings = self._layout.settings
        if is_in_bucket(path, settings) or settings.version is not aqz.ZarrVersion.V3:
            return None
        if self.stream.is_active() and self.stream.get_current_memory_usage():
            self.stream.flush(key)  # it may be on its way
        names = [d.name for d in array.dimensions[:-2]]
        index = dict(zip(self._names(place.image), place.index, strict=True))
        channel = index.get("c", 0) * self._components
        reader = aqz.ZarrArrayReader(Path(path) / key / ("0" if array.is_ngff else ""))
        planes = []
        for component in range(self._components):
            index["c"] = channel + component
            planes.append(reader.read_plane(*(index[name] for name in names)))
        return joined(planes)

    def write(self, place: Place, planes: Sequence[Pixels], tags: Mapping[str, Any]) -> None:
        """Store one frame.

        Raises
        ------
        DuplicateFrameError
            The place has a frame, and the policy is not to bear that.
        AqzError
            The stream refused it.
        """
        coverage = self._coverage[place.image]
        again = coverage.has(place.index)
        if again and not self._takes_again(place, tags):
            return
        row = self._tables[place.image].row(tags)
        names = [STORED_NAMES.get(n, n) for n in self._router.images[place.image].names]
        index = dict(zip(names, place.index, strict=True))
        channel = index.get("c", 0)
        for component, plane in enumerate(planes):
            if self._components > 1:
                index["c"] = channel * self._components + component
            self.stream.write(
                plane,
                index,
                self._layout.keys[place.image],
                row,
                replace=again,
            )
            if row is not None:  # every plane has a row, and changes are told once
                row = {name: value for name, value in row.items() if name != "changed"}
        coverage.take(place.index)
        self._recent.keep(place, planes)
        self._note_height(place, tags)

    def _note_height(self, place: Place, tags: Mapping[str, Any]) -> None:
        """Note where a plane lies if nobody planned it."""
        names = self._router.images[place.image].names
        if "z" in names:
            at, planes = place.index[names.index("z")], self._images[place.image].planes_um
            z_um = number(tags, "ZPosition_um_Intended", "ZPositionUm")
            if z_um is not None and (at >= len(planes) or planes[at] is None):
                self._heights.setdefault(place.image, {}).setdefault(at, z_um)

    def _with_heights(self, key: ImageKey) -> ImagePlan:
        """Return an image with the heights of planes that were found out on the way."""
        image, found = self._images[key], self._heights.get(key)
        if not found:
            return image
        known = {n: um for n, um in enumerate(image.planes_um) if um is not None} | found
        planes = tuple(known.get(n) for n in range(max(known) + 1))
        return replace(image, planes_um=planes)

    def _takes_again(self, place: Place, tags: Mapping[str, Any]) -> bool:
        """Return whether a second frame replaces the first one, and count it."""
        self.duplicates += 1
        where = dict(zip(self._router.images[place.image].names, place.index, strict=True))
        camera = text(tags, "Camera", "camera_device")
        site = place.image[0]
        said = f"a second frame came for {where or 'the only place'} of position {site}"
        if self._on_duplicate == "error":
            raise DuplicateFrameError(
                f"{said}, from camera {camera!r}. If several cameras record at once, name them "
                "with cameras=[...]; otherwise choose on_duplicate='keep' or 'replace'"
            )
        _log.warning("%s; on_duplicate is %r", said, self._on_duplicate)
        return self._on_duplicate == "replace"

    # ---- the end ----------------------------------------------------------------------------

    def finish(
        self, state: RunState, notes: Mapping[str, Any], protocol: Mapping[str, Any]
    ) -> None:
        """Say in the store how the acquisition ended, and close it.

        Raises
        ------
        AqzError
            Something could not be stored.
        """
        self._notes, self._protocol = plain(notes), plain(protocol)
        path, s3 = self.stream.store_path, self._layout.settings.s3
        try:
            if self.stream.is_active():
                for key in self._images:
                    self._describe(key, state)
        finally:
            try:
                self.stream.close()
            except BaseException:
                self._count_safe(path)
                raise
        for key, sizes in self._declared.items():
            said = dict(zip(self._names(key), self._router.images[key].shape, strict=True))
            too_long = {
                n: said[n] or 0 for n, size in sizes.items() if n != "c" and said[n] != size
            }
            if too_long:
                aqz.resize_axes(path, self._layout.keys[key], too_long, s3=s3)

    def _names(self, key: ImageKey) -> list[str]:
        """Return the axes of an image as the store names them."""
        return [STORED_NAMES.get(name, name) for name in self._router.images[key].names]

    def _count_safe(self, path: str) -> None:
        """After a failure: finish what is stored on this machine, and count its frames."""
        if is_in_bucket(path, self._layout.settings):
            return
        with contextlib.suppress(aqz.AqzError, OSError):
            aqz.repair_store(path, apply=True)
        with contextlib.suppress(aqz.AqzError, OSError):
            self._safe = sum(
                len(aqz.list_frames(path, key).written) // self._components
                for key in self._layout.keys.values()
            )

    def _describe(self, key: ImageKey, state: RunState) -> None:
        """Write the attribute of one image."""
        coverage, image = self._coverage[key], self._with_heights(key)
        first = next(iter(self._layout.keys.values()))
        described: dict[str, Any] = {
            "state": state,
            "frames": coverage.count,
            "axes": describe_axes(image, self._router.images[key]),
            "position": describe_position(image.site, self._layout.wells.get(key)),
            **self._notes,
        }
        if self._components > 1:
            described["planes_per_frame"] = self._components
        if None not in self._router.images[key].shape:
            described["planned_frames"] = coverage.planned_count
        if self._protocol:
            own = self._layout.keys[key] == first
            described["protocol"] = self._protocol if own else {"in": first}
        if names := self._arranger.channel_names(image):
            described["channels"] = plain(names)
        if state != "recording":
            described["missing_frames"] = coverage.missing_count
            missing = itertools.islice(coverage.missing(), _MAX_MISSING_LISTED)
            names = self._names(key)
            described["missing"] = [dict(zip(names, index, strict=True)) for index in missing]
        self.stream.write_custom_metadata(described, self._layout.keys[key], ATTRIBUTE)


def _lead(array: aqz.ArraySettings, names: Iterable[str]) -> list[aqz.Dimension]:
    """Return the leading axes of an array that the router knows, in its order."""
    by_name = {dimension.name: dimension for dimension in array.dimensions}
    return [by_name[STORED_NAMES.get(name, name)] for name in names]
