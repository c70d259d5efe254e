"""From a plan and the first frame to the settings of a stream: arrays, axes, scales, channels.

Axes are stored in NGFF's order (time, the user's own, channel, z, y, x) whatever the order of
acquisition, planes from the lowest up whatever the direction of the stage.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aqz_core as aqz
from aqz_micromanager.camera_facts import CameraFacts
from aqz_micromanager.channels import display_channels
from aqz_micromanager.destination import is_in_bucket
from aqz_micromanager.errors import LayoutUnknownError
from aqz_micromanager.image_options import apply_template, tell_of_differences, template_of
from aqz_micromanager.positions import arrange_plate, image_keys, image_name, is_plate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_micromanager.image_options import ImageOptions
    from aqz_micromanager.pixels import FrameSpec
    from aqz_micromanager.positions import WellField
    from aqz_micromanager.routing import ImageAxes, Router
    from aqz_micromanager.run_plan import ImageKey, ImagePlan, PlateSize, RunPlan

__all__ = ["STORED_NAMES", "StoreArranger", "StoreLayout"]

STORED_NAMES = {"time": "t", "channel": "c"}
"""Names of axes in the store where they are not Micro-Manager's."""

_SHARD_NBYTES = 64 << 20
_SHARD_PLANES = 2048  # at most: an index is read and written as a whole
_NGFF_AXES = 5
_FLUSH_SECONDS = 10.0  # most that a loss of power should cost
_KINDS = {
    "t": aqz.DimensionType.TIME,
    "c": aqz.DimensionType.CHANNEL,
    "z": aqz.DimensionType.SPACE,
}


@dataclass(frozen=True)
class StoreLayout:
    """A store that can be opened, and which key each image has in it.

    Attributes
    ----------
    settings
        For `aqz_core.ZarrStream`.
    keys
        Array of each image.
    wells
        Place of each image on the plate, if there is one.
    """

    settings: aqz.StreamSettings
    keys: Mapping[ImageKey, str]
    wells: Mapping[ImageKey, WellField]


@dataclass
class StoreArranger:
    """Lays out one store, and the same store again when more images come.

    Attributes
    ----------
    store
        Path or URL.
    router
        Places of frames in each image.
    spec
        What the frames are.
    options
        Of the user.
    facts
        Of the camera.
    flush_seconds
        After how long frames are safe at the latest; None is that of the settings, or a default.
    replaceable
        Whether frames may be written again, which takes a file for each chunk.
    """

    store: str
    router: Router
    spec: FrameSpec
    options: ImageOptions
    facts: CameraFacts = field(default_factory=CameraFacts)
    flush_seconds: float | None = None
    replaceable: bool = False
    _made: dict[ImageKey, aqz.ArraySettings] = field(default_factory=dict)
    _layout: StoreLayout | None = None

    def layout(self, plan: RunPlan) -> StoreLayout:
        """Lay out a store for an acquisition; images that were laid out before stay as they are.

        Raises
        ------
        LayoutUnknownError
            Positions must be a plate and are not, or more than the first axis has no end.
        """
        before = self._layout
        arrays = {
            image.key: self._made.get(image.key) or self._array(image) for image in plan.images
        }
        if before is None:
            tell_of_differences(template_of(self.options.settings), arrays[plan.images[0].key])
        settings = copy.deepcopy(self.options.settings) or aqz.StreamSettings()
        settings.store_path, settings.arrays = self.store, []
        settings.flush_seconds = self._flush_seconds(settings)
        images_only = all(array.is_ngff for array in arrays.values())
        sites = [image.site for image in plan.images]
        if before is None:
            plated = images_only and is_plate(sites, self.options.plate)
        else:
            plated = bool(before.wells)
        wells = arrange_plate(plan.images) if plated else {}
        if wells:
            settings.hcs_plates = [_plate(wells, arrays, plan.plate)]
        flat = [image for image in plan.images if image.key not in wells]
        known = {} if before is None else {k: v for k, v in before.keys.items() if k not in wells}
        keys = image_keys(flat, known) if not wells else _beside_plate(flat, known)
        for image in flat:
            arrays[image.key].output_key = keys[image.key] or (
                "" if arrays[image.key].is_ngff else "frames"
            )
        order = [*known, *(image.key for image in flat if image.key not in known)]
        settings.arrays = [arrays[key] for key in order]
        if before is None:
            settings.bioformats2raw = images_only and not wells and "" not in keys.values()
        else:
            settings.bioformats2raw = before.settings.bioformats2raw
        self._made = arrays
        named = {key: arrays[key].output_key for key in order}
        named |= {key: well.key for key, well in wells.items()}
        self._layout = StoreLayout(settings, named, wells)
        return self._layout

    def _flush_seconds(self, settings: aqz.StreamSettings) -> float | None:
        """Return after how long frames are flushed; buckets have a default of their own."""
        for given in (self.flush_seconds, settings.flush_seconds):
            if given is not None:
                return given
        return None if is_in_bucket(self.store, settings) else _FLUSH_SECONDS

    def array(self, key: ImageKey) -> aqz.ArraySettings:
        """Return the settings of an image that was laid out, which may be changed."""
        return self._made[key]

    def flat_arrays(self) -> list[aqz.ArraySettings]:
        """Return the settings of all images with their keys, as if there were no plate."""
        assert self._layout is not None
        arrays = []
        for key, array in self._made.items():
            flat = array if key not in self._layout.wells else copy.copy(array)
            flat.output_key = self._layout.keys[key]
            arrays.append(flat)
        return arrays

    def channel_names(self, image: ImagePlan) -> list[str]:
        """Return the names of an image's channels, or of the only one if that is known."""
        names = self.router.images[image.key].channels()
        single = image.channel_name or self.facts.channel_name
        return names or ([single] if single else [])

    def _array(self, image: ImagePlan) -> aqz.ArraySettings:
        """Make the array of one image."""
        axes, template = self.router.images[image.key], template_of(self.options.settings)
        names, sizes = _stored_axes(axes, self.spec)
        made = copy.deepcopy(template)
        lead = self._lead_dimensions(names, sizes, image)
        made.dimensions = [*lead, *self._plane(image)]
        apply_template(made, template)
        made.data_type = aqz.DataType.of(self.spec.dtype)
        made.is_ngff = _fits_ngff(lead)
        made.name = image_name(image)
        made.channels = []
        if made.is_ngff:
            names = self.channel_names(image)
            made.channels = display_channels(
                names, self.spec, self.options.colors, self.facts.bit_depth
            )
        else:
            made.downsampling_method = None
        if self.replaceable and made.downsampling_method is None:
            for dimension in made.dimensions:
                dimension.shard_size_chunks = None
        return made

    def _lead_dimensions(
        self, names: Sequence[str], sizes: Sequence[int], image: ImagePlan
    ) -> list[aqz.Dimension]:
        """Make the leading axes: a chunk is a part of one plane, a shard about 64 MiB of them."""
        z, t = image.z_spacing, image.t_spacing
        scales = {"t": t.step, "z": z.step}
        units = {
            "t": "second" if t.step else None,
            "z": "micrometer" if z.first is not None else None,
        }
        plane_nbytes = math.prod(self.spec.shape) * self.spec.dtype.itemsize
        planes = max(1, min(_SHARD_PLANES, _SHARD_NBYTES // plane_nbytes))
        dimensions = []
        for name, size in reversed(list(zip(names, sizes, strict=True))):
            in_shard = min(size or planes, planes)
            planes = max(1, planes // in_shard)
            dimensions.append(
                aqz.Dimension(
                    name=name,
                    kind=_KINDS.get(name, aqz.DimensionType.OTHER),
                    array_size_px=size,
                    chunk_size_px=1,
                    shard_size_chunks=in_shard,
                    scale=scales.get(name) or 1.0,
                    unit=units.get(name),
                    origin=z.first if name == "z" and z.first is not None else 0.0,
                )
            )
        return dimensions[::-1]

    def _plane(self, image: ImagePlan) -> list[aqz.Dimension]:
        """Make the axes of a frame."""
        dimensions = []
        pixel_um, stage = self.facts.pixel_um, {"y": image.site.y_um, "x": image.site.x_um}
        pyramid = template_of(self.options.settings).downsampling_method is not None
        chunks = aqz.suggest_layout(
            (1, *self.spec.shape), self.spec.dtype, "tyx", pyramid=pyramid
        ).chunk_shape[-2:]
        for name, size, chunk in zip("yx", self.spec.shape, chunks, strict=True):
            dimensions.append(
                aqz.Dimension(
                    name=name,
                    unit="micrometer" if pixel_um else None,
                    scale=pixel_um or 1.0,
                    array_size_px=size,
                    chunk_size_px=chunk,
                    shard_size_chunks=math.ceil(size / chunk),
                    origin=self.facts.origin_um(stage[name], size, "xy".index(name)),
                )
            )
        return dimensions


def _stored_axes(axes: ImageAxes, spec: FrameSpec) -> tuple[list[str], list[int]]:
    """Return names and sizes of the leading axes; 0 for one without an end."""
    names = [STORED_NAMES.get(name, name) for name in axes.names]
    sizes = [size or 0 for size in axes.shape]
    if 0 in sizes[1:]:
        endless = axes.names[sizes.index(0, 1)]
        raise LayoutUnknownError(
            f"axis {endless!r} has no end, but only the first stored axis ({axes.names[0]!r}) can "
            f"have none; give its size with events= or axes={{{endless!r}: ...}}"
        )
    taken = {"y", "x", *(("t", "c") if len(set(names)) < len(names) else ())} & set(axes.names)
    if taken:
        raise LayoutUnknownError(
            f"an axis of the acquisition is named {sorted(taken)[0]!r}, which the store needs for "
            "another one; rename it in the events"
        )
    if spec.components > 1:
        if "c" in names:
            sizes[names.index("c")] *= spec.components
        else:
            at = len(names) - ("z" in names)
            names.insert(at, "c")
            sizes.insert(at, spec.components)
    return names, sizes


def _fits_ngff(lead: Sequence[aqz.Dimension]) -> bool:
    """Return whether the axes can be those of an NGFF image."""
    others = sum(d.kind is aqz.DimensionType.OTHER for d in lead)
    return len(lead) + 2 <= _NGFF_AXES and others <= 1


def _plate(
    wells: Mapping[ImageKey, WellField],
    arrays: Mapping[ImageKey, aqz.ArraySettings],
    declared: PlateSize | None,
) -> aqz.Plate:
    """Make the plate at the root of the store, with all rows and columns that are known."""
    places: dict[tuple[str, str], list[aqz.FieldOfView]] = {}
    for key, well in wells.items():
        one = aqz.FieldOfView(path=well.path, acquisition_id=0, array_settings=arrays[key])
        places.setdefault((well.row, well.column), []).append(one)
    rows = dict.fromkeys([*(declared.rows if declared else ()), *(row for row, _ in places)])
    columns = dict.fromkeys([*(declared.columns if declared else ()), *(c for _, c in places)])
    return aqz.Plate(
        path="/",
        name=(declared.name if declared else "") or "plate",
        row_names=sorted(rows, key=lambda row: (len(row), row)),
        column_names=sorted(columns, key=int),
        wells=[
            aqz.Well(row_name=row, column_name=column, images=images)
            for (row, column), images in places.items()
        ],
        acquisitions=[aqz.Acquisition(id=0)],
    )


def _beside_plate(flat: Sequence[ImagePlan], known: Mapping[ImageKey, str]) -> dict[ImageKey, str]:
    """Return keys of images that are in no well; a lone one is not the root either."""
    keys = image_keys(flat, known)
    rows = {
        key: f"image_{key}" if re.fullmatch("[A-Za-z]{0,2}", key) else key for key in keys.values()
    }
    return {image: known.get(image) or rows[key] for image, key in keys.items()}
