"""From a plan and the first frame to the settings of a stream: arrays, axes, scales, channels.

Axes are stored in NGFF's order (time, the user's own, channel, z, y, x) whatever the order of
acquisition. Axes that NGFF has no place for make the array a plain one, which keeps all of them.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aqz_core as aqz
from aqz_micromanager.errors import LayoutUnknownError
from aqz_micromanager.image_options import apply_template, tell_of_differences, template_of
from aqz_micromanager.pixels import COMPONENT_COLORS, COMPONENT_NAMES
from aqz_micromanager.positions import (
    PLATE_KEY,
    arrange_plate,
    image_keys,
    is_plate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aqz_micromanager.image_options import ImageOptions
    from aqz_micromanager.pixels import FrameSpec
    from aqz_micromanager.positions import WellField
    from aqz_micromanager.routing import Router
    from aqz_micromanager.run_plan import RunPlan, Site, SiteKey

__all__ = ["STORED_NAMES", "StoreLayout", "store_layout"]

STORED_NAMES = {"time": "t", "channel": "c"}
"""Names of axes in the store where they are not Micro-Manager's."""

_CHUNK_EDGE = 1024  # pixels
_SHARD_NBYTES = 64 << 20
_NGFF_AXES = 5

# What people expect to see, by the beginning of a channel's name.
_CUSTOMARY_COLORS = {
    "dapi": "0000FF",
    "hoechst": "0000FF",
    "bfp": "0000FF",
    "cfp": "00FFFF",
    "fitc": "00FF00",
    "gfp": "00FF00",
    "egfp": "00FF00",
    "yfp": "FFFF00",
    "cy3": "FF8000",
    "tritc": "FF8000",
    "rhodamine": "FF0000",
    "rfp": "FF0000",
    "mcherry": "FF0000",
    "texas red": "FF0000",
    "cy5": "FF00FF",
    "alexa 647": "FF00FF",
}


@dataclass(frozen=True)
class StoreLayout:
    """A store that can be opened, and which key each site has in it.

    Attributes
    ----------
    settings
        For `aqz_core.ZarrStream`.
    keys
        Array of each site.
    wells
        Place of each site on the plate, if there is one.
    axis_names
        Leading axes as the store names them.
    channel_names
        Of the channel axis, or of the only channel; may be empty.
    is_image
        Whether the arrays are NGFF images.
    """

    settings: aqz.StreamSettings
    keys: Mapping[SiteKey, str]
    wells: Mapping[SiteKey, WellField]
    axis_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    is_image: bool


def store_layout(
    store: str,
    plan: RunPlan,
    router: Router,
    spec: FrameSpec,
    *,
    options: ImageOptions,
    pixel_um: float | None,
    bit_depth: int | None = None,
    channel_name: str | None = None,
) -> StoreLayout:
    """Lay out a store for an acquisition.

    Parameters
    ----------
    store
        Path or URL.
    plan, router
        Of the acquisition.
    spec
        Of its frames.
    options
        Of the user.
    pixel_um
        Edge of a pixel, micrometres; None if it is not calibrated.
    bit_depth
        Of the camera, for display.
    channel_name
        Of the only channel, if the plan does not know it.

    Raises
    ------
    LayoutUnknownError
        Positions must be a plate and are not, or more than the first axis has no end.
    """
    names, sizes = _stored_axes(router, spec)
    channels = _channels(router, plan, spec, options.colors, bit_depth, channel_name)
    dimensions = _lead_dimensions(names, sizes, spec, plan)
    is_image = _fits_ngff(dimensions)
    template = template_of(options.settings)

    def array(site: Site) -> aqz.ArraySettings:
        """Make the array of one site."""
        made = copy.deepcopy(template)
        made.dimensions = [*copy.deepcopy(dimensions), *_plane(spec, site, pixel_um)]
        for dimension in made.dimensions:
            if dimension.name == "z" and site.z_um is not None and plan.z_step_um:
                dimension.origin = site.z_um
        apply_template(made, template)
        made.data_type = aqz.DataType.of(spec.dtype)
        made.is_ngff = is_image
        made.channels = list(channels) if is_image else []
        if not is_image:
            made.downsampling_method = None
        return made

    tell_of_differences(template, array(plan.sites[0]))
    settings = copy.deepcopy(options.settings) or aqz.StreamSettings()
    settings.store_path = store
    settings.arrays = []
    if is_image and is_plate(plan.sites, options.plate):
        wells = arrange_plate(plan.sites)
        settings.hcs_plates = [_plate(plan.sites, wells, array)]
        keys = {
            site: f"{PLATE_KEY}/{well.row}/{well.column}/{well.path}"
            for site, well in wells.items()
        }
    else:
        wells, keys = {}, image_keys(plan.sites)
        for site in plan.sites:
            one = array(site)
            one.output_key = keys[site.key] or ("" if is_image else "frames")
            settings.arrays.append(one)
        settings.bioformats2raw = is_image and "" not in keys.values()
        keys = {
            site.key: one.output_key for site, one in zip(plan.sites, settings.arrays, strict=True)
        }
    labels = tuple(channel.name for channel in channels)
    return StoreLayout(settings, keys, wells, tuple(names), labels, is_image)


def _stored_axes(router: Router, spec: FrameSpec) -> tuple[list[str], list[int]]:
    """Return names and sizes of the leading axes; 0 for one without an end."""
    names = [STORED_NAMES.get(name, name) for name in router.axes]
    sizes = [size or 0 for size in router.shape]
    if 0 in sizes[1:]:
        endless = router.axes[sizes.index(0, 1)]
        raise LayoutUnknownError(
            f"axis {endless!r} has no end, but only the first stored axis ({router.axes[0]!r}) can "
            f"grow; give its size with events= or axes={{{endless!r}: ...}}"
        )
    taken = {"y", "x", *(("t", "c") if len(set(names)) < len(names) else ())} & set(router.axes)
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


def _lead_dimensions(
    names: Sequence[str], sizes: Sequence[int], spec: FrameSpec, plan: RunPlan
) -> list[aqz.Dimension]:
    """Make the leading axes: a chunk is a part of one plane, a shard holds about 64 MiB of them."""
    kinds = {
        "t": aqz.DimensionType.TIME,
        "c": aqz.DimensionType.CHANNEL,
        "z": aqz.DimensionType.SPACE,
    }
    scales = {"t": (plan.interval_s, "second"), "z": (plan.z_step_um, "micrometer")}
    planes = max(1, _SHARD_NBYTES // (math.prod(spec.shape) * spec.dtype.itemsize))
    dimensions = []
    for name, size in reversed(list(zip(names, sizes, strict=True))):
        in_shard = min(size or planes, planes)
        planes = max(1, planes // in_shard)
        scale, unit = scales.get(name, (None, ""))
        dimensions.append(
            aqz.Dimension(
                name=name,
                kind=kinds.get(name, aqz.DimensionType.OTHER),
                array_size_px=size,
                chunk_size_px=1,
                shard_size_chunks=in_shard,
                scale=scale or 1.0,
                unit=unit if scale else None,
            )
        )
    return dimensions[::-1]


def _plane(spec: FrameSpec, site: Site, pixel_um: float | None) -> list[aqz.Dimension]:
    """Make the axes of a frame; the stage position of a site is that of the frame's centre."""
    dimensions = []
    for name, size, stage in zip("yx", spec.shape, (site.y_um, site.x_um), strict=True):
        chunk = math.ceil(size / max(1, round(size / _CHUNK_EDGE)))
        origin = stage - (size - 1) / 2 * pixel_um if pixel_um and stage is not None else 0.0
        dimensions.append(
            aqz.Dimension(
                name=name,
                unit="micrometer" if pixel_um else None,
                scale=pixel_um or 1.0,
                array_size_px=size,
                chunk_size_px=chunk,
                shard_size_chunks=math.ceil(size / chunk),
                origin=origin,
            )
        )
    return dimensions


def _fits_ngff(lead: Sequence[aqz.Dimension]) -> bool:
    """Tell whether the axes can be those of an NGFF image."""
    others = sum(d.kind is aqz.DimensionType.OTHER for d in lead)
    return len(lead) + 2 <= _NGFF_AXES and others <= 1


def _plate(
    sites: Sequence[Site],
    wells: Mapping[SiteKey, WellField],
    array: Callable[[Site], aqz.ArraySettings],
) -> aqz.Plate:
    """Make a plate with the wells that are visited."""
    places: dict[tuple[str, str], list[aqz.FieldOfView]] = {}
    for site in sites:
        well = wells[site.key]
        field = aqz.FieldOfView(path=well.path, acquisition_id=0, array_settings=array(site))
        places.setdefault((well.row, well.column), []).append(field)
    return aqz.Plate(
        path=PLATE_KEY,
        name=PLATE_KEY,
        row_names=sorted({row for row, _ in places}, key=lambda row: (len(row), row)),
        column_names=sorted({column for _, column in places}, key=int),
        wells=[
            aqz.Well(row_name=row, column_name=column, images=images)
            for (row, column), images in places.items()
        ],
        acquisitions=[aqz.Acquisition(id=0)],
    )


def _channels(
    router: Router,
    plan: RunPlan,
    spec: FrameSpec,
    colors: Mapping[str, str],
    bit_depth: int | None,
    channel_name: str | None,
) -> list[aqz.Channel]:
    """Name and colour the channels, or the only one if its name is known."""
    window = None
    if bit_depth and spec.dtype.kind == "u" and bit_depth < 8 * spec.dtype.itemsize:
        window = (0.0, float(2**bit_depth - 1))
    names = router.channels()
    single = plan.channel_name or channel_name
    if not names and single:
        names = [single]
    if spec.components == 1:
        return [aqz.Channel(name=name, color=_color(name, colors), window=window) for name in names]
    return [
        aqz.Channel(name=f"{name} {component}".strip(), color=color, window=window)
        for name in (names or [""])
        for component, color in zip(COMPONENT_NAMES, COMPONENT_COLORS, strict=True)
    ]


def _color(name: str, colors: Mapping[str, str]) -> str | None:
    """Return the colour that the user gave a channel, or that people expect by its name."""
    if name in colors:
        return colors[name]
    words = name.lower()
    return next((c for start, c in _CUSTOMARY_COLORS.items() if words.startswith(start)), None)
