"""What a frame says of the acquisition that nobody told before: coordinates, places, images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import ImagePlan, Site, split_axes
from aqz_micromanager.tags import number, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_micromanager.frame_hold import ArrivedFrame
    from aqz_micromanager.plan_builder import PlanBuilder
    from aqz_micromanager.run_plan import ImageKey, Value

_Z_TAGS = ("ZPosition_um_Intended", "ZPositionUm")

__all__ = ["image_like_others", "learn_frame", "learn_site"]


def learn_frame(frame: ArrivedFrame, builder: PlanBuilder) -> None:
    """Add a frame to a plan, unless that is complete: events that said it win."""
    if not builder.complete:
        builder.add_frame(frame.axes)
        learn_site(frame, builder)


def learn_site(frame: ArrivedFrame, builder: PlanBuilder) -> None:
    """Add where a frame was taken to a plan."""
    key, values = split_axes(frame.axes)
    tags = frame.tags
    label = text(tags, "PositionName") or (key[0] if key and isinstance(key[0], str) else None)
    builder.add_site(
        Site(
            key,
            name=label if key else None,
            x_um=number(tags, "XPosition_um_Intended", "XPositionUm"),
            y_um=number(tags, "YPosition_um_Intended", "YPositionUm"),
            well=well_of_label(label) if label and key else None,
        )
    )
    z_um = number(tags, *_Z_TAGS)
    if z_um is not None and "z" in values:
        builder.add_plane(frame.axes, z_um)


def image_like_others(
    frame: ArrivedFrame, key: ImageKey, site: Site, others: Iterable[ImagePlan]
) -> ImagePlan:
    """Return an image that nobody told of, whose axes are those of images that it resembles.

    An image of the same axes at another site is its model; or the image at its own site that has
    more axes, of which it may be a projection. Axes that no other image has begin with the
    frame's own coordinate. Nothing is expected of it: who knows what else will come.

    Parameters
    ----------
    frame
        Its first one.
    key, site
        Of the image.
    others
        All images that are known.
    """
    images = list(others)
    twins = [image for image in images if image.family == key[1]]
    values = split_axes(frame.axes)[1]
    if twins:
        frames = None if twins[0].frames is None else frozenset[tuple[int, ...]]()
        planes = _shifted(twins[0], values.get("z"), number(frame.tags, *_Z_TAGS))
        return replace(twins[0], site=site, frames=frames, planes_um=planes)
    relatives = sorted(images, key=lambda image: (image.site.key != site.key, -len(image.family)))
    axes: dict[str, tuple[Value, ...] | None] = {}
    for name in sorted(values, key=lambda name: {"time": 0, "channel": 2, "z": 3}.get(name, 1)):
        known = [image.axes[name] for image in relatives if name in image.axes]
        coordinates = known[0] if known else (None if name == "time" else (values[name],))
        if coordinates is None and axes:
            coordinates = (values[name],)  # only the first axis can be without an end
        axes[name] = coordinates
    endless = None in axes.values()
    planes = relatives[0].planes_um if relatives and "z" in axes else ()
    starts = relatives[0].starts_s if relatives else {}
    return ImagePlan(
        site,
        key[1],
        axes,
        frames=None if endless else frozenset(),
        planes_um=planes if len(planes) == len(axes.get("z") or ()) else (),
        starts_s=starts,
    )


def _shifted(image: ImagePlan, z: Value | None, z_um: float | None) -> tuple[float | None, ...]:
    """Return where planes lie if one of them lies elsewhere than in another image."""
    values = image.axes.get("z") or tuple(range(len(image.planes_um)))
    if z not in values or len(image.planes_um) != len(values) or z_um is None:
        return image.planes_um
    there = image.planes_um[values.index(z)]
    shift = 0.0 if there is None else z_um - there
    return tuple(None if um is None else um + shift for um in image.planes_um)
