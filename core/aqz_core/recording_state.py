"""The ``aqz`` attribute of a recorded node: how far it is, and what Zarr has no field for.

Kept on the node that the stream owns: the group of an image, or a plain array. A reader sees by
``state`` whether the recording goes on (``recording``), was closed (``complete``), or ended before
that (``interrupted``); `aqz_core.recovery` reads the rest to go on with it. A process that was
killed leaves ``recording`` behind: the lock beside the store tells the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aqz_core.enums import ZarrVersion

if TYPE_CHECKING:
    from aqz_core.metadata import Axis, Document
    from aqz_core.planning.array import ArrayPlan

__all__ = ["RecordingState", "state_attribute"]

RecordingState: TypeAlias = Literal["recording", "complete", "interrupted"]


def state_attribute(
    plan: ArrayPlan, state: RecordingState, frames: int | None, *, live: bool, gaps: bool
) -> Document:
    """Return the ``aqz`` attribute of an array or image.

    Parameters
    ----------
    plan
        How it is recorded.
    state
        Where the recording stands.
    frames
        How many frames, in the order of arrival, are stored for certain; None for a recording
        by index, whose frames may have gaps.
    live
        Whether shards have an index at their start, too.
    gaps
        Whether frames may be missing on purpose.

    Returns
    -------
    dict
        ``state``; ``version`` of aqz; ``frames``; ``live``; ``gaps``; ``axes`` in the order of
        arrival with their declared sizes (0 is unlimited); ``downsampling``, the method's name or
        None. For Zarr V2, also ``storage_order``, the names of the axes as they are stored, where
        that is another order.
    """
    from aqz_core import __version__

    stored = [axis.name for axis in plan.axes]
    arrival = [axis.name for axis, _ in _axes_of_arrival(plan)]
    # Zarr V2 has no names of axes, and a plain array no other place that tells their order.
    order = (
        {"storage_order": stored} if plan.version is ZarrVersion.V2 and stored != arrival else {}
    )
    return {
        **order,
        "state": state,
        "version": __version__,
        "frames": frames,
        "live": live,
        "gaps": gaps,
        "axes": [
            {
                "name": axis.name,
                "type": axis.kind.name.lower(),
                "unit": axis.unit,
                "scale": axis.scale,
                "origin": axis.origin,
                "size": size,
            }
            for axis, size in _axes_of_arrival(plan)
        ],
        "downsampling": plan.downsampler.name if plan.downsampler is not None else None,
    }


def _axes_of_arrival(plan: ArrayPlan) -> list[tuple[Axis, int]]:
    """Return the axes in the order in which frames arrive, with their declared sizes."""
    stored: list[Any] = list(plan.axes)
    lead = [None] * len(plan.lead_order)
    for axis, position in zip(stored[:-2], plan.lead_order, strict=True):
        lead[position] = axis
    plane = stored[:-3:-1] if plan.transposed else stored[-2:]
    return list(zip([*lead, *plane], [*plan.lead_shape, *plan.frame_shape], strict=True))
