"""What the user said of axes, kept while the source describes itself in another way.

The form is filled in from what a source describes; then the user changes some of it. When the
source changes (another exposure, another contrast, a calibration), what the user has not touched
follows it, and what the user typed stays.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_napari.form.recording_plan import AxisPlan

__all__ = ["merge_axes"]


def merge_axes(
    said: Sequence[AxisPlan], before: Sequence[AxisPlan], now: Sequence[AxisPlan]
) -> tuple[AxisPlan, ...]:
    """Return the axes of the form after a source has changed.

    Parameters
    ----------
    said : sequence of AxisPlan
        What the form says.
    before : sequence of AxisPlan
        What the source was filled in as: where `said` differs, the user has spoken.
    now : sequence of AxisPlan
        What the source would be filled in as now.
    """
    old, new = ({axis.name: axis for axis in axes} for axes in (before, now))
    merged = [
        _merged(axis, old.get(axis.name), new[axis.name]) if axis.name in new else axis
        for axis in said
        if axis.name not in old or axis.name in new or axis != old[axis.name]
    ]
    if not _reordered(said, before):  # the user's order, or the source's
        order = {axis.name: place for place, axis in enumerate(now)}
        merged = _in_order(merged, order)
    kept = {axis.name for axis in merged}
    for place, axis in enumerate(now):
        if axis.name not in old and axis.name not in kept:
            merged.insert(min(place, len(merged)), axis)
    return tuple(merged)


def _merged(said: AxisPlan, before: AxisPlan | None, now: AxisPlan) -> AxisPlan:
    """Return an axis with what the user said of it, and else what the source says."""
    if before is None:
        return said
    typed = {
        field.name: getattr(said, field.name)
        for field in fields(said)
        if getattr(said, field.name) != getattr(before, field.name)
    }
    return replace(now, **typed)


def _reordered(said: Sequence[AxisPlan], before: Sequence[AxisPlan]) -> bool:
    """Return whether the user has moved, added or removed axes."""
    return [axis.name for axis in said] != [axis.name for axis in before]


def _in_order(axes: Sequence[AxisPlan], order: dict[str, int]) -> list[AxisPlan]:
    """Return axes in an order by name; those without a place stay where they are."""
    known = iter(sorted((a for a in axes if a.name in order), key=lambda a: order[a.name]))
    return [next(known) if axis.name in order else axis for axis in axes]
