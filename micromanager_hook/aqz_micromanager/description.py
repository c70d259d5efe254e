"""What the attribute ``micromanager`` says of an image: its axes and where it was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aqz_micromanager.tags import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_micromanager.positions import WellField
    from aqz_micromanager.routing import ImageAxes
    from aqz_micromanager.run_plan import ImagePlan, Site, Value

__all__ = ["describe_axes", "describe_position"]

_LISTED = 32  # coordinates that are given one by one; more of them as a range, if they are one


def describe_axes(image: ImagePlan, axes: ImageAxes) -> list[dict[str, Any]]:
    """Return name and coordinates of each axis, and where its planes or time points lie."""
    described = []
    for name, values in axes.values.items():
        one: dict[str, Any] = {"name": name, **_coordinates(values)}
        if name == "z" and any(um is not None for um in image.planes_um):
            one["even"] = image.z_spacing.even
            if not image.z_spacing.even or len(image.planes_um) <= _LISTED:
                one["z_um"] = list(image.planes_um)
        if name == "time" and image.t_spacing.step is not None:
            one["even"], one["interval_s"] = image.t_spacing.even, image.t_spacing.step
        described.append(one)
    return described


def _coordinates(values: Sequence[Value] | None) -> dict[str, Any]:
    """Return coordinates as a list, or as a range where they are many and evenly apart."""
    if values is None:
        return {"values": None}
    numbers = [value for value in values if isinstance(value, int)]
    if len(values) > _LISTED and len(numbers) == len(values):
        step = numbers[1] - numbers[0]
        whole = range(numbers[0], numbers[0] + step * len(numbers), step) if step else range(0)
        if len(whole) == len(numbers) and list(whole) == numbers:
            return {"range": [whole.start, whole.stop, whole.step]}
    return {"values": plain(list(values))}


def describe_position(site: Site, well: WellField | None) -> dict[str, Any]:
    """Return what is known of a site."""
    found: dict[str, Any] = {"label": site.name, "x_um": site.x_um, "y_um": site.y_um}
    found["z_um"] = site.z_um
    if site.key:
        found["key"] = list(site.key)
    if site.grid is not None:
        found["grid_row"], found["grid_column"] = site.grid
    if well is not None:
        found["well"] = f"{well.row}{well.column}"
    known = {name: value for name, value in found.items() if value is not None}
    return dict(plain(known))
